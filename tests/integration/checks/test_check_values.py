"""Values of every kind: copies are equal however they are spelled, and each change is found."""

import pytest
from check_helpers import Place, compare, quoted

Pair = tuple[Place, Place]

KINDS: dict[str, tuple[str, str, list[tuple[str, str]]]] = {
    "bigint": ("bigint", "bigint", [(str(n), str(n)) for n in (0, -1, 2**63 - 1, -(2**63))]),
    "unsigned": (
        "numeric(20)", "bigint unsigned", [(str(n), str(n)) for n in (0, 1, 2**64 - 1)],
    ),
    "zerofill": ("int", "int(6) zerofill", [("0", "0"), ("42", "42")]),
    "tiny": ("smallint", "tinyint(1)", [("0", "0"), ("1", "1"), ("2", "2")]),
    "boolean": ("boolean", "tinyint(1)", [("true", "1"), ("false", "0")]),
    "bit_boolean": ("boolean", "bit(1)", [("true", "b'1'"), ("false", "b'0'")]),
    "decimal": (
        "numeric(65,30)", "decimal(65,30)",
        [(x, x) for x in ("0", "-0.5", "1.50", "123456789.000000000000000000000000000001", "1e9")],
    ),
    "scales": ("numeric(10,2)", "decimal(12,4)", [("1.5", "1.5"), ("-0.25", "-0.25"), ("3", "3")]),
    "no_scale": ("numeric(10,0)", "decimal(12,4)", [("100", "100"), ("0", "0"), ("-30", "-30")]),
    "digits": ("numeric", "longtext", [("1.500", "'1.500'"), ("NaN", "'NaN'"), ("-7", "'-7'")]),
    "short": ("numeric", "longtext", [("1.500", "'1.5'"), ("-7.0", "'-7.000'"), ("100", "'100'")]),
    "double": (
        "double precision", "double",
        [(x, x) for x in (
            "0", "-0.0", "1", "0.1", "-1.5", "1e15", "1e-5", "0.0001", "1e-15", "1.5e-15",
            "1234567890123456.8", "9007199254740993", "1e22", "123456789012345678", "1e300",
            "1.7976931348623157e308", "5e-324", "2.2250738585072014e-308", "-1.25e-7",
            "999999999999999.9", "1000000000000001", "0.00012345", "0.000099999",
        )],
    ),
    "real": ("real", "float", [(x, x) for x in ("0", "0.1", "16777216", "-1.5", "1e-10", "3e38")]),
    "fixed": ("double precision", "double(10,2)", [("1.5", "1.5"), ("0", "0"), ("-7.25", "-7.25")]),
    "varchar": (
        "varchar(60)", "varchar(60)",
        [(f"'{x}'", f"'{x}'") for x in
         ("", " ", "a", "a ", "A", "ä", "😀", "~", "|", "3:abc", "%s %%", "a''b", "\\", "\n")],
    ),
    "latin": (
        "varchar(60)", "varchar(60) character set latin1", [("'äöü'", "'äöü'"), ("'é'", "'é'")],
    ),
    "text": (
        "text", "longtext",
        [("''", "''"), ("repeat('ä😀', 100000)", "repeat('ä😀', 100000)"), ("'~'", "'~'")],
    ),
    "char": ("char(10)", "char(10)", [("''", "''"), ("'ab'", "'ab'"), ("'ä '", "'ä '")]),
    "padded": ("char(10)", "varchar(10)", [("'ab'", "'ab'"), ("'ab'", "'ab   '"), ("''", "' '")]),
    "bytes": (
        "bytea", "longblob",
        [(r"'\x'", "x''"), (r"'\x00'", "x'00'"), (r"'\x00ff5c27'", "x'00ff5c27'")],
    ),
    "date": (
        "date", "date",
        [(f"'{x}'", f"'{x}'") for x in ("2024-02-29", "0001-01-01", "9999-12-31", "1970-01-01")],
    ),
    "datetime": (
        "timestamp(6)", "datetime(6)",
        [(f"'{x}'", f"'{x}'") for x in (
            "2024-02-29 23:59:59", "2024-02-29 23:59:59.5", "2024-02-29 23:59:59.000001",
            "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "2024-01-01 10:20:30.100",
        )],
    ),
    "precision": (
        "timestamp(6)", "datetime(2)",
        [("'2024-02-29 23:59:59.509999'", "'2024-02-29 23:59:59.5'"),
         ("'2024-02-29 23:59:50'", "'2024-02-29 23:59:50'")],
    ),
    "milliseconds": (
        "timestamp(6)", "datetime(3)",
        [("'2024-10-20 10:20:30.123999'", "'2024-10-20 10:20:30.123'"),
         ("'2024-10-20 10:00:00.1009'", "'2024-10-20 10:00:00.1'"),
         ("'2024-10-20 10:00:00.0009'", "'2024-10-20 10:00:00'"),
         ("'2024-10-20 10:00:00.0509'", "'2024-10-20 10:00:00.05'")],
    ),
    "intervals": (
        "interval", "time(3)",
        [("'1 day 10:20:30.1009'", "'34:20:30.1'"), ("'-10:00:20.0009'", "'-10:00:20'")],
    ),
    "seconds": (
        "timestamp(3)", "datetime",
        [("'2024-02-29 23:59:59.509'", "'2024-02-29 23:59:59'"),
         ("'2024-02-29 23:59:50'", "'2024-02-29 23:59:50'")],
    ),
    "instant": (
        "timestamptz(6)", "datetime(6)",
        [("'2024-02-29 23:59:59.5+02'", "'2024-02-29 21:59:59.5'"),
         ("'2024-07-01 00:00:00-05'", "'2024-07-01 05:00:00'")],
    ),
    "timestamp": (
        "timestamptz(6)", "timestamp(6) null",
        [("'2024-02-29 23:59:59.25+00'", "'2024-02-29 23:59:59.25'")],
    ),
    "time": (
        "time(6)", "time(6)", [("'23:59:59.5'", "'23:59:59.5'"), ("'00:00:00'", "'00:00:00'")],
    ),
    "duration": (
        "interval", "time(6)",
        [("'-838:59:59'", "'-838:59:59'"), ("'838:59:59'", "'838:59:59'"), ("'0'", "'0'"),
         ("'1 day 02:03:04.5'", "'26:03:04.5'"), ("'-00:00:01'", "'-00:00:01'")],
    ),
    "uuid": (
        "uuid", "char(36)",
        [("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"),
         ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12'")],
    ),
    "own_uuid": (
        "uuid", "uuid",
        [("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'")],
    ),
    "bits": ("bit(10)", "bit(10)", [("B'0000000101'", "b'0000000101'"), ("B'1111111111'", "1023")]),
    "jsonb": (
        "jsonb", "json",
        [("""'{"b": 1, "a": [1.0, true, null]}'""", """'{ "a":[1.00,true,null], "b":1 }'"""),
         ("""'"ä"'""", """'"ä"'"""), ("'1e2'", "'100'"), ("""'{"a": 1}'""", """'{"a": 1}'""")],
    ),
    "json": ("json", "json", [("""'{"a": 1}'""", """'{"a": 1}'"""), ("'[]'", "'[]'")]),
    "enum": ("text", "enum('a','ü b')", [("'a'", "'a'"), ("'ü b'", "'ü b'")]),
    "set": ("text", "set('p','q')", [("'p,q'", "'p,q'"), ("''", "''")]),
    "year": ("smallint", "year", [("2024", "2024"), ("0", "0"), ("1901", "1901")]),
    "array": ("int[]", "longtext", [("'{1,2,NULL}'", "'{1,2,NULL}'")]),
    "inet": ("inet", "inet6", [
        ("'::1'",) * 2, ("'2001:2:0:1:0:1:0:1'",) * 2, ("'0:1:2:3:4:5:6:7'",) * 2,
        ("'1:2:3:4:5:6:7:0'",) * 2, ("'1:2:3::6:7:8'",) * 2, ("'1:2:3:4:5:6:7:8'",) * 2,
    ]),
    "money": ("money", "decimal(19,2)", [("1.5", "1.5"), ("-92233720368547758.08",) * 2]),
    "citext": ("varchar(20)", "varchar(20)", [("'Straße'", "'Straße'")]),
}  # fmt: skip
CHANGES = {
    "boolean": ("false", "0"), "bit_boolean": ("false", "b'0'"), "double": ("0.1000000002",) * 2,
    "bits": ("B'0000000111'", "b'0000000111'"), "jsonb": ("""'{"b": 2}'""",) * 2,
    "json": ("""'{"a":true}'""",) * 2, "enum": ("'ü b'", "'ü b'"), "set": ("'q'", "'q'"),
    "bytes": (r"'\x01'", "x'01'"), "date": ("'2024-02-28'",) * 2,
    "time": ("'23:59:59.500001'",) * 2,
    "duration": ("'-838:59:58'",) * 2, "array": ("'{1,2,3}'",) * 2, "inet": ("'::2'",) * 2,
    "uuid": ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13'",) * 2,
    "own_uuid": ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13'",) * 2,
    **dict.fromkeys(("datetime", "timestamp", "instant"), ("'2024-02-29 23:59:59.000002'",) * 2),
    "precision": ("'2024-02-29 23:59:59.49'",) * 2,
    "milliseconds": ("'2024-10-20 10:20:30.124'",) * 2, "intervals": ("'34:20:30.101'",) * 2,
    **dict.fromkeys(("seconds",), ("'2024-02-29 23:59:58'",) * 2),
    **dict.fromkeys(("varchar", "latin", "text", "char", "padded", "citext"), ("'b'", "'b'")),
}  # fmt: skip


def _names(pair: Pair) -> list[str]:
    """Return the kinds that a pair of places has to do with."""
    same = {
        "scales", "no_scale", "padded", "precision", "milliseconds", "intervals", "seconds",
        "jsonb", "short",
    }  # fmt: skip
    return list(KINDS) if pair[0].engine != pair[1].engine else [k for k in KINDS if k not in same]


def _made(place: Place, names: list[str]) -> None:
    """Make a table with a column of each kind, and a row of each value, NULL for the rest."""
    at = 0 if place.engine == "postgresql" else 1
    columns = ", ".join(f"{quoted(place, name)} {KINDS[name][at]} null" for name in names)
    place.execute(f"create table t (id int primary key, {columns})")
    most = max(len(KINDS[name][2]) for name in names)
    for number in range(most):
        values = [
            KINDS[name][2][number][at] if number < len(KINDS[name][2]) else "null" for name in names
        ]
        if at == 0:
            values = [
                f"({value})::{KINDS[name][0]}"
                for name, value in zip(names, _told(values), strict=True)
            ]
        place.execute(f"insert into t values ({number}, {', '.join(values)})")


def _told(values: list[str]) -> list[str]:
    """Return values such that PostgreSQL reads numbers as the type they are for."""
    return [
        f"'{value}'" if value != "null" and value[:1] in "-0123456789N" else value
        for value in values
    ]


def test_no_copy_seems_to_differ(pair: Pair) -> None:
    for place in pair:
        _made(place, _names(pair))
    result = compare(*pair)
    assert result.equal, (str(result), [each.columns for each in result.differences])


def test_each_change_is_found_in_its_column(pair: Pair) -> None:
    left, right = pair
    names = _names(pair)
    for place in pair:
        _made(place, names)
    at = 0 if right.engine == "postgresql" else 1
    for name in names:
        value = CHANGES.get(name, ("1", "1") if KINDS[name][2][0][0] != "1" else ("0", "0"))[at]
        if at == 0:
            [value] = [f"({each})::{KINDS[name][0]}" for each in _told([value])]
        column = quoted(right, name)
        right.execute("create table kept as select * from t where id = 0")
        right.execute(f"update t set {column} = {value} where id = 0")
        result = compare(left, right)
        assert [each.key for each in result.differences] == [(b"0",)], name
        assert list(result.differences[0].columns) == [name]
        right.execute(
            f"update t set {column} = (select {column} from kept) where id = 0", "drop table kept"
        )


@pytest.mark.parametrize("name", ["varchar", "text", "bytes"])
def test_null_is_not_empty(pair: Pair, name: str) -> None:
    left, right = pair
    for place in pair:
        _made(place, [name])
    right.execute(f"update t set {quoted(right, name)} = null where id = 0")
    assert compare(left, right).found.differ == [(b"0",)]

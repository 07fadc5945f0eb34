"""What is said of types against what servers do: exact arrives, checked arrives or is refused.

Each value of each source type is put into a column of each target type, as the text in which values
travel, and read again. `places.py` is asked about single values as a copy asks it. Where types of
one family are called lossy, some value is really changed or refused, but for a list of exceptions.
"""

import json
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from ipaddress import ip_interface
from itertools import product

import psycopg
import pymysql
import pytest
from mariadb_server import MariaDbServer
from mysql_helpers import fresh_database

from syncd.copies.places import unplaced
from syncd.model.fits import fit
from syncd.model.table import Column, Kind, Type

PG, MARIA = "postgresql", "mariadb"
Put = Callable[[str, str, Sequence[str]], list[str | None]]
"""Puts values into a column of a type, given how it is read; None for those that are refused."""


def _column(native: str, kind: Kind, size: int | None = None, scale: int | None = None,
            *, unsigned: bool = False) -> Column:  # fmt: skip
    return Column("c", Type(kind, size, scale, unsigned), native)


_INTEGERS = ["-1", "0", "1", "7", "70", "1900", "2024", "32767", "-32768", "65535", "8388607",
             "16777217", "2147483647", "-2147483648", "4294967295", "9007199254740993",
             "9223372036854775807", "18446744073709551615", "255", "127", "-128"]  # fmt: skip
_DECIMALS = ["0", "1", "-1", "1.5", "0.01", "123456.78", "-0.999", "99999999.99", "2.50",
             "12345678901234567.123456789", "1000000"]  # fmt: skip
_FLOATS = ["0", "0.1", "-1.5", "1e+20", "16777217", "0.30000000000000004", "3.4028235e+38", "5"]
_TEXTS = ["", "a", "abc", "abc  ", " ", "1", "2", "007", "1.5", "b,a", "é", "😀😀😀😀",
          "2024-02-29", "true", "[1]", "b", "A", "x" * 300, "12:00:00", "10.0.0.1",
          "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "10101010"]  # fmt: skip
_DATES = ["2024-02-29", "0001-01-01", "9999-12-31"]
_PG_DATES = [*_DATES, "0044-03-15 BC", "10000-01-01", "infinity"]
_MY_DATES = [*_DATES, "0000-00-00", "2024-00-07", "2023-02-31"]
_CLOCK = ["00:00:00", "23:59:59", "12:00:00.5", "01:02:03.999999"]
_BITS = ["0", "1", "101", "00000101", "10000000"]
_JSON = ["1", '{"a": 1.50}', "[]", '"\\u0000"', '"é"', "12345678901234567890.123"]


def _moments(dates: list[str]) -> list[str]:
    return [
        f"{day} {clock}{era}"
        for (day, _, era), clock in product((each.partition(" ") for each in dates), _CLOCK)
        for era in ([f" {era}"] if era else [""])
        if day != "infinity"
    ] + [each for each in dates if each == "infinity"]


PG_COLUMNS = [
    (_column("smallint", "integer", 2), _INTEGERS),
    (_column("integer", "integer", 4), _INTEGERS),
    (_column("bigint", "integer", 8), _INTEGERS),
    (_column("numeric", "decimal"), [*_DECIMALS, "NaN", "Infinity"]),
    (_column("numeric(10,2)", "decimal", 10, 2), [*_DECIMALS, "NaN"]),
    (_column("numeric(20,0)", "decimal", 20, 0), _INTEGERS),
    (_column("numeric(3,-2)", "decimal", 3, -2), ["100", "-99900"]),
    (_column("real", "float", 4), [*_FLOATS, "NaN", "Infinity"]),
    (_column("double precision", "float", 8), [*_FLOATS, "1e+300", "-Infinity"]),
    (_column("boolean", "boolean"), ["0", "1"]),
    (_column("text", "text"), _TEXTS),
    (_column("character varying(3)", "text", 3), _TEXTS),
    (_column("character(3)", "text", 3), ["", "a", "abc"]),
    (_column("name", "text"), _TEXTS),
    (_column('"char"', "text", 1), ["a", ""]),
    (_column("bytea", "bytes"), ["", "abc", "a\0b"]),
    (_column("bit(1)", "bits", 1), _BITS),
    (_column("bit(3)", "bits", 3), _BITS),
    (_column("bit(8)", "bits", 8), _BITS),
    (_column("bit varying", "bits"), _BITS),
    (_column("bit varying(8)", "bits", 8), _BITS),
    (_column("date", "date"), _PG_DATES),
    (_column("time without time zone", "time", scale=6), [*_CLOCK, "24:00:00"]),
    (_column("time(0) without time zone", "time", scale=0), [*_CLOCK, "24:00:00"]),
    (_column("timestamp without time zone", "timestamp", scale=6), _moments(_PG_DATES)),
    (_column("timestamp(0) without time zone", "timestamp", scale=0), _moments(_PG_DATES)),
    (_column("timestamp with time zone", "instant", scale=6), _moments(_PG_DATES)),
    (_column("timestamp(3) with time zone", "instant", scale=3), _moments(_PG_DATES)),
    (_column("interval", "interval", scale=6),
     ["00:00:00", "-838:59:59.5", "1 mon 2 days 03:04:05", "900:00:00", "10:00:00"]),
    (_column("interval(0)", "interval", scale=0), ["00:00:01", "1 day", "-25:00:00"]),
    (_column("interval year to month", "interval", scale=6), ["1 year 2 mons"]),
    (_column("json", "json"), _JSON),
    (_column("jsonb", "json"), [each for each in _JSON if "u0000" not in each]),
    (_column("uuid", "uuid", 36), ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
    (_column("inet", "other"), ["10.0.0.1", "10.1.2.3/8", "::1"]),
    (_column("cidr", "other"), ["10.0.0.0/8", "10.0.0.1/32"]),
    (_column("integer[]", "other"), ["{1,2}"]),
    (_column("numeric(3,1)[]", "other"), ["{1.5}"]),
    (_column("time with time zone", "other"), ["12:00:00.123456+02"]),
    (_column("time(0) with time zone", "other"), ["12:00:00+02"]),
    (_column("tsvector", "other"), ["'a' 'b'"]),
]  # fmt: skip

MARIA_COLUMNS = [
    (_column("tinyint(4)", "integer", 1), _INTEGERS),
    (_column("tinyint(3) unsigned", "integer", 1, unsigned=True), _INTEGERS),
    (_column("smallint(6)", "integer", 2), _INTEGERS),
    (_column("mediumint(8) unsigned", "integer", 3, unsigned=True), _INTEGERS),
    (_column("int(11)", "integer", 4), _INTEGERS),
    (_column("int(10) unsigned", "integer", 4, unsigned=True), _INTEGERS),
    (_column("bigint(20)", "integer", 8), _INTEGERS),
    (_column("bigint(20) unsigned", "integer", 8, unsigned=True), _INTEGERS),
    (_column("year(4)", "integer", 2), ["0", "1901", "2155", "2024"]),
    (_column("decimal(10,2)", "decimal", 10, 2), _DECIMALS),
    (_column("decimal(10,2) unsigned", "decimal", 10, 2, unsigned=True), _DECIMALS),
    (_column("decimal(20,0)", "decimal", 20, 0), _INTEGERS),
    (_column("decimal(65,30)", "decimal", 65, 30), _DECIMALS),
    (_column("float", "float", 4), _FLOATS),
    (_column("float(7,2)", "float", 4), ["0.1", "1.25"]),
    (_column("double", "float", 8), [*_FLOATS, "1e+300"]),
    (_column("bit(1)", "bits", 1), ["0", "1"]),
    (_column("bit(8)", "bits", 8), [each for each in _BITS if len(each) == 8]),
    (_column("date", "date"), _MY_DATES),
    (_column("time", "duration", scale=0), ["-838:59:59", "838:59:59", "23:00:00"]),
    (_column("time(6)", "duration", scale=6), ["-00:00:00.5", "24:00:00", "01:02:03.999999"]),
    (_column("datetime", "timestamp", scale=0), _moments(_MY_DATES)),
    (_column("datetime(6)", "timestamp", scale=6), _moments(_MY_DATES)),
    (_column("timestamp(6)", "instant", scale=6),
     ["1970-01-01 00:00:01", "2038-01-19 03:14:07.999999", "0000-00-00 00:00:00"]),
    (_column("char(3)", "text", 3), ["", "a", "abc"]),
    (_column("varchar(3)", "text", 3), _TEXTS),
    (_column("tinytext", "text", 255), _TEXTS),
    (_column("longtext", "text"), [*_TEXTS, "a\0b"]),
    (_column("enum('1','a','b')", "text", 1), ["1", "a", "b", ""]),
    (_column("set('a','b')", "text"), ["", "a", "a,b"]),
    (_column("binary(3)", "bytes", 3), ["abc"]),
    (_column("varbinary(3)", "bytes", 3), ["", "abc", "a\0b"]),
    (_column("longblob", "bytes"), ["", "abc", "a\0b"]),
    (_column("json", "json"), _JSON),
    (_column("uuid", "uuid", 36), ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
    (_column("inet6", "other"), ["::1", "::ffff:10.0.0.1"]),
]  # fmt: skip

SOURCES = [(PG, *each) for each in PG_COLUMNS] + [(MARIA, *each) for each in MARIA_COLUMNS]


@pytest.fixture
def into_postgresql(dsn: str) -> Iterator[Put]:
    """Give what puts values into PostgreSQL; bytes come as such."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(
            "create function attempt(place text, reading text, told text) returns text"
            " language plpgsql as $$ declare found text; begin"
            " execute format('insert into %I values (%L) returning ' || reading, place, told)"
            " into found; return 'is ' || found; exception when others then return null; end $$"
        )
        made: dict[str, str] = {}

        def put(native: str, reading: str, values: Sequence[str]) -> list[str | None]:
            if native not in made:
                made[native] = f"t{len(made)}"
                connection.execute(f"create temporary table {made[native]} (c {native})")
            asked = [
                f"\\x{each.encode().hex()}" if native == "bytea" else None if "\0" in each else each
                for each in values
            ]
            found = connection.execute(
                "select case when told is not null then attempt(%s, %s, told) end"
                " from unnest(%s::text[]) with ordinality as t (told, n) order by n",
                (made[native], reading, asked),
            ).fetchall()
            return [each and each[3:] for (each,) in found]

        yield put


@pytest.fixture
def into_mariadb(mariadb: MariaDbServer) -> Iterator[Put]:
    """Give what puts values into a strict MariaDB."""
    with fresh_database(mariadb) as name, closing(mariadb.connect(database=name)) as connection:
        cursor = connection.cursor()
        cursor.execute("set names utf8mb4, time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,"
                       "NO_BACKSLASH_ESCAPES,ALLOW_INVALID_DATES'")  # fmt: skip
        made: dict[str, str] = {}

        def put(native: str, reading: str, values: Sequence[str]) -> list[str | None]:
            table = made.setdefault(native, f"t{len(made)}")
            cursor.execute(f"create temporary table if not exists {table} (c {native} null)")
            return [_one(cursor, table, reading, _told(native, each)) for each in values]

        yield put


def _one(cursor: "pymysql.cursors.Cursor", table: str, reading: str, told: str) -> str | None:
    cursor.execute(f"delete from {table}")
    try:
        cursor.execute(f"insert into {table} values ({told})")
    except pymysql.Error:
        return None
    cursor.execute(f"select {reading} from {table}")
    return str(cursor.fetchone()[0])


def _told(native: str, value: str) -> str:
    """Return a value as SQL says it: bits and years are no texts to this server."""
    if native.startswith("bit") and value and set(value) <= {"0", "1"}:
        return f"b'{value}'"
    if native.startswith("year") and value.isdigit():
        return value
    if native == "float" and value == "3.4028235e+38":
        return "3.4028234663852886e38"  # rounded to so few digits it is more than the largest one
    if "\0" in value:
        return f"x'{value.encode().hex()}'"
    return "'" + value.replace("'", "''") + "'"


def _read_postgresql(column: Column) -> str:
    how = {
        "instant": "(c at time zone 'UTC')::text",
        "boolean": "c::int::text",
        "bytes": "encode(c, 'escape')",
    }
    return how.get(column.type.kind, "c::text")


def _read_mariadb(column: Column) -> str:
    if column.type.kind == "bits":
        return f"lpad(bin(c + 0), {column.type.size}, '0')"
    if column.native == "float":
        return "cast(c as double)"
    return "cast(c + 0 as char)" if column.native.startswith("year") else "cast(c as char)"


def test_what_is_said_of_types_holds(into_postgresql: Put, into_mariadb: Put) -> None:
    puts = {PG: (into_postgresql, _read_postgresql), MARIA: (into_mariadb, _read_mariadb)}

    def put(engine: str, column: Column, values: Sequence[str]) -> list[str | None]:
        there, reading = puts[engine]
        return there(column.native, reading(column), values)

    sources = [
        (engine, column, _held(column, values, put(engine, column, values)))
        for engine, columns in ((PG, PG_COLUMNS), (MARIA, MARIA_COLUMNS))
        for column, values in columns
    ]
    wrong, careful = [], []
    for engine, columns in ((PG, PG_COLUMNS), (MARIA, MARIA_COLUMNS)):
        for (from_engine, source, values), (target, _) in product(sources, columns):
            said = fit(source, target, (from_engine, engine))
            kinds = () if said == "lossy" else unplaced(source, target, (from_engine, engine))
            told = [v for v in values if not any(kind.lacks(v.encode()) for kind in kinds)]
            found = list(zip(told, put(engine, target, told), strict=True))
            refused = [value for value, there in found if there is None]
            changed = [
                (v, t) for v, t in found if t is not None and not _same(source, target, v, t)
            ]
            name = f"{from_engine} {source.native} -> {engine} {target.native} is {said}"
            if (said != "lossy" and changed) or (said == "exact" and refused):
                wrong.append(f"{name}: changed {changed[:3]}, refused {refused[:3]}")
            if said == "lossy" and not changed and not refused and _alike(source, target):
                careful.append(name)
    assert not wrong, "\n".join(wrong)
    assert sorted(careful) == sorted(_CAREFUL)


_CAREFUL = [
    f"{source} -> {target} is lossy"
    for target, sources in {
        # what would cut or fill up longer values; the ones tried are short
        "postgresql name": [
            "postgresql character varying(3)", "postgresql character(3)", 'postgresql "char"',
            "mariadb char(3)", "mariadb varchar(3)", "mariadb tinytext", "mariadb set('a','b')",
            "mariadb enum('1','a','b')",
        ],
        'postgresql "char"': ["mariadb enum('1','a','b')"],
        "mariadb bit(8)": ["postgresql bit(1)", "postgresql bit(3)"],
        "mariadb float(7,2)": [
            "postgresql smallint", "postgresql numeric(3,-2)", "postgresql boolean",
            "mariadb tinyint(4)", "mariadb tinyint(3) unsigned", "mariadb smallint(6)",
            "mariadb year(4)",
        ],
        "mariadb decimal(10,2)": ["mariadb float(7,2)"],
        "mariadb decimal(10,2) unsigned": ["mariadb float(7,2)"],
        "mariadb decimal(65,30)": ["mariadb float(7,2)"],
        "postgresql numeric(10,2)": ["mariadb float(7,2)"],
        # what no value shows: these mean another thing
        "postgresql timestamp with time zone": [
            "postgresql timestamp without time zone", "postgresql timestamp(0) without time zone",
        ],
        "postgresql timestamp(3) with time zone": ["postgresql timestamp(0) without time zone"],
        "postgresql timestamp without time zone": [
            "postgresql timestamp with time zone", "postgresql timestamp(3) with time zone",
        ],
        "postgresql time with time zone": ["postgresql time(0) with time zone"],
        "postgresql interval(0)": ["postgresql interval year to month"],
        "postgresql cidr": ["mariadb inet6"],
    }.items()
    for source in sources
]  # fmt: skip
"""What is refused although none of the values would be changed."""


def _held(column: Column, values: list[str], found: list[str | None]) -> list[str]:
    """Return the values that a column can hold as they are."""
    pairs = zip(values, found, strict=True)
    return [v for v, there in pairs if there is not None and _same(column, column, v, there)]


_NUMBERS = ("integer", "decimal", "float", "boolean")
_TIMES = ("date", "timestamp", "instant", "time", "duration", "interval")


def _same(source: Column, target: Column, value: str, there: str) -> bool:
    mine, theirs = source.type.kind, target.type.kind
    if value == there or (target.native == "bytea" and _escaped(value) == there):
        return True
    if {mine, theirs} <= {*_NUMBERS, "bits"} and "bits" not in (mine, theirs):
        return _same_number(source, target, value, there)
    if mine in _TIMES and theirs in _TIMES:
        if (mine, theirs) == ("date", "timestamp"):
            day, *era = value.split(" ")
            value = value if day == "infinity" else " ".join([day, "00:00:00", *era])
        return _stripped(value) == _stripped(there)
    if theirs == "json" and mine in ("json", "text"):
        return bool(_parsed(value) == _parsed(there))
    if (mine, theirs) == ("bits", "bits") and "varying" not in source.native + target.native:
        return "without" not in value and int(value, 2) == int(there, 2) and source.native[0] == "b"
    return theirs in ("other", "uuid") and _address(value) == _address(there)


def _same_number(source: Column, target: Column, value: str, there: str) -> bool:
    if "NaN" in (value, there):
        return value == there
    if target.type.kind != "float" or source.type.kind == "integer":
        return Decimal(value) == Decimal(there)
    if target.type.size == 4 and source.type.kind == "decimal":
        return Decimal(value) == Decimal(f"{float(there):.6g}")
    if target.type.size == 4:
        return struct.pack("f", float(value)) == struct.pack("f", float(there))
    return float(value) == float(there) and Decimal(value) == Decimal(repr(float(value)))


def _alike(source: Column, target: Column) -> bool:
    kinds = {source.type.kind, target.type.kind}
    return len(kinds) == 1 or kinds <= {*_NUMBERS} or kinds <= {*_TIMES}


def _stripped(moment: str) -> str:
    return re.sub(r"(\.\d*?)0+(?!\d)", r"\1", moment).replace(". ", " ").rstrip(".")


def _parsed(text: str) -> object:
    try:
        return json.loads(text, parse_float=Decimal)
    except ValueError:
        return text


def _address(text: str) -> object:
    try:
        return ip_interface(text)
    except ValueError:
        return text


def _escaped(value: str) -> str:
    return "".join(
        f"\\{byte:03o}" if byte == 0 or byte > 126 else chr(byte)
        for byte in value.replace("\\", "\\\\").encode()
    )

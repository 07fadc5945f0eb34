"""Values that servers and drivers are known to change: each row of the list of traps is a test.

| trap | test |
| --- | --- |
| MySQL zero and partial dates | `test_zero_and_partial_dates` |
| `BIGINT UNSIGNED` | `test_bigint_unsigned` |
| `TINYINT(1)` holds 2 | `test_tinyint_1_holds_2` |
| `BIT(8)` is bytes | `test_bits` |
| `ENUM` and `SET`, invalid ones read `''` | `test_enum_and_set` |
| JSON comes as text | `test_json_keeps_its_spelling` |
| `FLOAT` shows fewer digits than it holds | `test_float_is_read_whole` |
| `TIME` goes over 24 hours | `test_time_over_24_hours` |
| `TIMESTAMP` moves with the session's zone | `test_timestamp_does_not_move` |
| a character set turns 😀 into `?` | `test_a_character_set_refuses_what_it_lacks` |
| `Abc` equals `abc ` as a key | `test_keys_that_a_collation_takes_for_one` |
| NaN and infinity | `test_numbers_without_an_end` |
| PostgreSQL's infinity, BC, year 10000, 24:00 | `test_times_without_a_place` |
| an interval is no number of days | `test_intervals_keep_months_and_days` |
| jsonb refuses `\\u0000`, large decimals | `test_jsonb` |
| NUL in texts and in bytea | `test_nul` |
| identity ALWAYS, and its sequence later | `test_identity_always` |
| generated columns | `test_generated_columns_are_left_out` |

The rest of the list (reading, conflicts, ties, late commits) are tests of the engines and copies.
"""

from collections.abc import Sequence

import pytest
from debian_postgres import PrivateServers
from exact_columns import Typed
from exact_world import MARIA, PG, Outcome, World, world
from mariadb_server import MariaDbServer

from syncd.errors import BadData
from syncd.model.copy import ColumnRules, ValuePolicy

ZERO = "0000-00-00"
Arrived = list[str | None]


def _typed(native: str) -> Typed:
    return Typed("c", native, (), "")


def _copied(
    servers: World, way: tuple[str, str], native: str, values: Sequence[str],
    *, into: str = "", policy: ValuePolicy = "error", limit: int = 0,
) -> tuple[Arrived, Outcome]:  # fmt: skip
    """Copy a column into a table that is made, or stands with a type; return what arrived."""
    source, target = way
    rows = [{"c": each} for each in values]
    ours = servers.relation(source, "source", servers.fill(source, [_typed(native)], rows))
    name = servers.fill(target, [_typed(into)], [], "target") if into else ours.table
    theirs = servers.relation(target, "target", name)
    done = servers.copy(ours, theirs, max_rejected=limit, columns=ColumnRules(values={"c": policy}))
    return [row["c"] for _, row in sorted(servers.read(theirs).items())], done


TO_PG, TO_MARIA = (MARIA, PG), (PG, MARIA)
AMONG_MARIA = (MARIA, MARIA)


def test_zero_and_partial_dates(servers: World) -> None:
    dates = [ZERO, "2024-02-00", "2024-00-00", "2024-02-29"]
    arrived, done = _copied(servers, TO_PG, "date", dates, policy="null")
    assert (arrived, done.details["nulled"]) == ([None, None, None, "2024-02-29"], {"c": 3})
    arrived, done = _copied(servers, TO_PG, "date", dates, policy="text")
    assert (arrived, done.details.get("nulled")) == (dates, None)
    arrived, done = _copied(servers, TO_PG, "date", dates, limit=3)
    assert arrived == ["2024-02-29"]
    assert [each.error for each in done.rejected] == [
        f"column c: '{each}' is no day of the calendar" for each in dates[:3]
    ]
    with pytest.raises(BadData, match=r"column c: '0000-00-00' is no day of the calendar"):
        _copied(servers, TO_PG, "date", dates)
    arrived, _ = _copied(servers, AMONG_MARIA, "date", dates)
    assert arrived == dates


def test_bigint_unsigned(servers: World) -> None:
    assert _copied(servers, TO_PG, "bigint unsigned", ["18446744073709551615"])[0] == [
        "18446744073709551615"
    ]
    with pytest.raises(BadData, match="18446744073709551615"):
        _copied(servers, TO_PG, "bigint unsigned", ["18446744073709551615"], into="bigint")


def test_tinyint_1_holds_2(servers: World) -> None:
    assert _copied(servers, TO_PG, "tinyint(1)", ["0", "1", "2"])[0] == ["0", "1", "2"]
    arrived, done = _copied(servers, TO_PG, "tinyint(1)", ["0", "1", "2"], into="boolean", limit=1)
    assert arrived == ["0", "1"]
    assert [each.error for each in done.rejected] == ["column c: '2' is no boolean"]


def test_bits(servers: World) -> None:
    assert _copied(servers, TO_PG, "bit(8)", ["expr:b'10000001'", "expr:b'1'"])[0] == [
        "10000001", "00000001",
    ]  # fmt: skip
    assert _copied(servers, TO_MARIA, "bit(8)", ["10000001"])[0] == ["10000001"]


def test_enum_and_set(servers: World) -> None:
    values = ["b", "7", ""]  # 7 is none of them, and becomes what is invalid
    assert _copied(servers, TO_PG, "enum('a','b')", values)[0] == ["b", "", ""]
    assert _copied(servers, TO_PG, "set('p','q')", ["q,p", ""])[0] == ["p,q", ""]
    arrived, done = _copied(
        servers, TO_MARIA, "text", ["a", "1", ""], into="enum('a','b')", limit=2
    )
    assert arrived == ["a"]  # 1 is not taken for the first
    assert [each.error for each in done.rejected] == [
        "column c: '1' is no value of the target", "column c: '' is no value of the target",
    ]  # fmt: skip


def test_json_keeps_its_spelling(servers: World) -> None:
    told = ['{"a" :  1.10, "a": 2}', "123456789012345678901234567890.123"]
    for way in (TO_PG, TO_MARIA, AMONG_MARIA):
        assert _copied(servers, way, "json", told)[0] == told


def test_float_is_read_whole(servers: World) -> None:
    assert _copied(servers, TO_PG, "float", ["16777216", "0.1"])[0] == [
        "16777216.0", "0.10000000149011612",
    ]  # fmt: skip
    assert _copied(servers, AMONG_MARIA, "float", ["8388609"])[0] == ["8388609.0"]


def test_time_over_24_hours(servers: World) -> None:
    times = ["-838:59:59", "838:59:59", "24:00:01"]
    assert _copied(servers, TO_PG, "time", times)[0] == times
    arrived, done = _copied(servers, TO_PG, "time", [*times, "23:00:00"], into="time", limit=3)
    assert (arrived, len(done.rejected)) == (["23:00:00"], 3)
    assert done.rejected[0].error == "column c: '-838:59:59' is no time of a day"


def test_timestamp_does_not_move(servers: World) -> None:
    servers.set_zone("+05:30")
    try:
        moments = ["2024-03-31 02:30:00", "2038-01-19 03:14:07"]
        assert _copied(servers, TO_PG, "timestamp null", moments)[0] == moments
        assert _copied(servers, TO_PG, "datetime", moments)[0] == moments
        assert _copied(servers, TO_MARIA, "timestamptz", ["2024-03-31 02:30:00+02"])[0] == [
            "2024-03-31 00:30:00"
        ]
    finally:
        servers.set_zone("SYSTEM")


@pytest.mark.parametrize("charset", ["latin1", "utf8mb3"])
def test_a_character_set_refuses_what_it_lacks(servers: World, charset: str) -> None:
    into = f"varchar(9) character set {charset}"
    for way in (TO_MARIA, AMONG_MARIA):
        arrived, done = _copied(servers, way, "varchar(9)", ["é", "😀"], into=into, limit=1)
        assert (arrived, len(done.rejected)) == (["é"], 1)
    latin, _ = _copied(servers, TO_PG, "varchar(9) character set latin1", ["€é"])
    assert latin == ["€é"]


def test_keys_that_a_collation_takes_for_one(servers: World) -> None:
    ours = servers.relation(
        PG, "source", servers.fill(PG, [_typed("text")], [{"c": "Abc"}, {"c": "abc "}]), key=("c",)
    )
    blind = "varchar(9) collate utf8mb4_general_ci not null unique"
    theirs = servers.relation(MARIA, "target", servers.fill(MARIA, [_typed(blind)], [], "target"))
    with pytest.raises(BadData, match=r"the keys 'abc ' and 'Abc'.* are one by its collation"):
        servers.copy(ours, theirs)
    assert servers.read(theirs) == {}
    made = servers.relation(MARIA, "target", ours.table)
    servers.copy(ours, made)
    assert sorted(str(row["c"]) for row in servers.read(made).values()) == ["Abc", "abc "]


def test_numbers_without_an_end(servers: World) -> None:
    special = ["NaN", "Infinity", "-Infinity"]
    for native, into in (("double precision", "double"), ("real", "float")):
        arrived, done = _copied(servers, TO_MARIA, native, [*special, "1.5"], policy="null")
        assert (arrived, done.details["nulled"]) == ([None, None, None, "1.5"], {"c": 3})
        with pytest.raises(BadData, match="column c: 'NaN' is a number that the target does not"):
            _copied(servers, TO_MARIA, native, special, into=into)
    arrived, done = _copied(servers, (PG, PG), "numeric(9,2)", ["NaN", "1"])
    assert arrived == ["NaN", "1.00"]
    assert _copied(servers, TO_MARIA, "numeric", special)[0] == special  # as texts


@pytest.mark.parametrize(
    ("native", "odd", "good"),
    [
        ("date", ["infinity", "0044-03-15 BC", "10000-01-01"], "9999-12-31"),
        ("timestamp", ["-infinity", "0044-03-15 00:00:00 BC", "10000-01-01 00:00:00"],
         "0001-01-01 00:00:00"),
        ("timestamptz", ["infinity"], "2024-02-29 23:59:59.999999"),
        ("interval", [], "1 mon 2 days"),
    ],
)  # fmt: skip
def test_times_without_a_place(servers: World, native: str, odd: list[str], good: str) -> None:
    assert _copied(servers, (PG, PG), native, [*odd, good])[0] == [*odd, good]
    arrived, done = _copied(servers, TO_MARIA, native, [*odd, good], policy="null")
    assert arrived == [*[None] * len(odd), good]
    assert done.details.get("nulled", {"c": 0}) == {"c": len(odd)}
    assert _copied(servers, TO_MARIA, native, [*odd, good], policy="text")[0] == [*odd, good]


def test_intervals_keep_months_and_days(servers: World) -> None:
    told = ["1 mon 2 days", "32 days", "-1 years +2 days -03:04:05.000006"]
    assert _copied(servers, (PG, PG), "interval", told)[0] == told
    assert _copied(servers, TO_MARIA, "interval", told)[0] == told
    arrived, done = _copied(servers, TO_MARIA, "interval", ["26:00:00", *told], into="time(6)",
                            limit=3)  # fmt: skip
    assert arrived == ["26:00:00"]
    assert done.rejected[0].error == "column c: '1 mon 2 days' is out of the range of a TIME"


def test_jsonb(servers: World) -> None:
    large = '{"a": 12345678901234567890.12345678901234567890}'
    for way in ((PG, PG), TO_MARIA):
        assert _copied(servers, way, "jsonb", [large])[0] == [large]
    told = [r'["\u0000", "\\u0000"]']
    with pytest.raises(BadData, match=r"column c: .* is JSON with what jsonb refuses"):
        _copied(servers, TO_PG, "json", told, into="jsonb")
    arrived, done = _copied(servers, TO_PG, "json", told, into="jsonb", policy="text")
    assert (arrived, done.details["mended"]) == ([r'["", "\\u0000"]'], {"c": 1})
    assert _copied(servers, TO_PG, "json", told)[0] == told


def test_nul(servers: World) -> None:
    told = ["expr:x'610062'", "ab"]
    arrived, done = _copied(servers, TO_PG, "varchar(9)", told, policy="text")
    assert (arrived, done.details["mended"]) == (["ab", "ab"], {"c": 1})
    arrived, done = _copied(servers, TO_PG, "varchar(9)", told, policy="null")
    assert (arrived, done.details["nulled"]) == ([None, "ab"], {"c": 1})
    with pytest.raises(BadData, match=r"column c: 'a\\x00b' is a text with NUL"):
        _copied(servers, TO_PG, "varchar(9)", told)
    assert _copied(servers, TO_PG, "varbinary(9)", told)[0] == ["610062", "6162"]
    assert _copied(servers, TO_MARIA, "bytea", [r"\x610062"])[0] == ["610062"]


def test_identity_always(servers: World) -> None:
    ours = servers.relation(PG, "source", servers.fill(PG, [_typed("int")], [{"c": "7"}] * 3))
    theirs = servers.relation(PG, "target", servers.unique())
    servers.execute(
        PG, f"create table target.{theirs.table} (id int primary key, c int unique"
        " generated always as identity)", f"delete from source.{ours.table} where id > 1",
    )  # fmt: skip
    servers.copy(ours, theirs)
    assert servers.read(theirs) == {1: {"c": "7"}}
    servers.execute(PG, f"insert into target.{theirs.table} (id) values (2)")
    assert servers.read(theirs)[2] == {"c": "8"}


@pytest.mark.parametrize(
    ("engine", "declared"),
    [(PG, "generated always as (id * 2) stored"), (MARIA, "as (id * 2) stored")],
)
def test_generated_columns_are_left_out(servers: World, engine: str, declared: str) -> None:
    ours = servers.relation(PG, "source", servers.fill(PG, [_typed("int")], [{"c": "7"}]))
    theirs = servers.relation(engine, "target", servers.unique())
    place = f"{theirs.schema}.{theirs.table}"
    servers.execute(engine, f"create table {place} (id int primary key, c int {declared})")
    servers.copy(ours, theirs)
    assert servers.read(theirs) == {1: {"c": "2"}}


def test_xml(private_servers: PrivateServers, mariadb: MariaDbServer) -> None:
    """Of a server that was built with it: Debian's."""
    server = private_servers.of("15")
    told = ["<a/>", "<a>é&lt;&#9;</a> ", '<?xml version="1.0" encoding="UTF-8"?>\n<b c="1"/>', ""]
    with server.database() as name, world(server.dsn(name), mariadb) as servers:
        for way in ((PG, PG), TO_MARIA):
            arrived, _ = _copied(servers, way, "xml", told)
            assert [str(each).partition("?>\n")[2] or each for each in arrived] == [
                "<a/>", "<a>é&lt;&#9;</a> ", '<b c="1"/>', "",
            ]  # fmt: skip
        arrived, done = _copied(servers, (PG, PG), "text", ["<a/>", "<a>"], into="xml", limit=1)
        assert (arrived, len(done.rejected)) == (["<a/>"], 1)

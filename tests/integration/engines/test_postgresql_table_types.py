"""Every type of PostgreSQL: read in the one form, written again, and the same to `psql`'s eye."""

from collections.abc import Iterator

import pytest
from debian_postgres import PrivateServer
from postgresql_tables import Shop, everything, into_all

from syncd.engines.postgresql import targets
from syncd.engines.postgresql.connection import Session
from syncd.engines.postgresql.shapes import Look, of_query
from syncd.engines.tables import NewColumn
from syncd.model.copy import Edge, Span
from syncd.model.table import Column, Relation, Type

CASES: list[tuple[str, Type, dict[str, bytes]]] = [
    ("smallint", Type("integer", 2), {"-32768": b"-32768", "32767": b"32767"}),
    ("bigint", Type("integer", 8), {"9223372036854775807": b"9223372036854775807"}),
    ("oid", Type("integer", 4, unsigned=True), {"4294967295": b"4294967295"}),
    ("numeric", Type("decimal"), {
        "NaN": b"NaN", "1.10": b"1.10", "-0.000000000000000000000000000000000001":
        b"-0.000000000000000000000000000000000001", "9" * 60: b"9" * 60}),
    ("numeric(10,2)", Type("decimal", 10, 2), {"1.1": b"1.10", "NaN": b"NaN"}),
    ("real", Type("float", 4), {"0.1": b"0.1", "16777217": b"1.6777216e+07", "NaN": b"NaN"}),
    ("double precision", Type("float", 8), {
        "0.1": b"0.1", "1e300": b"1e+300", "-Infinity": b"-Infinity", "-0": b"-0",
        "0.30000000000000004": b"0.30000000000000004"}),
    ("money", Type("decimal", 19, 2), {"-12.34": b"-12.34", "1000000": b"1000000.00"}),
    ("boolean", Type("boolean"), {"t": b"1", "f": b"0"}),
    ("text", Type("text"), {
        "": b"", "\\N": b"\\N", "a\tb\r\n\\": b"a\tb\r\n\\", "😀": "😀".encode()}),
    ("character varying(3)", Type("text", 3), {"abc": b"abc", "a  ": b"a  "}),
    ("character(4)", Type("text", 4), {"ab": b"ab", "": b""}),
    ('"char"', Type("text", 1), {"x": b"x"}),
    ("name", Type("text"), {"abc": b"abc"}),
    ("bytea", Type("bytes"), {"\\x00ff5c090a": b"\0\xff\\\t\n", "\\x": b""}),
    ("date", Type("date"), {
        "0044-03-15 BC": b"0044-03-15 BC", "infinity": b"infinity", "10000-01-01": b"10000-01-01"}),
    ("timestamp(3) without time zone", Type("timestamp", scale=3), {
        "2024-02-29 23:59:59.5": b"2024-02-29 23:59:59.5", "-infinity": b"-infinity"}),
    ("timestamp with time zone", Type("instant", scale=6), {
        "2024-02-29 23:59:59.5+05:30": b"2024-02-29 18:29:59.5", "infinity": b"infinity",
        "0044-03-15 12:00:00+00 BC": b"0044-03-15 12:00:00 BC"}),
    ("time without time zone", Type("time", scale=6), {
        "24:00:00": b"24:00:00", "1:2:3.4": b"01:02:03.4"}),
    ("time with time zone", Type("other"), {"01:02:03+14": b"01:02:03+14"}),
    ("interval", Type("interval", scale=6), {
        "1 mon 2 days": b"1 mon 2 days", "-1 day +25:00:00.000001": b"-1 days +25:00:00.000001"}),
    ("uuid", Type("uuid", 36), {
        "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11": b"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}),
    ("json", Type("json"), {'{"b":1.0, "a" : "\\u0000"}': b'{"b":1.0, "a" : "\\u0000"}'}),
    ("jsonb", Type("json"), {'{"b":1.00,"a":123456789012345678901234567890}':
                             b'{"a": 123456789012345678901234567890, "b": 1.00}'}),
    ("bit(4)", Type("bits", 4), {"0101": b"0101"}),
    ("bit varying", Type("bits"), {"": b"", "011": b"011"}),
    ("integer[]", Type("other"), {"{1,NULL,3}": b"{1,NULL,3}", "[0:1]={1,2}": b"[0:1]={1,2}"}),
    ("text[]", Type("other"), {'{"a\\"b","\\\\",NULL,""}': b'{"a\\"b","\\\\",NULL,""}'}),
    ("int4range", Type("other"), {"[1,5)": b"[1,5)", "empty": b"empty"}),
    ("inet", Type("other"), {"::1": b"::1", "10.0.0.1/8": b"10.0.0.1/8"}),
    ("point", Type("other"), {"(1,2)": b"(1,2)"}),
    ("xml", Type("other"), {"<a>&lt;</a>": b"<a>&lt;</a>"}),
    ("tsvector", Type("other"), {"'a':1 'b'": b"'a':1 'b'"}),
    ("public.mood", Type("other"), {"so 'so'": b"so 'so'"}),
    ("public.positive", Type("integer", 4), {"7": b"7"}),
    ('public."p%s {x}"', Type("text", 9), {"x": b"x"}),
    ("public.pair", Type("other"), {'(1,"a,b")': b'(1,"a,b")'}),
]  # fmt: skip


@pytest.fixture(scope="module")
def shop(server: PrivateServer) -> Iterator[Shop]:
    """Give a database with types of its own."""
    with server.database() as name:
        made = Shop(server, name)
        made.execute(
            "create type mood as enum ('so ''so''', 'fine')",
            "create domain positive as int check (value > 0)",
            'create domain "p%s {x}" as varchar(9)',
            "create type pair as (a int, b text)",
        )
        yield made


@pytest.fixture(params=CASES, ids=[native for native, _, _ in CASES])
def case(
    request: pytest.FixtureRequest, shop: Shop
) -> Iterator[tuple[str, Type, dict[str, bytes]]]:
    """Give a type, and tables `a`, filled with its values, and `b` of one column of it."""
    native, kind, values = request.param
    if native == "xml" and shop.server.version != "15":
        pytest.skip("the wheel has no XML")
    through = "::numeric::money" if native == "money" else ""
    shop.execute(
        "drop table if exists a, b",
        f"create table a (n int primary key, v {native})",
        f"create table b (n int primary key, v {native})",
        "insert into a values (0, null)",
        *(
            f"insert into a values ({n}, E'{_escaped(text)}'{through})"
            for n, text in enumerate(values, 1)
        ),
    )
    yield native, kind, values
    shop.execute("drop table a, b")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "''")


def test_values_have_the_one_form(shop: Shop, case: tuple[str, Type, dict[str, bytes]]) -> None:
    native, kind, values = case
    with shop.source("a") as source:
        column = source.shape.column("v")
        assert column is not None
        assert (column.native, column.type) == (native, kind)
        assert [row[0] for row in everything(source, ["v"])] == [None, *values.values()]


def test_values_are_written_as_they_were(
    shop: Shop, case: tuple[str, Type, dict[str, bytes]]
) -> None:
    shop.execute("insert into b values (99, null)")  # so that they are staged
    rows = shop.read("a")
    done = shop.put("b", rows)
    assert (done.added, done.updated) == (len(rows), 0)
    done = shop.put("b", rows)
    assert (done.added, done.updated, done.unchanged) == (0, 0, len(rows))
    seen = "select n, v::text from {} where n < 99 order by n"
    assert shop.rows(seen.format("a")) == shop.rows(seen.format("b"))
    shop.execute("update b set v = null")
    assert shop.put("b", rows).updated == len(rows) - 1
    assert shop.rows(seen.format("a")) == shop.rows(seen.format("b"))


def test_an_empty_table_takes_the_same(
    shop: Shop, case: tuple[str, Type, dict[str, bytes]]
) -> None:
    rows = shop.read("a")
    assert shop.put("b", rows).added == len(rows)
    seen = "select n, v::text from {} order by n"
    assert shop.rows(seen.format("a")) == shop.rows(seen.format("b"))


def test_a_column_is_made_like_another(
    shop: Shop, case: tuple[str, Type, dict[str, bytes]]
) -> None:
    native, kind, _ = case
    like = Column("v", kind, native)
    with shop.target("c") as target:
        assert target.spelled(like, "postgresql") == kind
        key = NewColumn("n", Column("n", Type("integer", 4), "integer"), Type("integer", 4), False)
        try:
            target.create([key, NewColumn("v", like, kind, True)], ["n"], "postgresql")
            assert target.shape is not None
            made = target.shape.column("v")
            assert made is not None
            assert (made.native, made.type) == (native, kind)
        finally:
            shop.execute("drop table c")


def test_a_watermark_of_the_type_is_compared(
    shop: Shop, case: tuple[str, Type, dict[str, bytes]]
) -> None:
    native, _, values = case
    if native in ("json", "xml", "point"):
        pytest.skip("it has no order")
    with shop.source("a") as source:
        for value in values.values():
            span = Span(("v", "n"), Edge((value,), inclusive=True), Edge((value,), inclusive=True))
            assert [row[0] for part in source.rows(["v"], span, 9) for row in part] == [value]
            assert source.existing(["v"], [(value,)]) == {(value,)}


def test_binary_blocks_are_had_of_what_means_the_same_everywhere(
    shop: Shop, case: tuple[str, Type, dict[str, bytes]]
) -> None:
    native, _, values = case
    with shop.source("a") as source, shop.target("b") as target:
        formats = source.formats(["n", "v"])
        assert formats == target.formats(["n", "v"])
        text = "bytes" if native == "bytea" else "text"
        assert formats.pop("postgresql-text") == ("text", text)
        if native in ("money", "public.pair"):
            assert formats == {}
            return
        assert formats == {"postgresql-binary": ("integer", native)}
        with target.page(into_all(target)) as page:
            blocks = source.blocks(["n", "v"], Span(("n",)), "postgresql-binary")
            assert page.forward(blocks, "postgresql-binary").added == len(values) + 1
    seen = "select n, v::text from {} order by n"
    assert shop.rows(seen.format("a")) == shop.rows(seen.format("b"))


MADE = [
    ("bigint unsigned", Type("integer", 8, unsigned=True), "numeric(20,0)"),
    ("int unsigned", Type("integer", 4, unsigned=True), "bigint"),
    ("mediumint unsigned", Type("integer", 3, unsigned=True), "integer"),
    ("tinyint(1)", Type("integer", 1), "smallint"),
    ("year", Type("integer", 2, unsigned=True), "integer"),
    ("bit(8)", Type("bits", 8), "bit(8)"),
    ("enum('a')", Type("text", 1), "text"),
    ("varchar(20)", Type("text", 20), "character varying(20)"),
    ("char(20)", Type("text", 20), "character varying(20)"),
    ("longtext", Type("text"), "text"),
    ("json", Type("json"), "json"),
    ("float", Type("float", 4), "real"),
    ("decimal(65,30)", Type("decimal", 65, 30), "numeric(65,30)"),
    ("time(3)", Type("duration", scale=3), "interval(3)"),
    ("datetime(6)", Type("timestamp", scale=6), "timestamp without time zone"),
    ("timestamp", Type("instant", scale=0), "timestamp(0) with time zone"),
    ("longblob", Type("bytes"), "bytea"),
    ("uuid", Type("uuid", 36), "uuid"),
    ("inet6", Type("other"), "inet"),
]


@pytest.mark.parametrize(("native", "kind", "made"), MADE, ids=[each[0] for each in MADE])
def test_columns_of_mysql_get_a_type(shop: Shop, native: str, kind: Type, made: str) -> None:
    like = Column("v", kind, native)
    with shop.target("d") as target:
        spelled = target.spelled(like, "mysql")
        try:
            target.create([NewColumn("v", like, spelled, True)], [], "mysql")
            assert target.shape is not None
            assert target.shape.columns[0].native == made
            assert target.shape.columns[0].type == spelled
        finally:
            shop.execute("drop table if exists d")


def test_a_type_that_is_not_here_becomes_text(shop: Shop) -> None:
    like = Column("v", Type("other"), 'elsewhere."odd %s"')
    with shop.target("d") as target:
        assert target.spelled(like, "postgresql") == Type("text")


def test_texts_that_a_collation_takes_for_another_are_told(shop: Shop) -> None:
    if shop.server.version != "15":
        pytest.skip("the wheel has no ICU")
    shop.execute(
        "create collation blind (provider = icu, deterministic = false,"
        " locale = 'und-u-ks-level2')",
        "create table e (v text collate blind primary key, w text)",
    )
    try:
        with shop.source("e") as source:
            assert [column.blind for column in source.shape.columns] == [True, False]
        rows = [(b"Abc", b"1"), (b"abc", b"2")]
        done = shop.put("e", rows)
        assert (done.added, done.duplicates) == (1, 1)
        assert shop.rows("select v, w from e") == [("abc", "2")]
    finally:
        shop.execute("drop table e")


def test_many_columns_of_a_type_are_asked_about_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def counted(connection: Session, relation: Relation) -> Look:
        asked.append(relation.query)
        return of_query(connection, relation)

    monkeypatch.setattr(targets, "of_query", counted)
    likes = [Column(f"c{n}", Type("integer", 4), "integer") for n in range(50)]
    with shop.target("c") as target:
        told = {target.spelled(like, "postgresql") for like in [*likes, *likes]}
        assert told == {Type("integer", 4)}
        other = Column("d", Type("integer", 4, unsigned=True), "int unsigned")
        assert target.spelled(other, "mysql") == Type("integer", 8)
    assert len(asked) == 2

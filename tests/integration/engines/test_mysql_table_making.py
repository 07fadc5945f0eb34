"""Tables are made in MariaDB after those of other engines, such that all values have a place."""

from collections.abc import Sequence

import pytest
from engine_run import context
from mysql_helpers import fresh_user
from mysql_tables import Shop, into, state

from syncd.engines.tables import NewColumn
from syncd.errors import BadData
from syncd.model.copy import Span
from syncd.model.table import Column, Type

# what PostgreSQL has → what it becomes
OF_POSTGRESQL = [
    ("boolean", Type("boolean"), "tinyint(1)"),
    ("smallint", Type("integer", 2), "smallint(6)"),
    ("bigint", Type("integer", 8), "bigint(20)"),
    ("oid", Type("integer", 4, unsigned=True), "int(10) unsigned"),
    ("numeric(20,4)", Type("decimal", 20, 4), "decimal(20,4)"),
    ("numeric", Type("decimal"), "longtext"),
    ("numeric(66,0)", Type("decimal", 66, 0), "longtext"),
    ("numeric(40,39)", Type("decimal", 40, 39), "longtext"),
    ("numeric(3,-2)", Type("decimal", 3, -2), "longtext"),
    ("numeric(2,4)", Type("decimal", 2, 4), "longtext"),
    ("real", Type("float", 4), "float"),
    ("double precision", Type("float", 8), "double"),
    ("text", Type("text"), "longtext"),
    ("character varying(50)", Type("text", 50), "varchar(50)"),
    ("character varying(20000)", Type("text", 20_000), "longtext"),
    ("bytea", Type("bytes"), "longblob"),
    ("date", Type("date"), "date"),
    ("timestamp(3) without time zone", Type("timestamp", scale=3), "datetime(3)"),
    ("timestamp with time zone", Type("instant", scale=6), "datetime(6)"),
    ("time without time zone", Type("time", scale=6), "time(6)"),
    ("interval", Type("interval", scale=6), "longtext"),
    ("uuid", Type("uuid", 36), "char(36)"),
    ("jsonb", Type("json"), "longtext"),
    ("bit(9)", Type("bits", 9), "bit(9)"),
    ("bit varying(9)", Type("bits", 9), "longtext"),
    ("bit(65)", Type("bits", 65), "longtext"),
    ("inet", Type("other"), "longtext"),
    ("integer[]", Type("other"), "longtext"),
]
OF_MYSQL = [
    "tinyint(1)", "mediumint(9)", "int(10) unsigned", "decimal(65,30)", "float", "double", "bit(9)",
    "year(4)", "char(5)", "varchar(300)", "longtext", "enum('a,b','it''s','c)')", "set('p','q')",
    "binary(4)", "varbinary(9)", "longblob", "date", "datetime(6)", "timestamp(3)", "time(2)",
    "point",
]  # fmt: skip


def make(shop: Shop, columns: Sequence[Column], key: Sequence[str], engine: str) -> None:
    with shop.target("made") as target:
        new = [
            NewColumn(each.name, each, target.spelled(each, engine), each.name not in key)
            for each in columns
        ]
        target.create(new, key, engine)
        assert target.shape is not None
        assert target.shape.key == tuple(key)
        assert not [
            each.name for each in target.shape.columns if each.blind and each.type.kind == "text"
        ]
        made = {each.name: each for each in target.shape.columns}
        for each in new:
            wanted, got = each.type, made[each.name].type
            assert got.kind == wanted.kind
            assert each.name in key or (got.size or 2**32) >= (wanted.size or 2**32)


def natives(shop: Shop) -> list[str]:
    return [
        row[0]
        for row in shop.execute(
            "select column_type from information_schema.columns where table_schema = database()"
            " and table_name = 'made' order by ordinal_position"
        )
    ]


def test_columns_of_postgresql(shop: Shop) -> None:
    columns = [Column(f"c{at}", kind, native) for at, (native, kind, _) in enumerate(OF_POSTGRESQL)]
    make(shop, columns, (), "postgresql")
    assert natives(shop) == [wanted for *_, wanted in OF_POSTGRESQL]


def test_columns_of_mysql_stay_what_they_are(shop: Shop) -> None:
    shop.execute(
        f"create table old ({', '.join(f'c{at} {n} null' for at, n in enumerate(OF_MYSQL))})"
    )
    with shop.source("old") as source:
        columns = source.shape.columns
    make(shop, columns, (), "mariadb")
    assert natives(shop) == OF_MYSQL


@pytest.mark.parametrize(
    ("types", "widths"),
    [
        ([Type("text")], ["varchar(768)"]),
        ([Type("bytes")], ["varbinary(3072)"]),
        (
            [Type("text"), Type("text", 20), Type("bytes")],
            ["varchar(374)", "varchar(20)", "varbinary(1496)"],
        ),
        ([Type("other"), Type("integer", 8)], ["varchar(766)", "bigint(20)"]),
        ([Type("uuid"), Type("decimal")], ["char(36)", "varchar(732)"]),
    ],
)
def test_keys_are_as_wide_as_an_index_may_be(
    shop: Shop, types: list[Type], widths: list[str]
) -> None:
    columns = [Column(f"k{at}", each, "any") for at, each in enumerate(types)]
    key = [each.name for each in columns]
    make(shop, [*columns, Column("x", Type("text"), "text")], key, "postgresql")
    assert natives(shop) == [*widths, "longtext"]


def test_texts_that_make_a_row_too_long_are_kept_apart(shop: Shop) -> None:
    columns = [
        Column(f"c{at}", Type("text", 10_000), "character varying(10000)") for at in range(30)
    ]
    columns += [Column(f"b{at}", Type("bytes", 20_000), "bytea") for at in range(9)]
    make(shop, [Column("id", Type("integer", 8), "bigint"), *columns], ["id"], "postgresql")
    row = (b"1", *["é".encode() * 10_000] * 30, *[b"\xff" * 20_000] * 9)
    names = ("id", *(each.name for each in columns))
    assert shop.put("made", into(*names), [row]).added == 1
    assert shop.read("made") == [row]


def test_texts_are_told_apart_by_all_that_they_are(shop: Shop) -> None:
    make(shop, [Column("k", Type("text"), "text")], ["k"], "postgresql")
    texts = [b"a", b"A", b"a ", "á".encode(), "a\u0301".encode(), b"", b" ", "😀".encode(), b"\0"]
    rows = [(each,) for each in texts]
    assert shop.put("made", into("k", key=("k",)), rows).added == len(texts)
    assert set(shop.read("made", order=("k",))) == set(rows)


def test_what_can_not_be_made(shop: Shop) -> None:
    like = Column("x", Type("integer", 8), "bigint")
    for name in ("\N{PILE OF POO}", "a" * 65, "a "):
        with shop.target("made") as target:
            new = NewColumn(name, like, like.type, nullable=True)
            with pytest.raises(BadData, match="MySQL takes"):
                target.create([new], (), "postgresql")
    assert natives(shop) == []


def test_a_column_is_added_as_a_text_where_values_have_no_other_place(shop: Shop) -> None:
    shop.execute("create table made (id int primary key)")
    like = Column("x", Type("date"), "date")
    with shop.target("made") as target:
        target.extend([NewColumn("x", like, Type("text"), nullable=True)], "postgresql")
        soft = Type("instant", scale=6)
        gone = NewColumn(
            "gone", Column("gone", soft, "timestamp with time zone"), soft, nullable=True
        )
        target.extend([gone], "postgresql")
    assert natives(shop)[1:] == ["longtext", "timestamp(6)"]


@pytest.mark.parametrize("name", ["syncd_page", "syncd_keys"])
def test_a_table_that_is_called_like_those_of_a_session(shop: Shop, name: str) -> None:
    shop.execute(f"create table {name} (id int primary key)")
    with shop.target(name) as target, target.page(into("id")) as page:
        assert page.put([(b"1",), (b"2",)]).added == 2
        page.keep_keys([(b"1",)])
        assert page.missing(9) == (1, [(b"2",)])
    assert shop.read(name) == [(b"1",), (b"2",)]


def test_the_rights_that_are_documented_are_enough(shop: Shop) -> None:
    writes = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, CREATE TEMPORARY TABLES"
    like = Column("id", Type("integer", 8), "bigint")
    with fresh_user(shop.server, f"{writes} ON {shop.database}.*") as user:
        tables = shop.tables(user=user)
        with tables.target(context(), shop.relation("made"), shop.database) as target:
            target.create([NewColumn("id", like, like.type, nullable=False)], ["id"], "mysql")
            target.extend([NewColumn("x", like, like.type, nullable=True)], "mysql")
            kept = state()
            target.claim(kept)
            for rows in ([(b"1", b"1"), (b"2", None)], [(b"1", b"3"), (b"3", None)]):
                with target.page(into("id", "x")) as page:
                    page.put(rows)
                    page.keep_keys([row[:1] for row in rows])
                    page.save(kept)
            with target.page(into("id", "x")) as page:
                assert page.delete([(b"2",)], "") == 1
    with fresh_user(shop.server, f"SELECT ON {shop.database}.*", "PROCESS") as user:
        tables = shop.tables(user=user)
        with tables.source(context(), shop.relation("made"), snapshot=True) as source:
            span = Span(("id",))
            rows = [row for part in source.rows(["id", "x"], span, 9) for row in part]
            assert rows == [(b"1", b"3"), (b"3", None)]
            assert source.existing(["id"], [(b"1",)]) == {(b"1",)}

# ruff: noqa: E501
"""What a table of MariaDB looks like to those who copy it."""

import pytest
from mysql_helpers import ident
from mysql_tables import Shop

from syncd.errors import BadData
from syncd.model.copy import Span
from syncd.model.table import Type

TYPES = {
    "tinyint": Type("integer", 1),
    "tinyint(1)": Type("integer", 1),
    "smallint unsigned": Type("integer", 2, unsigned=True),
    "mediumint": Type("integer", 3),
    "int(8) zerofill": Type("integer", 4, unsigned=True),
    "bigint unsigned": Type("integer", 8, unsigned=True),
    "decimal(65,30)": Type("decimal", 65, 30),
    "decimal(5)": Type("decimal", 5, 0),
    "float": Type("float", 4),
    "double": Type("float", 8),
    "double(10,2) unsigned": Type("float", 8, unsigned=True),
    "bit(9)": Type("bits", 9),
    "year": Type("integer", 2),
    "char(5)": Type("text", 5),
    "varchar(300)": Type("text", 300),
    "text": Type("text", 65_535),
    "longtext": Type("text"),
    "enum('a,b','it''s','c)')": Type("text"),
    "set('p','q')": Type("text"),
    "binary(4)": Type("bytes", 4),
    "varbinary(9)": Type("bytes", 9),
    "longblob": Type("bytes"),
    "json": Type("json"),
    "date": Type("date"),
    "datetime": Type("timestamp", scale=0),
    "datetime(6)": Type("timestamp", scale=6),
    "timestamp(3) null": Type("instant", scale=3),
    "time(2)": Type("duration", scale=2),
    "point": Type("bytes"),
    "uuid": Type("uuid"),
    "inet6": Type("other"),
}


def test_a_column_of_each_type(shop: Shop) -> None:
    columns = ", ".join(f"c{at} {native}" for at, native in enumerate(TYPES))
    shop.execute(f"create table t ({columns})")
    with shop.source("t") as source:
        assert [each.type for each in source.shape.columns] == list(TYPES.values())
        assert source.shape.engine == "mariadb"
        assert source.shape.key == ()


def test_keys_numbers_collations_and_what_is_computed(shop: Shop) -> None:
    shop.execute(
        "create table t (id int auto_increment, ci varchar(9), bin varchar(9) collate utf8mb4_bin,"
        " exact varchar(9) collate utf8mb4_nopad_bin not null, b varbinary(9), e enum('a'),"
        " v int as (length(b)) virtual, s int as (length(b)) stored, primary key (exact, id), key (id),"
        " unique (ci, bin), unique (bin(3)), unique (b))"
    )
    with shop.source("t") as source:
        shape = source.shape
    assert shape.key == ("exact", "id")
    assert set(shape.unique) == {("ci", "bin"), ("b",)}
    assert [each.name for each in shape.columns if each.blind] == ["ci", "bin"]
    assert [each.name for each in shape.columns if each.generated] == ["v", "s"]
    assert [each.name for each in shape.columns if each.identity] == ["id"]
    assert [each.name for each in shape.columns if not each.nullable] == ["id", "exact"]
    assert shape.trouble == ""


@pytest.mark.parametrize(
    ("made", "trouble"),
    [
        ("create table t (id int) engine = MyISAM", "its storage engine MyISAM"),
        ("create table t (id int) engine = Aria transactional = 1", "its storage engine Aria"),
        ("create view t as select 1 as id", "it is no table but a view"),
        ("create sequence t", "it is no table but a sequence"),
        ("create table t (id int) partition by hash (id) partitions 3", ""),
        ("create table t (id int) with system versioning", ""),
    ],
)
def test_what_can_not_be_written(shop: Shop, made: str, trouble: str) -> None:
    shop.execute(made)
    with shop.target("t") as target:
        assert target.shape is not None
        assert target.shape.trouble.startswith(trouble)
        assert bool(target.shape.trouble) == bool(trouble)


def test_what_does_not_exist(shop: Shop) -> None:
    for name in ("nothing", "%", "a" * 64):
        with shop.target(name) as target:
            assert target.shape is None
        with pytest.raises(BadData, match="there is no such table"), shop.source(name):
            pass
    with (
        pytest.raises(BadData, match="there is no column other"),
        shop.source("t", query="select 1 as id", key=("other",)),
    ):
        pass


@pytest.mark.parametrize("name", ["a`b", "100%s", "ü" * 64, "x;y'z\"", "a b", "sélect.from", "1"])
def test_names(shop: Shop, name: str) -> None:
    quoted = ident(name)
    shop.execute(
        f"create table {quoted} ({quoted} int primary key, id int)",
        f"insert into {quoted} values (1, 2)",
    )
    assert shop.read(name, "id", name, order=(name,)) == [(b"2", b"1")]


def test_a_query_tells_its_columns(shop: Shop) -> None:
    shop.execute(
        "create table t (id bigint unsigned primary key, d decimal(12,3), u decimal(5,0) unsigned,"
        " x varchar(9), b varbinary(9), ts timestamp(3) null, dt datetime, f float, y year,"
        " bi bit(5), z int zerofill, j json, e enum('a','b'))",
        "insert into t values (1, 1.5, 7, 'ü', x'ff', '2024-01-02 03:04:05.250',"
        " '2024-01-02 03:04:05', 16777217, 2024, b'101', 3, '[1]', 'b')",
    )
    query = "select t.*, id % 2 as `odd%`, concat(x, '!') as c from t -- all of it;\n;"
    with shop.source("q", query=query, key=("id",)) as source:
        types = {each.name: each.type for each in source.shape.columns}
        assert types["id"] == Type("integer", 8, unsigned=True)
        assert types["d"] == Type("decimal", 12, 3)
        assert types["u"] == Type("decimal", 5, 0, unsigned=True)
        assert types["b"].kind == "bytes"
        assert (types["ts"], types["dt"]) == (Type("instant", scale=3), Type("timestamp", scale=0))
        assert source.shape.key == ("id",)
    with shop.source("q", query=query, key=("id",)) as source:
        names = [each.name for each in source.shape.columns]
        rows = [row for part in source.rows(names, Span(("id",)), 10) for row in part]
    assert rows == [
        (
            b"1", b"1.500", b"7", "ü".encode(), b"\xff", b"2024-01-02 03:04:05.25",
            b"2024-01-02 03:04:05", b"16777216", b"2024", b"00101", b"3", b"[1]", b"b", b"1",
            "ü!".encode(),
        )
    ]  # fmt: skip

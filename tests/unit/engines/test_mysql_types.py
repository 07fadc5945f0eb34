"""Types as MySQL 5.7, 8 and 9 spell them, and what is asked of each where they differ."""

import pytest

from syncd.engines.mysql.connection import Dialect
from syncd.engines.mysql.creating import definitions
from syncd.engines.mysql.literals import Encoder, compared
from syncd.engines.mysql.merging import Merge
from syncd.engines.mysql.types import members, parsed, selected, spelled
from syncd.engines.tables import Into, NewColumn, Refused
from syncd.errors import BadData
from syncd.model.table import Column, Type


@pytest.mark.parametrize(
    ("native", "wanted"),
    [
        ("bigint unsigned", Type("integer", 8, unsigned=True)),  # 8.0.19 and later: no width
        ("bigint(20) unsigned", Type("integer", 8, unsigned=True)),
        ("BIGINT(20) UNSIGNED ZEROFILL", Type("integer", 8, unsigned=True)),
        ("decimal(10,0)", Type("decimal", 10, 0)),
        ("double(10,2)", Type("float", 8)),
        ("year", Type("integer", 2)),
        ("datetime", Type("timestamp", scale=0)),
        ("enum('unsigned','x(9)')", Type("text")),
        ("geomcollection", Type("bytes")),
        ("geometrycollection", Type("bytes")),
        ("json", Type("json")),
        ("vector(3)", Type("bytes")),
        ("text /*M!100301 COMPRESSED*/", Type("text", 65_535)),
        ("something new", Type("other")),
        ("", Type("other")),
    ],
)
def test_types(native: str, wanted: Type) -> None:
    assert parsed(native) == wanted


def test_members_of_an_enum() -> None:
    column = Column("e", Type("text"), "enum('a,b','it''s','c)','')")
    assert members(column) == ["a,b", "it's", "c)", ""]


@pytest.mark.parametrize("value", [b"1 or 1", b"1;", b"--1", b"", b"1\n", b"\xc2\xb2", b"1.0"])
def test_what_is_no_integer_never_becomes_part_of_a_statement(value: bytes) -> None:
    column = Column("n", Type("integer", 8), "bigint")
    with pytest.raises(BadData):
        compared(column, value)
    with pytest.raises(Refused):
        Encoder(column)([value])


def test_floats_are_read_through_doubles() -> None:
    assert selected(Column("f", Type("float", 4), "float"), "`f`") == "`f` * 1e0"
    assert selected(Column("f", Type("float", 8), "double"), "`f`") == "`f`"


@pytest.mark.parametrize("mariadb", [True, False])
def test_json_is_a_type_in_mysql_and_a_text_in_mariadb(mariadb: bool) -> None:
    columns = [Column("id", Type("integer", 4), "int"), Column("j", Type("json"), "json")]
    merge = Merge("t", "s", Into(("id", "j"), ("id",), "update"), columns, ["c0", "c1"], mariadb)
    wanted = "s.c1" if mariadb else "CAST(s.c1 AS CHAR)"
    assert f"CAST({wanted} AS BINARY)" in merge.changes()


@pytest.mark.parametrize("version", [(5, 7), (8, 0), (9, 4), (26, 10)])
def test_versions(version: tuple[int, int]) -> None:
    assert Dialect("mysql", version).mysql8 == (version >= (8, 0))


def test_what_only_mariadb_has_becomes_a_text() -> None:
    for native, wanted in [("uuid", "CHAR(36)"), ("inet6", "LONGTEXT")]:
        like = Column("x", parsed(native), native)
        new = NewColumn("x", like, spelled(like, "mariadb"), nullable=True)
        assert definitions([new], (), "mariadb") == [f"`x` {wanted} NULL"]

"""How a rejected row is told."""

import json

import pytest

from syncd.copies.layout import Layout, Pair
from syncd.copies.rejects import Rejects, TooManyRefused, key_json, shown_key
from syncd.model.table import Column, Type

COLUMNS = [Column("id", Type("text"), "text"), Column("data", Type("bytes"), "bytea")]
LAYOUT = Layout(("id",), ("id",), tuple(Pair(each, each, "exact") for each in COLUMNS))


def test_long_keys_are_cut_and_still_told_apart():
    one, other = (key_json((b"x" * 5_000 + end,)) for end in (b"1", b"2"))
    assert one != other
    assert len(one) <= 1_000
    assert key_json((b"1", "ä".encode())) == '["1", "ä"]'
    assert len(shown_key((b"x" * 500, b"y" * 500))) < 210


def test_rows_are_told_as_texts_that_postgresql_takes():
    rejects = Rejects(LAYOUT, 2, 0)
    rejects.add((b"a\0b", b"\xff\0"), "bad\0value")
    (row,) = rejects.rows
    assert "\0" not in row.key + row.error + row.row
    assert json.loads(row.row) == {"id": "a\N{REPLACEMENT CHARACTER}b",
                                   "data": "\\xff\N{REPLACEMENT CHARACTER}"}  # fmt: skip


def test_rows_are_cut():
    columns = tuple(Column(f"c{n}", Type("text"), "text") for n in range(9))
    layout = Layout(("c0",), ("c0",), tuple(Pair(each, each, "exact") for each in columns))
    rejects = Rejects(layout, 2, 0)
    rejects.add(("é".encode() * 1_000_000,) * 9, "too long")
    assert len(rejects.rows[0].row.encode()) <= 64 * 1024


def test_those_of_earlier_pages_count():
    rejects = Rejects(LAYOUT, 3, 2)
    rejects.add((b"1", None), "bad")
    with pytest.raises(TooManyRefused, match="4 rows"):
        rejects.add((b"2", None), "bad")
    assert len(rejects.rows) == 2

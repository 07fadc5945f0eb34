"""A column of every type, with the edges of what it holds, copied in all directions."""

import pytest
from exact_world import (
    COLUMNS,
    DIRECTIONS,
    MARIA,
    PG,
    World,
    differences,
    odd_ones,
    side_by_side,
)

from syncd.errors import BadData
from syncd.model.copy import ColumnRules


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_every_value_arrives_in_a_table_that_is_made(
    servers: World, source: str, target: str
) -> None:
    columns, rows = COLUMNS[source], side_by_side(COLUMNS[source], odd=source == target)
    ours = servers.relation(source, "source", servers.fill(source, columns, rows))
    theirs = servers.relation(target, "target", ours.table)
    first = servers.copy(ours, theirs)
    assert (first.copied.counts.added, first.rejected) == (len(rows), [])
    assert differences(servers.read(ours), servers.read(theirs)) == []
    again = servers.copy(ours, theirs)
    assert (again.copied.counts.unchanged, again.copied.counts.updated) == (len(rows), 0)
    servers.forget(theirs)
    third = servers.copy(ours, theirs)
    assert (third.copied.counts.unchanged, third.copied.counts.updated) == (1, len(rows) - 1)
    assert differences(servers.read(ours), servers.read(theirs)) == []


@pytest.mark.parametrize("source", [PG, MARIA])
def test_tables_are_made_with_types_that_hold_everything(servers: World, source: str) -> None:
    target = MARIA if source == PG else PG
    ours = servers.relation(source, "source", servers.fill(source, COLUMNS[source], []))
    theirs = servers.relation(target, "target", ours.table)
    servers.copy(ours, theirs)
    made = servers.types(theirs)
    assert {each.name: made[each.name] for each in COLUMNS[source]} == {
        each.name: each.made for each in COLUMNS[source]
    }


WIDER = {
    "int_z": "int(10) unsigned", "tinytext": "varchar(255)", "text": "longtext",
    "mediumtext": "longtext", "tinyblob": "varbinary(255)", "blob": "longblob",
    "mediumblob": "longblob", "float_7_2": "float", "uuid": "char(36)", "inet4": "longtext",
    "inet6": "longtext",
}  # fmt: skip
"""Types that hold as much, or more, where tables of MySQL are made after those of MySQL."""


@pytest.mark.parametrize("engine", [PG, MARIA])
def test_tables_of_the_same_engine_have_the_same_types(servers: World, engine: str) -> None:
    ours = servers.relation(engine, "source", servers.fill(engine, COLUMNS[engine], []))
    theirs = servers.relation(engine, "target", ours.table)
    servers.copy(ours, theirs)
    assert servers.types(theirs) == servers.types(ours) | (WIDER if engine == MARIA else {})


def test_rows_that_are_looked_at_arrive_like_those_that_are_not(servers: World) -> None:
    """PostgreSQL's own blocks pass undecoded, unless a column is masked."""
    columns, rows = COLUMNS[PG], side_by_side(COLUMNS[PG], odd=True)
    ours = servers.relation(PG, "source", servers.fill(PG, columns, rows))
    theirs = servers.relation(PG, "target", ours.table)
    servers.copy(ours, theirs, columns=ColumnRules(mask={"smallint": "null"}))
    found = differences(servers.read(ours), servers.read(theirs))
    assert [each for each in found if ", smallint: " not in each] == []
    assert len(found) == 3


ACROSS = [(PG, MARIA), (MARIA, PG)]


@pytest.mark.parametrize(("source", "target"), ACROSS)
def test_a_value_without_a_place_fails_the_copy_by_name(
    servers: World, source: str, target: str
) -> None:
    for column in COLUMNS[source]:
        for value in column.odd:
            rows = [{column.name: column.values[0]}, {column.name: value}]
            ours = servers.relation(source, "source", servers.fill(source, [column], rows))
            theirs = servers.relation(target, "target", ours.table)
            with pytest.raises(BadData, match=f"column {column.name}: "):
                servers.copy(ours, theirs)
            assert servers.read(theirs) == {}


@pytest.mark.parametrize(("source", "target"), ACROSS)
def test_rows_with_values_without_a_place_are_rejected_by_name(
    servers: World, source: str, target: str
) -> None:
    columns, rows = COLUMNS[source], odd_ones(COLUMNS[source])
    good = side_by_side(columns, odd=False)
    ours = servers.relation(source, "source", servers.fill(source, columns, [*rows, *good]))
    theirs = servers.relation(target, "target", ours.table)
    done = servers.copy(ours, theirs, max_rejected=len(rows))
    before, after = servers.read(ours), servers.read(theirs)
    assert done.copied.counts.errors == done.details["rejected"] == len(rows)
    assert sorted(after) == list(range(len(rows) + 1, len(before) + 1))
    assert differences({n: before[n] for n in after}, after) == []
    named = {each.key: each.error for each in done.rejected}
    for number, row in enumerate(rows, 1):
        [(name, _)] = row.items()
        assert f"column {name}: " in named[f'["{number}"]']
        shown = (before[number][name] or "")[:20].encode("unicode_escape").decode()
        assert shown in named[f'["{number}"]']


@pytest.mark.parametrize(("source", "target"), ACROSS)
def test_values_without_a_place_become_null_where_that_is_asked_for(
    servers: World, source: str, target: str
) -> None:
    columns, rows = COLUMNS[source], odd_ones(COLUMNS[source])
    ours = servers.relation(source, "source", servers.fill(source, columns, rows))
    theirs = servers.relation(target, "target", ours.table)
    policies = {each.name: "null" for each in columns if each.odd}
    done = servers.copy(ours, theirs, columns=ColumnRules(values=policies))
    assert done.details["nulled"] == {each.name: len(each.odd) for each in columns if each.odd}
    assert servers.read(theirs) == {
        n: dict.fromkeys(each, None) for n, each in servers.read(ours).items()
    }


@pytest.mark.parametrize(("source", "target"), ACROSS)
def test_values_without_a_place_become_texts_where_that_is_asked_for(
    servers: World, source: str, target: str
) -> None:
    columns, rows = COLUMNS[source], odd_ones(COLUMNS[source])
    ours = servers.relation(source, "source", servers.fill(source, columns, rows))
    theirs = servers.relation(target, "target", ours.table)
    policies = {each.name: "text" for each in columns if each.odd}
    done = servers.copy(ours, theirs, columns=ColumnRules(values=policies))
    texts = {
        n: {name: value and _mended(value) for name, value in row.items()}
        for n, row in servers.read(ours).items()
    }
    assert differences(texts, servers.read(theirs)) == []
    mended = [each.name for each in columns if any(_mended(odd) != odd for odd in each.odd)]
    assert done.details["mended"] == dict.fromkeys(mended, 1)


def _mended(value: str) -> str:
    """Return a text as one that has its place."""
    return value.replace("\0", "").replace(", char(0)", "").replace(r"\ud800", r"\ufffd")

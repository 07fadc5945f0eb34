"""Tables that stand already, with other types: what fits arrives, what does not is named.

Each pair of a type of the source and one of the target is a column of a wide table.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import pytest
from databases import Databases
from exact_columns import Typed
from exact_pairs import PG, alike, same
from exact_putting import held_by, putting
from exact_world import DIRECTIONS, World
from mariadb_server import MariaDbServer

from syncd.copies.layout import Misfit
from syncd.copies.places import unplaced
from syncd.model.fits import Fit, fit
from syncd.model.table import Column

Held = Mapping[str, Sequence[tuple[Column, list[str]]]]
WIDTH = 90
"""Columns of a table: a row of MySQL has room for no more of them."""
TRIED = 3
"""Values of a pair some of which are refused: each takes a row of its own."""


@pytest.fixture(scope="module")
def held(databases: Databases, mariadb: MariaDbServer) -> Held:
    """Give the types of both engines, each with the values that it holds as they are."""
    dsn = databases.create()
    with putting(dsn, mariadb) as put:
        found = {engine: held_by(put, engine) for engine in (PG, "mariadb")}
    databases.drop(dsn)
    return found


Pair = tuple[Column, Column, list[str]]


def _pairs(held: Held, source: str, target: str, wanted: Fit) -> list[Pair]:
    """Return a source column, a target column, and the values that have a place for all we say."""
    found = []
    for (ours, values), (theirs, _) in product(held[source], held[target]):
        if fit(ours, theirs, (source, target)) == wanted:
            kinds = () if wanted == "lossy" else unplaced(ours, theirs, (source, target))
            placed = [v for v in values if not any(kind.lacks(v.encode()) for kind in kinds)]
            found.append((ours, theirs, placed))
    return found


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_values_arrive_where_each_has_a_place(
    servers: World, held: Held, source: str, target: str
) -> None:
    for pairs in _parts(_pairs(held, source, target, "exact")):
        longest = max(len(values) for *_, values in pairs)
        rows = [
            {f"c{at}": values[n] for at, (*_, values) in enumerate(pairs) if n < len(values)}
            for n in range(longest)
        ]
        done, found = _copied(servers, source, target, pairs, rows)
        assert done == {}
        assert not (wrong := _changed(pairs, rows, found)), "\n".join(wrong)


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_what_a_server_refuses_is_named_and_the_rest_arrives(
    servers: World, held: Held, source: str, target: str
) -> None:
    wide = _pairs(held, source, target, "checked")
    for pairs in _parts(wide[::2] if len(wide) > WIDTH else wide):
        rows = [
            {f"c{at}": value}
            for at, (*_, values) in enumerate(pairs)
            for value in [*values[:1], *values[-(TRIED - 1) :]]
        ]
        rejected, found = _copied(servers, source, target, pairs, rows)
        assert sorted([*rejected, *found]) == list(range(1, len(rows) + 1))
        assert not (wrong := _changed(pairs, rows, found)), "\n".join(wrong)
        assert [why for why in rejected.values() if not why.strip()] == []


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_types_that_would_change_values_are_refused_by_name(
    servers: World, held: Held, source: str, target: str
) -> None:
    pairs = [each for each in _pairs(held, source, target, "lossy") if alike(*each[:2])]
    for part in _parts(pairs):
        with pytest.raises(Misfit) as failed:
            _copied(servers, source, target, part, [])
        named = set(re.findall(r"column (c\d+) is [^;]*? in the source", str(failed.value)))
        assert named == {f"c{at}" for at in range(len(part))}


def _parts(pairs: list[Pair]) -> Iterator[list[Pair]]:
    for begin in range(0, len(pairs), WIDTH):
        yield pairs[begin : begin + WIDTH]


def _copied(
    servers: World, source: str, target: str, pairs: list[Pair], rows: list[dict[str, str]]
) -> tuple[dict[int, str], dict[int, dict[str, str | None]]]:
    """Copy rows into a table that stands; return what was rejected, and what stands then."""
    ours = [Typed(f"c{at}", mine.native, (), "") for at, (mine, *_) in enumerate(pairs)]
    theirs = [Typed(f"c{at}", other.native, (), "") for at, (_, other, _) in enumerate(pairs)]
    of = {f"c{at}": mine for at, (mine, *_) in enumerate(pairs)}
    told = [{name: _said(source, of[name], each) for name, each in row.items()} for row in rows]
    there = servers.relation(source, "source", servers.fill(source, ours, told))
    here = servers.relation(target, "target", servers.fill(target, theirs, [], "target"))
    done = servers.copy(there, here, max_rejected=len(rows))
    assert done.copied.counts.errors == len(done.rejected)
    rejected = {int(json.loads(each.key)[0]): each.error for each in done.rejected}
    return rejected, servers.read(here)


def _said(engine: str, column: Column, value: str) -> str:
    """Return a value as SQL says it to the server of the source."""
    if column.type.kind == "bytes":
        shown = value.encode().hex()
        return rf"\x{shown}" if engine == PG else f"expr:x'{shown}'"
    if engine == PG:
        return value
    if column.type.kind == "bits":
        return f"expr:b'{value}'"
    if "\0" in value:
        return f"expr:x'{value.encode().hex()}'"
    if column.native == "float" and value == "3.4028235e+38":
        return "3.4028234663852886e38"
    return f"expr:{value}" if column.native.startswith("year") else value


def _changed(
    pairs: list[Pair], rows: list[dict[str, str]], found: Mapping[int, Mapping[str, str | None]]
) -> list[str]:
    told = []
    for number, row in enumerate(rows, 1):
        for name, value in row.items() if number in found else ():
            ours, theirs, _ = pairs[int(name[1:])]
            there = found[number][name]
            if there is None or not same(ours, theirs, value, there):
                told.append(f"{ours.native} -> {theirs.native}: {value!r} became {there!r}")
    return told

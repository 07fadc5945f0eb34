"""A side of a comparison that is a dictionary, for tests of what is asked of sides."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from syncd.context import RunContext
from syncd.engines.sides import (
    Aggregate,
    Digest,
    Field,
    Part,
    Seen,
    View,
    bucket,
    digest_of,
    row_hash,
)
from syncd.model.check import RedisKeys
from syncd.model.table import Column, Key, Relation, Row, Shape, Value


@dataclass
class MemorySide:
    """Rows by their keys; `fetched` counts the hashes that were asked for, `digested` the rows."""

    shape: Shape
    rows: dict[Key, Row]
    rank: Callable[[Key], tuple[object, ...]]
    received: int = 0
    fetched: int = 0
    most: int = 0
    digested: int = 0
    before_lookup: list[Callable[[], None]] = field(default_factory=list)
    young: set[Key] = field(default_factory=set)

    def count(self, view: View, *, null_keys: bool = False) -> int:
        return 0 if null_keys else len(self._of(view, Part()))

    def aggregates(self, view: View, fields: Sequence[Field]) -> list[Aggregate]:
        return [Aggregate(0, len(self.rows)) for _ in fields]

    def edge(self, view: View, start: Key | None, rows: int) -> Key | None:
        keys = self._of(view, Part(start))
        return keys[rows - 1][: view.order] if len(keys) >= rows else None

    def cuts(self, view: View, part: Part, rows: int) -> list[Key]:
        return [key[: view.order] for key in self._of(view, part)[rows - 1 :: rows]]

    def digests(self, view: View, part: Part, cuts: Sequence[Key]) -> list[Digest]:
        starts, ends = [part.start, *cuts], [*cuts, part.end]
        return [
            digest_of([self._hash(view, key) for key in self._counted(view, Part(*each))])
            for each in zip(starts, ends, strict=True)
        ]

    def buckets(self, view: View, part: Part, depth: int) -> dict[int, Digest]:
        found: dict[int, Digest] = {}
        for key in self._counted(view, part):
            place = bucket(view.key, key, depth)
            found[place] = found.get(place, Digest()) + digest_of([self._hash(view, key)])
        return found

    def hashes(self, view: View, part: Part) -> dict[Key, bytes]:
        keys = self._of(view, part)
        self.fetched += len(keys)
        self.most = max(self.most, len(keys))
        return {key: self._hash(view, key) for key in keys}

    def lookup(self, view: View, keys: Collection[Key]) -> dict[Key, Seen]:
        while self.before_lookup:
            self.before_lookup.pop()()
        return {
            key: Seen(self._hash(view, key), key in self.young) for key in keys if key in self.rows
        }

    def values(
        self, view: View, keys: Collection[Key], fields: Sequence[Field], limit: int | None
    ) -> dict[Key, Row]:
        return {key: self._values(fields, key) for key in keys if key in self.rows}

    def _counted(self, view: View, part: Part) -> list[Key]:
        keys = self._of(view, part)
        self.digested += len(keys)
        return keys

    def _of(self, view: View, part: Part) -> list[Key]:
        """Return the keys of a part, in their order."""
        chosen = []
        for key in self.rows:
            place = self.rank(key)
            if part.start is not None and place[: len(part.start)] <= self.rank(part.start):
                continue
            if part.end is not None and place[: len(part.end)] > self.rank(part.end):
                continue
            if part.buckets is not None and bucket(view.key, key, part.depth) not in part.buckets:
                continue
            if view.age and key in self.young:
                continue
            chosen.append(key)
        return sorted(chosen, key=self.rank)

    def _hash(self, view: View, key: Key) -> bytes:
        return row_hash(view.fields, self._values(view.fields, key))

    def _values(self, fields: Sequence[Field], key: Key) -> Row:
        row: Mapping[str, Value] = dict(
            zip((each.name for each in self.shape.columns), (*key, *self.rows[key]), strict=True)
        )
        return tuple(row[each.name] for each in fields)


@dataclass
class MemorySides:
    """The one side of a server that is none."""

    made: MemorySide

    @contextmanager
    def side(self, ctx: RunContext, relation: Relation | RedisKeys) -> Iterator[MemorySide]:
        yield self.made


def shape(key: Sequence[Column], *columns: Column, rows: int = 0) -> Shape:
    """Return the shape of a table in memory, which has the orders of PostgreSQL."""
    return Shape("postgresql", (*key, *columns), tuple(each.name for each in key), rows=rows)

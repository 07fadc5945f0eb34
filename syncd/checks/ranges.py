"""Finds the rows that differ: digests of ranges of the key first, rows where those differ.

A table is walked in chunks of so many rows, by the index of its key; where the digests of a chunk
differ, it is cut at its row quantiles, so that gaps in the keys cost nothing. A key whose order the
two sides do not share (texts, whose collations differ), or the rest of a key behind such a column,
is split by a hash of the key: that reads all rows once to find the buckets that differ, and once
again for their rows, or as often as those are more than a chunk.

Memory holds the hashes of one chunk of either side, and what was found, which is limited.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Final, TypeVar

from syncd.checks.forms import Pairing
from syncd.checks.together import Both
from syncd.engines.sides import Digest, Part, Side, View
from syncd.errors import BadData
from syncd.model.table import Key, Kind

T = TypeVar("T")

CHUNK: Final = 131_072
"""Rows of which a statement makes a digest, about."""
WAYS: Final = 32
LEAF: Final = 4_096
"""Rows whose hashes are fetched rather than split: some 150 KB."""
PER_BUCKET: Final = 1_024
DEEPEST: Final = 14
"""No more than 2**14 buckets, whose digests are some 700 KB."""

_PLAIN: Final = re.compile(rb"-?[0-9]+(\.[0-9]+)?")
_UUID: Final = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOMENT: Final = re.compile(rb"([0-9]{4}-[0-9]{2}-[0-9]{2})[0-9:. ]*")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the steps are; tests make them small."""

    chunk: int = CHUNK
    leaf: int = LEAF
    per_bucket: int = PER_BUCKET


@dataclass(frozen=True, slots=True)
class Leaf:
    """The hashes of all rows of a part, on both sides, some of which differ."""

    left: dict[Key, bytes]
    right: dict[Key, bytes]


@dataclass(slots=True)
class Walk:
    """How far a comparison is. `skipped` are the differing parts of which no rows were looked at.

    `enough` tells that no more rows are wanted: what remains is compared by digests alone.
    """

    left_rows: int = 0
    right_rows: int = 0
    parts: int = 0
    skipped: int = 0
    enough: Callable[[], bool] = field(default=lambda: False)


def differing(
    both: Both, pairing: Pairing, walk: Walk, told: Callable[[], None], sizes: Sizes | None = None
) -> Iterator[Leaf]:
    """Yield the leaves of all that differs; `told` is called after each chunk."""
    finder = _Finder(both, pairing, walk, sizes or Sizes())
    for part in finder.chunks():
        yield from finder.compared(part)
        told()


@dataclass(frozen=True, slots=True)
class _Finder:
    both: Both
    pairing: Pairing
    walk: Walk
    sizes: Sizes

    def chunks(self) -> Iterator[Part]:
        """Yield parts that hold all rows of both sides, and not many more than a chunk each."""
        start: Key | None = None
        while self.pairing.left.order:
            end = self._edge(start)
            yield Part(start, end)
            if end is None:
                return
            start = end
        yield Part()

    def compared(self, part: Part) -> Iterator[Leaf]:
        """Compare a chunk, and yield what of it differs."""
        if not self.pairing.left.order:
            yield from self._by_buckets(part, None)
            return
        ((left,), (right,)) = self._digests(part, ())
        self._count(left, right)
        if left != right:
            yield from self._split(part, left.rows, right.rows)

    def _split(self, part: Part, left: int, right: int) -> Iterator[Leaf]:
        """Yield the leaves of a part that differs, of so many rows on each side."""
        if self.walk.enough():
            self.walk.skipped += 1
        elif max(left, right) <= self.sizes.leaf:
            yield self._leaf(part)
        elif cuts := self._cuts(part, left, right):
            ends = [*cuts, part.end]
            digests = zip(*self._digests(part, cuts), strict=True)
            for start, end, (one, other) in zip([part.start, *cuts], ends, digests, strict=True):
                if one != other:
                    yield from self._split(Part(start, end), one.rows, other.rows)
        else:
            yield from self._by_buckets(part, max(left, right))

    def _by_buckets(self, part: Part, rows: int | None) -> Iterator[Leaf]:
        """Yield the leaves of a part by buckets; `rows`: None where it is the whole table."""
        depth, left, right = self._bucketed(part, self._guess() if rows is None else rows)
        if rows is None:
            self._count(*(sum(each.values(), Digest()) for each in (left, right)))
        batch, weight = set[int](), 0
        for bucket in sorted(left.keys() | right.keys()):
            one, other = left.get(bucket, Digest()), right.get(bucket, Digest())
            if one == other:
                continue
            if batch and weight + max(one.rows, other.rows) > self.sizes.chunk:
                yield from self._batch(part, depth, batch)
                batch, weight = set(), 0
            batch.add(bucket)
            weight += max(one.rows, other.rows)
        if batch:
            yield from self._batch(part, depth, batch)

    def _bucketed(self, part: Part, rows: int) -> tuple[int, dict[int, Digest], dict[int, Digest]]:
        """Return the digests of buckets of both sides, and their depth; `rows` may be a guess."""
        depth = self._depth(rows)
        left, right = self._ask(lambda side, view: side.buckets(view, part, depth))
        self.walk.parts += len(left.keys() | right.keys())
        rows = max(sum(each.rows for each in side.values()) for side in (left, right))
        if self._depth(rows) > depth + 2:  # the guess was far too low
            return self._bucketed(part, rows)
        return depth, left, right

    def _depth(self, rows: int) -> int:
        return min(max((rows // self.sizes.per_bucket).bit_length(), 1), DEEPEST)

    def _guess(self) -> int:
        """Return about how many rows there are; they are counted where no server has an idea."""
        known = max(self.both.left.shape.rows, self.both.right.shape.rows)
        return known if known > 0 else max(self._ask(lambda side, view: side.count(view)))

    def _batch(self, part: Part, depth: int, buckets: set[int]) -> Iterator[Leaf]:
        if self.walk.enough():
            self.walk.skipped += len(buckets)
        else:
            yield self._leaf(Part(part.start, part.end, depth, frozenset(buckets)))

    def _leaf(self, part: Part) -> Leaf:
        return Leaf(*self._ask(lambda side, view: side.hashes(view, part)))

    def _digests(self, part: Part, cuts: Sequence[Key]) -> tuple[list[Digest], list[Digest]]:
        self.walk.parts += len(cuts) + 1
        return self._ask(lambda side, view: side.digests(view, part, cuts))

    def _count(self, left: Digest, right: Digest) -> None:
        self.walk.left_rows += left.rows
        self.walk.right_rows += right.rows

    def _edge(self, start: Key | None) -> Key | None:
        """Return where the next chunk ends, on the side where that comes first."""
        found = self._ask(lambda side, view: side.edge(view, start, self._step()))
        ends = [end for end in found if end is not None and self._is_plain(end)]
        if not ends:
            return None
        end = min(ends, key=self._rank)
        if start is not None and self._rank(end) <= self._rank(start):
            raise BadData("the key's order on the two sides is not the same")
        return end

    def _step(self) -> int:
        """Return how many rows a chunk has: as few as are not split where all seem to differ.

        So they do by JSON that the two sides spell in their own ways.
        """
        spelled = any(each.form.parsed for each in self.pairing.left.fields)
        return self.sizes.leaf if spelled else self.sizes.chunk

    def _cuts(self, part: Part, left: int, right: int) -> list[Key]:
        """Return where a part is cut: at the quantiles of the side with more rows in it."""
        of_left, rows = left >= right, -(-max(left, right) // WAYS)
        nothing: list[Key] = []
        ours, theirs = self.both.ask(
            lambda side: side.cuts(self.pairing.left, part, rows) if of_left else nothing,
            lambda side: nothing if of_left else side.cuts(self.pairing.right, part, rows),
        )
        inside = {cut for cut in (*ours, *theirs) if self._is_plain(cut)}
        low, high = part.start, part.end
        return [
            cut
            for cut in sorted(inside, key=self._rank)
            if (low is None or self._rank(low) < self._rank(cut))
            and (high is None or self._rank(cut) < self._rank(high))
        ]

    def _is_plain(self, key: Key) -> bool:
        """Tell whether both sides can be asked for rows up to a key.

        No NaN, infinity, year before Christ or beyond 9999, day that no calendar has: they do not
        exist on the other side.
        """
        return all(_plain(kind, value) for kind, value in zip(self._kinds(), key, strict=False))

    def _rank(self, key: Key) -> tuple[Any, ...]:
        """Return what plain keys are ordered by."""
        return tuple(_rank(kind, value) for kind, value in zip(self._kinds(), key, strict=False))

    def _kinds(self) -> list[Kind]:
        view = self.pairing.left
        return [each.form.kind for each in view.key[: view.order]]

    def _ask(self, question: Callable[[Side, View], T]) -> tuple[T, T]:
        """Ask both sides the same, each with its own view."""
        return self.both.ask(
            lambda side: question(side, self.pairing.left),
            lambda side: question(side, self.pairing.right),
        )


def _plain(kind: Kind, value: bytes) -> bool:
    if kind in ("integer", "decimal"):
        return _PLAIN.fullmatch(value) is not None
    if kind == "uuid":  # a text may be something else
        return _UUID.fullmatch(value) is not None
    return kind == "bytes" or _is_day(value)


def _is_day(value: bytes) -> bool:
    """Tell whether it is a day of the calendar, or a moment of one."""
    found = _MOMENT.fullmatch(value)
    try:
        return found is not None and bool(date.fromisoformat(found[1].decode()))
    except ValueError:
        return False


def _rank(kind: Kind, value: bytes) -> int | Decimal | bytes:
    if kind == "integer":
        return int(value)
    return Decimal(value.decode()) if kind == "decimal" else value

"""Looks at rows by their keys: those that seemed to differ, a second time, and what differs."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from syncd.checks.findings import SHOWN, Found, shown
from syncd.checks.fitting import fitting
from syncd.checks.forms import Pairing
from syncd.checks.judging import same_float, same_json, tolerable
from syncd.checks.ranges import Leaf
from syncd.checks.together import Both
from syncd.engines.sides import Field, Seen, Side, View
from syncd.model.check import Difference
from syncd.model.table import Key, Value

BATCH: Final = 500
"""Keys that a statement looks up."""
_WEIGHT: Final = 4 << 20
"""Bytes that values should have together that are fetched to be judged."""
JUDGED_BYTES: Final = 4 << 20
"""Larger JSON is not parsed: it has to be the same text."""


@dataclass(frozen=True, slots=True)
class Looker:
    """Compares rows by their keys, judging values where a spelling or a tolerance is to be."""

    both: Both
    pairing: Pairing

    def sift(self, leaf: Leaf, found: Found) -> None:
        """Add what differs in a leaf."""
        left, right = leaf.left, leaf.right
        found.left += [key for key in left if key not in right]
        found.right += [key for key in right if key not in left]
        differ = [key for key, each in left.items() if key in right and right[key] != each]
        found.differ += self._really(differ)

    def again(self, before: Found) -> Found:
        """Look at rows again, by their keys; those that are young on one side are left out."""
        found = Found()
        for keys in _batches(before.keys(), BATCH):
            self.both.ctx.check()
            left, right = self._lookup(keys, None)
            differ = []
            for key in keys:
                one, other = left.get(key), right.get(key)
                if (one and one.young) or (other and other.young):
                    continue
                if one and other:
                    differ += [key] if one.hash != other.hash else []
                elif one:
                    found.left.append(key)
                elif other:
                    found.right.append(key)
            found.differ += self._really(differ)
        return found

    def tell(self, found: Found, limit: int) -> list[Difference]:
        """Return what differs, at most so many, in the order of their kinds."""
        told = [Difference(key, "left") for key in found.left[:limit]]
        told += [Difference(key, "right") for key in found.right[: limit - len(told)]]
        keys = found.differ[: limit - len(told)]
        for batch in _batches(keys, BATCH):
            told += self._columns(batch)
        return told

    def _really(self, keys: Sequence[Key]) -> list[Key]:
        """Return the keys of those rows that differ when values are judged as they should be."""
        if not self.pairing.judged:
            return list(keys)
        return [key for batch in self._weighed(keys) for key in self._judged(batch)]

    def _weighed(self, keys: Sequence[Key]) -> Iterator[list[Key]]:
        """Yield keys in batches, fewer where the values of those before were large."""
        sides, at, most = (self.both.left, self.both.right), 0, 1
        while at < len(keys):
            before = sum(side.received for side in sides)
            batch = list(keys[at : at + most])
            yield batch
            at += len(batch)
            weight = sum(side.received for side in sides) - before
            fit = len(batch) * _WEIGHT // max(weight, 1)
            most = min(max(fit, 1), 2 * most, BATCH)

    def _judged(self, keys: Sequence[Key]) -> list[Key]:
        judged = self.pairing.judged
        rest = [
            place for place in range(len(self.pairing.names)) if place not in judged
        ]  # fmt: skip
        left, right = self._lookup(keys, rest)
        ours, theirs = self._values(keys, judged, JUDGED_BYTES)
        nothing = (None,) * len(judged)
        return [
            key
            for key in keys
            if _hash(left.get(key)) != _hash(right.get(key))
            or not all(
                self._same(key, place, one, other)
                for place, one, other in zip(
                    judged, ours.get(key, nothing), theirs.get(key, nothing), strict=True
                )
            )
        ]

    def _same(self, key: Key, place: int, left: Value, right: Value) -> bool:
        """Tell whether two values of a judged field are the same; they are cut if they are long."""
        if place in self.pairing.tolerances:
            return tolerable(left, right, self.pairing.tolerances[place])
        if place in self.pairing.floats:
            return same_float(left, right)
        if max(len(left or b""), len(right or b"")) < JUDGED_BYTES:
            return same_json(left, right)
        one, other = self._lookup([key], [place])
        return _hash(one.get(key)) == _hash(other.get(key))

    def _columns(self, keys: Sequence[Key]) -> Iterator[Difference]:
        """Yield the columns in which rows differ, with the beginnings of both values."""
        differ: dict[Key, dict[str, tuple[str | None, str | None]]] = {key: {} for key in keys}
        for place in range(len(self.pairing.left.key), len(self.pairing.names)):
            there = self._differing_in(place, keys)
            if not there:
                continue
            ours, theirs = self._values(there, [place], SHOWN)
            for key in there:
                (one,), (other,) = ours.get(key, (None,)), theirs.get(key, (None,))
                differ[key][self.pairing.names[place]] = shown(one), shown(other)
        for key, columns in differ.items():
            yield Difference(key, None, columns)

    def _differing_in(self, place: int, keys: Sequence[Key]) -> list[Key]:
        """Return the keys of the rows that differ in one field."""
        left, right = self._lookup(keys, [place])
        differ = [key for key in keys if _hash(left.get(key)) != _hash(right.get(key))]
        if place not in self.pairing.judged:
            return differ
        found = []
        for batch in self._weighed(differ):
            ours, theirs = self._values(batch, [place], JUDGED_BYTES)
            for key in batch:
                (one,), (other,) = ours.get(key, (None,)), theirs.get(key, (None,))
                found += [] if self._same(key, place, one, other) else [key]
        return found

    def _lookup(
        self, keys: Collection[Key], places: Sequence[int] | None
    ) -> tuple[dict[Key, Seen], dict[Key, Seen]]:
        """Look keys up on both sides; the hashes are of some fields, or of all."""

        def ask(side: Side, view: View) -> dict[Key, Seen]:
            fields = view.fields if places is None else _chosen(view, places)
            asked = fitting(side.shape, view.key, keys)
            return side.lookup(replace(view, fields=fields), asked) if asked else {}

        return self.both.ask(
            lambda side: ask(side, self.pairing.left), lambda side: ask(side, self.pairing.right)
        )

    def _values(
        self, keys: Collection[Key], places: Sequence[int], limit: int | None
    ) -> tuple[dict[Key, tuple[Value, ...]], dict[Key, tuple[Value, ...]]]:
        def ask(side: Side, view: View) -> dict[Key, tuple[Value, ...]]:
            asked = fitting(side.shape, view.key, keys)
            return side.values(view, asked, _chosen(view, places), limit) if asked else {}

        return self.both.ask(
            lambda side: ask(side, self.pairing.left), lambda side: ask(side, self.pairing.right)
        )


def _chosen(view: View, places: Sequence[int]) -> tuple[Field, ...]:
    return tuple(view.fields[place] for place in places)


def _hash(seen: Seen | None) -> bytes | None:
    return seen.hash if seen else None


def _batches(keys: Collection[Key], size: int) -> Iterator[list[Key]]:
    rest = iter(keys)
    while batch := list(islice(rest, size)):
        yield batch

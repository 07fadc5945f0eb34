"""What a comparison found: counts, and the keys of the rows that differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from syncd.errors import BadData
from syncd.model.check import Difference
from syncd.model.table import Key

MOST: Final = 100_000
"""Differing rows that are kept, looked at again and repaired; of more their ranges are counted."""


class Different(BadData):
    """The two sides are not equal; another attempt would find the same."""

    retryable = False


@dataclass(slots=True)
class Found:
    """The keys of rows that differ, by how they do."""

    left: list[Key] = field(default_factory=list)
    right: list[Key] = field(default_factory=list)
    differ: list[Key] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.left) + len(self.right) + len(self.differ)

    def keys(self) -> list[Key]:
        """Return all keys."""
        return [*self.left, *self.right, *self.differ]


@dataclass(slots=True)
class Result:
    """The result of a comparison, of which nothing is known yet.

    `skipped` are differing ranges whose rows were not looked at, since too many differ already.
    `settled` are rows that differed at first and not at the second look. `counts` and `aggregates`
    hold what is not equal, the left side's first: of aggregates by column and name.
    """

    left_rows: int | None = None
    right_rows: int | None = None
    found: Found = field(default_factory=Found)
    skipped: int = 0
    settled: int = 0
    differences: Sequence[Difference] = ()
    counts: tuple[int, int] | None = None
    aggregates: Mapping[str, Mapping[str, tuple[str | None, str | None]]] = field(
        default_factory=dict
    )
    parts: int = 0
    received: int = 0
    repaired: int = 0
    alone: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Tell whether nothing differs."""
        return not (self.found or self.skipped or self.counts or self.aggregates)

    def __str__(self) -> str:
        """Return it in a line: `12 rows differ: 3 only left, 4 only right, 5 differ`."""
        told = []
        if number := len(self.found):
            found = self.found
            kinds = [
                (len(found.left), "only left"), (len(found.right), "only right"),
                (len(found.differ), "differ"),
            ]  # fmt: skip
            least = "at least " if self.skipped else ""
            noun = "row differs" if number == 1 else "rows differ"
            parts = ", ".join(f"{count} {word}" for count, word in kinds if count)
            told.append(f"{least}{number} {noun}: {parts}")
        elif self.skipped:
            told.append(f"{self.skipped} ranges differ")
        if self.counts:
            told.append("{} rows on the left, {} on the right".format(*self.counts))
        if self.aggregates:
            names = ", ".join(f"{name} of {column}" for column, name in self._named())
            told.append(f"not equal: {names}")
        return "; ".join(told) or "equal"

    def _named(self) -> list[tuple[str, str]]:
        return [(column, name) for column, names in self.aggregates.items() for name in names]


def details(result: Result, key: Sequence[str], masked: frozenset[str]) -> dict[str, object]:
    """Return what is kept of a comparison in its item, by the documented names."""
    found = result.found
    told: dict[str, object] = {
        "equal": result.equal,
        "left_rows": result.left_rows,
        "right_rows": result.right_rows,
        "differing": len(found),
        "only_left": len(found.left),
        "only_right": len(found.right),
        "differ": len(found.differ),
        "exact": not result.skipped,
        "differing_ranges_skipped": result.skipped or None,
        "settled": result.settled,
        "differences": [_told(each, key, masked) for each in result.differences] or None,
        "cut": len(found) > len(result.differences) or None,
        "aggregates": result.aggregates or None,
        "repaired": result.repaired or None,
        "not_compared": list(result.alone) or None,
        "ranges": result.parts,
        "transferred_bytes": result.received,
    }
    return {name: value for name, value in told.items() if value is not None}


def _told(difference: Difference, key: Sequence[str], masked: frozenset[str]) -> dict[str, object]:
    """Return a difference as JSON; masked values are not told, not even where they are the key."""
    values = {
        name: MASKED if name in masked else shown(value)
        for name, value in zip(key, difference.key, strict=True)
    }
    if difference.only:
        return {"key": values, "only": difference.only}
    columns = {
        name: [MASKED, MASKED] if name in masked else list(both)
        for name, both in difference.columns.items()
    }
    return {"key": values, "columns": columns}


MASKED: Final = "***"
SHOWN: Final = 200
"""Characters of a value that are told."""


def shown(value: bytes | None) -> str | None:
    """Return a value as people read it: what is no text as hexadecimal digits, NUL replaced."""
    if value is None:
        return None
    try:
        return value.decode().replace("\0", "\N{SYMBOL FOR NULL}")[:SHOWN]
    except UnicodeDecodeError:
        return f"0x{value.hex()}"[:SHOWN]

"""Values on their way: masked, and put where they have a place, by each column's policy.

Pages are gone through by columns, and only those columns in which something can be: a look at the
whole column first, at single values only where that says so.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from syncd.copies.places import MENDED, Unplaced, unplaced
from syncd.model.copy import ColumnRules, Mask, ValuePolicy
from syncd.model.table import Column, Row, Value

_SHOWN: Final = 60
"""Characters of a value that an error shows."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Rows as the target gets them, and those that it can't get, each with the reason.

    How many values of a column became NULL, or a text without what has no place in one.
    """

    rows: list[Row]
    refused: list[tuple[Row, str]] = field(default_factory=list)
    nulled: Mapping[str, int] = field(default_factory=Counter)
    mended: Mapping[str, int] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Watched:
    """A column in which there can be values without a place."""

    index: int
    name: str
    policy: ValuePolicy
    kinds: tuple[Unplaced, ...]
    hint: str
    """Why the policy does not help."""


@dataclass(slots=True)
class _Changes:
    """What becomes of a page, by the place of a row in it."""

    values: dict[int, dict[int, Value]] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)


class Values:
    """What is done with the values of rows.

    They come in the order of `pairs`: a column of the source, and the one of the target that it
    goes to; `engines` are those of both.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[Column, Column]],
        engines: tuple[str, str],
        rules: ColumnRules,
    ) -> None:
        self._masks: Mapping[int, Mask] = {
            index: rules.mask[source.name]
            for index, (source, _) in enumerate(pairs)
            if source.name in rules.mask
        }
        self._watched = [
            _Watched(
                index,
                source.name,
                _policy(source, target, rules),
                kinds,
                _hint(source, target, rules),
            )
            for index, (source, target) in enumerate(pairs)
            if index not in self._masks and (kinds := unplaced(source, target, engines))
        ]

    @property
    def signs(self) -> frozenset[bytes] | None:
        """Return what the text of COPY has where somebody has to look at values.

        None where that does not show: values are masked, or mended, or changed without a word.
        """
        told = [kind.signs for each in self._watched for kind in each.kinds]
        if self._masks or None in told or any(each.policy != "error" for each in self._watched):
            return None
        return frozenset(sign for signs in told for sign in signs or ())

    def placed(self, rows: list[Row]) -> Placed:
        """Return what becomes of rows; they are the same list where nothing has to be done."""
        changes = _Changes()
        for each in self._watched:
            _watch(each, [row[each.index] for row in rows], changes)
        if not changes.values and not changes.refused:
            return Placed(self._masked(rows))
        kept = self._masked(list(_changed(rows, changes)))
        refused = [(rows[n], why) for n, why in sorted(changes.refused.items())]
        return Placed(kept, refused, *self._counted(changes))

    def _counted(self, changes: _Changes) -> tuple[Counter[str], Counter[str]]:
        """Count what became NULL and what became another text, in rows that were not refused."""
        names = {each.index: each.name for each in self._watched}
        nulled, mended = Counter[str](), Counter[str]()
        for n, new in changes.values.items():
            if n not in changes.refused:
                for index, value in new.items():
                    (nulled if value is None else mended)[names[index]] += 1
        return nulled, mended

    def _masked(self, rows: list[Row]) -> list[Row]:
        if not self._masks:
            return rows
        open_rows = [list(row) for row in rows]
        for index, mask in self._masks.items():
            for row in open_rows:
                row[index] = masked(row[index], mask)
        return [tuple(row) for row in open_rows]


def masked(value: Value, mask: Mask) -> Value:
    """Return what is shown of a value: nothing, or its SHA-256 in lower-case hexadecimal digits."""
    if value is None or mask == "null":
        return None
    return sha256(value).hexdigest().encode()


def shown(value: bytes) -> str:
    """Return a value as an error shows it, cut."""
    text = value[: _SHOWN * 4].decode("utf-8", "backslashreplace")
    cut = len(value) > _SHOWN * 4 or len(text) > _SHOWN
    return f"{text[:_SHOWN]!r}{'...' if cut else ''}"


def _policy(source: Column, target: Column, rules: ColumnRules) -> ValuePolicy:
    """Return what is done: what can't be NULL is refused even where NULL is asked for."""
    policy = rules.values.get(source.name, "error")
    return "error" if policy == "null" and not target.nullable else policy


def _hint(source: Column, target: Column, rules: ColumnRules) -> str:
    """Return why a text that is asked for is not written."""
    if rules.values.get(source.name) != "text" or target.type.kind in MENDED:
        return ""
    return f", and can be a text only where {target.name} of the target is one"


def _watch(column: _Watched, values: Sequence[Value], changes: _Changes) -> None:
    if not (kinds := [each for each in column.kinds if each.some(values)]):
        return
    for n, value in enumerate(values):
        if value is not None:
            for kind in kinds:
                if kind.lacks(value):
                    _settle(column, kind, n, value, changes)
                    break


def _settle(column: _Watched, kind: Unplaced, n: int, value: bytes, changes: _Changes) -> None:
    """Decide about one value; one that has no place when it is mended either is refused."""
    new: Value = None
    if column.policy == "text" and kind.mended:
        new = kind.mended(value)
    if column.policy == "null" or (new is not None and not any(k.lacks(new) for k in column.kinds)):
        changes.values.setdefault(n, {})[column.index] = new
    else:
        why = f"column {column.name}: {shown(value)} is {kind.lack}{column.hint}"
        changes.refused.setdefault(n, why)


def _changed(rows: Sequence[Row], changes: _Changes) -> Iterator[Row]:
    for n, row in enumerate(rows):
        if n in changes.refused:
            continue
        if (new := changes.values.get(n)) is None:
            yield row
        else:
            yield tuple(new.get(index, value) for index, value in enumerate(row))

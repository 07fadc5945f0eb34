"""Compares counts and aggregates, which are numbers of a whole table: pure but for the asking."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Final

from syncd.checks.findings import MASKED
from syncd.checks.forms import Pairing
from syncd.checks.judging import same_float, tolerable
from syncd.checks.together import Both
from syncd.engines.sides import Aggregate
from syncd.model.check import Tolerance
from syncd.model.table import Kind, Value

Unequal = Mapping[str, Mapping[str, tuple[str | None, str | None]]]
Same = Callable[[Value, Value], bool]

_TEXTS: Final = frozenset[Kind]({"text", "other"})
_ADDED: Final = Tolerance(percent=Decimal("1e-7"))
"""How far apart sums of the same floats may be: they depend on the order of addition."""
_EXACT: Final = Tolerance()


def counts(both: Both, pairing: Pairing) -> tuple[int, int]:
    """Count the rows of both sides."""
    return both.ask(
        lambda side: side.count(pairing.left), lambda side: side.count(pairing.right)
    )  # fmt: skip


def null_keys(both: Both, pairing: Pairing) -> tuple[int, int]:
    """Count the rows that nothing can tell apart, since there is NULL in their key."""
    return both.ask(
        lambda side: side.count(pairing.left, null_keys=True),
        lambda side: side.count(pairing.right, null_keys=True),
    )


def unequal(both: Both, pairing: Pairing, masked: frozenset[str]) -> Unequal:
    """Return the aggregates that are not equal, by column and name, the left side's first."""
    left, right = both.ask(
        lambda side: side.aggregates(pairing.left, pairing.left.fields),
        lambda side: side.aggregates(pairing.right, pairing.right.fields),
    )
    found = {}
    for place, (name, one, other) in enumerate(zip(pairing.names, left, right, strict=True)):
        differ = _nulls(one, other)
        if _both_have_numbers(both, pairing, place):
            differ |= _compared(one, other, *_tolerances(pairing, place))
        if differ:
            hide = name in masked
            found[name] = {
                each: (MASKED, MASKED) if hide else both for each, both in differ.items()
            }
    return found


def _both_have_numbers(both: Both, pairing: Pairing, place: int) -> bool:
    """Tell whether a field has a sum and ends on both sides: a database does not add up texts."""
    return not any(
        side.shape.engine != "redis" and column is not None and column.type.kind in _TEXTS
        for side, view in ((both.left, pairing.left), (both.right, pairing.right))
        for column in [side.shape.column(view.fields[place].name)]
    )


def _tolerances(pairing: Pairing, place: int) -> tuple[Tolerance, Same]:
    """Return how far apart sums of a field may be, and what tells whether its ends are the same."""
    floats = pairing.left.fields[place].form.kind == "float"
    if place not in pairing.tolerances:
        return (_ADDED, same_float) if floats else (_EXACT, partial(tolerable, tolerance=_EXACT))
    tolerance = pairing.tolerances[place]
    return tolerance, partial(tolerable, tolerance=tolerance)


def _nulls(left: Aggregate, right: Aggregate) -> dict[str, tuple[str | None, str | None]]:
    """Return the counts of NULL where they are not equal; they have no tolerance."""
    return {} if left.nulls == right.nulls else {"nulls": (str(left.nulls), str(right.nulls))}


def _compared(
    left: Aggregate, right: Aggregate, added: Tolerance, same: Same
) -> dict[str, tuple[str | None, str | None]]:
    """Return what of two aggregates is not equal; `added` is the tolerance of what is added up."""
    told: dict[str, tuple[str | None, str | None]] = {}
    sums = partial(tolerable, tolerance=added)
    for name, one, other, is_same in (
        ("sum", left.sum, right.sum, sums),
        ("min", left.min, right.min, same),
        ("max", left.max, right.max, same),
        ("avg", _average(left), _average(right), sums),
    ):
        if not is_same(one, other):
            told[name] = _text(one), _text(other)
    return told


def _average(each: Aggregate) -> bytes | None:
    """Return the average of the numbers there are, with some 28 digits."""
    if each.sum is None or not each.values:
        return None
    return str(Decimal(each.sum.decode()) / each.values).encode()


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")

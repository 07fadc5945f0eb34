"""Compares counts and aggregates, which are numbers of a whole table: pure but for the asking."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from syncd.checks.findings import MASKED
from syncd.checks.forms import Pairing
from syncd.checks.judging import tolerable
from syncd.checks.together import Both
from syncd.engines.sides import Aggregate
from syncd.model.check import Tolerance

Unequal = Mapping[str, Mapping[str, tuple[str | None, str | None]]]

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
        floats = pairing.left.fields[place].form.kind == "float"
        tolerance = pairing.tolerances.get(place, _EXACT)
        added = pairing.tolerances.get(place, _ADDED if floats else _EXACT)
        if differ := _compared(one, other, tolerance, added):
            hide = name in masked
            found[name] = {
                each: (MASKED, MASKED) if hide else both for each, both in differ.items()
            }
    return found


def _compared(
    left: Aggregate, right: Aggregate, tolerance: Tolerance, added: Tolerance
) -> dict[str, tuple[str | None, str | None]]:
    """Return what of two aggregates is not equal; counts of NULL have no tolerance.

    `added` is that of what addition gives.
    """
    told: dict[str, tuple[str | None, str | None]] = {}
    if left.nulls != right.nulls:
        told["nulls"] = str(left.nulls), str(right.nulls)
    for name, one, other, apart in (
        ("sum", left.sum, right.sum, added),
        ("min", left.min, right.min, tolerance),
        ("max", left.max, right.max, tolerance),
        ("avg", _average(left), _average(right), added),
    ):
        if not tolerable(one, other, apart):
            told[name] = _text(one), _text(other)
    return told


def _average(each: Aggregate) -> bytes | None:
    """Return the average of the numbers there are, with some 28 digits."""
    if each.sum is None or not each.values:
        return None
    return str(Decimal(each.sum.decode()) / each.values).encode()


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")

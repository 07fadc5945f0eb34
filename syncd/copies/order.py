"""The order of watermarks, as their columns have it: which of two values is later."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from syncd.model.copy import Watermark
from syncd.model.table import Kind, Value

TIMES: Final[frozenset[Kind]] = frozenset({"date", "timestamp", "instant"})
NUMBERS: Final[frozenset[Kind]] = frozenset({"integer", "decimal"})
_FARTHEST_EAST: Final = timedelta(hours=14)
"""The zone that is ahead of all others: what is later than its clock is in the future anywhere."""


def place(kind: Kind, value: bytes) -> tuple[object, ...]:
    """Return what values of a column are compared by."""
    text = value.decode()
    if kind in NUMBERS:
        return (Decimal(text),)
    if text.endswith("infinity"):
        return (-1 if text.startswith("-") else 1,)
    year, rest = text.removesuffix(" BC").split("-", 1)
    return (0, -int(year) if text.endswith(" BC") else int(year), rest)


def last(kind: Kind, values: Iterable[Value], limit: bytes | None) -> Value:
    """Return the latest of values that is not later than a limit; None where there is none.

    Neither NaN nor an infinity is any number's or moment's place.
    """
    known = [value for value in values if value is not None and not _endless(value)]
    if limit is not None:
        top = place(kind, limit)
        known = [value for value in known if place(kind, value) <= top]
    return max(known, key=lambda value: place(kind, value), default=None)


def first(kind: Kind, one: bytes, other: bytes) -> bytes:
    """Return the earlier one of two values."""
    return min(one, other, key=lambda value: place(kind, value))


def present(kind: Kind, watermark: Watermark, now: datetime) -> bytes | None:
    """Return a value of the column beyond which all are in the future; None for numbers."""
    if kind not in TIMES:
        return None
    if kind == "instant":
        here = now.astimezone(UTC)
    elif watermark.zone:
        here = now.astimezone(ZoneInfo(watermark.zone))
    else:
        here = now.astimezone(UTC) + _FARTHEST_EAST
    return (
        f"{here:%Y-%m-%d}".encode() if kind == "date" else f"{here:%Y-%m-%d %H:%M:%S.%f}".encode()
    )


def _endless(value: bytes) -> bool:
    return value.lower().endswith((b"nan", b"infinity"))

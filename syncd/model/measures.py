"""What the metrics show of an item beside its counts, taken from its details: pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

_MOMENT: Final = re.compile(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d:\d\d)(\.\d{1,6})?)?\d*")


@dataclass(frozen=True, slots=True)
class Measures:
    """Bytes that a copy read; the moment (seconds since 1970) up to which it is; differences found.

    None: the item has no such thing.
    """

    bytes: int = 0
    watermark: float | None = None
    differences: int | None = None

    def __bool__(self) -> bool:
        """Tell whether there is anything to show."""
        return self != Measures()


def measured(details: Mapping[str, object]) -> Measures:
    """Return what is shown of the details of a table copy or a consistency check."""
    return Measures(
        _number(details.get("bytes")), _moment(details), _differences(details)
    )  # fmt: skip


def _moment(details: Mapping[str, object]) -> float | None:
    """Return the moment of a watermark of time; one without a zone is in the copy's, or in UTC."""
    found = _MOMENT.fullmatch(str(details.get("watermark", "")))
    if found is None:
        return None
    day, clock, part = found.groups()
    try:
        fraction = (part or ".").ljust(7, "0")
        moment = datetime.fromisoformat(f"{day} {clock or '00:00:00'}{fraction}")
        zone = ZoneInfo(str(details["watermark_zone"])) if "watermark_zone" in details else UTC
    except (ValueError, KeyError):
        return None
    return moment.replace(tzinfo=zone).timestamp()


def _differences(details: Mapping[str, object]) -> int | None:
    """Return how many rows differ; of a check that only counts or adds up, what shows it."""
    equal = details.get("equal")
    if not isinstance(equal, bool):
        return None
    if equal:
        return 0
    rows = _number(details.get("left_rows")) - _number(details.get("right_rows"))
    aggregates = details.get("aggregates")
    columns = len(aggregates) if isinstance(aggregates, Mapping) else 0
    return max(_number(details.get("differing")), abs(rows), columns, 1)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0

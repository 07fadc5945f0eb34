"""Between the clock on a zone's wall and UTC: which of its times are skipped or come twice."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil, floor
from typing import Final
from zoneinfo import ZoneInfo

_NOTHING: Final = timedelta(0)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Showing:
    """When the clock shows a wall time: never where it is skipped, twice where it is repeated.

    `reached` is the first moment at which the clock shows that time or a later one, `change` the
    size of the change of the clock that skips or repeats it, zero for an ordinary time. Moments
    are in UTC.
    """

    reached: datetime
    moments: tuple[datetime, ...]
    change: timedelta


def wall_time(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return what the clock shows at a moment, as a naive datetime."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def showing(wall: datetime, zone: ZoneInfo) -> Showing:
    """Return when the clock shows a wall time (naive)."""
    # PEP 495: the two folds differ where the time is skipped or repeated, and there alone.
    early, late = sorted(
        wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)
    )  # fmt: skip
    if early == late:
        return Showing(early, (early,), _NOTHING)
    moments = tuple(each for each in (early, late) if wall_time(each, zone) == wall)
    reached = moments[0] if moments else change_between(early, late, zone)
    return Showing(reached, moments, late - early)


def change_between(early: datetime, late: datetime, zone: ZoneInfo) -> datetime:
    """Return the moment in (early, late] at which the zone leaves the offset it has at `early`.

    The offset at `late` must be another one. Clocks change on whole seconds.
    """
    before, low, high = _offset(early, zone), floor(early.timestamp()), ceil(late.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(datetime.fromtimestamp(middle, UTC), zone) == before:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)


def same_offset(one: datetime, other: datetime, zone: ZoneInfo) -> bool:
    """Tell whether the zone's clock is as far from UTC at one moment as at another."""
    return _offset(one, zone) == _offset(other, zone)


def put_back_ahead(moment: datetime, zone: ZoneInfo) -> timedelta:
    """Return how far the clock is put back within a day after a moment, zero when it is not."""
    return max(_NOTHING, _offset(moment, zone) - _offset(moment + _DAY, zone))


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).replace(tzinfo=UTC) - moment

"""Fixed intervals that do not drift: due times stand on a grid through an anchor."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

SHORTEST: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Interval:
    """Due at `anchor` plus any whole multiple of `every`.

    The anchor is the job's last due time; for a job that never was due it is the moment at which
    it shall first run, that is, the start of the daemon. So a run's length and a late tick move
    nothing, and a restart goes on with the same grid.
    """

    every: timedelta
    anchor: datetime

    def __post_init__(self) -> None:
        if self.every < SHORTEST:
            raise ValueError("an interval must be at least one second long")
        if self.anchor.tzinfo is None:
            raise ValueError("the anchor of an interval must be an aware datetime")

    def next_after(self, moment: datetime) -> datetime:
        """Return the first point of the grid later than `moment`, in UTC."""
        steps = (moment - self.anchor) // self.every + 1
        return (self.anchor + steps * self.every).astimezone(UTC)

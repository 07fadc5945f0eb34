"""The interval of an adaptive job: shorter when its runs find changes, longer when they don't.

A run that found c changes divides the interval by c + 1, so that changes which go on coming at
that rate are seen about one at a time; one that found none multiplies it by 1.5. A burst is thus
followed at once, and quiet is trusted by degrees. Where changes come at random at a steady rate,
the two balance where about one run in three finds something (0.45 changes a run).
"""

from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Final

GROWTH: Final = 1.5


@dataclass(frozen=True, slots=True)
class Adaptive:
    """The bounds of an interval, in whole seconds, and the rule that moves it between them."""

    shortest: timedelta
    longest: timedelta

    def __post_init__(self) -> None:
        if not timedelta(0) < self.shortest <= self.longest:
            raise ValueError("the bounds of an interval must be above zero, the shorter one first")

    def interval(self, present: timedelta | None) -> timedelta:
        """Return the interval that is in force: the shortest one before the first run."""
        return self._within(self.shortest if present is None else present)

    def next_interval(self, present: timedelta | None, changes: int) -> timedelta:
        """Return the interval after a run that found so many changes."""
        seconds = self.interval(present).total_seconds()
        if changes > 0:
            return self._within(timedelta(seconds=seconds // (changes + 1)))
        return self._within(timedelta(seconds=ceil(seconds * GROWTH)))

    def _within(self, interval: timedelta) -> timedelta:
        return min(max(interval, self.shortest), self.longest)

"""A job as the dispatch sees it: when it is due, how long it may take, how to make it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from syncd.jobs.base import Job
from syncd.triggers.base import Trigger
from syncd.triggers.catch_up import Policy


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One enabled job of the configuration in force.

    `trigger_from` makes the trigger from the last due time (None: never was due) and the moment; it
    is None for a job that runs by hand alone. `build` makes the job anew for each attempt.
    """

    name: str
    kind: str
    schedule: str
    fixed_rate: bool
    trigger_from: Callable[[datetime | None, datetime], Trigger | None] | None
    catch_up: Policy
    catch_up_window: timedelta
    timeout: timedelta
    retries: Sequence[timedelta]
    parallel: int
    config_digest: str
    build: Callable[[], Job[Any]]

    def next_dues(self, now: datetime, count: int) -> list[datetime]:
        """Return the next due times after a moment, as of a job that never was due."""
        trigger = self.trigger_from(None, now) if self.trigger_from else None
        dues: list[datetime] = []
        while trigger and len(dues) < count and (due := trigger.next_after(now)):
            dues.append(due)
            now = due
        return dues

    def longest_gap(self, now: datetime) -> float | None:
        """Return the longest time, in seconds, between the next 30 due times; None without any."""
        dues = self.next_dues(now, 30)
        gaps = [(late - early).total_seconds() for early, late in pairwise(dues)]
        return max(gaps, default=None)

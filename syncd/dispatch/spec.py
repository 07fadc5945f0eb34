"""A job as the dispatch sees it: when it is due, how long it may take, how to make it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from syncd.jobs.base import Job
from syncd.model.run import Isolation, Overlap, Priority
from syncd.triggers.adaptive import Adaptive
from syncd.triggers.base import Memory, Trigger
from syncd.triggers.catch_up import Policy


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One enabled job of the configuration in force.

    `trigger_from` makes the trigger from what is remembered and the moment; it is None for a job
    that runs by hand alone. `rhythm` is all that its due times depend on, as text. `build` makes
    the job anew for each attempt. `closed_until` returns, for a moment inside an exclusion window,
    when it ends. `accounts` and `servers` are what the runs use, `tokens` the tokens they need,
    each by the name under which it is held; `tables` are those that are copied or checked.
    `fingerprints` tells the credentials of accounts and tokens apart without giving them away.
    `logged_in` returns for which of the tokens a login succeeded in this process since a moment of
    the monotonic clock. `upkeep`: the job looks after syncd itself.
    """

    name: str
    kind: str
    schedule: str
    rhythm: str
    fixed_rate: bool
    trigger_from: Callable[[Memory, datetime], Trigger | None] | None
    catch_up: Policy
    catch_up_window: timedelta
    timeout: timedelta
    retries: Sequence[timedelta]
    parallel: int
    config_digest: str
    build: Callable[[], Job[Any]]
    priority: Priority
    overlap: Overlap
    start_deadline: timedelta | None
    interruptible: bool
    isolation: Isolation
    accounts: Sequence[str]
    servers: Sequence[str]
    closed_until: Callable[[datetime], datetime | None]
    adaptive: Adaptive | None
    fingerprints: Callable[[], Mapping[str, str]]
    upkeep: bool = False
    tokens: Sequence[str] = ()
    tables: Sequence[str] = ()
    logged_in: Callable[[float], Collection[str]] = lambda _: ()

    @property
    def credentials(self) -> tuple[str, ...]:
        """Return the names under which what the job needs may be held."""
        return (*self.accounts, *self.tokens)

    def next_dues(self, now: datetime, count: int) -> list[datetime]:
        """Return the next due times after a moment, as of a job that never was due."""
        trigger = self.trigger_from(Memory(), now) if self.trigger_from else None
        dues: list[datetime] = []
        while trigger and len(dues) < count and (due := trigger.next_after(now)):
            dues.append(due)
            now = due
        return dues

    def longest_gap(self, now: datetime) -> float | None:
        """Return the longest time, in seconds, between the next 30 due times; None without any.

        Of an adaptive job it is the longest that it may become.
        """
        if self.adaptive:
            return self.adaptive.longest.total_seconds()
        dues = self.next_dues(now, 30)
        gaps = [(late - early).total_seconds() for early, late in pairwise(dues)]
        return max(gaps, default=None)

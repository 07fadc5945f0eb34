"""The one question the timetable asks of whatever makes a job due."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


class Trigger(Protocol):
    """A rule that gives due times; holds no state, so that asking twice gives the same answer."""

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first due time later than `moment`, None when none will come.

        Both are aware; the answer is in UTC and strictly later. The answer never gets earlier
        when the moment gets later, which `catch_up` relies on.
        """


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of a job's schedule: None for what never was.

    `last_due` is the moment up to which its due times are accounted for, `interval` the present
    one of an adaptive job.
    """

    last_due: datetime | None = None
    interval: timedelta | None = None

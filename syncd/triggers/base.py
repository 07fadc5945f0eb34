"""The one question the timetable asks of whatever makes a job due."""

from datetime import datetime
from typing import Protocol


class Trigger(Protocol):
    """A rule that gives due times; holds no state, so that asking twice gives the same answer."""

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first due time later than `moment`, None when none will come.

        Both are aware; the answer is in UTC and strictly later. The answer never gets earlier
        when the moment gets later, which `catch_up` relies on.
        """

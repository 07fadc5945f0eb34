"""A stable offset from a job's name, so that a hundred hourly jobs don't start in one second."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from syncd.triggers.base import Trigger


def offset_of(name: str, spread: timedelta) -> timedelta:
    """Return the offset of a job in whole seconds, at least zero and less than the spread.

    It is the same in each process and on each machine, and grows in proportion with the spread.
    """
    share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])  # of 2**64
    return timedelta(seconds=share * int(spread.total_seconds()) >> 64)


@dataclass(frozen=True, slots=True)
class Shifted:
    """The due times of another trigger, each so much later."""

    trigger: Trigger
    by: timedelta

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first shifted due time later than `moment`, in UTC."""
        due = self.trigger.next_after(moment - self.by)
        return None if due is None else due + self.by

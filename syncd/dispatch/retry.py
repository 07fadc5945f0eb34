"""Whether and when a failed run gets a further attempt: a pure decision."""

from collections.abc import Sequence
from datetime import datetime, timedelta


def next_attempt(
    ladder: Sequence[timedelta], failures: int, ended: datetime, next_due: datetime | None
) -> datetime | None:
    """Return when a run that failed `failures` times (1 or more) is tried again; None: never.

    The ladder ends where the next attempt would fall after the job's next due time, whose own run
    will do the work.
    """
    if failures > len(ladder):
        return None
    moment = ended + ladder[failures - 1]
    return None if next_due is not None and moment >= next_due else moment

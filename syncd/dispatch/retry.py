"""Whether and when a failed run gets a further attempt: a pure decision."""

from collections.abc import Sequence
from datetime import datetime, timedelta


def next_attempt(
    ladder: Sequence[timedelta], left: int, ended: datetime, next_due: datetime | None
) -> datetime | None:
    """Return when a run that failed and has `left` attempts is tried again; None: never.

    The last attempt has the ladder's last delay, so that an attempt that was given back moves
    nothing; one more than the ladder knows (it was shortened meanwhile) has the first. The ladder
    ends where the next attempt would fall after the job's next due time, whose own run will do the
    work.
    """
    if left < 1 or not ladder:
        return None
    moment = ended + ladder[max(len(ladder) - left, 0)]
    return None if next_due is not None and moment >= next_due else moment

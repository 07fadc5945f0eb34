"""Whether and when a failed run gets a further attempt: a pure decision."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

_LONGEST: Final = 86_400.0
"""Seconds; a server that asks for more is mistaken, or asks again."""


def next_attempt(
    ladder: Sequence[timedelta],
    left: int,
    ended: datetime,
    next_due: datetime | None,
    asked: float = 0.0,
) -> datetime | None:
    """Return when a run that failed and has `left` attempts is tried again; None: never.

    The last attempt has the ladder's last delay, so that an attempt that was given back moves
    nothing; one more than the ladder knows (it was shortened meanwhile) has the first. The ladder
    ends where the next attempt would fall after the job's next due time, whose own run will do the
    work. Whom a server has `asked` to wait so many seconds waits no less, but for a day at most.
    """
    if left < 1 or not ladder:
        return None
    floor = timedelta(seconds=min(asked, _LONGEST))
    moment = ended + max(ladder[max(len(ladder) - left, 0)], floor)
    return None if next_due is not None and moment >= next_due else moment

"""Which due times were missed while nobody looked: the daemon was down, the machine slept.

A schedule can only be asked forwards. To find the last due time before a moment without walking
through years of minutes, the search doubles its step backwards and then halves the span between
(some ten questions for a minutely schedule, fifty for a yearly one).
"""

from datetime import datetime, timedelta
from typing import Final, Literal

from syncd.triggers.base import Trigger

Policy = Literal["none", "latest", "all"]

MOST: Final = 100

_SECOND: Final = timedelta(seconds=1)


def first_due(trigger: Trigger, now: datetime) -> datetime | None:
    """Return when a job that never was due is due first: `now` itself counts."""
    return trigger.next_after(now - timedelta.resolution)


def missed(
    trigger: Trigger,
    last_due: datetime,
    now: datetime,
    policy: Policy,
    window: timedelta,
    limit: int = MOST,
) -> list[datetime]:
    """Return the due times after `last_due` and up to `now` to be made up for, oldest first.

    `latest` gives one for all that was missed, however old; `all` gives each that is not older
    than `window`, the newest `limit` of them.
    """
    floor = last_due
    if policy == "all":
        floor = max(last_due, now - window - timedelta.resolution)
    wanted = {"none": 0, "latest": 1, "all": limit}[policy]
    found: list[datetime] = []
    until = now
    while len(found) < wanted:
        due = latest_due(trigger, floor, until)
        if due is None:
            break
        found.append(due)
        until = due - timedelta.resolution
    return found[::-1]


def latest_due(trigger: Trigger, after: datetime, until: datetime) -> datetime | None:
    """Return the latest due time in (after, until], None when there is none.

    Relies on due times being at least a second apart.
    """

    def due_between(moment: datetime) -> datetime | None:
        due = trigger.next_after(moment)
        return due if due is not None and due <= until else None

    if after >= until or due_between(after) is None:
        return None
    step = _SECOND
    early = late = until
    while early > after and due_between(early) is None:
        late, early = early, max(after, early - step)
        step *= 2
    while late - early > _SECOND:
        middle = early + (late - early) / 2
        if due_between(middle) is None:
            late = middle
        else:
            early = middle
    return due_between(early)

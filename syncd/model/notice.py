"""What people are told of, and when: the rules, from what is known and the time alone.

What lasts is an `Alert`, kept in the store with who was told of it and when he is told again. A
channel is told once, then after growing waits; that it is over is told to those who knew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, get_args

from syncd.errors import ErrorClass
from syncd.model.run import RunId, Status

Event = Literal[
    "success", "failed", "overrun", "stale", "recovered", "guarded", "resource", "reload_failed"
]
EVENTS: Final[tuple[str, ...]] = get_args(Event)

LONGEST_WAIT: Final = timedelta(days=1)
"""After which at the latest what lasts is told again, unless `repeat_after` itself is longer."""

Detail = Mapping[str, Any]
"""What is told of an event: JSON-like. `error_class` is what it is told anew for at once."""


@dataclass(frozen=True, slots=True)
class Wants:
    """What a channel wants to be told; `jobs` are patterns as of fnmatch(3), none for all."""

    channel: str
    on: frozenset[Event]
    repeat_after: timedelta
    jobs: Sequence[str] = ()

    def hears(self, event: Event, job: str | None, detail: Detail) -> bool:
        """Tell whether the channel is told of an event.

        Who hears of what was guarded need not hear of the same run as a failure.
        """
        if job is not None and self.jobs and not any(fnmatchcase(job, p) for p in self.jobs):
            return False
        if event == "failed" and detail.get("error_class") == "guard" and "guarded" in self.on:
            return False
        return event in self.on

    def wait(self, times: int) -> timedelta:
        """Return how long after it was told for the n-th time something is told again."""
        longest = max(LONGEST_WAIT, self.repeat_after)
        doublings = 1 << min(times - 1, 40)
        return longest if self.repeat_after > longest / doublings else self.repeat_after * doublings


@dataclass(frozen=True, slots=True)
class Told:
    """How often a channel was told, and when it is told again.

    0 times: it knows of an earlier cause alone, and is told of the present one at once.
    """

    times: int
    next_at: datetime


@dataclass(frozen=True, slots=True)
class Alert:
    """What lasts: since when, how often it was seen, and who was told.

    One that is over (`ended_at`) stands until that is told.
    """

    key: str
    event: Event
    job: str | None
    since: datetime
    detail: Detail
    times: int = 1
    told: Mapping[str, Told] = field(default_factory=dict)
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What is told, and to which channels; `again` to those who were told before."""

    event: Event
    key: str
    job: str | None
    detail: Detail
    channels: Sequence[str]
    again: bool = False


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A run that has ended, as far as it is told; `guarded` are the targets of guarded items."""

    id: RunId
    job: str
    kind: str
    status: Status
    attempt: int
    finished_at: datetime
    duration_seconds: float | None
    total: int
    added: int
    updated: int
    deleted: int
    errors: int
    items_total: int
    items_failed: int
    error_class: ErrorClass | None
    error: str | None
    guarded: list[str]


def key_of(event: Event, subject: str) -> str:
    """Return the name of what lasts: of a job, or of what is wrong with a machine."""
    return f"{subject} {event}"


def raised(
    before: Alert | None, event: Event, subject: str, job: str | None, at: datetime, detail: Detail
) -> Alert:
    """Return the alert of what was seen at a moment; another error class is news for everybody."""
    if before is None:
        return Alert(key_of(event, subject), event, job, at, detail)
    told = before.told
    if before.detail.get("error_class") != detail.get("error_class"):
        told = {channel: replace(each, times=0, next_at=at) for channel, each in told.items()}
    since = min(before.since, at)
    times = before.times + 1
    return replace(before, since=since, detail=detail, times=times, told=told, ended_at=None)


def ended(alert: Alert, at: datetime) -> Alert:
    """Return the alert as over since a moment; by a clock that was set back it lasted no time."""
    return replace(alert, ended_at=max(at, alert.since))


def told(
    alert: Alert, wants: Sequence[Wants], now: datetime, *, quiet: bool = False
) -> tuple[Alert, list[Message]]:
    """Tell those whose time has come of what lasts; return the alert as it is then.

    While it is `quiet` (somebody has paused the job), nothing is told that was told before. A next
    time further away than ever waited for comes from a clock that was set back since.
    """
    after: dict[str, Told] = dict(alert.told)
    first: list[str] = []
    again: list[str] = []
    for want in wants:
        if not want.hears(alert.event, alert.job, alert.detail):
            continue
        known = alert.told.get(want.channel, Told(0, now))
        next_at = now if known.times == 0 else min(known.next_at, now + want.wait(known.times))
        after[want.channel] = replace(known, next_at=next_at)
        if next_at <= now and not (quiet and known.times):
            (again if known.times else first).append(want.channel)
            times = known.times + 1
            after[want.channel] = Told(times, now + want.wait(times))
    detail = {**alert.detail, "since": alert.since.isoformat(), "times": alert.times}
    messages = [
        Message(alert.event, alert.key, alert.job, detail, channels, again=known_before)
        for channels, known_before in ((first, False), (again, True))
        if channels
    ]
    return replace(alert, told=after), messages


def recovery(alert: Alert, wants: Sequence[Wants]) -> list[Message]:
    """Return what is told of an alert that is over: to who was told of it and wants to know."""
    channels = [w.channel for w in wants if w.channel in alert.told and "recovered" in w.on]
    if alert.ended_at is None or not channels:
        return []
    detail = {
        **alert.detail,
        "of": alert.event,
        "since": alert.since.isoformat(),
        "lasted_seconds": round((alert.ended_at - alert.since).total_seconds(), 3),
        "times": alert.times,
    }
    return [Message("recovered", alert.key, alert.job, detail, channels)]

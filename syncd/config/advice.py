"""What is valid, but can't do what it says: told as warnings."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice, pairwise
from typing import Final

from syncd.config.durations import format_duration
from syncd.config.job import Job, Sources
from syncd.triggers.base import Memory, Trigger

_LOOK_AHEAD: Final = 30  # due times whose gaps are looked at
_WINDOWS_AHEAD: Final = timedelta(days=8)  # windows repeat each week
_MOST: Final = 12_000  # due times: each minute of eight days


def warnings(
    written: Mapping[str, Job],
    jobs: Mapping[str, Job],
    sources: Sources,
    now: datetime,
) -> Iterator[str]:
    """Yield the warnings of the enabled jobs.

    `written` are the jobs as they stand in the files, `jobs` with what they take from [defaults].
    """
    enabled = {name: job for name, job in jobs.items() if job.enabled}
    if all(job.upkeep for job in enabled.values()):
        yield "no enabled job but syncd's own upkeep"
    for name, job in enabled.items():
        if not job.has_targets(sources):
            yield f'job "{name}" has no enabled target'
    yield from _shared_scopes(enabled, sources)
    for name, job in enabled.items():
        for warning in _of_times(name, job, written[name].model_fields_set, now):
            yield f'job "{name}": {warning}'


def _shared_scopes(jobs: Mapping[str, Job], sources: Sources) -> Iterator[str]:
    owners: dict[str, str] = {}
    for name, job in jobs.items():
        for scope in job.scopes(sources):
            if (first := owners.setdefault(scope, name)) != name:
                yield f'jobs "{first}" and "{name}" both sync {scope}: only one of them should'


def _of_times(name: str, job: Job, keys: set[str], now: datetime) -> Iterator[str]:
    """Yield what is odd about when one job runs."""
    if not job.schedule_text:
        for key in sorted(keys & {"start_deadline", "spread", "calendar"}):
            yield f"{key} has no effect without schedule, every or adaptive"
        return
    if job.calendar and not any(day >= now.date() for day in job.calendar.dates):
        yield f"its calendar {job.calendar.name} has no date from today on"
    trigger = job.trigger(name, Memory(), now) if job.spread or job.windows.spans else None
    if trigger is None:
        return
    gaps = [late - early for early, late in pairwise(islice(_dues(trigger, now), _LOOK_AHEAD))]
    if job.spread > min(gaps, default=job.spread):
        yield f"its spread is longer than the {format_duration(min(gaps))} between due times"
    if gaps and all(job.is_given_up(due, next_) for due, next_ in _for_windows(trigger, now)):
        yield "each of its next due times falls into a window that outlasts its start_deadline"


def _for_windows(trigger: Trigger, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield due times, each with the following one, until all windows were passed."""
    dues = pairwise(islice(_dues(trigger, now), _MOST))
    for number, (due, following) in enumerate(dues):
        if number >= _LOOK_AHEAD and due > now + _WINDOWS_AHEAD:
            return
        yield due, following


def _dues(trigger: Trigger, now: datetime) -> Iterator[datetime]:
    """Yield the due times after a moment."""
    while due := trigger.next_after(now):
        yield due
        now = due

"""What would run when: the jobs of a configuration with their next due times."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from syncd.config.configuration import Config
from syncd.config.job import Job
from syncd.config.problems import Problem
from syncd.model.run import Overlap, Priority
from syncd.triggers.base import Memory
from syncd.triggers.catch_up import first_due


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A job and its next due times, in the job's own zone; none for a job run by hand only.

    `servers` are those that it looks at, by whatever they are chosen; `calls` method and URL of its
    HTTP calls.
    `waits_until` tells, for each due time, when the window ends in which it falls, None without;
    `given_up`, whether its run does not wait so long.
    """

    name: str
    kind: str
    servers: tuple[str, ...]
    calls: tuple[tuple[str, str], ...]
    schedule: str
    timezone: str
    priority: Priority
    overlap: Overlap
    windows: tuple[str, ...]
    next_runs: tuple[datetime, ...]
    waits_until: tuple[datetime | None, ...]
    given_up: tuple[bool, ...]


def upcoming(
    config: Config, now: datetime, count: int = 3, job: str | None = None
) -> list[Upcoming]:
    """Return the enabled jobs as a daemon that starts at `now` (aware) would run them.

    `job` names one of them, which gives an empty list when it is not there or not enabled.
    """
    return [
        _of_job(config, name, each, now.replace(microsecond=0), count)
        for name, each in config.enabled_jobs().items()
        if job in (None, name)
    ]


def as_json(jobs: Sequence[Upcoming], problems: Sequence[Problem]) -> dict[str, Any]:
    """Return what `syncd check --json` prints; times are ISO 8601 with their offset."""
    return {
        "jobs": [_job_as_json(job) for job in jobs],
        "problems": [
            {"file": each.file, "line": each.line, "key": each.key, "message": each.message}
            for each in problems
        ],
    }


def _job_as_json(job: Upcoming) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": job.name,
        "kind": job.kind,
        "schedule": job.schedule,
        "timezone": job.timezone,
        "next_runs": [moment.isoformat() for moment in job.next_runs],
    }
    if job.servers:
        document["servers"] = job.servers
    if job.calls:
        document["calls"] = [{"method": method, "url": url} for method, url in job.calls]
    if job.windows:
        document["windows"] = job.windows
        document["waits_until"] = [until and until.isoformat() for until in job.waits_until]
        document["given_up"] = job.given_up
    return document


def _of_job(config: Config, name: str, job: Job, now: datetime, count: int) -> Upcoming:
    zone = ZoneInfo(job.timezone)
    dues = _next_dues(name, job, now, count + 1)
    runs, following = dues[:count], [*dues[1:], None]
    ends = [job.closed_until(run) for run in runs]
    return Upcoming(
        name=name,
        kind=job.kind,
        servers=job.enabled_servers(config.servers),
        calls=job.calls_made,
        schedule=job.schedule or job.schedule_text,
        timezone=job.timezone,
        priority=job.priority,
        overlap=job.overlap,
        windows=job.windows.texts,
        next_runs=runs,
        waits_until=tuple(end and end.astimezone(zone) for end in ends),
        given_up=tuple(map(job.is_given_up, runs, following)),
    )


def _next_dues(name: str, job: Job, now: datetime, count: int) -> tuple[datetime, ...]:
    trigger = job.trigger(name, Memory(), now)
    zone = ZoneInfo(job.timezone)
    runs: list[datetime] = []
    due = first_due(trigger, now) if trigger else None
    while trigger and due and len(runs) < count:
        runs.append(due.astimezone(zone))
        due = trigger.next_after(due)
    return tuple(runs)

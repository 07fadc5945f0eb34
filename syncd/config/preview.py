"""What would run when: the jobs of a configuration with their next due times."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from syncd.config.configuration import Config
from syncd.config.jobs import Job
from syncd.config.problems import Problem
from syncd.triggers.base import Memory
from syncd.triggers.catch_up import first_due


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A job and its next due times, in the job's own zone; none for a job run by hand only."""

    name: str
    kind: str
    schedule: str
    timezone: str
    next_runs: tuple[datetime, ...]


def upcoming(
    config: Config, now: datetime, count: int = 3, job: str | None = None
) -> list[Upcoming]:
    """Return the enabled jobs as a daemon that starts at `now` (aware) would run them.

    `job` names one of them, which gives an empty list when it is not there or not enabled.
    """
    return [
        _of_job(name, each, now.replace(microsecond=0), count)
        for name, each in config.enabled_jobs().items()
        if job in (None, name)
    ]


def as_json(jobs: Sequence[Upcoming], problems: Sequence[Problem]) -> dict[str, Any]:
    """Return what `syncd check --json` prints; times are ISO 8601 with their offset."""
    return {
        "jobs": [
            {
                "name": job.name,
                "kind": job.kind,
                "schedule": job.schedule,
                "timezone": job.timezone,
                "next_runs": [moment.isoformat() for moment in job.next_runs],
            }
            for job in jobs
        ],
        "problems": [
            {"file": each.file, "line": each.line, "key": each.key, "message": each.message}
            for each in problems
        ],
    }


def _of_job(name: str, job: Job, now: datetime, count: int) -> Upcoming:
    schedule = job.schedule or job.schedule_text
    return Upcoming(name, job.kind, schedule, job.timezone, _next_runs(job, now, count))


def _next_runs(job: Job, now: datetime, count: int) -> tuple[datetime, ...]:
    trigger = job.trigger(Memory(), now)
    zone = ZoneInfo(job.timezone)
    runs: list[datetime] = []
    due = first_due(trigger, now) if trigger else None
    while trigger and due and len(runs) < count:
        runs.append(due.astimezone(zone))
        due = trigger.next_after(due)
    return tuple(runs)

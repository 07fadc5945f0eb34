"""A job as the dispatch sees it: when it is due, how long it may take, how to make it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from syncd.jobs.base import Job
from syncd.triggers.base import Trigger
from syncd.triggers.catch_up import Policy


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One enabled job of the configuration in force; equal specs behave the same.

    `identity` stands for the job's configuration as a whole, so that a reload can tell a changed
    job; `trigger_from` makes the trigger from the last due time (None: never was due), and is None
    for a job that runs by hand alone.
    """

    name: str
    kind: str
    identity: str
    schedule: str
    fixed_rate: bool
    trigger_from: Callable[[datetime | None, datetime], Trigger | None] | None
    catch_up: Policy
    catch_up_window: timedelta
    timeout: timedelta
    retries: Sequence[timedelta]
    parallel: int
    config_digest: str
    build: Callable[[], Job[Any]]

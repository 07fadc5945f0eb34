"""Runs that wait and run, as the decisions of the queue see them, with the defaults of a test."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from dispatch_helpers import NOON

from syncd.dispatch.queue import Closed, Decision, Room, Running, Waiting, decide
from syncd.model.run import Priority, Selection, new_run_id

OPEN = Closed()


def at(minutes: float) -> datetime:
    """Return the moment so many minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def waits(job: str, priority: Priority = "normal", since: float = 0, **changes: Any) -> Waiting:
    """Return a run that waits since so many minutes after noon."""
    accounts, servers = changes.pop("accounts", ()), changes.pop("servers", ())
    made = Waiting(
        new_run_id(NOON), job, "schedule", priority, at(since), at(since), at(since), 0, 4,
        Selection(), accounts=frozenset(accounts), servers=frozenset(servers),
    )  # fmt: skip
    return replace(made, **changes)


def runs(job: str, priority: Priority = "normal", since: float = 0, **changes: Any) -> Running:
    """Return a run that runs since so many minutes after noon, and may be interrupted."""
    accounts, servers = changes.pop("accounts", ()), changes.pop("servers", ())
    made = Running(
        new_run_id(NOON), job, priority, at(since), interruptible=True, stopping=False,
        accounts=frozenset(accounts), servers=frozenset(servers),
    )  # fmt: skip
    return replace(made, **changes)


class Decided:
    """What was decided, by the names of the jobs."""

    def __init__(self, decision: Decision, waiting: list[Waiting], running: list[Running]) -> None:
        job_of = {run.run_id: run.job for run in [*waiting, *running]}
        self.start = [run.job for run in decision.start]
        self.interrupt = [job_of[run_id] for run_id in decision.interrupt]
        self.waits = {job_of[run_id]: each.reason for run_id, each in decision.waits.items()}
        self.until = {job_of[run_id]: each.until for run_id, each in decision.waits.items()}
        self.lapsed = {run.job: reason for run, reason in decision.lapsed}


def decided(
    waiting: Iterable[Waiting],
    running: Iterable[Running] = (),
    *,
    workers: int = 3,
    now: float = 0,
    locked: Collection[str] = (),
    closed: Closed = OPEN,
    per_account: int = 1,
    per_server: int = 1,
) -> Decided:
    """Decide so many minutes after noon; `workers` are free."""
    waiting, running = list(waiting), list(running)
    room = Room(workers, per_account, per_server)
    return Decided(decide(waiting, running, locked, closed, room, at(now)), waiting, running)

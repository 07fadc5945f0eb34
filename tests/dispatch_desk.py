"""A dispatcher with all its parts, in the place of the composition root."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from dispatch_helpers import NOON, SECONDS, Bench, spec

from syncd.dispatch.board import Board
from syncd.dispatch.dispatcher import Dispatcher
from syncd.dispatch.gates import Limits, MachineGates
from syncd.dispatch.holds import Holds
from syncd.dispatch.job_states import JobStates
from syncd.dispatch.ledger import StoreLedger
from syncd.dispatch.runner import Runner
from syncd.dispatch.spec import JobSpec
from syncd.dispatch.supervisor import Supervisor
from syncd.dispatch.wanted import Wanted
from syncd.dispatch.work import Items
from syncd.dispatch.workers import WorkerPool
from syncd.errors import StoreError
from syncd.model.run import Due, Priority, RunId, Selection
from syncd.store import job_state, leader
from syncd.store.job_state import JobState, Schedule
from syncd.store.runs import RunEnd
from syncd.triggers.base import Memory
from syncd.triggers.interval import Interval

ALL = Selection()


@dataclass
class Keeps:
    """A `Keeper` whose events the test waits for."""

    lost: threading.Event = field(default_factory=threading.Event)
    back: threading.Event = field(default_factory=threading.Event)
    deposed: threading.Event = field(default_factory=threading.Event)
    ends: list[tuple[str, RunEnd | None]] = field(default_factory=list)

    def store_lost(self, error: StoreError) -> None:
        self.lost.set()

    def store_back(self) -> None:
        self.back.set()

    def run_ended(self, job: str, end: RunEnd | None) -> None:
        self.ends.append((job, end))

    def leadership_lost(self) -> None:
        self.deposed.set()


@dataclass
class Machine:
    """The readings of the machine's gates, as a test sets them."""

    load: float = 0.0
    free: float = 1e12


class Desk:
    """Claims, starts and gives up what a test says is due; the machine is the test's too."""

    def __init__(
        self, bench: Bench, *specs: JobSpec, workers: int = 2, stuck_after: float = SECONDS
    ) -> None:
        self.bench, self.keeper, self.machine = bench, Keeps(), Machine()
        lease = leader.acquire(bench.store, "daemon:test")
        assert lease is not None
        self.lease = lease
        self.limits = Limits(workers, 1, 1, load=0.8, free_disk=1000)
        self.pool = WorkerPool(workers, bench.log)
        self.ledger = StoreLedger(bench.store, lease)
        self.holds = Holds(bench.store, bench.clock, bench.log)
        self.jobs = JobStates(self.ledger, self.holds, bench.clock, bench.log)
        self.board = Board(self.ledger, self.jobs, bench.clock, bench.log)
        self.retimed: list[str] = []
        self.next_due: dict[str, Any] = {}
        self.dispatcher = Dispatcher(
            store=bench.store, lease=lease, board=self.board, runner=self._runner(),
            recorder=bench.recorder, pool=self.pool, observer=bench.watcher, keeper=self.keeper,
            gates=MachineGates(
                Path("/"), bench.log, lambda: self.machine.load, lambda _: self.machine.free
            ),
            limits=self.limits, next_due=self.next_due.get, retime=self.retimed.append,
            clock=bench.clock, log=bench.log,
        )  # fmt: skip
        self.supervisor = Supervisor(
            self.board.attempts, self.dispatcher.stuck, bench.log,
            stuck_after=stuck_after, turn=0.02,
        )  # fmt: skip
        specs_by_name = {one.name: one for one in specs}
        self.jobs.adopt(specs_by_name, self.remember(specs_by_name))

    def _runner(self) -> Runner:
        bench = self.bench
        items = Items(bench.store, bench.recorder, bench.watcher, bench.clock)
        return Runner(
            {"thread": items}, bench.recorder, bench.watcher, self.holds, bench.clock, bench.log
        )

    def remember(self, specs: Mapping[str, JobSpec]) -> Mapping[str, JobState]:
        """Tell the store of jobs, as a reload does."""
        with self.bench.store.transaction() as tx:
            return job_state.load(tx, {name: Schedule("", None) for name in specs})

    def start(self) -> None:
        self.dispatcher.start()
        self.supervisor.start()

    def reload(self, *specs: JobSpec) -> None:
        by_name = {one.name: one for one in specs}
        want = Wanted(by_name, (), self.limits)
        self.dispatcher.adopt(want, lambda: self.remember(by_name))

    def due(self, *dues: Due) -> None:
        self.dispatcher.due(dues)

    def request(
        self, job: str = "j", selection: Selection = ALL, priority: Priority | None = None
    ) -> RunId:
        return self.dispatcher.ask(lambda: self.board.request(job, selection, "me", priority))

    def final(self, run_id: RunId) -> str:
        assert self.board.wait_final(run_id, SECONDS)
        return str(self.bench.one("select status from syncd.run where id = %s", run_id))

    def drain(self, grace: float = 0.0) -> None:
        self.dispatcher.drain(grace, threading.Event(), lambda: None)

    def close(self) -> None:
        self.drain()
        self.supervisor.stop(SECONDS)
        self.dispatcher.stop()
        assert self.pool.stop(SECONDS)


def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds that nobody signals."""
    end, pause = time.monotonic() + SECONDS, threading.Event()
    while not condition():
        assert time.monotonic() < end, "it never came true"
        pause.wait(0.01)


def statuses(bench: Bench) -> Sequence[tuple[Any, ...]]:
    return bench.execute("select scheduled_for, trigger, status from syncd.run order by 1")


Open = Callable[..., Desk]
"""Makes a desk of jobs, which is closed after the test."""


HOUR = timedelta(hours=1)


def hourly(name: str, job: Any, **changes: Any) -> JobSpec:
    """Return a job that is due each hour from noon."""

    def trigger(memory: Memory, now: datetime) -> Interval:
        return Interval(memory.interval or HOUR, NOON)

    return spec(name, job, trigger_from=trigger, **changes)


def why(at: Desk, run_id: RunId) -> str:
    """Return why a run waits, once that was decided."""
    until(lambda: run_id in at.board.waits)
    return at.board.waits[run_id].reason


def only_waiting(at: Desk) -> RunId:
    """Return the one run that waits."""
    until(lambda: len(at.board.waiting) == 1)
    return next(iter(at.board.waiting))


def pass_turn(at: Desk) -> None:
    """Wait until the dispatcher has done a whole turn: one lies between two answers."""
    for _ in range(2):
        at.dispatcher.ask(lambda: None)


def pass_time(bench: Bench, seconds: float) -> None:
    bench.clock.pass_(seconds)  # type: ignore[attr-defined]  # a HandClock

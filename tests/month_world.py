"""A simulated machine on which daemons keep a schedule: real decisions, an invented world.

The timetable, the claims, the board and the decisions of the queue are the real ones; time, the
store and the work of the runs are not. The world does what can go wrong at moments that its seed
chooses, and notes what happened: the facts, by which an oracle can tell what was to be done.
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from dispatch_helpers import HandClock
from memory_ledger import Killed, MemoryStore, Row
from month_daemon import WORKERS, Daemon, Fact, Told, Working

from syncd.dispatch.queue import Waiting
from syncd.dispatch.runner import Attempt
from syncd.dispatch.spec import JobSpec
from syncd.errors import Conflict, Fenced, NotFound, StoreError
from syncd.model.run import Gate, Outcome, Selection, new_run_id
from syncd.store.runs import NewRun
from syncd.triggers.base import Memory

SLACK = timedelta(seconds=1)


@dataclass(frozen=True)
class Habits:
    """How the runs of a job are: how long they take, in seconds, and how often they fail."""

    seconds: float = 60.0
    fails: float = 0.05


@dataclass
class World:
    """The machine: its clock, its store, what is closed, and what happened."""

    rng: random.Random
    clock: HandClock
    habits: Mapping[str, Habits]
    store: MemoryStore = field(default_factory=MemoryStore)
    told: Told = field(default_factory=Told)
    closed: set[Gate] = field(default_factory=set)
    facts: list[Fact] = field(default_factory=list)
    daemon: Daemon | None = None
    specs: Mapping[str, JobSpec] = field(default_factory=dict)
    per_account: int = 1
    per_server: int = 2
    peak: int = 0

    def __post_init__(self) -> None:
        self.store.told = self.note

    def note(self, kind: str, job: str = "", value: Any = None) -> None:
        self.facts.append(Fact(kind, self.clock.now(), job, value))

    def work_of(self, attempt: Attempt) -> Working:
        """Choose how long an attempt takes and how it ends."""
        habits, rng = self.habits[attempt.spec.name.partition(" ")[0]], self.rng
        seconds = habits.seconds * rng.choice([0.5, 0.8, 1, 1, 1.2, 2, 6])
        kind = rng.random()
        outcome = Outcome("success")
        if kind < habits.fails:
            outcome = Outcome("failed", "network", "no route")
        elif kind < habits.fails * 1.2:
            outcome = Outcome("failed", "guard", "too much would go")
        return Working(attempt, self.clock.ticked + seconds, outcome, rng.random() < 0.0005)

    def check_start(self, daemon: Daemon, attempt: Attempt) -> None:
        """Check that nothing forbids the run that was just started."""
        job, run_id, now = attempt.spec.name, attempt.claim.run_id, self.clock.now()
        row = self.store.runs[run_id]
        assert row.status == "running"
        working = [work.attempt.spec for work in daemon.works.values()]
        self.peak = max(self.peak, len(working))
        assert len(working) <= WORKERS
        assert Counter(spec.name for spec in working)[job] == 1
        assert job not in daemon._locked()
        accounts = Counter(name for spec in working for name in spec.accounts)
        assert max(accounts.values(), default=0) <= self.per_account
        servers = Counter(name for spec in working for name in spec.servers)
        assert max(servers.values(), default=0) <= self.per_server
        assert "disk" not in self.closed
        assert "load" not in self.closed or row.priority == "urgent"
        assert row.next_attempt_at is None or row.next_attempt_at <= now
        if row.new.trigger != "manual":
            assert not self._paused(job)
            assert not attempt.spec.closed_until(now)

    def check_skip(self, job: str, due: datetime, reason: str) -> None:
        """Check that what a run was given up for was so, and for long enough."""
        now = self.clock.now()
        if reason in ("load", "disk"):
            assert reason in self.closed
        elif reason == "paused":
            assert self._paused(job)
        elif reason == "window":
            assert self.specs[job].closed_until(now)

    def check_waits(self) -> None:
        """Check that no run waits for a gate beyond its job's next due time, or its deadline."""
        assert self.daemon
        now = self.clock.now()
        for run in self.daemon.board.waiting.values():
            spec = self.specs.get(run.job)
            if spec is None or run.trigger == "manual" or run.ready_at > now:
                continue
            shut = self.closed - ({"load"} if run.priority == "urgent" else set())
            if shut or self._paused(run.job) or spec.closed_until(now):
                assert self._until(run) > now - SLACK

    def _until(self, run: Waiting) -> datetime:
        spec = self.specs[run.job]
        since = run.scheduled_for if run.trigger == "schedule" else run.created_at
        if run.attempt:
            since = run.ready_at
        if spec.start_deadline is not None:
            return since + spec.start_deadline
        interval = self.store.states[run.job][1].memory.interval
        assert spec.trigger_from
        trigger = spec.trigger_from(Memory(run.scheduled_for, interval), since)
        assert trigger
        return trigger.next_after(since) or datetime.max.replace(tzinfo=UTC)

    def _paused(self, job: str) -> bool:
        pause = self.store.states[job][1].pause
        return pause is not None and (pause.until is None or pause.until > self.clock.now())

    # What happens

    def kill(self) -> None:
        self.note("died")
        self.daemon = None

    def lead(self, specs: Mapping[str, JobSpec], holder: str = "one") -> None:
        """Start a daemon, which takes over; one that led before may not know it yet."""
        self.store.fault = None
        if self.daemon:
            self.note("died")
        self.specs = specs
        self.daemon = Daemon(self, holder, specs)

    def run_by_hand(self, job: str, priority: Any) -> None:
        assert self.daemon
        self.daemon.board.request(job, Selection(), "me", priority)

    def ask(self, act: Any) -> None:
        """Do what a person asks for, who hears of it when it can't be done."""
        try:
            act()
        except (StoreError, Conflict, NotFound):
            self.note("refused")

    def command(self, job: str) -> Row | None:
        """Let a command line run a job, unless it runs."""
        new = NewRun(
            new_run_id(self.clock.now()), job, "fake", "manual", self.clock.now(), 1, "d", "normal"
        )
        if any(row.status == "running" for row in self.store.active[job].values()):
            return None
        self.store.insert(new, self.clock.now(), owner="cli:one")
        return self.store.runs[new.id]

    def end_command(self, row: Row) -> None:
        if row.status == "running":
            row.end("success", None, self.clock.now())
            self.store.settle(row)

    def step(self, most: float) -> float:
        """Go to the next moment at which something happens, `most` seconds away at the latest."""
        idle = self.daemon.idle_seconds() if self.daemon else most
        lateness = self.rng.random() * 0.5
        seconds = min(max(idle, 0.001), most) + lateness
        self.clock.pass_(seconds)
        if self.daemon:
            with self.mortal():
                self.daemon.turn()
        return seconds

    @contextmanager
    def mortal(self) -> Iterator[None]:
        """Let the daemon die of what happens inside."""
        try:
            yield
        except (Killed, Fenced):
            self.kill()

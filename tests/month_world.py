"""A simulated machine on which daemons keep a schedule: real decisions, an invented world.

The timetable, the claims, the board and the decisions of the queue are the real ones; time, the
store and the work of the runs are not. The world does what can go wrong at moments that its seed
chooses, and notes what happened: the facts, by which an oracle can tell what was to be done.
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dispatch_helpers import HandClock
from memory_ledger import Killed, MemoryLedger, MemoryStore, Row

from syncd.dispatch.board import Board
from syncd.dispatch.holds import Holds
from syncd.dispatch.job_states import JobStates
from syncd.dispatch.queue import Room, Waiting
from syncd.dispatch.retry import next_attempt
from syncd.dispatch.runner import Attempt
from syncd.dispatch.spec import JobSpec
from syncd.dispatch.timetable import Plan, Timetable
from syncd.errors import Conflict, Fenced, Interrupted, NotFound, StoreError
from syncd.model.run import Due, Gate, Outcome, RunId, Selection, new_run_id
from syncd.store.job_state import JobState, Schedule
from syncd.store.runs import NewRun, RunEnd
from syncd.triggers.base import Memory

WORKERS, DAY = 10, 86400.0
SLACK = timedelta(seconds=1)


@dataclass(frozen=True)
class Fact:
    """Something that happened; `now` is what the wall clock showed."""

    kind: str
    now: datetime
    job: str = ""
    value: Any = None


class Log:
    """A log of which the skips become facts, and in which no bug may be told."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def warning(self, event: str, **values: Any) -> None:
        if event == "due time skipped":
            due = datetime.fromisoformat(values["due"])
            self._world.note("skipped", values["job"], (due, values["reason"]))
            self._world.check_skip(values["job"], due, values["reason"])

    def exception(self, event: str, **values: Any) -> None:
        raise AssertionError(event)

    def debug(self, event: str, **values: Any) -> None:
        """Forget it."""

    info = error = debug


class NoAccounts:
    """The store of holds of which there are none."""

    @contextmanager
    def transaction(self) -> Any:
        yield self

    def execute(self, *query: Any) -> None:
        """Do nothing."""


class Told:
    """An `Observer` that counts."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def skipped(self, job: str, reason: str) -> None:
        self.counts[f"skipped {reason}"] += 1

    def run_started(self, job: str, now: datetime, delay: float | None) -> None:
        self.counts["started"] += 1

    def run_retried(self, job: str) -> None: ...
    def run_ended(self, job: str, outcome: str, now: datetime, seconds: float) -> None: ...
    def item_ended(self, job: str, outcome: str, counts: Any) -> None: ...
    def error_recorded(self, job: str, error_class: str) -> None: ...


@dataclass
class Working:
    """The work of an attempt: when it will end, of the monotonic clock, and how."""

    attempt: Attempt
    ends: float
    outcome: Outcome
    stuck: bool = False


@dataclass(frozen=True)
class Habits:
    """How the runs of a job are: how long they take, in seconds, and how often they fail."""

    seconds: float = 60.0
    fails: float = 0.05


class Daemon:
    """One process that leads: the parts of the dispatch, turned by hand."""

    def __init__(self, world: "World", holder: str, specs: Mapping[str, JobSpec]) -> None:
        self.world, self.clock, self.store = world, world.clock, world.store
        self.holder, self.epoch = holder, world.store.lead(holder)
        self.store.recover(self.clock.now())
        self.ledger = MemoryLedger(self.store, holder, self.epoch)
        log: Any = Log(world)
        holds = Holds(NoAccounts(), self.clock, log)  # type: ignore[arg-type]
        self.jobs = JobStates(self.ledger, holds, self.clock, log)
        self.board = Board(self.ledger, self.jobs, self.clock, log)
        self.dues: list[Due] = []
        self.back_to: datetime | None = None
        self.timetable = Timetable(
            self.clock,
            log,
            due=self.dues.extend,
            set_back=self._set_back,
            tick=lambda: world.note("looked"),
        )
        self.works: dict[RunId, Working] = {}
        self.stuck: dict[RunId, Working] = {}
        self.owed: list[tuple[Attempt, RunEnd]] = []
        self.store_fails = self.waited = False
        states = self._remember(specs)
        self.jobs.adopt(specs, states)
        self.board.reread()
        world.note("started", value=specs)
        self._enable(specs, states)

    def _set_back(self, now: datetime) -> None:
        self.back_to = now
        self.world.note("set back")

    def _remember(self, specs: Mapping[str, JobSpec]) -> dict[str, JobState]:
        now = self.clock.now()
        return self.store.remember(
            {
                name: Schedule(spec.schedule, None if spec.fixed_rate else now)
                for name, spec in specs.items()
            },
            now,
        )

    def _enable(
        self, specs: Mapping[str, JobSpec], states: Mapping[str, JobState],
        before: Mapping[str, JobSpec] | None = None,
    ) -> None:  # fmt: skip
        """Put the jobs that are new or changed into the timetable, as the service does."""
        now, before = self.clock.now(), before or {}
        plans = []
        for name, spec in specs.items():
            if before.get(name) is not spec and spec.trigger_from:
                memory = states[name].memory
                trigger = spec.trigger_from(memory, now)
                assert trigger
                since = memory.last_due or now - timedelta.resolution
                plans.append(Plan(name, trigger, since, spec.catch_up, spec.catch_up_window))
        self.timetable.change(plans, before.keys() - specs.keys())

    def reload(self, specs: Mapping[str, JobSpec]) -> None:
        """Run these jobs from now on."""
        before = self.jobs.specs
        self._flush()
        states = self._remember(specs)
        self.world.note("reloaded", value=specs)
        self.world.specs = specs
        self.jobs.adopt(specs, states)
        self._enable(specs, states, before)
        self.board.reread()

    def turn(self) -> None:
        """Let each thread do its turn: the timetable, the workers, the dispatcher."""
        self.timetable._take_posted(0)
        self.timetable.turn()
        self._end_works()
        try:
            self._dispatch()
        except Fenced:
            raise
        except StoreError:
            self.store_fails = True

    def _dispatch(self) -> None:
        if self.store_fails:
            self._flush()
            self.board.reread()
            self.store_fails, self.waited = False, True
        with self.store.transaction(self.holder, self.epoch):  # the lease is renewed
            pass
        self._flush()
        if self.back_to:
            self.jobs.pull_back(self.back_to)
            self.back_to = None
        closed, world = frozenset(self.world.closed), self.world
        self.board.lapse(self._room(), closed, world.told)
        if self.dues:
            world.note("claims", value=(self.waited, self._locked()))
            self.board.claim(self.dues, world.told, waited=self.waited)
            world.note("claimed")
            self.dues.clear()
        self.waited = False
        for attempt in self.board.begin(self._room(), closed, self.timetable.next_run, world.told):
            self.works[attempt.claim.run_id] = world.work_of(attempt)
            world.check_start(self, attempt)

    def _locked(self) -> frozenset[str]:
        return frozenset(work.attempt.spec.name for work in self.stuck.values())

    def _room(self) -> Room:
        return Room(WORKERS - len(self.works), self.world.per_account, self.world.per_server)

    def _end_works(self) -> None:
        """End the attempts whose work is done, or that were told to stop."""
        ticked = self.clock.monotonic()
        for run_id, work in list(self.works.items()):
            if work.attempt.source.error and not work.stuck:
                work.ends = min(work.ends, ticked + 2)
            if work.ends <= ticked:
                del self.works[run_id]
                self._give_up(work) if work.stuck else self._end(work)
        for run_id, work in list(self.stuck.items()):
            if work.ends <= ticked:
                del self.stuck[run_id]
                self.board.ended(work.attempt, None)

    def _give_up(self, work: Working) -> None:
        """Let the thread of an attempt be stuck for some hours."""
        self.board.give_up(self.board.running[work.attempt.claim.run_id])
        end = RunEnd(Outcome("failed", "timeout", "stuck"), self.clock.now(), 1.0)
        self.owed.append((work.attempt, end))
        work.ends += self.world.rng.uniform(600, 20_000)
        self.stuck[work.attempt.claim.run_id] = work

    def _end(self, work: Working) -> None:
        end: RunEnd | None = self._how(work)
        assert end is not None
        try:
            self.owed.append((work.attempt, end))
            self._flush()
        except Fenced:
            end = None
        except StoreError:
            self.store_fails = True
        self.board.ended(work.attempt, end)
        if end and end.outcome.status == "success":
            self._adapt(work.attempt)

    def _how(self, work: Working) -> RunEnd:
        """Return how an attempt ends, and what comes after it, as the runner decides."""
        attempt, now, outcome = work.attempt, self.clock.now(), work.outcome
        stopped = attempt.source.error
        if stopped is not None:
            again = isinstance(stopped, Interrupted) and stopped.retryable
            status: Any = "pending" if again else "cancelled"
            found = Outcome(status, "interrupted", str(stopped))
            return RunEnd(found, now, 1.0, now if again else None, free=again, preempted=again)
        if outcome.status == "failed" and outcome.error_class == "network":
            left = attempt.max_attempts - attempt.claim.attempt
            due = attempt.next_due()
            if following := next_attempt(attempt.spec.retries, left, now, due):
                return RunEnd(replace(outcome, status="pending"), now, 1.0, following)
        return RunEnd(outcome, now, 1.0)

    def _flush(self) -> None:
        """Record the ends that are owed; forget those that are refused."""
        while self.owed:
            attempt, end = self.owed[0]
            try:
                with self.store.transaction():
                    self.store.end_run(attempt.claim, end)
            except Fenced:
                self.owed.pop(0)
                if (self.holder, self.epoch) == (self.store.holder, self.store.epoch):
                    self._stands(attempt, end)
                else:
                    raise
            else:
                self.owed.pop(0)

    def _stands(self, attempt: Attempt, end: RunEnd) -> None:
        """Check that a refused end was recorded already: its answer was lost."""
        row = self.store.runs[attempt.claim.run_id]
        assert row.status in (end.outcome.status, "running")
        assert row.attempt >= attempt.claim.attempt

    def _adapt(self, attempt: Attempt) -> None:
        name, now = attempt.spec.name, self.clock.now()
        try:
            adapted = self.jobs.adapt(attempt.spec, attempt.claim.run_id, attempt.selection)
        except StoreError:
            return
        spec = self.jobs.specs[name] if adapted else None
        if spec and spec.trigger_from:
            memory = self.jobs.of(name).memory
            trigger = spec.trigger_from(memory, now)
            assert trigger
            self.world.note("retimed", name, memory.interval)
            self.timetable.change([Plan(name, trigger, now, spec.catch_up, spec.catch_up_window)])

    def idle_seconds(self) -> float:
        """Return how long nothing will happen, as far as is known."""
        now, ticked = self.clock.now(), self.clock.monotonic()
        table = self.timetable._scheduler
        soon = [table.idle_seconds if table.jobs else DAY]
        soon += [work.ends - ticked for work in [*self.works.values(), *self.stuck.values()]]
        moments = [verdict.until for verdict in self.board.waits.values()]
        for run in self.board.waiting.values():
            moments += [run.gate_by, run.start_by, run.ready_at]
        soon += [(each - now).total_seconds() for each in moments if each and each > now]
        return max(0.0, min(soon))


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

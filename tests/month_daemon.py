"""One process that leads in a simulated world: the real parts of the dispatch, turned by hand.

Its timetable, claims, board and decisions are the real ones; what its workers do is invented.
"""

from collections import Counter
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from memory_ledger import MemoryLedger

from syncd.dispatch.board import Board
from syncd.dispatch.holds import Holds
from syncd.dispatch.job_states import JobStates
from syncd.dispatch.queue import Room
from syncd.dispatch.retry import next_attempt
from syncd.dispatch.runner import Attempt
from syncd.dispatch.spec import JobSpec
from syncd.dispatch.timetable import Plan, Timetable
from syncd.errors import Fenced, Interrupted, StoreError
from syncd.model.run import Due, Outcome, RunId
from syncd.store.job_state import JobState, Schedule
from syncd.store.runs import RunEnd

WORKERS, DAY = 10, 86400.0


@dataclass(frozen=True)
class Fact:
    """Something that happened; `now` is what the wall clock showed."""

    kind: str
    now: datetime
    job: str = ""
    value: Any = None


class Log:
    """A log of which the skips become facts, and in which no bug may be told."""

    def __init__(self, world: Any) -> None:
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
    def item_measured(self, job: str, item: str, measures: Any, at: datetime) -> None: ...
    def error_recorded(self, job: str, error_class: str) -> None: ...


@dataclass
class Working:
    """The work of an attempt: when it will end, of the monotonic clock, and how."""

    attempt: Attempt
    ends: float
    outcome: Outcome
    stuck: bool = False


class Daemon:
    """One process that leads: the parts of the dispatch, turned by hand."""

    def __init__(self, world: Any, holder: str, specs: Mapping[str, JobSpec]) -> None:
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
            self.jobs.reread()
            self.board.reread()
            self.store_fails, self.waited = False, True
        with self.store.transaction(self.holder, self.epoch):  # the lease is renewed
            pass
        self._flush()
        if self.back_to:
            self.board.pull_back(self.back_to)
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
            self.world.note("retimed", name, memory)
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

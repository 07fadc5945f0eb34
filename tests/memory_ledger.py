"""A ledger in memory by the rules of the one in the store, that can be made to fail as that does.

Each act is one transaction: it counts or it does not, and its answer may be lost either way. What
moved the schedule is told, for who wants to check it.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal
from zlib import crc32

from syncd.dispatch.ledger import ClaimedDues
from syncd.errors import Conflict, Fenced, StoreError
from syncd.model.run import RUN_MOVES, Claim, Priority, RunId, Status
from syncd.store.job_state import JobState, Pause, Schedule, Skip
from syncd.store.runs import NewRun, PendingRun, RunEnd, selection_document
from syncd.triggers.base import Memory

Fault = Literal["refused", "unanswered", "killed before", "killed after"]
"""What befalls an act: it did not count, its answer was lost, its process died before or after."""


class Killed(BaseException):
    """The process that did an act was killed."""


@dataclass
class Row:
    """A recorded run."""

    new: NewRun
    created_at: datetime
    max_attempts: int
    priority: Priority
    status: Status = "pending"
    attempt: int = 0
    next_attempt_at: datetime | None = None
    finished_at: datetime | None = None
    interruptions: int = 0
    owner: str | None = None
    epoch: int | None = None
    error: str | None = None
    moves: list[Status] = field(default_factory=list)

    @property
    def final(self) -> bool:
        return not RUN_MOVES[self.status]

    def move(self, to: Status) -> None:
        assert to in RUN_MOVES[self.status] or to == self.status == "running"
        self.status = to
        self.moves.append(to)

    def end(self, to: Status, error: str | None, now: datetime) -> None:
        self.move(to)
        self.finished_at, self.error, self.next_attempt_at = now, error, None


@dataclass(frozen=True)
class Journal:
    """A claim as it was committed, with the active runs of its jobs as they were before."""

    now: datetime
    accounted: Mapping[str, datetime]
    inserted: list[NewRun]
    skips: list[Skip]
    cancelled: set[RunId]
    before: Mapping[str, list[Row]]


class MemoryStore:
    """What all ledgers share: the runs, the jobs' states, and who leads."""

    def __init__(self) -> None:
        self.runs: dict[RunId, Row] = {}
        self.active: dict[str, dict[RunId, Row]] = defaultdict(dict)  # by job
        self.dues: dict[tuple[str, datetime], RunId] = {}
        self.states: dict[str, tuple[str, JobState]] = {}
        self.holder, self.epoch = "", 0
        self.out_of_reach = False
        self.fault: tuple[Fault, int] | None = None
        self.told: Callable[[str, str, object], None] = lambda kind, job, value: None

    @contextmanager
    def transaction(self, holder: str | None = None, epoch: int | None = None) -> Iterator[None]:
        """Reach the store; raises Fenced when somebody else has taken over."""
        if self.out_of_reach:
            raise StoreError("out of reach")
        fault = self._fault()
        if fault == "refused":
            raise StoreError("the connection broke")
        if fault == "killed before":
            raise Killed
        if epoch is not None and (holder, epoch) != (self.holder, self.epoch):
            raise Fenced("another daemon leads the schedule now")
        yield
        if fault == "unanswered":
            raise StoreError("the connection broke at the commit")
        if fault == "killed after":
            raise Killed

    def _fault(self) -> Fault | None:
        """Return what befalls this act; a fault that was planned comes after some more of them."""
        if self.fault is None:
            return None
        kind, left = self.fault
        self.fault = None if left <= 0 else (kind, left - 1)
        return kind if left <= 0 else None

    def lead(self, holder: str) -> int:
        """Take over; return the epoch."""
        self.holder, self.epoch = holder, self.epoch + 1
        return self.epoch

    def insert(self, new: NewRun, now: datetime, *, owner: str | None = None) -> bool:
        """Record a run; False when its due time is recorded. One with an owner runs already."""
        if new.trigger in ("schedule", "catch_up"):
            if (new.job, new.scheduled_for) in self.dues:
                return False
            self.dues[new.job, new.scheduled_for] = new.id
        row = self.runs[new.id] = Row(new, now, new.max_attempts, new.priority)
        self.active[new.job][new.id] = row
        if owner:
            self.begin(row, owner, 0)
        return True

    def begin(self, row: Row, owner: str, epoch: int) -> None:
        """Let a run run; raises Conflict while its job has another that does."""
        others = self.active[row.new.job].values()
        if any(one.status == "running" and one is not row for one in others):
            raise Conflict("another process runs the job")
        row.attempt += row.status != "running"
        row.owner, row.epoch, row.next_attempt_at = owner, epoch, None
        row.move("running")

    def settle(self, row: Row) -> None:
        """Note whether a run is over."""
        if row.final:
            self.active[row.new.job].pop(row.new.id, None)

    def end_run(self, claim: Claim, end: RunEnd) -> None:
        """Record how an attempt ended; raises Fenced when the claim is void."""
        row = self.runs[claim.run_id]
        held = (row.status, row.owner, row.epoch, row.attempt)
        if held != ("running", claim.owner, claim.epoch, claim.attempt):
            raise Fenced("no longer ours to record")
        row.end(end.outcome.status, end.outcome.error, end.finished_at)
        row.next_attempt_at = end.next_attempt_at
        row.max_attempts += end.free
        row.interruptions += end.preempted
        self.settle(row)

    def cancel_pending(self, run_id: RunId, reason: str, now: datetime) -> bool:
        row = self.runs.get(run_id)
        if row is None or row.status != "pending":
            return False
        row.end("cancelled", reason, now)
        self.settle(row)
        return True

    def recover(self, now: datetime) -> None:
        """Give back what dead daemons left running, while it has attempts left."""
        running = [row for rows in self.active.values() for row in rows.values()]
        for row in [one for one in running if one.status == "running"]:
            if row.owner and row.owner.startswith("cli:"):
                continue
            if (row.owner, row.epoch) == (self.holder, self.epoch):
                continue
            again = row.attempt < row.max_attempts
            row.end("pending" if again else "failed", "the process that ran it died", now)
            row.next_attempt_at = now if again else None
            self.settle(row)

    def remember(self, schedules: Mapping[str, Schedule], now: datetime) -> dict[str, JobState]:
        """Take over the jobs of a configuration; return what is remembered of them."""
        if self.out_of_reach:
            raise StoreError("out of reach")
        self.pull_back(now)
        before = self.states
        self.states = {}
        for job, schedule in schedules.items():
            text, state = before.get(job, ("", JobState()))
            if text != schedule.text:
                memory = Memory(schedule.start or state.memory.last_due, None)
                state = replace(state, memory=memory)
            self.states[job] = schedule.text, state
        return {job: state for job, (_, state) in self.states.items()}

    def pull_back(self, now: datetime) -> None:
        for job, (_, state) in list(self.states.items()):
            if state.memory.last_due and state.memory.last_due > now:
                self.change(job, memory=replace(state.memory, last_due=now))

    def change(self, job: str, **changes: object) -> None:
        if job in self.states:
            text, state = self.states[job]
            self.states[job] = text, replace(state, **changes)  # type: ignore[arg-type]

    def last_due(self, job: str) -> datetime | None:
        return self.states[job][1].memory.last_due if job in self.states else None


class MemoryLedger:
    """A `Ledger` in memory, of one leader."""

    def __init__(self, store: MemoryStore, holder: str, epoch: int) -> None:
        self.store, self._holder, self._epoch = store, holder, epoch

    @contextmanager
    def _leading(self) -> Iterator[MemoryStore]:
        with self.store.transaction(self._holder, self._epoch):
            yield self.store

    def states(self) -> Mapping[str, JobState]:
        with self._leading() as store:
            return {job: state for job, (_, state) in store.states.items()}

    def waiting(self, under_way: Collection[RunId], now: datetime) -> list[PendingRun]:
        with self._leading() as store:
            rows = [row for rows in store.active.values() for row in rows.values()]
            for row in rows:
                if self._runs(row) and row.new.id not in under_way:
                    row.move("pending")
                    row.next_attempt_at = now
                    row.max_attempts += 1
            ours = [row for row in rows if row.status == "pending"]
            ours.sort(key=lambda row: (row.created_at, row.new.id.int))
            return [_pending(row) for row in ours]

    def _runs(self, row: Row) -> bool:
        return (row.status, row.owner, row.epoch) == ("running", self._holder, self._epoch)

    def claim(self, dues: ClaimedDues, now: datetime) -> set[RunId]:
        with self._leading() as store:
            before = {job: _copies(store.active[job].values()) for job in dues.accounted}
            made = [run for run in dues.made if store.insert(run, now)]
            new = {run.id for run in made}
            over = {
                run_id
                for run_id, reason, by in dues.over
                if by in new and store.cancel_pending(run_id, reason, now)
            }
            for job, due in dues.accounted.items():
                if job in store.states:
                    memory = store.states[job][1].memory
                    last = max(due, memory.last_due or due)
                    store.change(job, memory=replace(memory, last_due=last))
            for skip in dues.skips:
                store.change(skip.job, skip=skip)
            entry = Journal(now, dict(dues.accounted), made, list(dues.skips), over, before)
            store.told("committed", "", entry)
        return new

    def recorded(self, dues: Collection[tuple[str, datetime]]) -> set[tuple[str, datetime]]:
        with self._leading() as store:
            return {due for due in dues if due in store.dues}

    def add(self, run: NewRun, now: datetime) -> None:
        with self._leading() as store:
            store.insert(run, now)

    def start(self, run_id: RunId, now: datetime) -> Claim | None:
        with self._leading() as store:
            row = store.runs[run_id]
            if row.status != "pending":
                return None
            store.begin(row, self._holder, self._epoch)
        return Claim(run_id, self._holder, self._epoch, row.attempt)

    def cancel(self, run_id: RunId, reason: str, now: datetime, skip: Skip | None = None) -> bool:
        with self._leading() as store:
            if skip:
                store.change(skip.job, skip=skip)
            return store.cancel_pending(run_id, reason, now)

    def cancel_command(self, run_id: RunId, reason: str, now: datetime) -> bool:
        with self._leading() as store:
            row = store.runs.get(run_id)
            if row is None or row.status != "running" or not str(row.owner).startswith("cli:"):
                return False
            row.end("cancelled", reason, now)
            store.settle(row)
            return True

    def prioritise(self, run_id: RunId, priority: Priority) -> bool:
        with self._leading() as store:
            row = store.runs[run_id]
            waits = row.status == "pending"
            row.priority = priority if waits else row.priority
            return waits

    def pause(self, job: str, pause: Pause) -> None:
        with self._leading() as store:
            store.change(job, pause=pause)

    def resume(self, job: str, accounts: Collection[str]) -> None:
        with self._leading() as store:
            store.change(job, pause=None)

    def forget_skip(self, job: str) -> None:
        with self._leading() as store:
            store.change(job, skip=None)

    def set_interval(self, job: str, interval: timedelta) -> None:
        with self._leading() as store:
            if job in store.states:
                memory = store.states[job][1].memory
                store.change(job, memory=replace(memory, interval=interval))
                store.told("adapted", job, interval)

    def changes_of(self, run_id: RunId) -> int:
        """Return a number of changes, by chance but always the same: one run in four has some."""
        with self._leading() as store:
            new = store.runs[run_id].new
            return max(0, crc32(f"{new.job} {new.scheduled_for}".encode()) % 8 - 5)

    def pull_back(self, now: datetime) -> None:
        with self._leading() as store:
            store.pull_back(now)
            store.told("pulled back", "", now)


def _pending(row: Row) -> PendingRun:
    new = row.new
    return PendingRun(
        new.id, new.job, new.trigger, row.priority, row.attempt, row.max_attempts,
        new.scheduled_for, row.created_at, row.next_attempt_at, row.interruptions,
        selection_document(new.selection),
    )  # fmt: skip


def _copies(rows: Collection[Row]) -> list[Row]:
    return [replace(row, moves=[]) for row in rows]

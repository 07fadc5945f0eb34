"""Runs by hand in the process of a command, when no daemon answers: the same code, once."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from uuid import UUID

from syncd.context import BoundLogger, CancelSource, Clock, Deadline
from syncd.control.commands import Json
from syncd.dispatch.holds import Holds
from syncd.dispatch.item import Observer
from syncd.dispatch.planner import plan
from syncd.dispatch.progress import RunProgress
from syncd.dispatch.recorder import Recorder
from syncd.dispatch.runner import Attempt, Runner
from syncd.dispatch.service import rehearsal
from syncd.dispatch.spec import JobSpec
from syncd.dispatch.work import Items
from syncd.errors import Cancelled, Conflict, NotFound
from syncd.model.run import Priority, RunId, Selection, new_run_id
from syncd.operations import planned_documents
from syncd.store import recovery, resources, runs
from syncd.store.database import Store, Transaction
from syncd.store.runs import NewRun

_NO_EPOCH = 0  # a command is no leader; its runs are fenced by their owner and attempt


@dataclass(slots=True)
class _Active:
    attempt: Attempt
    ended: threading.Event  # a join that Ctrl-C breaks off takes the thread for ended (Python 3.11)


@dataclass(slots=True)
class LocalSession:
    """A `control.Commands` of this process, with as many runs at once as are asked for.

    It holds the lock of the state directory, so that a run which another command left behind is
    known to be dead. A run has one attempt: nobody would be there to make another.
    """

    store: Store
    recorder: Recorder
    observer: Observer
    specs: Mapping[str, JobSpec]
    instance: str
    clock: Clock
    log: BoundLogger
    _active: dict[UUID, _Active] = field(default_factory=dict)

    def clear_up(self) -> None:
        """Record what is owed, and close what a killed command or daemon left running here."""
        self.recorder.flush()
        daemon, now = f"daemon:{self.instance}", self.clock.now()
        with self.store.transaction() as tx:
            closed = recovery.close_own(tx, daemon=daemon, local=self._owner, now=now)
        for run_id, job in closed.items():
            self.log.warning("run recovered: its process died", job=job, run=str(run_id))

    @property
    def _owner(self) -> str:
        return f"cli:{self.instance}"

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """Give a transaction to read in."""
        with self.store.transaction() as tx:
            yield tx

    def progress(self) -> Mapping[str, Json]:
        """Return the progress of the runs, by run id."""
        return {str(i): a.attempt.progress.snapshot() for i, a in self._active.items()}

    def waiting(self) -> Sequence[Json]:
        """Return nothing: a run of this process starts at once."""
        return ()

    def trigger(
        self,
        job: str,
        selection: Selection,
        by: str,
        priority: Priority | None = None,
    ) -> UUID:
        """Start a run in a thread of this process; raises Conflict when the job runs elsewhere."""
        spec, now = self._spec(job), self.clock.now()
        new = NewRun(
            new_run_id(now),
            job,
            spec.kind,
            "manual",
            now,
            1,
            spec.config_digest,
            priority or spec.priority,
            by,
            selection,
        )
        try:
            with self.store.transaction() as tx:
                runs.insert(tx, [new], now)
                claim = runs.start(tx, new.id, self._owner, _NO_EPOCH, now)
        except Conflict as error:
            raise Conflict(f"a run of job {job!r} is under way in another process") from error
        if claim is None:
            raise Conflict(f"the run of job {job!r} was taken by another process")
        attempt = Attempt(
            spec=replace(spec, retries=(), isolation="thread"),  # ending the command ends all
            claim=claim,
            scheduled_for=now,
            max_attempts=1,
            selection=selection,
            source=CancelSource(),
            deadline=Deadline.after(spec.timeout.total_seconds()),
            next_due=lambda: None,
            progress=RunProgress(),
            held={},
        )
        work = Items(self.store, self.recorder, self.observer, self.clock)
        holds = Holds(self.store, self.clock, self.log)
        holds.load()  # to free the account of a daemon that waits for better credentials
        runner = Runner({"thread": work}, self.recorder, self.observer, holds, self.clock, self.log)
        active = self._active[new.id] = _Active(attempt, threading.Event())

        def run() -> None:
            try:
                runner.run(attempt)
            finally:
                active.ended.set()

        threading.Thread(target=run, name="syncd-run", daemon=True).start()
        return new.id

    def wait(self, run_id: UUID, seconds: float) -> bool:
        """Wait for the end of a run; tell whether it came."""
        return self._find(run_id).ended.wait(seconds)

    def cancel(self, run_id: UUID, by: str) -> None:
        """Cancel a run of this session."""
        self._find(run_id).attempt.source.cancel(Cancelled(f"cancelled by {by}"))

    def plan(self, job: str, selection: Selection, by: str) -> Sequence[Json]:
        """Return what a run would change."""
        spec = self._spec(job)
        context = rehearsal(spec, selection, self.clock, self.log.bind(requested_by=by))
        return planned_documents(plan(self.store, spec, context, RunProgress()))

    def approve(self, job: str, by: str) -> int:
        """Let the guarded deletions of a job go in its next run."""
        self._spec(job)
        with self.store.transaction() as tx:
            return resources.approve(tx, job, by)

    def close(self) -> None:
        """Cancel what still runs, and wait a moment for its record."""
        for active in self._active.values():
            active.attempt.source.cancel(Cancelled("the command ended"))
        for active in self._active.values():
            active.ended.wait(10)

    def _spec(self, job: str) -> JobSpec:
        if job not in self.specs:
            raise NotFound(f"there is no enabled job {job!r}")
        return self.specs[job]

    def _find(self, run_id: UUID) -> _Active:
        if run_id not in self._active:
            raise NotFound(f"run {RunId(run_id)} is not of this process")
        return self._active[run_id]

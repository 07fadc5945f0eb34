"""The runs that wait and those that run: a mirror of the store's, changed with it.

Only the dispatcher's thread calls what changes the board. Each change is committed to the store
first, so that the board never knows more than the store does.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from syncd.context import BoundLogger, CancelSource, Clock, Deadline
from syncd.dispatch.item import Observer
from syncd.dispatch.progress import RunProgress
from syncd.dispatch.queue import Waiting, next_runs
from syncd.dispatch.runner import Attempt
from syncd.dispatch.spec import JobSpec
from syncd.dispatch.timetable import Due
from syncd.errors import Cancelled, Conflict, Fenced, NotFound, TimedOut
from syncd.model.run import Claim, RunId, Selection, SkipReason, new_run_id
from syncd.store import job_state, runs
from syncd.store.database import Store, Transaction
from syncd.store.leader import Lease
from syncd.store.runs import NewRun, PendingRun, RunEnd

NextDue = Callable[[str], datetime | None]

_GONE: Final = "the job is gone"
_ELSEWHERE: Final = timedelta(seconds=10)
"""How long a run waits for one of the same job in another process."""


class Board:
    """What the dispatcher knows of the active runs."""

    def __init__(self, store: Store, lease: Lease, clock: Clock, log: BoundLogger) -> None:
        self._store, self._lease = store, lease
        self._clock, self._log = clock, log
        self.specs: Mapping[str, JobSpec] = {}
        self.waiting: dict[RunId, Waiting] = {}
        self.running: dict[RunId, Attempt] = {}
        self._begun: dict[RunId, Waiting] = {}  # the running runs, as they waited
        self._final = threading.Condition()

    def active(self, run_id: RunId) -> bool:
        """Tell whether a run waits or runs."""
        return run_id in self.waiting or run_id in self.running

    def adopt(self, tx: Transaction, specs: Mapping[str, JobSpec]) -> None:
        """Take the jobs of a configuration over; cancel what waits of jobs that are gone."""
        now = self._clock.now()
        waiting: dict[RunId, Waiting] = {}
        for run in runs.waiting(tx, self._lease.holder, self._lease.epoch):
            if run.id in self.running:
                continue
            if run.job in specs:
                waiting[run.id] = _waiting(run)
            else:
                runs.cancel_pending(tx, run.id, _GONE, now)
                self._log.warning("run cancelled", reason=_GONE, job=run.job, run=str(run.id))
        self.waiting, self.specs = waiting, specs  # at once, for who reads it meanwhile

    def claim(self, dues: Sequence[Due], observer: Observer) -> None:
        """Make a run of each due time, or account for it as skipped, in one transaction."""
        now = self._clock.now()
        busy = {run.job for run in self.waiting.values()}
        busy |= {attempt.spec.name for attempt in self.running.values()}
        made: list[NewRun] = []
        skipped: list[tuple[str, datetime, SkipReason]] = []
        for due in dues:
            spec = self.specs.get(due.job)
            if spec is None:
                continue
            if due.job in busy:
                skipped.append((due.job, due.at, "overlap"))
                continue
            if due.trigger == "schedule":  # those that were missed are made up for one by one
                busy.add(due.job)
            made.append(_new_run(spec, due, now))
        with self._store.transaction(operation="claim") as tx:
            self._lease.check(tx)
            inserted = runs.insert(tx, made, now)
            job_state.advance(tx, {due.job: due.at for due in sorted(dues, key=lambda d: d.at)})
        again = [run for run in made if run.id not in inserted]
        skipped += [(run.job, run.scheduled_for, "already_made") for run in again]
        for job, at, reason in skipped:
            self._log.warning("due time skipped", job=job, due=at.isoformat(), reason=reason)
            observer.skipped(job, reason)
        self._put(run for run in made if run.id in inserted)

    def request(self, job: str, selection: Selection, by: str) -> RunId:
        """Record a run by hand; one with the same selection that waits for a worker serves.

        One that waits for a further attempt does not: who asks wants it now.
        """
        spec = self.specs.get(job)
        if spec is None:
            raise NotFound(f"there is no enabled job {job!r}")
        now = self._clock.now()
        for run in self.waiting.values():
            wanted = (run.job, run.trigger, run.selection) == (job, "manual", selection)
            if wanted and run.ready_at <= now:
                return run.run_id
        new = NewRun(
            new_run_id(now), job, spec.kind, "manual", now, len(spec.retries) + 1,
            spec.config_digest, by, selection,
        )  # fmt: skip
        with self._store.transaction() as tx:
            self._lease.check(tx)
            runs.insert(tx, [new], now)
        self._put([new])
        return new.id

    def _put(self, made: Iterable[NewRun]) -> None:
        """Let recorded runs wait."""
        now = self._clock.now()
        for run in made:
            self.waiting[run.id] = Waiting(
                run.id, run.job, run.trigger, "normal", run.scheduled_for, now, now,
                run.max_attempts, run.selection,
            )  # fmt: skip

    def begin(self, free: int, next_due: NextDue, observer: Observer) -> Iterator[Attempt]:
        """Start the runs that are next, at most `free`; give each attempt once it is recorded.

        One by one, since the store may be lost between two of them.
        """
        now = self._clock.now()
        self._cancel_jobless(now)
        busy = {attempt.spec.name for attempt in self.running.values()}
        for run in next_runs(self.waiting.values(), busy, free, now):
            try:
                with self._store.transaction(operation="begin") as tx:
                    self._lease.check(tx)
                    claim = runs.start(tx, run.run_id, self._lease.holder, self._lease.epoch, now)
            except Fenced:
                raise
            except Conflict:  # a command line runs the job, on a state directory of its own
                self.waiting[run.run_id] = replace(run, ready_at=now + _ELSEWHERE)
                self._log.warning(
                    "a run waits: another process runs its job", job=run.job, run=str(run.run_id)
                )
                continue
            if claim is None:
                del self.waiting[run.run_id]
                self._notify()
                continue
            attempt = self._attempt(run, claim, next_due)
            self._begun[run.run_id] = run
            self.running[run.run_id] = attempt  # first, so that the run is active throughout
            del self.waiting[run.run_id]
            first = claim.attempt == 1
            due = run.scheduled_for if run.trigger == "schedule" else run.created_at
            delay = (now - due).total_seconds() if first else None
            observer.run_started(run.job, now, delay)
            yield attempt

    def _cancel_jobless(self, now: datetime) -> None:
        """Cancel what waits of jobs that went while its last attempt ran."""
        for run in [run for run in self.waiting.values() if run.job not in self.specs]:
            with self._store.transaction() as tx:
                runs.cancel_pending(tx, run.run_id, _GONE, now)
            del self.waiting[run.run_id]
            self._log.warning("run cancelled", reason=_GONE, job=run.job, run=str(run.run_id))
            self._notify()

    def _attempt(self, run: Waiting, claim: Claim, next_due: NextDue) -> Attempt:
        spec = self.specs[run.job]
        return Attempt(
            spec=spec,
            claim=claim,
            scheduled_for=run.scheduled_for,
            max_attempts=run.max_attempts,
            selection=run.selection,
            source=CancelSource(),
            deadline=Deadline.after(spec.timeout.total_seconds()),
            next_due=lambda: next_due(run.job),
            progress=RunProgress(),
            held={},
        )

    def ended(self, attempt: Attempt, end: RunEnd | None) -> None:
        """Take an attempt off the board; its run waits for the next one, or is over."""
        run_id = attempt.claim.run_id
        run = self._begun.pop(run_id)
        if end is not None and end.next_attempt_at is not None:
            self.waiting[run_id] = replace(
                run, ready_at=end.next_attempt_at, max_attempts=run.max_attempts + end.free
            )
        del self.running[run_id]
        self._notify()

    def expire(self) -> None:
        """Stop the attempts whose time is over."""
        for attempt in self.running.values():
            if attempt.deadline.remaining() <= 0:
                limit = attempt.spec.timeout
                attempt.source.cancel(TimedOut(f"the time limit of {limit} passed"))

    def cancel(self, run_id: RunId, by: str) -> None:
        """Cancel a run that waits or runs, a command's among them; raises Conflict for others.

        Nor can one be cancelled of which a record is owed: the store does not have it as waiting.
        """
        if run_id in self.running:
            self.running[run_id].source.cancel(Cancelled(f"cancelled by {by}"))
            return
        if run_id not in self.waiting:
            with self._store.transaction() as tx:
                if not runs.cancel_command(tx, run_id, f"cancelled by {by}", self._clock.now()):
                    raise Conflict(f"run {run_id} is not active")
            return
        with self._store.transaction() as tx:
            self._lease.check(tx)
            if not runs.cancel_pending(tx, run_id, f"cancelled by {by}", self._clock.now()):
                raise Conflict(f"run {run_id} does not wait in the store: try again")
        del self.waiting[run_id]
        self._notify()

    def wait_final(self, run_id: RunId, seconds: float) -> bool:
        """Wait, in any thread, until a run is not active any more; tell whether it is so."""
        with self._final:
            return self._final.wait_for(lambda: not self.active(run_id), seconds)

    def _notify(self) -> None:
        with self._final:
            self._final.notify_all()


def _waiting(run: PendingRun) -> Waiting:
    """Return a recorded run as it waits on the board."""
    return Waiting(
        run.id, run.job, run.trigger, run.priority, run.scheduled_for, run.created_at,
        run.next_attempt_at or run.created_at, run.max_attempts,
        runs.selection_from(run.selection),
    )  # fmt: skip


def _new_run(spec: JobSpec, due: Due, now: datetime) -> NewRun:
    """Return the run of a due time."""
    return NewRun(
        new_run_id(now), spec.name, spec.kind, due.trigger, due.at, len(spec.retries) + 1,
        spec.config_digest,
    )  # fmt: skip

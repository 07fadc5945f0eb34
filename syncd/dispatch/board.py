"""The runs that wait and those that run: a mirror of the ledger's, changed with it.

Only the dispatcher's thread calls what changes the board. Each change is written to the ledger
first, so that the board never knows more than the store does. What to do is decided in `queue`.
"""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from syncd.context import BoundLogger, CancelSource, Clock, Deadline
from syncd.dispatch.claims import Claims, lapsed_text, skip_reason, standings
from syncd.dispatch.item import Observer
from syncd.dispatch.job_states import JobStates
from syncd.dispatch.ledger import Ledger
from syncd.dispatch.progress import RunProgress
from syncd.dispatch.queue import Closed, Decision, Room, Running, Verdict, Waiting, decide
from syncd.dispatch.runner import Attempt
from syncd.dispatch.spec import JobSpec
from syncd.errors import Cancelled, Conflict, Fenced, Preempted
from syncd.model.run import Claim, Due, Gate, Priority, RunId, Selection, new_run_id
from syncd.store import runs
from syncd.store.job_state import JobState, Skip
from syncd.store.runs import NewRun, PendingRun, RunEnd

NextDue = Callable[[str], datetime | None]

_GONE: Final = "the job is gone"
_ELSEWHERE: Final = timedelta(seconds=10)
"""How long a run waits for one of the same job in another process."""


@dataclass(frozen=True, slots=True)
class Active:
    """A run under way, as it waited, and since when its attempt runs."""

    attempt: Attempt
    run: Waiting
    since: datetime

    def as_running(self) -> Running:
        """Return what the decisions know of it."""
        run, spec, source = self.run, self.attempt.spec, self.attempt.source
        return Running(
            run.run_id, run.job, run.priority, self.since, spec.interruptible,
            source.error is not None, run.interruptions, run.accounts, run.servers,
        )  # fmt: skip


class Board:
    """What the dispatcher knows of the active runs."""

    def __init__(self, ledger: Ledger, jobs: JobStates, clock: Clock, log: BoundLogger) -> None:
        self._ledger, self.jobs = ledger, jobs
        self._clock, self._log = clock, log
        self.waiting: dict[RunId, Waiting] = {}
        self.running: dict[RunId, Active] = {}
        self.stuck: dict[RunId, Active] = {}  # their runs are over, their threads are not
        self._doomed: dict[RunId, str] = {}  # to be cancelled: their cancel came too late to count
        self.waits: Mapping[RunId, Verdict] = {}  # why each run waits, as was decided last
        self._final = threading.Condition()

    def active(self, run_id: RunId) -> bool:
        """Tell whether a run waits or runs."""
        return run_id in self.waiting or run_id in self.running

    def attempts(self) -> list[Attempt]:
        """Return the attempts under way; any thread may ask."""
        return [active.attempt for active in list(self.running.values())]

    def adopt(self, specs: Mapping[str, JobSpec], states: Mapping[str, JobState]) -> None:
        """Take the jobs of a configuration over, with the runs that wait: as a whole, or not."""
        recorded = self._recorded()  # first, since this may fail
        self.jobs.adopt(specs, states)
        self._place(recorded)

    def reread(self) -> None:
        """Take the runs that wait over from the ledger."""
        self._place(self._recorded())

    def _recorded(self) -> list[PendingRun]:
        """Return what waits in the ledger; what it has as begun and nobody does, waits again."""
        under_way = self.running.keys() | self.stuck.keys()
        found = self._ledger.waiting(under_way, self._clock.now())
        return [run for run in found if run.id not in under_way]

    def _place(self, recorded: Iterable[PendingRun]) -> None:
        """Let recorded runs wait, those of jobs that are gone too, until they are dropped."""
        waiting = {run.id: _waiting(run) for run in recorded}
        self.waiting = {  # at once, for who reads it meanwhile
            run_id: self.jobs.placed(run) if run.job in self.jobs.specs else run
            for run_id, run in waiting.items()
        }

    def pull_back(self, now: datetime) -> None:
        """Bring due times, and what runs wait for, back to a clock that was set back."""
        self.jobs.pull_back(now)
        known = self.jobs.specs
        self.waiting = {
            run_id: self.jobs.placed(run) if run.job in known else run
            for run_id, run in self.waiting.items()
        }

    # Runs that come to be

    def claim(self, dues: Sequence[Due], observer: Observer, *, waited: bool = False) -> None:
        """Make a run of each due time, or account for it without one, in one transaction.

        `waited`: the store was out of reach meanwhile.
        """
        now = self._clock.now()
        running = [active.run for active in self.running.values()]
        standing = standings(self.waiting.values(), running, self._locked())
        for job, due in self._with_a_run(dues):
            standing[job].dues.add(due)
        claimed = Claims(self.jobs, standing, now, waited=waited).settle(dues)
        inserted = self._ledger.claim(claimed, now)
        self.jobs.accounted(claimed.accounted)
        again = {
            (run.job, run.scheduled_for): Skip(run.job, run.scheduled_for, "already_made")
            for run in claimed.made
            if run.id not in inserted
        }
        skips = [skip for skip in claimed.skips if (skip.job, skip.due) not in again]
        self._skip([*skips, *again.values()], observer)
        self._put(run for run in claimed.made if run.id in inserted)
        for run_id, reason, by in claimed.over:
            if by in inserted:
                self._cancelled(run_id, reason)

    def _with_a_run(self, dues: Sequence[Due]) -> set[tuple[str, datetime]]:
        """Return the due times that have a run, of jobs with several: it decides about the later.

        Where there is one alone, the ledger tells when it is to get a second run.
        """
        counts = Counter(due.job for due in dues)
        several = [(due.job, due.at) for due in dues if counts[due.job] > 1]
        return self._ledger.recorded(several) if several else set()

    def request(
        self, job: str, selection: Selection, by: str, priority: Priority | None = None
    ) -> RunId:
        """Record a run by hand; an equal one that waits for a worker serves.

        One that waits for a further attempt does not: who asks wants it now.
        """
        spec, now = self.jobs.spec(job), self._clock.now()
        wanted = (job, "manual", selection, priority or spec.priority)
        for run in self.waiting.values():
            if (run.job, run.trigger, run.selection, run.priority) == wanted and not run.attempt:
                return run.run_id
        new = NewRun(
            new_run_id(now), job, spec.kind, "manual", now, len(spec.retries) + 1,
            spec.config_digest, priority or spec.priority, by, selection,
        )  # fmt: skip
        self._ledger.add(new, now)
        self._put([new])
        return new.id

    def _put(self, made: Iterable[NewRun]) -> None:
        """Let recorded runs wait."""
        now = self._clock.now()
        for run in made:
            self.waiting[run.id] = self.jobs.placed(
                Waiting(
                    run.id, run.job, run.trigger, run.priority, run.scheduled_for, now, now, 0,
                    run.max_attempts, run.selection,
                )
            )  # fmt: skip

    def prioritise(self, run_id: RunId, priority: Priority, by: str) -> None:
        """Give a run that waits another priority; raises Conflict for one that does not."""
        if run_id not in self.waiting or not self._ledger.prioritise(run_id, priority):
            raise Conflict(f"run {run_id} does not wait: only a waiting run has a place to change")
        self.waiting[run_id] = replace(self.waiting[run_id], priority=priority)
        self._log.info("priority changed", run=str(run_id), priority=priority, by=by)

    # Runs that are begun, or given up

    def drop_void(self) -> None:
        """Cancel what waits of jobs that are gone, and what was cancelled as its attempt ended."""
        gone = [run_id for run_id, run in self.waiting.items() if run.job not in self.jobs.specs]
        for run_id, reason in {**dict.fromkeys(gone, _GONE), **self._doomed}.items():
            self._ledger.cancel(run_id, reason, self._clock.now())
            self._cancelled(run_id, reason)
            self._doomed.pop(run_id, None)

    def lapse(self, room: Room, closed: Collection[Gate], observer: Observer) -> None:
        """Give up what waited too long; cancel what waits of jobs that are gone."""
        if not self.waiting:
            return
        self.drop_void()
        now = self._clock.now()
        for run, reason in self._decide(room, closed, now).lapsed:
            skip = None if run.attempt else Skip(run.job, run.scheduled_for, skip_reason(reason))
            self._ledger.cancel(run.run_id, lapsed_text(reason), now, skip)
            self._cancelled(run.run_id, lapsed_text(reason))
            self._skip([skip] if skip else [], observer)

    def begin(
        self, room: Room, closed: Collection[Gate], next_due: NextDue, observer: Observer
    ) -> Iterator[Attempt]:
        """Start the runs that are next; give each attempt once it is recorded.

        One by one, since the store may be lost between two of them.
        """
        now = self._clock.now()
        decision = self._decide(room, closed, now)
        self._tell_waits(decision.waits)
        for run_id in decision.interrupt:
            active = self.running[run_id]
            self._log.warning(
                "run interrupted for an urgent one", job=active.run.job, run=str(run_id)
            )
            active.attempt.source.cancel(Preempted("an urgent run needed its place"))
        for run in decision.start:
            claim = None if self._has_a_prober(run, now) else self._start(run, now)
            if claim is None:
                continue
            attempt = self._attempt(run, claim, next_due, now)
            self.running[run.run_id] = Active(attempt, run, now)  # first: it is active throughout
            del self.waiting[run.run_id]
            due = run.scheduled_for if run.trigger == "schedule" else run.created_at
            delay = (now - due).total_seconds() if claim.attempt == 1 else None
            observer.run_started(run.job, now, delay)
            yield attempt

    def _decide(self, room: Room, closed: Collection[Gate], now: datetime) -> Decision:
        waiting = [
            run
            for run in self.waiting.values()
            if run.job in self.jobs.specs and run.run_id not in self._doomed
        ]
        shut = {
            job: verdict
            for job in {run.job for run in waiting}
            if (verdict := self.jobs.gate(job, now))
        }
        running = [active.as_running() for active in self.running.values()]
        return decide(waiting, running, self._locked(), Closed(closed, shut), room, now)

    def _has_a_prober(self, run: Waiting, now: datetime) -> bool:
        """Tell whether a run that began just now tries the credentials that this one waits for."""
        held = self.jobs.holds.gate(self.jobs.specs[run.job], now)
        return held is not None and run.trigger != "manual"

    def _locked(self) -> set[str]:
        """Return the jobs of which a thread is stuck."""
        return {active.run.job for active in self.stuck.values()}

    def _start(self, run: Waiting, now: datetime) -> Claim | None:
        """Record that a run begins; None when it does not after all."""
        try:
            self.jobs.begun(run)
            claim = self._ledger.start(run.run_id, now)
        except Fenced:
            raise
        except Conflict:  # a command line runs the job, on a state directory of its own
            self.waiting[run.run_id] = replace(run, ready_at=now + _ELSEWHERE)
            self._log.warning(
                "a run waits: another process runs its job", job=run.job, run=str(run.run_id)
            )
            return None
        if claim is None:
            self._forget(run.run_id)
        return claim

    def _attempt(self, run: Waiting, claim: Claim, next_due: NextDue, now: datetime) -> Attempt:
        spec = self.jobs.specs[run.job]
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
            held=self.jobs.holds.begin(spec, now, by_hand=run.trigger == "manual"),
        )

    # Runs that end

    def ended(self, attempt: Attempt, end: RunEnd | None) -> None:
        """Take an attempt off the board; its run waits for the next one, or is over."""
        run_id = attempt.claim.run_id
        if active := self.stuck.pop(run_id, None):
            self._log.warning("a stuck thread came back", job=active.run.job, run=str(run_id))
            return
        run = self.running[run_id].run
        if end is not None and end.next_attempt_at is not None:
            again = replace(
                run,
                ready_at=end.next_attempt_at,
                attempt=attempt.claim.attempt,
                max_attempts=run.max_attempts + end.free,
                interruptions=run.interruptions + end.preempted,
            )
            known = run.job in self.jobs.specs  # the job may differ by now, or be gone
            self.waiting[run_id] = self.jobs.placed(again) if known else again
            if isinstance(attempt.source.error, Cancelled):  # after its end was decided
                self._doomed[run_id] = str(attempt.source.error)
        del self.running[run_id]
        self._notify()

    def give_up(self, active: Active) -> None:
        """Lock the job of a run that is over although its thread is stuck."""
        self.stuck[active.run.run_id] = active
        del self.running[active.run.run_id]
        self._notify()

    def cancel(self, run_id: RunId, by: str) -> None:
        """Cancel a run that waits or runs, a command's among them; raises Conflict for others.

        Nor can one be cancelled of which a record is owed: the store does not have it as waiting.
        """
        reason, now = f"cancelled by {by}", self._clock.now()
        if run_id in self.running:
            self.running[run_id].attempt.source.cancel(Cancelled(reason))
        elif run_id not in self.waiting:
            if not self._ledger.cancel_command(run_id, reason, now):
                raise Conflict(f"run {run_id} is not active")
        elif self._ledger.cancel(run_id, reason, now):
            self._forget(run_id)
        else:
            raise Conflict(f"run {run_id} does not wait in the store: try again")

    def _cancelled(self, run_id: RunId, reason: str) -> None:
        """Take a run off that was cancelled in the ledger; stop one that runs."""
        if run_id in self.running:
            self.running[run_id].attempt.source.cancel(Cancelled(reason))
        elif run_id in self.waiting:
            job = self.waiting[run_id].job
            self._log.warning("run cancelled", reason=reason, job=job, run=str(run_id))
            self._forget(run_id)

    def _forget(self, run_id: RunId) -> None:
        del self.waiting[run_id]
        self._notify()

    def wait_final(self, run_id: RunId, seconds: float) -> bool:
        """Wait, in any thread, until a run is not active any more; tell whether it is so."""
        with self._final:
            return self._final.wait_for(lambda: not self.active(run_id), seconds)

    def _notify(self) -> None:
        with self._final:
            self._final.notify_all()

    # What is told

    def _skip(self, skips: Sequence[Skip], observer: Observer) -> None:
        """Remember and tell due times for which no run was started."""
        self.jobs.skipped(skips)
        for skip in skips:
            self._log.warning(
                "due time skipped", job=skip.job, due=skip.due.isoformat(), reason=skip.reason
            )
            observer.skipped(skip.job, skip.reason)

    def _tell_waits(self, waits: Mapping[RunId, Verdict]) -> None:
        """Log each run that begins to wait for something else than its turn."""
        for run_id, verdict in waits.items():
            before = self.waits.get(run_id)
            if before is None or before.reason != verdict.reason:
                say = self._log.debug if verdict.reason in ("worker", "retry") else self._log.info
                until = {"until": verdict.until.isoformat()} if verdict.until else {}
                job = self.waiting[run_id].job
                say("a run waits", job=job, run=str(run_id), reason=verdict.reason, **until)
        self.waits = waits


def _waiting(run: PendingRun) -> Waiting:
    """Return a recorded run as it waits on the board."""
    return Waiting(
        run.id, run.job, run.trigger, run.priority, run.scheduled_for, run.created_at,
        run.next_attempt_at or run.created_at, run.attempt, run.max_attempts,
        runs.selection_from(run.selection), run.interruptions,
    )  # fmt: skip

"""Runs one attempt of a run in the thread that asks, and records how it ended.

This is the one writer of how runs end. Their items' ends are committed with the items' rows and
changes, by `item`, so that counts can't disagree with rows and no job can skip its records. What
can't be recorded because the store is gone goes to the outbox.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from syncd.context import BoundLogger, CancelSource, Clock, Deadline, RunContext
from syncd.dispatch.item import Observer, failure, tell
from syncd.dispatch.progress import ItemReport, RunProgress
from syncd.dispatch.recorder import Recorder
from syncd.dispatch.retry import next_attempt
from syncd.dispatch.spec import JobSpec
from syncd.dispatch.work import Done, Work
from syncd.errors import Cancelled, Fenced, Interrupted, Preempted, describe
from syncd.model.run import Claim, Isolation, Outcome, RunOutcome, Selection
from syncd.store.outbox import Owed
from syncd.store.runs import RunEnd
from syncd.telemetry.logging import bound


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to be run: of what, under which claim and limits."""

    spec: JobSpec
    claim: Claim
    scheduled_for: datetime
    max_attempts: int
    selection: Selection
    source: CancelSource
    deadline: Deadline
    next_due: Callable[[], datetime | None]
    progress: RunProgress
    held: Mapping[str, str]

    def context(self, log: BoundLogger) -> RunContext:
        """Return the context of the run; its items get a log and a report of their own."""
        return RunContext(
            claim=self.claim,
            job_name=self.spec.name,
            scheduled_for=self.scheduled_for,
            deadline=self.deadline,
            cancel=self.source.token,
            selection=self.selection,
            held=self.held,
            log=log.bind(job=self.spec.name, run=str(self.claim.run_id)),
            report=ItemReport(self.progress, self.spec.name),
        )


class Credentials(Protocol):
    """Who remembers which accounts' credentials are refused; safe for threads."""

    def fingerprints(self, spec: JobSpec) -> Mapping[str, str]:
        """Return what the credentials of a job's accounts are told by, as they are now."""

    def note(
        self,
        claim: Claim,
        fingerprints: Mapping[str, str],
        refused: Mapping[str, str],
        answered: Collection[str],
    ) -> None:
        """Take note of the accounts that refused an attempt, with the reason, or answered it.

        Raises Fenced when the attempt's claim is void.
        """


class Announcer(Protocol):
    """Who tells people of runs; only takes note, so that no run waits for it or fails by it."""

    def started(self, job: str, run_id: str) -> None:
        """Hear that a run began, at its first attempt."""

    def ended(self) -> None:
        """Hear that an attempt has ended, and is recorded."""


class Silent:
    """An `Announcer` that tells nobody."""

    def started(self, job: str, run_id: str) -> None:
        """Do nothing."""

    def ended(self) -> None:
        """Do nothing."""


class Runner:
    """Runs attempts, each in the way that its job asks for; safe for threads."""

    def __init__(
        self,
        works: Mapping[Isolation, Work],
        recorder: Recorder,
        observer: Observer,
        credentials: Credentials,
        clock: Clock,
        log: BoundLogger,
        announcer: Announcer | None = None,
    ) -> None:
        self._works, self._recorder, self._observer = works, recorder, observer
        self._credentials, self._clock, self._log = credentials, clock, log
        self._announcer = announcer or Silent()

    def run(self, attempt: Attempt) -> RunEnd | None:
        """Run an attempt and record it; return how it ended, None when it was fenced off."""
        with bound(job=attempt.spec.name, run=str(attempt.claim.run_id)):
            return self._run(attempt)

    def _run(self, attempt: Attempt) -> RunEnd | None:
        began, ctx, spec = self._clock.monotonic(), attempt.context(self._log), attempt.spec
        ctx.log.info("run started", attempt=attempt.claim.attempt)
        if attempt.claim.attempt == 1:
            self._announcer.started(spec.name, str(attempt.claim.run_id))
        try:
            prints = self._fingerprints(spec, ctx.log)
            done = self._works[spec.isolation].do(spec, attempt.claim, ctx, attempt.progress)
            self._note_credentials(attempt.claim, prints, done, ctx.log)
            end = self._end(attempt, done, self._clock.monotonic() - began)
            end = self._record(attempt.claim, end)
        except Fenced as error:
            ctx.log.warning("run abandoned", error=str(error))
            seconds = self._clock.monotonic() - began
            if not attempt.source.given_up:  # else that was told already
                self._observer.run_ended(ctx.job_name, "interrupted", self._clock.now(), seconds)
            return None
        self._tell_metrics(ctx.job_name, end)
        _log_end(ctx.log, end)
        self._announcer.ended()
        return end

    def _fingerprints(self, spec: JobSpec, log: BoundLogger) -> Mapping[str, str]:
        """Return what the credentials are told by, before they are read; never raises."""
        try:
            return self._credentials.fingerprints(spec)
        except Exception as error:  # noqa: BLE001 - told in the log alone
            tell(log, "the accounts' credentials can't be told apart", error)
            return {}

    def _note_credentials(
        self, claim: Claim, prints: Mapping[str, str], done: Done, log: BoundLogger
    ) -> None:
        """Tell which accounts were refused or answered; that must not disturb the run's end."""
        try:
            self._credentials.note(claim, prints, done.refused, done.answered)
        except Fenced:
            raise
        except Exception as error:  # noqa: BLE001 - told in the log alone
            tell(log, "what is known of the accounts' credentials was not kept", error)

    def _record(self, claim: Claim, end: RunEnd) -> RunEnd:
        """Record how an attempt ended; what can't be recorded must not leave the run open."""
        try:
            self._recorder.record(Owed(claim, run=end))
        except Fenced:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the run must end
            self._log.error("the end of a run can't be recorded as it was", error=describe(error))
            plain = Outcome("failed", "internal", "how the run ended could not be recorded")
            end = RunEnd(plain, end.finished_at, end.seconds)
            self._recorder.record(Owed(claim, run=end))
        return end

    def _tell_metrics(self, job: str, end: RunEnd) -> None:
        status = end.outcome.status
        if status == "pending" and not end.free:
            self._observer.run_retried(job)
            return
        outcome: RunOutcome = "interrupted"
        if status in ("success", "failed", "cancelled"):
            outcome = status
        self._observer.run_ended(job, outcome, end.finished_at, end.seconds)

    def _end(self, attempt: Attempt, done: Done, seconds: float) -> RunEnd:
        """Decide what comes after an attempt: nothing, or a further one."""
        ended, outcome = self._clock.now(), done.outcome
        stopped = attempt.source.error if outcome.status != "success" else None
        if isinstance(stopped, Cancelled):  # whatever it was told before, and failed with
            return RunEnd(failure(stopped), ended, seconds)
        if isinstance(stopped, Interrupted) and done.again:  # the daemon stops, or preempts
            waiting, preempted = _waiting(failure(stopped)), isinstance(stopped, Preempted)
            return RunEnd(waiting, ended, seconds, ended, free=True, preempted=preempted)
        if outcome.status == "failed" and done.again:
            left = attempt.max_attempts - attempt.claim.attempt
            following = next_attempt(
                attempt.spec.retries, left, ended, attempt.next_due(), done.retry_after
            )
            if following:
                return RunEnd(_waiting(outcome), ended, seconds, following)
        return RunEnd(outcome, ended, seconds)


def _waiting(outcome: Outcome) -> Outcome:
    """Return the outcome of an attempt after which the run waits for another one."""
    return replace(outcome, status="pending")


def _log_end(log: BoundLogger, end: RunEnd) -> None:
    """Log how an attempt ended."""
    say = log.info if end.outcome.status == "success" else log.error
    if end.outcome.error_class == "interrupted" or end.next_attempt_at:  # asked for, or foreseen
        say = log.warning
    more = {"next_attempt_at": end.next_attempt_at.isoformat()} if end.next_attempt_at else {}
    if end.outcome.error:
        more |= {"error_class": str(end.outcome.error_class), "error": end.outcome.error}
    say("run ended", status=end.outcome.status, seconds=round(end.seconds, 3), **more)

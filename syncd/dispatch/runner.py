"""Runs one attempt of a run in the thread that asks, and records how it ended.

This is the one writer of how items and runs end. An item's rows, its changes and its counts are
committed in one transaction, so that counts can't disagree with rows and no job can skip its
records. What can't be recorded because the store is gone goes to the outbox.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from syncd.context import BoundLogger, CancelSource, Clock, Deadline, RunContext
from syncd.dispatch.item import ItemWork, Observer, Tally, failure, tell
from syncd.dispatch.progress import ItemReport, RunProgress
from syncd.dispatch.recorder import Recorder
from syncd.dispatch.retry import next_attempt
from syncd.dispatch.spec import JobSpec
from syncd.dispatch.workers import in_parallel
from syncd.errors import (
    TEXT_LIMIT,
    ConfigurationError,
    Fenced,
    Interrupted,
    SyncdError,
    describe,
    retryable,
    retryable_classes,
)
from syncd.jobs.base import Job
from syncd.model.run import Claim, Outcome, RunOutcome, Selection, Target
from syncd.store import items
from syncd.store.database import Store
from syncd.store.outbox import Owed
from syncd.store.runs import RunEnd


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
            run_id=self.claim.run_id,
            job_name=self.spec.name,
            attempt=self.claim.attempt,
            scheduled_for=self.scheduled_for,
            deadline=self.deadline,
            cancel=self.source.token,
            selection=self.selection,
            held=self.held,
            log=log.bind(job=self.spec.name, run=str(self.claim.run_id)),
            report=ItemReport(self.progress, self.spec.name),
        )


class Runner:
    """Runs attempts; safe for threads."""

    def __init__(
        self, store: Store, recorder: Recorder, observer: Observer, clock: Clock, log: BoundLogger
    ) -> None:
        self._store, self._recorder, self._observer = store, recorder, observer
        self._clock, self._log = clock, log

    def run(self, attempt: Attempt) -> RunEnd | None:
        """Run an attempt and record it; return how it ended, None when it was fenced off."""
        began, ctx = self._clock.monotonic(), attempt.context(self._log)
        ctx.log.info("run started", attempt=attempt.claim.attempt)
        try:
            outcome, again = self._work(attempt, ctx)
            end = self._end(attempt, outcome, self._clock.monotonic() - began, again=again)
            end = self._record(attempt.claim, end)
        except Fenced as error:
            ctx.log.warning("run abandoned", error=str(error))
            seconds = self._clock.monotonic() - began
            self._observer.run_ended(ctx.job_name, "interrupted", self._clock.now(), seconds)
            return None
        self._tell_metrics(ctx.job_name, end)
        _log_end(ctx.log, end)
        return end

    def _record(self, claim: Claim, end: RunEnd) -> RunEnd:
        """Record how an attempt ended; what can't be recorded must not leave the run open."""
        try:
            self._recorder.record(Owed(claim, run=end))
        except Fenced:
            raise
        except SyncdError as error:
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

    def _work(self, attempt: Attempt, ctx: RunContext) -> tuple[Outcome, bool]:
        """Do the items; return how the attempt went, and whether another may do better."""
        tally = Tally()
        try:
            items_total = self._items(attempt, ctx, tally)
            if tally.failed:  # else all was done before it was told to stop
                ctx.cancel.check()
        except Fenced:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a job raises ends its run alone
            tell(ctx.log, "run failed", error)
            return failure(error), retryable(error)
        finally:
            if tally.fenced:
                raise tally.fenced
        return _judge(tally.failed, items_total), tally.again

    def _items(self, attempt: Attempt, ctx: RunContext, tally: Tally) -> int:
        """Open all items of the attempt before the first is touched, and run them."""
        job = attempt.spec.build()
        targets = {t.name: t for t in job.targets(ctx) if ctx.selection.wants(t)}
        if not targets:
            if ctx.selection != Selection():
                raise ConfigurationError("the job has no target in what was asked for")
            ctx.log.warning("the job has no target")
        with self._store.transaction(ctx.deadline, ctx.cancel) as tx:
            opened, given_up = items.open_items(
                tx, attempt.claim, list(targets.values()), retryable_classes()
            )
        tally.failed.update(given_up)
        attempt.progress.open([item.target for item in opened])
        in_parallel(
            attempt.spec.parallel,
            [self._item(attempt, ctx, job, targets[i.target], i.id, tally) for i in opened],
        )
        return len(opened) + len(given_up)

    def _item(
        self, attempt: Attempt, ctx: RunContext, job: Job[Any], target: Target, item_id: int,
        tally: Tally,
    ) -> ItemWork:  # fmt: skip
        report = ItemReport(attempt.progress, target.name)
        return ItemWork(
            store=self._store, recorder=self._recorder, observer=self._observer,
            clock=self._clock, job=job, claim=attempt.claim,
            ctx=replace(ctx, log=ctx.log.bind(**_names(target)), report=report),
            target=target, item_id=item_id, report=report, progress=attempt.progress, tally=tally,
        )  # fmt: skip

    def _end(self, attempt: Attempt, outcome: Outcome, seconds: float, *, again: bool) -> RunEnd:
        """Decide what comes after an attempt: nothing, or a further one."""
        ended = self._clock.now()
        stopped = attempt.source.error if outcome.status != "success" else None
        if isinstance(stopped, Interrupted) and stopped.retryable:  # the daemon stops
            waiting = replace(failure(stopped), status="pending")
            return RunEnd(waiting, ended, seconds, next_attempt_at=ended, free=True)
        if outcome.status == "failed" and again:
            left = attempt.max_attempts - attempt.claim.attempt
            following = next_attempt(attempt.spec.retries, left, ended, attempt.next_due())
            if following:
                waiting = replace(outcome, status="pending")
                return RunEnd(waiting, ended, seconds, next_attempt_at=following)
        return RunEnd(outcome, ended, seconds)


def _judge(failed: Mapping[str, Outcome], items_total: int) -> Outcome:
    """Return how a run with these failed items ended."""
    if not failed:
        return Outcome("success")
    name, first = next(iter(failed.items()))
    text = f"{len(failed)} of {items_total} items failed; {name}: {first.error}"
    return Outcome("failed", first.error_class, text[:TEXT_LIMIT])


def _names(target: Target) -> dict[str, str]:
    """Return the fields that every log line of an item carries."""
    fields = {
        "item": target.name,
        "account": target.account,
        "region": target.region,
        "server": target.server,
    }
    return {name: value for name, value in fields.items() if value}


def _log_end(log: BoundLogger, end: RunEnd) -> None:
    """Log how an attempt ended."""
    say = log.info if end.outcome.status == "success" else log.error
    if end.outcome.error_class == "interrupted":  # asked for, by a stop or a person
        say = log.warning
    more = {"next_attempt_at": end.next_attempt_at.isoformat()} if end.next_attempt_at else {}
    if end.outcome.error:
        more |= {"error_class": str(end.outcome.error_class), "error": end.outcome.error}
    say("run ended", status=end.outcome.status, seconds=round(end.seconds, 3), **more)

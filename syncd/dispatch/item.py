"""One item of a run, from pending to its final status, whatever happens on the way."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from syncd.context import BoundLogger, Clock, RunContext
from syncd.dispatch.progress import ItemReport, RunProgress
from syncd.dispatch.recorder import write
from syncd.errors import (
    Authentication,
    Cancelled,
    ErrorClass,
    Fenced,
    Interrupted,
    SyncdError,
    describe,
    error_class,
    retry_after,
    retryable,
)
from syncd.jobs.base import Change, Job, Staged
from syncd.model.measures import Measures, measured
from syncd.model.run import (
    Claim,
    Counts,
    ItemOutcome,
    Outcome,
    RunOutcome,
    SkipReason,
    Status,
    Target,
)
from syncd.store import items
from syncd.store.database import Store
from syncd.store.outbox import Owed

_NAMED_IN_LOG = 50  # changes of an item that the log names; the store has them all


class ItemObserver(Protocol):
    """What the items of an attempt tell the metrics; safe for threads."""

    def item_ended(self, job: str, outcome: ItemOutcome, counts: Counts) -> None:
        """Count an item and what it changed."""

    def item_measured(self, job: str, item: str, measures: Measures, at: datetime) -> None:
        """Note what an item that ended tells beside its counts."""

    def error_recorded(self, job: str, error_class: ErrorClass) -> None:
        """Count the error of a run, an item or a resource."""


class Observer(ItemObserver, Protocol):
    """What the dispatch tells the metrics; safe for threads."""

    def skipped(self, job: str, reason: SkipReason) -> None:
        """Count a due time for which no run was made."""

    def run_started(self, job: str, now: datetime, delay: float | None) -> None:
        """Note the start of an attempt, `delay` seconds after it was due if it is the first."""

    def run_retried(self, job: str) -> None:
        """Note that an attempt failed and that another one follows."""

    def run_ended(self, job: str, outcome: RunOutcome, now: datetime, seconds: float) -> None:
        """Count a run that is over, or interrupted."""

    def observe_api(self, provider: str, api: str, outcome: str, seconds: float) -> None:
        """Count a request that an attempt made in a process of its own."""

    def observe_statement(self, operation: str, seconds: float) -> None:
        """Count an operation of the store, as `observe_api` does requests."""


class Records(Protocol):
    """Where the end of an item goes that was not recorded with its rows; safe for threads."""

    def record(self, owed: Owed) -> None:
        """Record an end; raises Fenced when the claim is void."""


@dataclass(slots=True)
class Tally:
    """What the items of an attempt share: how those that failed did, and which accounts are out.

    `answered` are the accounts of which an item was read and applied; `stopped` has tokens too.
    `retry_after` is the longest wait, in seconds, that a server asked for.
    """

    failed: dict[str, Outcome] = field(default_factory=dict)
    again: bool = False
    fenced: Fenced | None = None
    stopped: dict[str, Authentication] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    retry_after: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self, target: Target) -> None:
        """Raise when the target need not be tried: its problem is known."""
        if self.fenced:
            raise self.fenced
        if target.problem:
            raise target.problem
        if target.account in self.stopped:
            raise Authentication(f"not tried: {self.stopped[target.account]}")

    def note(self, target: Target, outcome: Outcome, error: BaseException) -> None:
        """Note that an item failed."""
        with self.lock:
            self.failed[target.name] = outcome
            self.again = self.again or retryable(error)
            self.retry_after = max(self.retry_after, retry_after(error))
            if isinstance(error, Authentication) and (holder := error.holder or target.account):
                self.stopped.setdefault(holder, error)

    def applied(self, target: Target) -> None:
        """Note that an item was read and applied, so that its account's credentials are good."""
        if target.account:
            with self.lock:
                self.answered.add(target.account)


@dataclass(frozen=True, slots=True)
class ItemWork:
    """All that one item needs; calling it runs it, and never raises."""

    store: Store
    records: Records
    observer: ItemObserver
    clock: Clock
    job: Job[Any]
    claim: Claim
    ctx: RunContext
    target: Target
    item_id: int
    report: ItemReport
    progress: RunProgress
    tally: Tally

    def __call__(self) -> None:
        """Run the item and record how it ended."""
        began, started = self.clock.monotonic(), self.clock.now()
        self.progress.note(self.target.name, state="running")

        def end(outcome: Outcome, counts: Counts) -> items.ItemEnd:
            return items.ItemEnd(
                self.item_id, outcome, counts, self.report.details, self.report.errors,
                started, self.clock.now(), self.clock.monotonic() - began,
            )  # fmt: skip

        try:
            done = self._work(end)
        except Fenced as error:
            self.tally.fenced = error
            return
        except BaseException as error:  # noqa: BLE001 - even a library's sys.exit ends it alone
            done = self._failed(end, error)
        self.progress.note(self.target.name, state=done.outcome.status)
        self._tell_metrics(done)
        _log_end(self.ctx.log, done)

    def _tell_metrics(self, end: items.ItemEnd) -> None:
        job, outcome = self.ctx.job_name, end.outcome
        status: ItemOutcome = "success" if outcome.status == "success" else "failed"
        self.observer.item_ended(
            job, "cancelled" if outcome.status == "cancelled" else status, end.counts
        )
        measures = measured(end.details)
        if status == "failed" and end.counts == Counts():  # the next attempt tells its bytes again
            measures = replace(measures, bytes=0)
        if measures:
            self.observer.item_measured(job, self.target.name, measures, end.finished_at)
        classes = [error.error_class for error in end.errors]
        for error in [*classes, *([outcome.error_class] if outcome.error_class else [])]:
            self.observer.error_recorded(job, error)

    def _work(self, end: Callable[[Outcome, Counts], items.ItemEnd]) -> items.ItemEnd:
        """Read the target, and write its rows and its record in one transaction."""
        ctx = self.ctx
        self.tally.check(self.target)
        ctx.check()
        with self.store.transaction(ctx.deadline, ctx.cancel) as tx:
            items.start_item(tx, self.claim, self.item_id, self.clock.now())
        staged = self.job.read(ctx, self.target)
        try:
            with self.store.transaction(ctx.deadline, ctx.cancel, operation="apply") as tx:
                applied = self.job.apply(tx, ctx, staged)
                changes = self.job.changes(tx, ctx, staged, _NAMED_IN_LOG + 1)
                outcome = Outcome("success") if not applied.failure else failure(applied.failure)
                done = end(outcome, applied.counts)
                write(tx, Owed(self.claim, item=done))
        except BaseException:
            self._discard(staged)
            raise
        self.tally.applied(self.target)
        if applied.failure:
            self.tally.note(self.target, outcome, applied.failure)
        _log_changes(ctx.log, changes)
        return done

    def _discard(self, staged: Staged) -> None:
        """Drop what was staged; what that raises must not hide why it is dropped."""
        try:
            staged.discard()
        except Exception as error:  # noqa: BLE001 - told in the log alone
            tell(self.ctx.log, "staged rows were left behind", error)

    def _failed(
        self, end: Callable[[Outcome, Counts], items.ItemEnd], error: BaseException
    ) -> items.ItemEnd:
        """Record an item whose work raised."""
        tell(self.ctx.log, "item failed", error)
        outcome = failure(error)
        done = end(outcome, Counts())
        self.tally.note(self.target, outcome, error)
        try:
            record_end(self.records, Owed(self.claim, item=done), self.ctx.log)
        except Fenced as fenced:
            self.tally.fenced = fenced
        return done


def record_end(records: Records, owed: Owed, log: BoundLogger) -> None:
    """Record an item's end; without what the job reported when that is what can't be recorded.

    Raises Fenced.
    """
    try:
        records.record(owed)
    except Fenced:
        raise
    except Exception as error:
        if owed.item is None:
            raise
        tell(log, "an item's report can't be recorded", error)
        records.record(replace(owed, item=replace(owed.item, details={}, errors=())))


def failure(error: BaseException) -> Outcome:
    """Return the outcome of what ended with an error."""
    status: Status = "cancelled" if isinstance(error, Cancelled) else "failed"
    return Outcome(status, error_class(error), describe(error))


def tell(log: BoundLogger, event: str, error: BaseException) -> None:
    """Log an error: what was asked for or may pass as a warning, a bug in full.

    An error that may pass and does not is told as one where the run ends.
    """
    if isinstance(error, Interrupted):
        log.warning(event.replace("failed", "interrupted"), error=describe(error))
    elif isinstance(error, SyncdError):
        say = log.warning if error.retryable else log.error
        say(event, error_class=error.error_class, error=describe(error))
    else:
        log.error(event, error_class="internal", error=describe(error), exc_info=error)


def _log_changes(log: BoundLogger, changes: Sequence[Change]) -> None:
    """Name what was added, deleted or restored; updates in less important lines."""
    for change in changes[:_NAMED_IN_LOG]:
        say = log.debug if change.change == "updated" else log.info
        say(f"{change.thing} {change.change}", resource=change.resource_id, name=change.name)
    if len(changes) > _NAMED_IN_LOG:
        log.info("more changes are in the store", named=_NAMED_IN_LOG)


def _log_end(log: BoundLogger, end: items.ItemEnd) -> None:
    """Log how an item ended, and each resource that had an error."""
    for error in end.errors:
        log.warning("resource failed", resource=error.resource_id, error=error.error)
    counts = end.counts
    log.info(
        "item ended", status=end.outcome.status, seconds=round(end.seconds, 3),
        fetched=counts.total, added=counts.added, updated=counts.updated,
        deleted=counts.deleted, unchanged=counts.unchanged, failed=counts.errors,
    )  # fmt: skip

"""Does the items of one attempt; what becomes of the run then is the runner's affair.

A part of its own, since an attempt is worked on in a worker's thread or in a process of its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from syncd.context import BoundLogger, Clock, RunContext
from syncd.dispatch.item import ItemObserver, ItemWork, Records, Tally, failure, tell
from syncd.dispatch.meanwhile import Meanwhile
from syncd.dispatch.progress import ItemReport, RunProgress
from syncd.dispatch.spec import JobSpec
from syncd.dispatch.targets import chosen
from syncd.dispatch.workers import in_parallel
from syncd.errors import (
    TEXT_LIMIT,
    Authentication,
    Fenced,
    retry_after,
    retryable,
    retryable_classes,
)
from syncd.jobs.base import Job
from syncd.model.run import Claim, Outcome, Target
from syncd.store import items
from syncd.store.database import Store
from syncd.telemetry.logging import bound


@dataclass(frozen=True, slots=True)
class Done:
    """How the work of an attempt went; `again` where another attempt may do better.

    `refused` names the accounts and tokens that were refused now, with the reason; `answered` those
    accounts of which an item was read and applied, and the tokens of a success or a login.
    `retry_after` is in seconds, as servers asked.
    """

    outcome: Outcome
    again: bool = False
    refused: Mapping[str, str] = field(default_factory=dict)
    answered: frozenset[str] = frozenset()
    retry_after: float = 0.0


class Work(Protocol):
    """A way to do the items of an attempt."""

    def do(self, spec: JobSpec, claim: Claim, ctx: RunContext, progress: RunProgress) -> Done:
        """Do and record all items; whatever befalls them is told by what is returned.

        Raises Fenced alone.
        """


@dataclass(frozen=True, slots=True)
class Items:
    """Does the items in this process, in threads of the caller's."""

    store: Store
    records: Records
    observer: ItemObserver
    clock: Clock

    def do(self, spec: JobSpec, claim: Claim, ctx: RunContext, progress: RunProgress) -> Done:
        """Do the items, as `Work` says."""
        began = self.clock.monotonic()
        tally = Tally(stopped={name: Authentication(why) for name, why in ctx.held.items()})
        try:
            items_total = self._all(spec, claim, ctx, progress, tally)
            if tally.again:  # else all was done, for good or bad, before it was told to stop
                ctx.cancel.check()
            outcome = _judge(tally.failed, items_total)
            done = Done(outcome, tally.again, retry_after=tally.retry_after)
        except Fenced:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a job raises ends its run alone
            done = ended_by(error, ctx.log)
        finally:
            if tally.fenced:
                raise tally.fenced
        refused = {name: str(why) for name, why in tally.stopped.items() if name not in ctx.held}
        proved = spec.tokens if done.outcome.status == "success" else ()
        answered = tally.answered.union(proved).difference(ctx.held).union(spec.logged_in(began))
        return replace(done, refused=refused, answered=frozenset(answered))

    def _all(
        self, spec: JobSpec, claim: Claim, ctx: RunContext, progress: RunProgress, tally: Tally
    ) -> int:
        """Open all items of the attempt before the first is touched, and run them."""
        job = spec.build()
        targets = {target.name: target for target in chosen(spec, job, ctx)}
        if not targets:
            ctx.log.warning("the job has no target")
        with self.store.transaction(ctx.deadline, ctx.cancel) as tx:
            opened, given_up = items.open_items(
                tx, claim, list(targets.values()), retryable_classes()
            )
        tally.failed.update(given_up)
        progress.open([item.target for item in opened])

        def work(item: items.Item) -> Callable[[], None]:
            target = targets[item.target]
            return _bound(
                self._item(job, claim, ctx, target, item.id, progress, tally), _names(target)
            )

        in_parallel(spec.parallel, [work(item) for item in opened])
        return len(opened) + len(given_up)

    def _item(
        self, job: Job[Any], claim: Claim, ctx: RunContext, target: Target, item_id: int,
        progress: RunProgress, tally: Tally,
    ) -> ItemWork:  # fmt: skip
        ctx = replace(ctx, log=ctx.log.bind(**_names(target)))
        report = ItemReport(progress, target.name, Meanwhile(self.store, ctx, self.clock, item_id))
        return ItemWork(
            store=self.store, records=self.records, observer=self.observer, clock=self.clock,
            job=job, claim=claim, ctx=replace(ctx, report=report),
            target=target, item_id=item_id, report=report, progress=progress, tally=tally,
        )  # fmt: skip


def ended_by(error: BaseException, log: BoundLogger) -> Done:
    """Tell of an error that ended the work as a whole, and return how it went."""
    tell(log, "run failed", error)
    return Done(failure(error), retryable(error), retry_after=retry_after(error))


def _judge(failed: Mapping[str, Outcome], items_total: int) -> Outcome:
    """Return how the work with these failed items went."""
    if not failed:
        return Outcome("success")
    name, first = next(iter(failed.items()))
    text = f"{len(failed)} of {items_total} items failed; {name}: {first.error}"
    return Outcome("failed", first.error_class, text[:TEXT_LIMIT])


def _bound(work: ItemWork, names: Mapping[str, str]) -> Callable[[], None]:
    """Return the work of an item, all of whose log lines bear these names."""

    def do() -> None:
        with bound(**names):
            work()

    return do


def _names(target: Target) -> dict[str, str]:
    """Return the fields that every log line of an item carries."""
    fields = {
        "item": target.name,
        "account": target.account,
        "region": target.region,
        "server": target.server,
    }
    return {name: value for name, value in fields.items() if value}

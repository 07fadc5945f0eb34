"""What a run would change, found out without changing it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from syncd.context import RunContext
from syncd.dispatch.progress import ItemReport, RunProgress
from syncd.dispatch.spec import JobSpec
from syncd.dispatch.targets import chosen
from syncd.errors import SyncdError, describe
from syncd.jobs.base import Change, Job
from syncd.model.run import Counts, Target
from syncd.store.database import Store


@dataclass(frozen=True, slots=True)
class Planned:
    """What a run would do to one target; `error` is why it would fail."""

    target: str
    counts: Counts
    changes: Sequence[Change]
    error: SyncdError | None = None
    details: Mapping[str, object] = field(default_factory=dict)


def plan(
    store: Store, spec: JobSpec, context: Callable[[ItemReport], RunContext], progress: RunProgress
) -> list[Planned]:
    """Do a run's reading and its apply, in transactions that are rolled back.

    Nothing is recorded: a plan is no run. Raises what the finding of the targets raises.
    """
    ctx = context(ItemReport(progress, spec.name))
    job = spec.build()
    targets = chosen(spec, job, ctx)
    progress.open([target.name for target in targets])
    planned = []
    for target in targets:
        progress.note(target.name, state="running")
        report = ItemReport(progress, target.name)
        one = _plan_item(store, job, replace(ctx, report=report), target)
        one = replace(one, details=report.details)
        progress.note(target.name, state="failed" if one.error else "success")
        planned.append(one)
    return planned


def _plan_item(store: Store, job: Job[Any], ctx: RunContext, target: Target) -> Planned:
    """Plan one target; what it raises is part of the plan."""
    if target.problem:
        return Planned(target.name, Counts(), (), target.problem)
    try:
        staged = job.read(ctx, target)
        try:
            with store.transaction(ctx.deadline, ctx.cancel, rehearse=True) as tx:
                applied = job.apply(tx, ctx, staged)
                changes = job.changes(tx, ctx, staged, None)
        finally:
            staged.discard()
    except Exception as error:  # noqa: BLE001 - whatever befalls one target leaves the others
        ctx.cancel.check()
        known = error if isinstance(error, SyncdError) else SyncdError(describe(error))
        return Planned(target.name, Counts(), (), known)
    return Planned(target.name, applied.counts, changes, applied.failure)

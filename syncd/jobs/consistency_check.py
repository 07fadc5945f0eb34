"""Jobs of kind `consistency_check`: each pair of tables is an item, which fails if they differ.

All is done in `read`; `apply` has nothing to write but counts. A plan is the check without repair.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from syncd.checks.check import Check, Repair
from syncd.checks.findings import MASKED, Different, Result, details
from syncd.context import Clock, RunContext
from syncd.copies.mending import Mend
from syncd.copies.rejects import shown_key
from syncd.engines.sides import Sides
from syncd.engines.tables import Tables
from syncd.errors import BadData
from syncd.jobs.base import Applied, Change
from syncd.model.check import CheckRules
from syncd.model.copy import CopyRules, RejectedRow
from syncd.model.run import Counts, Target
from syncd.store import rejected_rows
from syncd.store.database import Store, Transaction


@dataclass(frozen=True, slots=True)
class ConsistencyCheckSettings:
    """What a job of this kind is told: what is compared, and by the items' names what repairs it.

    `side` and `tables` give those of a server.
    """

    rules: Sequence[CheckRules]
    side: Callable[[str], Sides]
    copies: Mapping[str, CopyRules]
    tables: Callable[[str], Tables]


@dataclass(frozen=True, slots=True)
class Checked:
    """A comparison that was made."""

    rules: CheckRules
    key: tuple[str, ...]
    result: Result

    def discard(self) -> None:
        """Do nothing: what was repaired stands in the target."""


class ConsistencyCheckJob:
    """Compares tables."""

    def __init__(
        self, store: Store, settings: ConsistencyCheckSettings, clock: Clock
    ) -> None:  # fmt: skip
        self._store, self._settings, self._clock = store, settings, clock

    def targets(self, ctx: RunContext) -> list[Target]:  # noqa: ARG002 - they are configured
        """Return what is compared."""
        return [
            Target(each.name, server=each.right.server, table=each.name)
            for each in self._settings.rules
        ]

    def read(self, ctx: RunContext, target: Target) -> Checked:
        """Compare two sides, and repair the right one where that is asked for."""
        rules = next(each for each in self._settings.rules if each.name == target.name)
        left, right = (
            (self._settings.side(each.server), each) for each in (rules.left, rules.right)
        )
        check, began = Check(ctx, rules, left, right, self._clock.now()), self._clock.monotonic()
        result, key = check.run(self._repair(ctx, rules))
        seconds = round(self._clock.monotonic() - began, 3)
        told = details(result, key, rules.masked) | {"seconds": seconds}
        for name, value in (told | {"left": str(rules.left), "right": str(rules.right)}).items():
            ctx.report.detail(name, value)
        say = ctx.log.info if result.equal else ctx.log.warning
        say(
            "sides compared", result=str(result), left_rows=result.left_rows,
            right_rows=result.right_rows, ranges=result.parts, repaired=result.repaired,
            transferred_bytes=result.received, seconds=seconds,
        )  # fmt: skip
        return Checked(rules, key, result)

    def apply(self, tx: Transaction, ctx: RunContext, staged: Checked) -> Applied:  # noqa: ARG002
        """Count the rows: those that differ are errors; fail the item when that is asked for."""
        result, failure = staged.result, None
        if not result.equal and staged.rules.on_difference == "fail":
            failure = Different(str(result))
        return Applied(_counts(result), failure)

    def changes(
        self,
        tx: Transaction,  # noqa: ARG002 - the store knows nothing of what is compared
        ctx: RunContext,
        staged: Checked,
        limit: int | None,
    ) -> list[Change]:
        """Return in a plan the rows that differ; those of a run are in its details."""
        if not ctx.rehearsal:
            return []
        masked = staged.rules.masked
        return [
            Change(
                f"only {each.only}" if each.only else "differs",
                MASKED if masked & set(staged.key) else shown_key(each.key), "",
                {
                    name: [MASKED, MASKED] if name in masked else list(both)
                    for name, both in each.columns.items()
                },
                "row",
            )
            for each in staged.result.differences[:limit]
        ]  # fmt: skip

    def _repair(self, ctx: RunContext, rules: CheckRules) -> Repair | None:
        """Return what mends rows that differ, None where nothing is to."""
        if not rules.repair or ctx.rehearsal:
            return None
        copied = self._settings.copies.get(rules.name)
        if copied is None:
            raise BadData(f"no copy has an item {rules.name}, which would repair it")
        reject = partial(self._put_aside, ctx, copied)
        return partial(_mended, Mend(ctx, copied, self._settings.tables, reject))

    def _put_aside(self, ctx: RunContext, rules: CopyRules, rows: Sequence[RejectedRow]) -> None:
        with self._store.transaction(ctx.deadline, ctx.cancel) as tx:
            rejected_rows.put_aside(
                tx, ctx.claim, rules.name, str(rules.target), rows, self._clock.now()
            )


def _mended(mend: Mend, result: Result) -> int:
    """Copy the rows that differ; those of the right side alone are the copy's rules' to judge.

    None is deleted where the left side has no row, nor where more may differ than were found: the
    guard would let a large table go bit by bit.
    """
    found = result.found
    gone = found.right if result.left_rows and not result.skipped else []
    return mend.rows([*found.left, *found.differ], gone, result.right_rows or 0)


def _counts(result: Result) -> Counts:
    """Count each row once; of counts and aggregates alone, the one difference."""
    differing = len(result.found) or (0 if result.equal else 1)
    rows = max(result.left_rows or 0, result.right_rows or 0, differing)
    mended = min(result.repaired, rows - differing)
    return Counts(
        total=rows, updated=mended, unchanged=rows - differing - mended, errors=differing
    )  # fmt: skip

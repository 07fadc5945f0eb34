"""Jobs of kind `table_copy`: each of their tables is an item.

All is done in `read`, in the target's own transactions; `apply` has nothing to write but counts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from syncd.context import Clock, RunContext
from syncd.copies.copying import Copied, Copy
from syncd.copies.rejects import shown_key
from syncd.engines.tables import Tables
from syncd.jobs.base import Applied, Change
from syncd.model.copy import CopyRules, RejectedRow
from syncd.model.run import Target
from syncd.store import rejected_rows
from syncd.store.database import Store, Transaction


@dataclass(frozen=True, slots=True)
class TableCopySettings:
    """What a job of this kind is told: its tables; `tables` gives those of a server."""

    rules: Sequence[CopyRules]
    tables: Callable[[str], Tables]


@dataclass(frozen=True, slots=True)
class Done:
    """A copy that was made, or in a plan what one would do."""

    rules: CopyRules
    copied: Copied

    def discard(self) -> None:
        """Do nothing: what was copied stands in the target."""


class TableCopyJob:
    """Copies tables."""

    def __init__(self, store: Store, settings: TableCopySettings, clock: Clock) -> None:
        self._store, self._settings, self._clock = store, settings, clock

    def targets(self, ctx: RunContext) -> list[Target]:  # noqa: ARG002 - they are configured
        """Return the tables."""
        return [
            Target(each.name, server=each.target.server, table=each.name)
            for each in self._settings.rules
        ]

    def read(self, ctx: RunContext, target: Target) -> Done:
        """Copy a table."""
        rules = next(each for each in self._settings.rules if each.name == target.name)
        reject = partial(self._put_aside, ctx, rules)
        return Done(rules, Copy(ctx, self._clock, rules, self._settings.tables, reject).make())

    def apply(self, tx: Transaction, ctx: RunContext, staged: Done) -> Applied:  # noqa: ARG002
        """Count what was copied, of all attempts of the run."""
        return Applied(staged.copied.counts, staged.copied.failure)

    def changes(
        self,
        tx: Transaction,  # noqa: ARG002 - the store knows nothing of the target's rows
        ctx: RunContext,
        staged: Done,
        limit: int | None,
    ) -> list[Change]:
        """Return what was made of the table itself; in a plan, some of the rows too."""
        rules, copied = staged.rules, staged.copied
        name = f"{rules.target.schema}.{rules.target.table}"
        columns: dict[str, object] = {"columns": [column.name for column in copied.made]}
        told = [Change("added", place, "", {}, "schema") for place in copied.places]
        if copied.made:
            told += [Change("added" if copied.created else "updated", name, "", columns, "table")]
        if ctx.rehearsal:
            told += _rows(name, copied)
        return told[:limit]

    def _put_aside(self, ctx: RunContext, rules: CopyRules, rows: Sequence[RejectedRow]) -> None:
        with self._store.transaction(ctx.deadline, ctx.cancel) as tx:
            rejected_rows.put_aside(
                tx, ctx.claim, rules.name, str(rules.target), rows, self._clock.now()
            )


def _rows(table: str, copied: Copied) -> list[Change]:
    """Return the first rows that a run would add, update, delete and put aside."""
    samples = copied.samples
    told = [
        Change(change, shown_key(key), table, {}, "row")
        for change, keys in {
            "added": samples.added, "updated": samples.updated, "deleted": samples.deleted,
        }.items()
        for key in keys
    ]  # fmt: skip
    rejected = [
        Change("rejected", each.key, table, {"error": each.error}, "row")
        for each in samples.rejected
    ]
    return [*told, *rejected]

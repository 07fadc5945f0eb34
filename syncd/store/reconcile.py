"""The one compare-and-apply step, for any table with a scope, a key and compared columns.

`begin` loads the keys and digests of a scope, pages stream past them (`model.diff`), `stage` puts
aside what differs without holding a connection between pages, and `apply` writes it set-based in
the caller's transaction, with the changes. Its cost grows with what changed, not with what stands.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

from psycopg import sql
from psycopg.types.json import Jsonb

from syncd.context import RunContext
from syncd.errors import BadData, StoreError, TimedOut
from syncd.model.deletion import Missing
from syncd.model.diff import Comparison, Difference
from syncd.model.run import RunId
from syncd.store.database import Store, Transaction
from syncd.store.reconcile_sql import Shape, Statements


@dataclass(frozen=True, slots=True)
class Standing:
    """What the store holds of a scope when a listing begins."""

    comparison: Comparison
    size: int
    missing: Mapping[str, Missing]
    now: datetime  # of the store's clock


@dataclass(frozen=True, slots=True)
class Write:
    """What to write besides the staged rows: constants of all rows, and keys by their fate."""

    run_id: RunId
    constants: Mapping[str, object]
    returned: Collection[str] = ()
    mark: Collection[str] = ()
    delete: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """How many rows each kind of change touched; `same` were staged but did not differ."""

    added: int
    updated: int
    restored: int
    deleted: int
    same: int


@dataclass(slots=True)
class Reconcile:
    """One scope of one table, reconciled once."""

    store: Store
    shape: Shape
    scope: Mapping[str, str]
    stage_id: UUID = field(default_factory=uuid4)
    staged: int = 0

    @property
    def _sql(self) -> Statements:
        return self.shape.statements

    def begin(self, ctx: RunContext) -> Standing:
        """Load the living keys of the scope with their digests, and what earlier runs missed."""
        with self.store.transaction(ctx.deadline, ctx.cancel, operation="load") as tx:
            with tx.cursor("known") as rows:  # on the server: here each would take 100 bytes more
                rows.itersize = 10_000
                rows.execute(self._sql.known, self.scope, binary=True)
                known: dict[str, bytes] = dict(rows)
            marked = tx.execute(self._sql.marked, self.scope).fetchall()
            (now,) = tx.execute("select now()").fetchone() or ()
        missing = {key: Missing(since, runs) for key, since, runs in marked}
        return Standing(Comparison(known, frozenset(missing)), len(known), missing, now)

    def stage(
        self, ctx: RunContext, differences: Sequence[Difference]
    ) -> list[tuple[str, BadData]]:
        """Put differing rows aside, in a transaction of their own; return those that can't be.

        A row that the store refuses is found by halves, so that it does not take others with it.
        """
        if not differences:
            return []
        try:
            with self.store.transaction(ctx.deadline, ctx.cancel, operation="stage") as tx:
                self._copy(tx, differences)
        except (BadData, UnicodeEncodeError) as error:
            if len(differences) == 1:
                return [(differences[0].row.key, _bad(error))]
            middle = len(differences) // 2
            return self.stage(ctx, differences[:middle]) + self.stage(ctx, differences[middle:])
        self.staged += len(differences)
        return []

    def _copy(self, tx: Transaction, differences: Iterable[Difference]) -> None:
        """COPY rows into the staging table."""
        columns = self.shape.staged
        with tx.cursor().copy(self._sql.copy) as copy:
            for difference in differences:
                values = difference.row.values
                copy.write_row(
                    (
                        self.stage_id,
                        difference.row.key,
                        *(_adapted(values[column]) for column in columns),
                        difference.digest,
                    )
                )

    def apply(self, tx: Transaction, write: Write) -> Written:
        """Write the staged rows and the fates of keys, with their changes, in one transaction.

        The caller sees to it that nobody else writes the scope meanwhile (it locks a row of it).
        """
        arguments = {
            **self.scope,
            **write.constants,
            "stage": self.stage_id,
            "run_id": write.run_id,
        }
        counts: dict[str, int] = {}
        if self.staged:
            for statement in (self._sql.update, self._sql.insert):
                counts |= tx.execute(statement, arguments).fetchall()
            self._clear(tx)
        for statement, keys in (
            (self._sql.found, write.returned),
            (self._sql.mark, write.mark),
            (self._sql.delete, write.delete),
        ):
            if keys:
                cursor = tx.execute(statement, {**arguments, "keys": list(keys)})
                counts |= cursor.fetchall() if cursor.description else []
        changed = {name: counts.get(name, 0) for name in ("added", "updated", "restored")}
        same = self.staged - sum(changed.values())
        return Written(**changed, deleted=counts.get("deleted", 0), same=same)

    def _clear(self, tx: Transaction) -> None:
        """Empty the stage; raise StoreError if rows were lost, as unlogged ones are in a crash."""
        cleared = tx.execute(self._sql.clear, {"stage": self.stage_id}).rowcount
        if cleared != self.staged:
            raise StoreError(f"{self.staged - cleared} of {self.staged} staged rows were lost")

    def changes(
        self, tx: Transaction, run_id: RunId, limit: int | None
    ) -> list[tuple[str, str, str, dict[str, object]]]:
        """Return the changes of this scope that a run wrote: (change, key, label, fields)."""
        arguments = {**self.scope, "run_id": run_id, "limit": limit}
        return tx.execute(self._sql.changes, arguments).fetchall()

    def discard(self) -> None:
        """Drop what was staged, what a broken connection left uncounted among it.

        A store that is out of reach drops it when a daemon takes it over next.
        """
        with suppress(StoreError, TimedOut), self.store.transaction() as tx:
            tx.execute(self._sql.clear, {"stage": self.stage_id})


def clear_stages(tx: Transaction, shapes: Iterable[Shape]) -> None:
    """Empty the staging tables of what a killed process left behind.

    Raises StoreError while somebody stages rows: a frozen process may never come to an end.
    """
    for shape in shapes:
        table = sql.Identifier("syncd", shape.stage)
        tx.execute(sql.SQL("lock table {} in access exclusive mode nowait").format(table))
        tx.execute(sql.SQL("truncate {}").format(table))


def _bad(error: BadData | UnicodeEncodeError) -> BadData:
    """Return why a row can't be stored."""
    return error if isinstance(error, BadData) else BadData("a text is not valid Unicode")


def _adapted(value: object) -> object:
    """Return a value as the driver's COPY takes it: JSON documents (bytes, maps) and arrays."""
    if isinstance(value, bytes):
        return value.decode()  # a JSON document: COPY's text goes into jsonb as it is
    if isinstance(value, Mapping):
        return Jsonb(value)
    return list(value) if isinstance(value, tuple) else value

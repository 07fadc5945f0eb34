"""Jobs of kind `backup`: dump the embedded store, and remove the dumps that are too many.

A dump is a file and not a row: `read` makes it, and `apply` only records. It counts as what was
added, and those it takes the place of as deleted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from syncd.context import Clock, RunContext
from syncd.jobs.base import Applied, Change
from syncd.model.run import Counts, Target
from syncd.store.backups import Backups, Dump, database_bytes
from syncd.store.database import Store, Transaction
from syncd.store.embedded.databases import drop_leftovers

_TARGET: Final = "store"


@dataclass(frozen=True, slots=True)
class BackupSettings:
    """Where dumps go, how many are kept, and the bytes of the disk that they leave free."""

    state_dir: Path
    keep: int
    spare: int


@dataclass(frozen=True, slots=True)
class Made:
    """What came of it beside the dump: those that went for it; in a plan, those that would go."""

    surplus: Sequence[Dump]

    def discard(self) -> None:
        """Keep the dump: it is good, whether or not its run can be recorded."""


class BackupJob:
    """Dumps the embedded store into the state directory."""

    def __init__(self, store: Store, settings: BackupSettings, clock: Clock) -> None:
        self._store, self._settings, self._clock = store, settings, clock
        self._backups = Backups(settings.state_dir)

    def targets(self, ctx: RunContext) -> list[Target]:  # noqa: ARG002 - there is only one
        """Return the store."""
        return [Target(_TARGET)]

    def read(self, ctx: RunContext, target: Target) -> Made:  # noqa: ARG002 - there is only one
        """Make a dump; when it stands, remove those that are too many."""
        now = self._clock.now()
        with self._store.transaction(ctx.deadline, ctx.cancel) as tx:
            room = self._backups.room(database_bytes(tx), self._settings.spare)
        if ctx.rehearsal:
            self._backups.check(room)
            return Made(self._backups.surplus(self._settings.keep - 1, now))
        drop_leftovers(self._store.dsn)
        began, dsn = self._clock.monotonic(), self._store.dsn
        dump = self._backups.make(dsn, "syncd", now, room, ctx.deadline, ctx.cancel)
        _report(ctx, dump, round(self._clock.monotonic() - began, 3))
        return Made(self._prune(ctx, dump))

    def _prune(self, ctx: RunContext, dump: Dump) -> Sequence[Dump]:
        """Remove the dumps that are too many now that another one stands."""
        surplus = self._backups.surplus(self._settings.keep, dump.made_at)
        self._backups.remove(surplus)
        for gone in surplus:
            ctx.log.info("dump removed", file=str(gone.path))
        return surplus

    def apply(self, tx: Transaction, ctx: RunContext, staged: Made) -> Applied:  # noqa: ARG002
        """Say what was done."""
        return Applied(Counts(total=1, added=1, deleted=len(staged.surplus)))

    def changes(
        self,
        tx: Transaction,  # noqa: ARG002 - a dump is no row
        ctx: RunContext,
        staged: Made,
        limit: int | None,
    ) -> list[Change]:
        """Return what a plan would do; what was done is in the log."""
        if not ctx.rehearsal:
            return []
        made = Change("added", str(self._backups.path), "a dump", {})
        gone = [Change("deleted", str(dump.path), "", {}) for dump in staged.surplus]
        return [made, *gone][:limit]


def _report(ctx: RunContext, dump: Dump, seconds: float) -> None:
    """Keep what is worth knowing about a dump."""
    ctx.report.detail("file", str(dump.path))
    ctx.report.detail("bytes", dump.bytes)
    ctx.report.detail("seconds", seconds)
    ctx.log.info("dump made", file=str(dump.path), bytes=dump.bytes, seconds=seconds)

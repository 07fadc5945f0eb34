"""The `retention` kind: removes records that are older than the configuration keeps them.

The work is done in `read`, in batches: each commits by itself, so that no lock is held for long and
what was done stays done when the run is stopped. Each batch is fenced like all that a run writes.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from syncd.context import Clock, RunContext
from syncd.errors import Guarded
from syncd.jobs.base import Applied, Change
from syncd.model.run import Counts, Target
from syncd.store import retention, size_partitions
from syncd.store.accounts import check_attempt
from syncd.store.database import Store, Transaction
from syncd.store.retention import Over
from syncd.telemetry.run_logs import RunLogs

_BATCH_SECONDS: Final = 60.0
_SAME_TIME: Final = timedelta(days=1)
_SETTLED: Final = timedelta(days=7)
_BELIEVED: Final = timedelta(days=14)
_AHEAD: Final = timedelta(days=92)
"""For how long there is room for sizes, so that it is made while nobody writes them."""


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """What a job of this kind is told: how long what is kept, the jobs, where runs' logs are."""

    keep: Mapping[str, timedelta]
    jobs: Collection[str]
    logs: RunLogs


@dataclass(frozen=True, slots=True)
class Removed:
    """How many records are gone, or would go."""

    rows: int

    def discard(self) -> None:
        """Do nothing: what is gone is gone."""


class RetentionJob:
    """Removes what is too old, each kind of records as a target."""

    def __init__(self, store: Store, settings: RetentionSettings, clock: Clock) -> None:
        self._store, self._settings, self._clock = store, settings, clock

    def targets(self, ctx: RunContext) -> list[Target]:  # noqa: ARG002
        """Return the kinds of records."""
        return [Target(name) for name in self._settings.keep]

    def read(self, ctx: RunContext, target: Target) -> Removed:
        """Remove what is too old, or count it when this is a plan."""
        before = self._moment(ctx) - self._settings.keep[target.name]
        ctx.report.detail("before", before.isoformat())
        if target.name == "run_logs":
            logs = self._settings.logs
            return Removed(logs.remove_older(before, rehearse=ctx.rehearsal))
        with self._store.transaction(ctx.deadline, ctx.cancel) as tx:
            expired = self._expired(tx, target.name, before)
            if ctx.rehearsal:
                return Removed(sum(each.count(tx) for each in expired))
        if target.name == "sizes":
            self._make_room(ctx)
        return Removed(self._remove(ctx, expired))

    def _expired(self, tx: Transaction, target: str, before: datetime) -> Sequence[Over]:
        if target == "runs":
            runs = retention.old_runs(tx, before, self._settings.jobs)
            return [runs, retention.old_notifications(before)]
        return [kind(before) for kind in _BY_AGE[target]]

    def _make_room(self, ctx: RunContext) -> None:
        """Make the partitions of the months to come."""
        today = self._clock.now().date()
        with self._store.transaction(ctx.deadline, ctx.cancel, limit=_BATCH_SECONDS) as tx:
            check_attempt(tx, ctx.run_id, ctx.attempt)
            size_partitions.make(tx, today, today + _AHEAD)

    def _remove(self, ctx: RunContext, expired: Sequence[Over]) -> int:
        """Remove batch after batch; what an end before the last one leaves is told too."""
        rows = 0
        try:
            for each in expired:
                start = retention.START
                while gone := self._batch(ctx, each, start):
                    rows, start = rows + gone.rows, gone.last
                    ctx.report.progress(rows)
        except BaseException:
            ctx.report.detail("removed", rows)
            raise
        return rows

    def _batch(self, ctx: RunContext, expired: Over, start: datetime) -> retention.Gone | None:
        ctx.check()
        with self._store.transaction(ctx.deadline, ctx.cancel, limit=_BATCH_SECONDS) as tx:
            check_attempt(tx, ctx.run_id, ctx.attempt)
            return expired.remove(tx, start)

    def _moment(self, ctx: RunContext) -> datetime:
        """Return from when ages are counted."""
        with self._store.transaction(ctx.deadline, ctx.cancel) as tx:
            now = agreed(self._clock.now(), retention.store_clock(tx))
            moment = believed(now, retention.newest_record(tx, now - _SETTLED))
        if moment < now:
            ctx.log.warning(
                "no records for long before this week: ages are counted from an earlier moment",
                moment=moment.isoformat(),
            )
            ctx.report.detail("counted_from", moment.isoformat())
        return moment

    def apply(self, tx: Transaction, ctx: RunContext, staged: Removed) -> Applied:  # noqa: ARG002
        """Say how many are gone."""
        return Applied(Counts(deleted=staged.rows))

    def changes(
        self,
        tx: Transaction,  # noqa: ARG002
        ctx: RunContext,  # noqa: ARG002
        staged: Removed,  # noqa: ARG002
        limit: int | None,  # noqa: ARG002
    ) -> list[Change]:
        """Return nothing: old records are no resources."""
        return []


def agreed(ours: datetime, of_store: datetime) -> datetime:
    """Return the earlier one of two clocks' moments.

    Raises Guarded when they differ by more than a day: one of them is wrong, and ages with it.
    """
    if abs(ours - of_store) > _SAME_TIME:
        raise Guarded(
            f"the clock of this machine shows {ours:%Y-%m-%d %H:%M} and that of the store"
            f" {of_store:%Y-%m-%d %H:%M} (UTC): nothing is removed until they agree"
        )
    return min(ours, of_store)


def believed(now: datetime, newest_settled: datetime | None) -> datetime:
    """Return the moment from which ages may be counted when the clocks show `now`.

    A clock that jumped years ahead makes every record old. So it is believed only as far as two
    weeks after the newest of the records that it takes for older than a week, `newest_settled`:
    after a jump that is the last record before it, for as long as a week, in which people can
    notice. The same holds when the machine was off for long, or an old backup was restored. In
    steady work some record is always a week old, and nothing is held back.
    """
    return now if newest_settled is None else min(now, newest_settled + _BELIEVED)


_BY_AGE: Final[Mapping[str, Sequence[Callable[[datetime], Over]]]] = {
    "changes": (retention.old_changes, retention.old_account_changes),
    "deleted_resources": (
        retention.old_resources, retention.old_accounts, retention.old_databases
    ),
    "sizes": (lambda before: size_partitions.OldMonths(before.date()),),
}  # fmt: skip

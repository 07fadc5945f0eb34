"""Removes old records in batches: each is a short transaction's work, and waits for nobody long.

A batch picks the oldest records from where the last one ended, so that no batch reads again what
the ones before it removed. Rows that somebody holds are left for the next time.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, LiteralString, Protocol

from syncd.store.database import Transaction

START: Final = datetime.min.replace(tzinfo=UTC)
"""Where the first batch begins: before every record."""
ROWS: Final = 5_000  # of a batch; a run counts with its items and errors
_WAIT: Final = "2s"


@dataclass(frozen=True, slots=True)
class Gone:
    """What a batch removed, and where the next one begins."""

    rows: int
    last: datetime


class Over(Protocol):
    """Records that are over, as of one moment."""

    def count(self, tx: Transaction) -> int:
        """Return how many there are."""

    def remove(self, tx: Transaction, start: datetime) -> Gone | None:
        """Remove the oldest ones, from `start` on; None when none is left."""


@dataclass(frozen=True, slots=True)
class Expired:
    """The rows of one table that are over, as of one moment."""

    _over: LiteralString
    _batch: LiteralString
    _values: Mapping[str, object]

    def count(self, tx: Transaction) -> int:
        """Return how many there are."""
        row = tx.execute(f"select count(*) from {self._over}", self._values).fetchone()  # noqa: S608 - ours
        return int(row[0]) if row else 0

    def remove(self, tx: Transaction, start: datetime, rows: int = ROWS) -> Gone | None:
        """Remove the oldest ones, from `start` on; None when none is left.

        Raises StoreError when somebody locks the table for longer than a moment.
        """
        tx.execute("select set_config('lock_timeout', %s, true)", (_WAIT,))
        values = {**self._values, "start": start, "rows": rows}
        row = tx.execute(self._batch, values).fetchone()
        return Gone(*row) if row and row[0] else None


def old_runs(tx: Transaction, before: datetime, jobs: Collection[str]) -> Expired:
    """Return the runs that ended before a moment, with their items and errors.

    Those are kept that a scope or a guarded deletion names, and the last ended and the last
    successful run of each job: of these, and of those in force, which another file may define.
    Nothing can come to need an ended run later: only active ones are ever written down as such.
    """
    kept = [row[0] for row in tx.execute(_KEPT_RUNS, (list(jobs),))]
    return Expired(_OLD_RUNS, _RUNS_BATCH, {"before": before, "kept": kept})


def old_changes(before: datetime) -> Expired:
    """Return the changes of resources that were made before a moment."""
    return Expired(_OLD_CHANGES, _CHANGES_BATCH, {"before": before})


def old_account_changes(before: datetime) -> Expired:
    """Return the changes of database accounts that were made before a moment."""
    return Expired(_OLD_ACCOUNT_CHANGES, _ACCOUNT_CHANGES_BATCH, {"before": before})


def old_resources(before: datetime) -> Expired:
    """Return the resources that were marked as deleted before a moment; none that is guarded."""
    return Expired(_OLD_RESOURCES, _RESOURCES_BATCH, {"before": before})


def old_accounts(before: datetime) -> Expired:
    """Return the database accounts that were marked as deleted before a moment."""
    return Expired(_OLD_ACCOUNTS, _ACCOUNTS_BATCH, {"before": before})


def old_databases(before: datetime) -> Expired:
    """Return the databases that are gone since before a moment; their sizes stay."""
    return Expired(_OLD_DATABASES, _DATABASES_BATCH, {"before": before})


def old_notifications(before: datetime) -> Expired:
    """Return the notifications from before a moment that are sent or given up."""
    return Expired(_OLD_NOTIFICATIONS, _NOTIFICATIONS_BATCH, {"before": before})


def store_clock(tx: Transaction) -> datetime:
    """Return the moment by the store's clock."""
    (now,) = tx.execute("select now()").fetchone() or ()
    moment: datetime = now
    return moment


def newest_record(tx: Transaction, before: datetime) -> datetime | None:
    """Return when the newest run, change or size of those before a moment was recorded.

    Of sizes those of servers tell, which are few.
    """
    row = tx.execute(
        """select greatest(
               (select max(created_at) from syncd.run where created_at < %(before)s),
               (select max(changed_at) from syncd.resource_change
                where changed_at < %(before)s),
               (select max(changed_at) from syncd.db_account_change
                where changed_at < %(before)s),
               (select max(collected_at) from syncd.server_size
                where collected_at < %(before)s))""",
        {"before": before},
    ).fetchone()
    return row[0] if row else None


_KEPT_RUNS: Final = """
select last_run_id from syncd.scope where last_run_id is not null
union
select run_id from syncd.guarded_deletion
union
select last.id
from (select unnest(%s::text[]) union select job from syncd.job_state) as j (job)
cross join lateral (
    (select id from syncd.run r
     where r.job = j.job and r.status in ('success', 'failed', 'cancelled')
     order by r.created_at desc limit 1)
    union all
    (select id from syncd.run r
     where r.job = j.job and r.status = 'success'
     order by r.created_at desc limit 1)
) last"""

_OLD_RUNS: Final = """syncd.run
where created_at < %(before)s and coalesce(finished_at, created_at) < %(before)s
  and status in ('success', 'failed', 'cancelled') and id <> all (%(kept)s::uuid[])"""

_OLD_CHANGES: Final = "syncd.resource_change where changed_at < %(before)s"

_OLD_ACCOUNT_CHANGES: Final = "syncd.db_account_change where changed_at < %(before)s"

_OLD_RESOURCES: Final = """syncd.resource r
where r.deleted_at < %(before)s
  and not exists (
      select from syncd.guarded_deletion g
      where (g.account, g.region, g.type, g.resource_id)
            = (r.account, r.region, r.type, r.resource_id))"""

_OLD_ACCOUNTS: Final = """syncd.db_account r
where r.deleted_at < %(before)s
  and not exists (
      select from syncd.guarded_deletion g
      where (g.account, g.type, g.resource_id) = (r.server, 'db_account', r.account))"""

_OLD_DATABASES: Final = "syncd.db_catalog r where r.gone_at < %(before)s"

_OLD_NOTIFICATIONS: Final = """syncd.notification
where created_at < %(before)s and (sent_at is not null or given_up_at is not null)"""

# A run takes its items and errors along (on delete cascade): they count for the size of a batch,
# of which one run of very many alone may be more than the limit. They are named by id: a run that
# is marked as told meanwhile has another ctid, and would stay.
_RUNS_BATCH: Final = f"""
with gone as (
    delete from syncd.run where id = any (array(
        select id
        from (select id, sum(weight) over (order by created_at, id) - weight as ahead
              from (select created_at, id, 1 + items_total + errors as weight
                    from {_OLD_RUNS} and created_at >= %(start)s
                    order by created_at limit least(%(rows)s, 1000)) old) weighed
        where ahead < %(rows)s))
    returning created_at
)
select count(*), max(created_at) from gone"""  # noqa: S608 - texts of this module


def _aged_batch(
    table: LiteralString, over: LiteralString, at: LiteralString = "changed_at"
) -> LiteralString:
    return f"""
with gone as (
    delete from {table} where ctid = any (array(
        select ctid from {over} and {at} >= %(start)s
        order by {at} limit %(rows)s))
    returning {at}
)
select count(*), max({at}) from gone"""  # noqa: S608 - texts of this module


def _ended_batch(table: LiteralString, over: LiteralString, ended: LiteralString) -> LiteralString:
    """One that comes back just now is held by whoever restores it."""
    return f"""
with gone as (
    delete from {table} where ctid = any (array(
        select r.ctid from {over} and r.{ended} >= %(start)s
        order by r.{ended} limit %(rows)s for update of r skip locked))
    returning {ended}
)
select count(*), max({ended}) from gone"""  # noqa: S608 - texts of this module


_CHANGES_BATCH: Final = _aged_batch("syncd.resource_change", _OLD_CHANGES)
_ACCOUNT_CHANGES_BATCH: Final = _aged_batch("syncd.db_account_change", _OLD_ACCOUNT_CHANGES)
_RESOURCES_BATCH: Final = _ended_batch("syncd.resource", _OLD_RESOURCES, "deleted_at")
_ACCOUNTS_BATCH: Final = _ended_batch("syncd.db_account", _OLD_ACCOUNTS, "deleted_at")
_DATABASES_BATCH: Final = _ended_batch("syncd.db_catalog", _OLD_DATABASES, "gone_at")
_NOTIFICATIONS_BATCH: Final = _aged_batch("syncd.notification", _OLD_NOTIFICATIONS, "created_at")

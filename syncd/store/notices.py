"""What notifications are made of: runs that ended, and what lasts (`model.notice.Alert`).

The leader takes the ends of runs, changes the alerts and queues the messages in one transaction, so
that a killed daemon leaves nothing told by half. Other daemons write down what is wrong with their
own machines (`state_conditions`); to tell of it is the leader's.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from syncd.model.notice import Alert, Detail, EndedRun, Event, Told
from syncd.store.database import Transaction


def take(tx: Transaction, limit: int, now: datetime) -> list[EndedRun]:
    """Take the runs that ended and were not told of, at most so many, oldest end first."""
    return (
        tx.cursor(row_factory=class_row(EndedRun))
        .execute(
            """with taken as (
                   update syncd.run set told_at = %s where id in (
                       select id from syncd.run
                       where told_at is null and status in ('success', 'failed', 'cancelled')
                       order by finished_at limit %s for update)
                   returning *)
               select id, job, kind, status, attempt, coalesce(finished_at, created_at) finished_at,
                      duration_seconds, total, added, updated, deleted, errors, items_total,
                      items_failed, error_class, error,
                      array(select target from syncd.run_item i
                            where i.run_id = r.id and i.status = 'failed'
                              and i.error_class = 'guard' order by target limit 20) as guarded
               from taken r order by finished_at, id""",
            (now, limit),
        )
        .fetchall()
    )


@dataclass(frozen=True, slots=True)
class ActiveRun:
    """A run that has begun and not ended."""

    id: UUID
    job: str
    started_at: datetime


def active(tx: Transaction) -> list[ActiveRun]:
    """Return the runs under way, those between two attempts too, one a job."""
    return (
        tx.cursor(row_factory=class_row(ActiveRun))
        .execute(
            """select distinct on (job) id, job, started_at from syncd.run
               where status in ('pending', 'running') and started_at is not null
               order by job, started_at"""
        )
        .fetchall()
    )


def last_successes(
    tx: Transaction, jobs: Collection[str]
) -> dict[str, tuple[datetime | None, datetime]]:
    """Return of each job that ever had a run its last success, and when its first run was made."""
    rows = tx.execute(
        """select j.job, s.finished_at, f.created_at
           from unnest(%s::text[]) as j (job)
           cross join lateral (
               select created_at from syncd.run r where r.job = j.job
               order by r.created_at limit 1) f
           left join lateral (
               select finished_at from syncd.run r where r.job = j.job and r.status = 'success'
               order by r.created_at desc limit 1) s on true""",
        (list(jobs),),
    )
    return {job: (success, first) for job, success, first in rows}


@dataclass(frozen=True, slots=True)
class _Row:
    key: str
    event: Event
    job: str | None
    since: datetime
    detail: dict[str, Any]
    times: int
    told: dict[str, dict[str, Any]]
    ended_at: datetime | None

    def alert(self) -> Alert:
        told = {
            channel: Told(each["times"], datetime.fromisoformat(each["next_at"]))
            for channel, each in self.told.items()
        }
        return Alert(
            self.key, self.event, self.job, self.since, self.detail, self.times, told, self.ended_at
        )


def alerts(tx: Transaction) -> list[Alert]:
    """Return what lasts, held for the rest of the transaction."""
    rows = tx.cursor(row_factory=class_row(_Row)).execute(
        """select key, event, job, since, detail, times, told, ended_at
           from syncd.alert order by key for update"""
    )
    return [row.alert() for row in rows]


def save(tx: Transaction, changed: Iterable[Alert], gone: Collection[str], now: datetime) -> None:
    """Write alerts down as they are now, and forget those of some keys."""
    rows = [
        (a.key, a.event, a.job, a.since, Jsonb(a.detail), a.times, Jsonb(_told(a)), a.ended_at)
        for a in changed
    ]
    if gone:
        tx.execute("delete from syncd.alert where key = any (%s)", (list(gone),))
    if rows:
        tx.execute(
            """insert into syncd.alert
                   (key, event, job, since, detail, times, told, ended_at, seen_at)
               select new.*, %s
               from unnest(%s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::jsonb[],
                           %s::integer[], %s::jsonb[], %s::timestamptz[]) new
               on conflict (key) do update
               set since = excluded.since, detail = excluded.detail, times = excluded.times,
                   told = excluded.told, ended_at = excluded.ended_at""",
            (now, *map(list, zip(*rows, strict=True))),
        )


def _told(alert: Alert) -> dict[str, dict[str, Any]]:
    return {
        channel: {"times": each.times, "next_at": each.next_at.isoformat()}
        for channel, each in alert.told.items()
    }


@dataclass(frozen=True, slots=True)
class Condition:
    """What is wrong with one machine: `subject` names both, `since` when it began."""

    event: Event
    subject: str
    since: datetime
    detail: Detail

    @property
    def key(self) -> str:
        """Return the key of its alert."""
        return f"{self.subject} {self.event}"


def state_conditions(
    tx: Transaction, instance: str, conditions: Sequence[Condition], now: datetime
) -> None:
    """Write down all that is wrong with the machine of an instance; what was wrong before is over.

    What is wrong still has its row's `seen_at` renewed: a machine that is gone says nothing more.
    """
    rows = [(c.key, c.event, c.since, Jsonb(c.detail)) for c in conditions]
    columns = list(map(list, zip(*rows, strict=True))) or [[], [], [], []]
    tx.execute(
        """insert into syncd.alert as a (key, event, since, detail, seen_at)
           select new.*, %s
           from unnest(%s::text[], %s::text[], %s::timestamptz[], %s::jsonb[]) new
           on conflict (key) do update
           set detail = excluded.detail, seen_at = excluded.seen_at, ended_at = null,
               times = a.times + (a.ended_at is not null)::integer""",
        (now, *columns),
    )
    tx.execute(
        """update syncd.alert set ended_at = %s
           where job is null and starts_with(key, %s) and key <> all (%s) and ended_at is null""",
        (now, f"{instance} ", columns[0]),
    )


def forget_silent(tx: Transaction, before: datetime) -> None:
    """Forget what is wrong with machines that have said nothing since a moment."""
    tx.execute("delete from syncd.alert where job is null and seen_at < %s", (before,))


def settle_restored(tx: Transaction, now: datetime) -> None:
    """Let nothing of a restored store be told: it was, or it is of the past.

    What lasts is told anew by who finds it so.
    """
    tx.execute(
        """update syncd.run set told_at = %s
           where told_at is null and status in ('success', 'failed', 'cancelled')""",
        (now,),
    )
    tx.execute("delete from syncd.alert")
    tx.execute(
        """update syncd.notification set given_up_at = %s, error = 'a backup was restored'
           where sent_at is null and given_up_at is null""",
        (now,),
    )

"""The records of runs. Written by `dispatch` alone; every commit is fenced.

A write names the claim under which it is made: owner, epoch and attempt. What does not match the
store is refused there, so that a late thread or a resumed frozen process can do no harm. States
move along `model.run`; the WHERE of each statement allows only the moves listed there.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from syncd.model.run import (
    RUN_MOVES,
    Claim,
    Outcome,
    Priority,
    RunId,
    Selection,
    Status,
    TriggerName,
)
from syncd.store import http_calls
from syncd.store.database import Transaction
from syncd.store.fencing import fence


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run about to be recorded."""

    id: RunId
    job: str
    kind: str
    trigger: TriggerName
    scheduled_for: datetime
    max_attempts: int
    config_digest: str
    priority: Priority
    requested_by: str | None = None
    selection: Selection = field(default_factory=Selection)


@dataclass(frozen=True, slots=True)
class PendingRun:
    """A recorded run that waits for its first or next attempt."""

    id: RunId
    job: str
    trigger: TriggerName
    priority: Priority
    attempt: int
    max_attempts: int
    scheduled_for: datetime
    created_at: datetime
    next_attempt_at: datetime | None
    interruptions: int
    selection: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How an attempt ended: with a final status, or `pending` with the time of the next one.

    `free` gives the attempt back: an interruption that was not the run's own doing costs none.
    `preempted` counts that the run made room for an urgent one.
    """

    outcome: Outcome
    finished_at: datetime
    seconds: float
    next_attempt_at: datetime | None = None
    free: bool = False
    preempted: bool = False


def moving_to(moves: Mapping[Status, frozenset[Status]], to: Status) -> list[Status]:
    """Return the states from which one may move to `to`."""
    return [state for state, targets in moves.items() if to in targets]


def selection_document(selection: Selection) -> dict[str, list[str]]:
    """Return a selection as the record holds it."""
    chosen = {name: sorted(getattr(selection, name)) for name in Selection.PARTS}
    return {name: values for name, values in chosen.items() if values}


def selection_from(document: Mapping[str, Sequence[str]]) -> Selection:
    """Return the selection that a record holds."""
    return Selection(*(frozenset(document.get(name, ())) for name in Selection.PARTS))


def insert(tx: Transaction, runs: Iterable[NewRun], now: datetime) -> set[RunId]:
    """Record runs as pending; return the ids of those whose due time was not recorded before."""
    rows = [
        (
            run.id, run.job, run.kind, run.trigger, run.scheduled_for, run.max_attempts,
            run.config_digest, run.priority, run.requested_by,
            Jsonb(selection_document(run.selection)),
        )
        for run in runs
    ]  # fmt: skip
    if not rows:
        return set()
    return {
        row[0]
        for row in tx.execute(
            """insert into syncd.run (id, job, kind, trigger, scheduled_for, max_attempts,
                                      config_digest, priority, requested_by, selection,
                                      created_at)
               select new.*, %s
               from unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::timestamptz[],
                           %s::integer[], %s::text[], %s::text[], %s::text[], %s::jsonb[]) new
               on conflict (job, scheduled_for) where trigger in ('schedule', 'catch_up')
               do nothing returning id""",
            (now, *map(list, zip(*rows, strict=True))),
        )
    }


def recorded(tx: Transaction, dues: Collection[tuple[str, datetime]]) -> set[tuple[str, datetime]]:
    """Return those of some due times, each a job and a moment, for which a run is recorded."""
    rows = tx.execute(
        """select r.job, r.scheduled_for from syncd.run r
           join unnest(%s::text[], %s::timestamptz[]) as d (job, due)
             on r.job = d.job and r.scheduled_for = d.due
           where r.trigger in ('schedule', 'catch_up')""",
        ([job for job, _ in dues], [due for _, due in dues]),
    )
    return {(row[0], row[1]) for row in rows}


def waiting(tx: Transaction) -> list[PendingRun]:
    """Return all runs that wait, oldest first."""
    cursor = tx.cursor(row_factory=class_row(PendingRun))
    return cursor.execute(
        """select id, job, trigger, priority, attempt, max_attempts, scheduled_for, created_at,
                  next_attempt_at, interruptions, selection
           from syncd.run where status = 'pending' order by created_at, id"""
    ).fetchall()


def give_back(
    tx: Transaction, owner: str, epoch: int, under_way: Collection[RunId], now: datetime
) -> None:
    """Let the runs wait again that this owner has begun without knowing it.

    The answer to their start was lost, so nobody works on them; that attempt costs them none.
    """
    tx.execute(
        """update syncd.run
           set status = 'pending', next_attempt_at = %s, max_attempts = max_attempts + 1
           where status = 'running' and owner = %s and owner_epoch = %s and id <> all (%s)""",
        (now, owner, epoch, list(under_way)),
    )


def start(tx: Transaction, run_id: RunId, owner: str, epoch: int, now: datetime) -> Claim | None:
    """Begin the next attempt of a pending run; None when it is not pending any more."""
    row = tx.execute(
        """update syncd.run
           set status = 'running', owner = %(owner)s, owner_epoch = %(epoch)s,
               attempt = attempt + 1, started_at = coalesce(started_at, %(now)s),
               next_attempt_at = null, finished_at = null, error_class = null, error = null
           where id = %(id)s and status = any (%(from)s)
           returning attempt""",
        {
            "owner": owner,
            "epoch": epoch,
            "now": now,
            "id": run_id,
            "from": moving_to(RUN_MOVES, "running"),
        },
    ).fetchone()
    return Claim(run_id, owner, epoch, row[0]) if row else None


def end_run(tx: Transaction, claim: Claim, end: RunEnd) -> None:
    """Record how an attempt ended; close what items are left open, and sum up the counts."""
    fence(tx, claim)
    outcome = end.outcome
    final: Status = "cancelled" if outcome.status == "cancelled" else "failed"
    close_items(tx, [claim.run_id], final, outcome.error, end.finished_at)
    tx.execute(
        """update syncd.run
           set status = %(status)s, finished_at = %(finished_at)s, duration_seconds = %(seconds)s,
               next_attempt_at = %(next)s, error_class = %(class)s, error = %(error)s,
               max_attempts = max_attempts + %(free)s,
               interruptions = interruptions + %(preempted)s
           where id = %(id)s""",
        {
            "id": claim.run_id,
            "status": outcome.status,
            "finished_at": None if outcome.status == "pending" else end.finished_at,
            "seconds": end.seconds,
            "next": end.next_attempt_at,
            "class": outcome.error_class,
            "error": outcome.error,
            "free": int(end.free),
            "preempted": int(end.preempted),
        },
    )
    http_calls.tell_unknown(tx, [claim.run_id])
    sum_up(tx, [claim.run_id])


def close_items(
    tx: Transaction, ids: Sequence[RunId], status: Status, reason: str | None, now: datetime
) -> None:
    """Give every item of some runs that is still open a final status."""
    tx.execute(
        """update syncd.run_item
           set status = %s, finished_at = %s, error = %s,
               error_class = case when %s = 'failed' then 'interrupted' end
           where run_id = any (%s) and status in ('pending', 'running')""",
        (status, now, reason, status, list(ids)),
    )


def sum_up(tx: Transaction, ids: Sequence[RunId]) -> None:
    """Set the counts of some runs to the sums of their items'."""
    tx.execute(
        """update syncd.run r
           set (items_total, items_failed, total, added, updated, deleted, unchanged, errors) = (
               select count(*), count(*) filter (where i.status = 'failed'),
                      coalesce(sum(i.total), 0), coalesce(sum(i.added), 0),
                      coalesce(sum(i.updated), 0), coalesce(sum(i.deleted), 0),
                      coalesce(sum(i.unchanged), 0), coalesce(sum(i.errors), 0)
               from syncd.run_item i where i.run_id = r.id)
           where r.id = any (%s)""",
        (list(ids),),
    )


def cancel_command(tx: Transaction, run_id: UUID, reason: str, now: datetime) -> bool:
    """Cancel a run of a command line, wherever it is; tell whether there was one.

    Nobody can tell whether a command of another state directory lives. If it does, what it still
    wants to record is fenced off.
    """
    row = tx.execute(
        """update syncd.run set status = 'cancelled', finished_at = %s, error = %s
           where id = %s and status = 'running' and owner like 'cli:%%' returning id""",
        (now, reason, run_id),
    ).fetchone()
    if row:
        close_items(tx, [RunId(run_id)], "cancelled", reason, now)
        sum_up(tx, [RunId(run_id)])
    return row is not None


def cancel_pending(tx: Transaction, run_id: UUID, reason: str, now: datetime) -> bool:
    """Cancel a run that waits; tell whether it did."""
    row = tx.execute(
        """update syncd.run set status = 'cancelled', finished_at = %s, next_attempt_at = null,
               error_class = null, error = %s
           where id = %s and status = 'pending' returning id""",
        (now, reason, run_id),
    ).fetchone()
    if row:
        close_items(tx, [RunId(run_id)], "cancelled", reason, now)
    return row is not None


def prioritise(tx: Transaction, run_id: UUID, priority: Priority) -> bool:
    """Give a run that waits another priority; tell whether it waits."""
    row = tx.execute(
        "update syncd.run set priority = %s where id = %s and status = 'pending' returning id",
        (priority, run_id),
    ).fetchone()
    return row is not None


def changes_of(tx: Transaction, run_id: UUID) -> int:
    """Return how many resources a run added, updated or deleted."""
    row = tx.execute(
        "select added + updated + deleted from syncd.run where id = %s", (run_id,)
    ).fetchone()
    return int(row[0]) if row else 0

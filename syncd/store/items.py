"""The records of a run's items, and of the errors of single resources; fenced like the run's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from syncd.errors import ErrorClass, Fenced
from syncd.model.run import ITEM_MOVES, Claim, Counts, Outcome, RunId, Target
from syncd.store.database import Transaction
from syncd.store.fencing import fence
from syncd.store.runs import moving_to


@dataclass(frozen=True, slots=True)
class Item:
    """An item of the attempt under way."""

    id: int
    target: str


@dataclass(frozen=True, slots=True)
class ResourceError:
    """The error of one resource, or of a record that came too late."""

    resource_id: str | None
    error_class: ErrorClass
    error: str


@dataclass(frozen=True, slots=True)
class ItemEnd:
    """How an item ended, for its record."""

    item_id: int
    outcome: Outcome
    counts: Counts
    details: Mapping[str, Any]
    errors: Sequence[ResourceError]
    started_at: datetime
    finished_at: datetime
    seconds: float


def open_items(
    tx: Transaction, claim: Claim, targets: Sequence[Target], retried: Sequence[str]
) -> tuple[list[Item], list[tuple[str, Outcome]]]:
    """Create the items of an attempt as pending; return them, and the failed ones given up.

    The first attempt has all targets; a further one has new targets and those of `retried` error
    classes, and cancels failed items whose target is gone.
    """
    fence(tx, claim)
    names = [target.name for target in targets]
    tx.execute(
        """update syncd.run_item
           set status = 'pending', attempt = %s, started_at = null, finished_at = null,
               error_class = null, error = null
           where run_id = %s and status = 'failed' and error_class = any (%s)""",
        (claim.attempt, claim.run_id, list(retried)),
    )
    tx.execute(
        """update syncd.run_item
           set status = 'cancelled', error = 'the target is gone', finished_at = now()
           where run_id = %s and status = 'pending' and target <> all (%s)""",
        (claim.run_id, names),
    )
    tx.execute(
        """insert into syncd.run_item (run_id, attempt, target, account, provider, region,
                                       resource_type, server)
           select %s, %s, * from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
                                        %s::text[])
           on conflict (run_id, target) do nothing""",
        (claim.run_id, claim.attempt, names, [t.account for t in targets],
         [t.provider for t in targets], [t.region for t in targets],
         [t.resource_type for t in targets], [t.server for t in targets]),
    )  # fmt: skip
    rows = tx.execute(
        """select id, target, status, error_class, error from syncd.run_item
           where run_id = %s and status in ('pending', 'failed') order by id""",
        (claim.run_id,),
    ).fetchall()
    given_up = [
        (target, Outcome("failed", *why)) for _, target, status, *why in rows if status == "failed"
    ]
    return [Item(row[0], row[1]) for row in rows if row[2] == "pending"], given_up


def start_item(tx: Transaction, claim: Claim, item_id: int, now: datetime) -> None:
    """Mark an item as running; raises Fenced when it is not this attempt's to start."""
    fence(tx, claim)
    row = tx.execute(
        """update syncd.run_item set status = 'running', started_at = %s
           where id = %s and run_id = %s and attempt = %s and status = any (%s) returning id""",
        (now, item_id, claim.run_id, claim.attempt, moving_to(ITEM_MOVES, "running")),
    ).fetchone()
    if row is None:
        raise Fenced(f"item {item_id} of run {claim.run_id} does not wait for this attempt")


def keep_details(tx: Transaction, claim: Claim, item_id: int, details: Mapping[str, Any]) -> None:
    """Keep what is known of an item that runs, until its end says more; raises Fenced."""
    fence(tx, claim)
    tx.execute(
        """update syncd.run_item set details = %s
           where id = %s and run_id = %s and attempt = %s and status = 'running'""",
        (Jsonb(details), item_id, claim.run_id, claim.attempt),
    )


def end_item(tx: Transaction, claim: Claim, end: ItemEnd) -> None:
    """Record how an item ended, with its counts and the errors of its resources.

    The counts of its attempts add up: what a failed attempt has written stays written.
    """
    fence(tx, claim)
    counts, outcome = end.counts, end.outcome
    row = tx.execute(
        """update syncd.run_item
           set status = %s, started_at = coalesce(started_at, %s), finished_at = %s,
               duration_seconds = %s, total = total + %s, added = added + %s,
               updated = updated + %s, deleted = deleted + %s, unchanged = unchanged + %s,
               errors = errors + %s, error_class = %s, error = %s, details = %s
           where id = %s and run_id = %s and attempt = %s and status = any (%s) returning id""",
        (
            outcome.status, end.started_at, end.finished_at, end.seconds, counts.total,
            counts.added, counts.updated, counts.deleted, counts.unchanged, counts.errors,
            outcome.error_class, outcome.error, Jsonb(end.details), end.item_id, claim.run_id,
            claim.attempt, moving_to(ITEM_MOVES, outcome.status),
        ),
    ).fetchone()  # fmt: skip
    if row is None:
        raise Fenced(f"item {end.item_id} of run {claim.run_id} has ended already")
    add_errors(tx, claim.run_id, end.item_id, claim.attempt, end.errors, end.finished_at)


def add_errors(
    tx: Transaction,
    run_id: RunId,
    item_id: int | None,
    attempt: int,
    errors: Sequence[ResourceError],
    now: datetime,
) -> None:
    """Record errors of single resources."""
    if not errors:
        return
    tx.execute(
        """insert into syncd.run_error
               (run_id, item_id, attempt, occurred_at, resource_id, error_class, error)
           select %s, %s, %s, %s, * from unnest(%s::text[], %s::text[], %s::text[])""",
        (run_id, item_id, attempt, now, [e.resource_id for e in errors],
         [e.error_class for e in errors], [e.error for e in errors]),
    )  # fmt: skip

"""What people and programs read of the store: bounded queries, rows as dicts of their columns.

Every question has a limit; the inventory, which can be long, is read in pages, each beginning
after the last key of the one before.
"""

from typing import Any, Final
from uuid import UUID

from psycopg.sql import SQL, Composable

from syncd.errors import Conflict, NotFound
from syncd.model.queries import RESOURCE_KEY, RUN_COLUMNS, ChangeQuery, ResourceQuery, RunQuery
from syncd.store.bounded import MOST, Condition, Rows, select, select_all, table
from syncd.store.database import Transaction
from syncd.store.resources import counts_by_state

PARTS_SHOWN: Final = 1_000  # items, and errors, of one run
REJECTED_SHOWN: Final = 100  # rejected rows of one run

ITEM_COLUMNS: Final = (
    "id", "run_id", "target", "account", "provider", "region", "resource_type", "server", "status",
    "attempt", "started_at", "finished_at", "duration_seconds", "total", "added", "updated",
    "deleted", "unchanged", "errors", "error_class", "error", "details",
)  # fmt: skip
ERROR_COLUMNS: Final = (
    "id", "run_id", "item_id", "attempt", "resource_id", "error_class", "error", "occurred_at",
)  # fmt: skip
CALL_COLUMNS: Final = (
    "position", "attempt", "name", "method", "url", "safe", "tries", "request_sent_at",
    "answered_at", "finished_at", "outcome", "status", "connect_seconds", "first_byte_seconds",
    "total_seconds", "request_id", "answer", "answer_cut", "poll_url", "polls", "saved",
    "error_class", "error",
)  # fmt: skip
REJECTED_COLUMNS: Final = ("item", "key", "relation", "error", "row", "rejected_at")
RESOURCE_COLUMNS: Final = (
    "provider", "account", "region", "type", "resource_id", "name", "status", "state",
    "instance_type", "cpu", "memory_mib", "zone", "vpc_id", "image_id", "public_ips", "private_ips",
    "security_groups", "data_disks", "tags", "charge_type", "created_at", "expires_at",
    "group_name", "first_seen_at", "changed_at", "missing_since", "missing_runs", "deleted_at",
)  # fmt: skip
CHANGE_COLUMNS: Final = (
    "id", "run_id", "account", "region", "type", "resource_id", "change", "changed_at", "fields",
)  # fmt: skip


def runs(tx: Transaction, query: RunQuery) -> Rows:
    """Return runs, the newest first, or a page of them, the oldest first."""
    given = (
        ("job = %s", query.job),
        ("status = %s", query.status),
        ("created_at >= %s", query.since),
        ("created_at < %s", query.until),
        ("(created_at, id) > (%s, %s)", query.after),
    )
    where: list[Condition] = [(text, value) for text, value in given if value]
    order = SQL("created_at, id" if query.after else "created_at desc, id desc")
    return select(tx, RUN_COLUMNS, table("run"), where, order, query.limit)


def find_run(tx: Transaction, text: str) -> UUID:
    """Return the id of the run whose id begins so; raises NotFound, and Conflict for several."""
    digits = text.replace("-", "").lower()
    if not digits or len(digits) > 32 or set(digits) - set("0123456789abcdef"):
        raise NotFound(f"{text!r} is not the id of a run, nor the beginning of one")
    bounds = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
    found = tx.execute(
        "select id from syncd.run where id between %s and %s order by id limit 4", bounds
    ).fetchall()
    if not found:
        raise NotFound(f"there is no run {text!r}")
    if len(found) > 1:
        named = ", ".join(str(row[0]) for row in found[:3])
        raise Conflict(f"{text!r} begins several runs: {named}{', …' if len(found) > 3 else ''}")
    found_id: UUID = found[0][0]
    return found_id


def run(tx: Transaction, run_id: UUID) -> dict[str, Any]:
    """Return a run with its `items`, `errors` and `calls`, at most 1,000 each; raises NotFound.

    The column `errors`, a number, gives way to the list and stands as `error_count`. Of
    `rejected_rows` there are 100 at most, each row cut at 2,000 characters.
    """
    found = select(tx, RUN_COLUMNS, table("run"), [("id = %s", run_id)], SQL("id"), 1)
    if not found:
        raise NotFound(f"there is no run '{run_id}'")
    of_run = [("run_id = %s", run_id)]
    items = select(tx, ITEM_COLUMNS, table("run_item"), of_run, SQL("target"), PARTS_SHOWN)
    errors = select(tx, ERROR_COLUMNS, table("run_error"), of_run, SQL("id"), PARTS_SHOWN)
    calls = select(
        tx, CALL_COLUMNS, table("http_call"), of_run, SQL("position, attempt"), PARTS_SHOWN
    )
    rejected = select(
        tx, REJECTED_COLUMNS, _REJECTED, of_run, SQL("item, rejected_at, key"), REJECTED_SHOWN
    )
    return found[0] | {
        "error_count": found[0]["errors"], "items": items, "errors": errors, "calls": calls,
        "rejected_rows": rejected,
    }  # fmt: skip


def run_state(tx: Transaction, run_id: UUID) -> dict[str, Any]:
    """Return `id`, `job`, `status` and `owner` of a run; raises NotFound."""
    columns = ("id", "job", "status", "owner")
    found = select(tx, columns, table("run"), [("id = %s", run_id)], SQL("id"), 1)
    if not found:
        raise NotFound(f"there is no run '{run_id}'")
    return found[0]


def resources(tx: Transaction, query: ResourceQuery) -> Rows:
    """Return one page of the living resources, in the order of their keys."""
    source: Composable = table("resource")
    where: list[Condition] = [
        (f"{name} = %s", value)
        for name in ("type", "account", "region", "state")
        if (value := getattr(query, name)) is not None
    ]
    if query.as_of:
        source = SQL("syncd.resources_as_of({})").format(query.as_of)
    else:
        where.append(("deleted_at is null", None))
    if query.after:
        where.append((f"({', '.join(RESOURCE_KEY)}) > (%s, %s, %s, %s)", query.after))
    columns = RESOURCE_COLUMNS + (("attributes",) if query.attributes else ())
    return select(tx, columns, source, where, SQL(", ".join(RESOURCE_KEY)), query.limit)


def changes(tx: Transaction, query: ChangeQuery) -> Rows:
    """Return changes of resources, the newest first; a job's are those of its recorded runs."""
    where: list[Condition] = []
    if query.since:
        where.append(("changed_at >= %s", query.since))
    if query.account is not None:
        where.append(("account = %s", query.account))
    if query.job is not None:
        where.append(("run_id in (select id from syncd.run where job = %s)", query.job))
    order = SQL("changed_at desc, id desc")
    return select(tx, CHANGE_COLUMNS, table("resource_change"), where, order, query.limit)


def last_outcomes(tx: Transaction) -> Rows:
    """Return for each job of the records its last ended run, and when it last ended and succeeded.

    Columns: job, last_success_at, last_completion_at, and of the last ended run run_id, status,
    started_at, finished_at, duration_seconds, the counts, items_total, items_failed, error_class,
    error; all null for a job whose first run has not ended.
    """
    return select_all(tx, _LAST_OUTCOMES, (MOST,))


def resource_counts(tx: Transaction) -> Rows:
    """Return how many resources live: account, type, state, count."""
    counts = sorted(counts_by_state(tx).items())[:MOST]
    return [
        {"account": account, "type": kind, "state": state, "count": count}
        for (account, kind, state), count in counts
    ]


def guarded(tx: Transaction) -> Rows:
    """Return the deletions held back: job, account, region, type, count, guarded_at, approved."""
    return select_all(tx, _GUARDED, (MOST,))


_REJECTED: Final = SQL("""(
    select run_id, item, key, relation, error, left("row", 2000) as "row", rejected_at
    from syncd.rejected_row
) as rejected_row""")

# The distinct jobs are found by skipping through the index, not by reading all runs.
_LAST_OUTCOMES: Final = """
with recursive known as (
    (select job from syncd.run order by job limit 1)
    union all
    select (select r.job from syncd.run r where r.job > k.job order by r.job limit 1)
    from known k
    where k.job is not null
)
select k.job, s.finished_at as last_success_at, l.finished_at as last_completion_at,
       l.id as run_id, l.status, l.started_at, l.finished_at, l.duration_seconds, l.total, l.added,
       l.updated, l.deleted, l.unchanged, l.errors, l.items_total, l.items_failed, l.error_class,
       l.error
from known k
left join lateral (
    select * from syncd.run r
    where r.job = k.job and r.status in ('success', 'failed', 'cancelled')
    order by r.created_at desc limit 1
) l on true
left join lateral (
    select r.finished_at from syncd.run r
    where r.job = k.job and r.status = 'success'
    order by r.created_at desc limit 1
) s on true
where k.job is not null
order by k.job
limit %s"""

_GUARDED: Final = """
select job, account, region, type, count(*), min(guarded_at) as guarded_at,
       bool_and(approved_at is not null) as approved
from syncd.guarded_deletion
group by job, account, region, type
order by job, account, region, type
limit %s"""

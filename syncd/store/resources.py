"""The table of cloud resources: its shape for the reconcile step, its scopes and its guard."""

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from typing import Final
from uuid import UUID

from psycopg.types.json import Jsonb

from syncd.errors import Conflict
from syncd.model.resource import CARRIED, COMPARED, OPTIONAL, Scope
from syncd.model.run import RunId
from syncd.store.database import Transaction
from syncd.store.reconcile_sql import Shape

RESOURCES: Final = Shape(
    table="resource",
    stage="resource_stage",
    change_table="resource_change",
    scope=("account", "region", "type"),
    key="resource_id",
    label="name",
    constants=("provider", "group_name"),
    compared=COMPARED,
    optional=OPTIONAL,
    carried=CARRIED,
)


@dataclass(frozen=True, slots=True)
class Managed:
    """What a job looks after: a resource type of an account, in all regions or in some.

    Of a server, whose name stands in for the account's, it is `db_account` or `db_size`.
    """

    job: str
    account: str
    type: str
    regions: list[str] | None
    excluded: list[str]


def last_writer(tx: Transaction, scope: Scope) -> UUID | None:
    """Return the run that wrote a scope last."""
    row = tx.execute(
        "select last_run_id from syncd.scope where (account, region, type) = (%s, %s, %s)",
        (scope.account, scope.region, scope.type),
    ).fetchone()
    return row[0] if row else None


def lock(tx: Transaction, scope: Scope, before: UUID | None) -> None:
    """Let one transaction at a time write a scope.

    Raises Conflict when another run has written it since `before` was the last: what was decided
    by comparing with the store then would undo that run's newer findings.
    """
    row = tx.execute(
        """insert into syncd.scope (account, region, type) values (%s, %s, %s)
           on conflict (account, region, type) do update set account = excluded.account
           returning last_run_id""",
        (scope.account, scope.region, scope.type),
    ).fetchone()
    if row != (before,):
        raise Conflict("another run has written the same scope meanwhile")


def note_listing(
    tx: Transaction, scope: Scope, run_id: RunId, *, complete: bool, lossy: bool
) -> None:
    """Note that a scope was listed: its living resources were seen now if it was complete."""
    tx.execute(
        """update syncd.scope
           set last_run_id = %s, lossy = %s,
               last_complete_at = case when %s then now() else last_complete_at end
           where (account, region, type) = (%s, %s, %s)""",
        (run_id, lossy, complete, scope.account, scope.region, scope.type),
    )


def set_group(tx: Transaction, scope: Scope, group: str | None) -> None:
    """Put the resources of a scope in a group, if the configuration names another than before."""
    key = (scope.account, scope.region, scope.type)
    moved = tx.execute(
        """update syncd.scope set group_name = %s
           where (account, region, type) = (%s, %s, %s) and group_name is distinct from %s
           returning account""",
        (group, *key, group),
    ).fetchone()
    if moved:
        tx.execute(
            """update syncd.resource set group_name = %s
               where (account, region, type) = (%s, %s, %s) and group_name is distinct from %s""",
            (group, *key, group),
        )


def approved_deletions(tx: Transaction, scope: Scope) -> set[str]:
    """Return the guarded resources of a scope that were let go in the last 24 hours."""
    rows = tx.execute(
        """select resource_id from syncd.guarded_deletion
           where (account, region, type) = (%s, %s, %s)
             and approved_at > now() - interval '24 hours'""",
        (scope.account, scope.region, scope.type),
    )
    return {row[0] for row in rows}


def replace_guarded(
    tx: Transaction, scope: Scope, job: str, run_id: RunId, guarded: Collection[str]
) -> None:
    """Keep which deletions of a scope are held back; approvals of the others are used up.

    One that is held back again keeps an approval: it came while the scope was listed.
    """
    tx.execute(
        """delete from syncd.guarded_deletion
           where (account, region, type) = (%s, %s, %s) and resource_id <> all (%s)""",
        (scope.account, scope.region, scope.type, list(guarded)),
    )
    if guarded:
        tx.execute(
            """insert into syncd.guarded_deletion as g
                   (job, account, region, type, resource_id, run_id, guarded_at)
               select %s, %s, %s, %s, unnest(%s::text[]), %s, now()
               on conflict (account, region, type, resource_id) do update
               set job = excluded.job, run_id = excluded.run_id, guarded_at = now(),
                   approved_at = case when g.approved_at > now() - interval '24 hours'
                                      then g.approved_at end""",
            (job, scope.account, scope.region, scope.type, list(guarded), run_id),
        )


def approve(tx: Transaction, job: str, by: str) -> int:
    """Let the guarded deletions of a job go in its next run; return how many."""
    return tx.execute(
        "update syncd.guarded_deletion set approved_at = now(), approved_by = %s where job = %s",
        (by, job),
    ).rowcount


def replace_managed(tx: Transaction, managed: Iterable[Managed]) -> None:
    """Keep what the configuration in force looks after, for the `unmanaged` mark of the views."""
    tx.execute("delete from syncd.managed")
    tx.execute(
        """insert into syncd.managed (job, account, type, regions, excluded)
           select * from jsonb_to_recordset(%s) as m (
               job text, account text, type text, regions text[], excluded text[])""",
        (Jsonb([asdict(each) for each in managed]),),
    )


def counts_by_state(tx: Transaction) -> dict[tuple[str, str, str], int]:
    """Return how many living resources there are by (account, type, state)."""
    rows = tx.execute(
        """select account, type, state, count(*) from syncd.resource
           where deleted_at is null group by account, type, state"""
    )
    return {(account, kind, state): count for account, kind, state, count in rows}

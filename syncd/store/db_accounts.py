"""The table of database accounts: its shape for the reconcile step, and the objects of sets."""

from collections.abc import Collection
from typing import Final, cast

from psycopg.sql import SQL, Composed, Identifier, Literal
from psycopg.types.json import Jsonb

from syncd.errors import storable
from syncd.model.account_row import CARRIED, COMPARED, NOTHING, PSEUDO
from syncd.model.db_account import DbAccount, Objects
from syncd.model.privilege import On, Privilege
from syncd.store.database import Transaction
from syncd.store.reconcile_sql import ChangeColumn, Shape

_NONE: Final = SQL("'[]'::jsonb")
_PRIVILEGES: Final = SQL("r.privileges")


def _facts(pair: str) -> Composed:
    """Return the expression for {"name": pair} of all that is known of the account `r`."""
    return SQL(
        """(select coalesce(jsonb_object_agg(a.key, jsonb_build_array({pair})), '{{}}')
            from jsonb_each(r.attributes || jsonb_build_object({fields})) a
            where a.value <> 'null')"""
    ).format(
        pair=SQL(pair),
        fields=SQL(", ").join(
            SQL("{}, {}").format(Literal(name), Identifier("r", column))
            for name, column in PSEUDO.items()
        ),
    )


DB_ACCOUNTS: Final = Shape(
    table="db_account",
    stage="db_account_stage",
    change_table="db_account_change",
    scope=("server",),
    key="account",
    label="account",
    constants=("engine",),
    compared=COMPARED,
    optional=(),
    carried=CARRIED,
    run="run_id",
    changes=(
        ChangeColumn("granted", NOTHING["granted"], added=_PRIVILEGES, deleted=_NONE),
        ChangeColumn("revoked", NOTHING["revoked"], added=_NONE, deleted=_PRIVILEGES),
        ChangeColumn(
            "attributes_changed",
            NOTHING["attributes_changed"],
            added=_facts("null, a.value"),
            deleted=_facts("a.value, null"),
        ),
    ),
)


def load(tx: Transaction, server: str, accounts: Collection[str]) -> dict[str, DbAccount]:
    """Return the living ones of these accounts of a server, by name."""
    rows = tx.execute(
        """select account, kind, active, attributes, capabilities, privileges
           from syncd.db_account
           where server = %s and account = any (%s) and deleted_at is null""",
        (server, [name for name in accounts if storable(name) == name]),
    )
    return {
        account: DbAccount(
            account, kind, active, attributes, tuple(capabilities), tuple(map(Privilege.of, held))
        )
        for account, kind, active, attributes, capabilities, held in rows
    }


def load_objects(tx: Transaction, server: str) -> Objects:
    """Return the objects of each schema of a server, as they were at the last reading."""
    rows = tx.execute(
        "select database, schema, kind, names from syncd.db_object where server = %s", (server,)
    )
    return {
        (database, schema, cast(On, kind)): tuple(names) for database, schema, kind, names in rows
    }


def replace_objects(tx: Transaction, server: str, before: Objects, after: Objects) -> None:
    """Keep the objects of each schema of a server; only what differs is written."""
    gone = [
        {"database": database, "schema": schema, "kind": kind}
        for database, schema, kind in before.keys() - after.keys()
    ]
    differing = [
        {"database": database, "schema": schema, "kind": kind, "names": names}
        for (database, schema, kind), names in after.items()
        if before.get((database, schema, kind)) != names
    ]
    if gone:
        tx.execute(
            """delete from syncd.db_object o
               using jsonb_to_recordset(%s) as g (database text, schema text, kind text)
               where o.server = %s
                 and (o.database, o.schema, o.kind) = (g.database, g.schema, g.kind)""",
            (Jsonb(gone), server),
        )
    if differing:
        tx.execute(
            """insert into syncd.db_object (server, database, schema, kind, names)
               select %s, d.* from jsonb_to_recordset(%s) as d (
                   database text, schema text, kind text, names text[])
               on conflict (server, database, schema, kind) do update set names = excluded.names""",
            (server, Jsonb(differing)),
        )

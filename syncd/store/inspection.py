"""What a look at the store finds: facts about the server and the database, judged elsewhere."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from psycopg.rows import class_row

from syncd import __version__
from syncd.store import held_accounts, job_state, views
from syncd.store.database import Store, Transaction
from syncd.store.held_accounts import HeldAccount
from syncd.store.job_state import JobState
from syncd.store.migrate import is_newer, shipped

_LIMIT: Final = 4.0
"""Seconds for a look; a server that hangs has four more (`connection.LAST_WAIT`)."""

_PINGS: Final = 5


@dataclass(frozen=True, slots=True)
class Link:
    """How the store is reached: over a Unix socket, or TCP with or without TLS."""

    host: str
    socket: bool
    tls: str | None


@dataclass(frozen=True, slots=True)
class Server:
    """The server and what the database allows us."""

    version: int
    encoding: str
    checksums: str
    max_connections: int
    reserved: int
    used: int
    size: int
    can_create: bool
    usable: bool
    """Whether the role may use our schema, where there is one, and look at its migrations."""
    lacking: list[str]
    """Our tables in which the role may not read and write all."""
    foreign: list[str]
    """Our tables which the role may not alter, since they are somebody else's."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The migrations: those not applied yet, changed ones, and those only a newer program knows."""

    applied: int
    pending: Sequence[str]
    changed: Sequence[str]
    unknown: Sequence[str]
    too_new: str | None
    """The version of the program that the store needs, if that is not ours."""


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """All that was found; `latency` and `clock_ahead` in seconds, the store's clock before ours."""

    connected: float
    latency: float
    clock_ahead: float
    link: Link
    server: Server
    schema: Schema | None
    """None where the role may not look."""


@dataclass(frozen=True, slots=True)
class Records:
    """What the store remembers of the jobs and accounts."""

    outcomes: Mapping[str, Mapping[str, Any]]
    states: Mapping[str, JobState]
    held: Mapping[str, HeldAccount]
    owners: Mapping[str, str]


def look(store: Store) -> StoreFacts:
    """Look at the server and the schema; changes nothing. Raises as `Store.transaction` does."""
    began = time.monotonic()
    with store.transaction(limit=_LIMIT, operation="read") as tx:
        connected = time.monotonic() - began
        latency, ahead = _clock(tx)
        link, server = _link(tx), _server(tx)
        schema = _schema(tx) if server.usable else None
        return StoreFacts(connected, latency, ahead, link, server, schema)


def records(store: Store) -> Records:
    """Return what is remembered of jobs and accounts; the schema must be current."""
    with store.transaction(limit=_LIMIT, operation="read") as tx:
        owners = tx.execute(
            "select account, owner_id from syncd.account_state where owner_id is not null"
        ).fetchall()
        return Records(
            {row["job"]: row for row in views.last_outcomes(tx)},
            job_state.read(tx),
            {each.account: each for each in held_accounts.load(tx)},
            dict(owners),
        )


def _clock(tx: Transaction) -> tuple[float, float]:
    """Return the median time of a round trip, and how far the store's clock is before ours.

    The answer was made in the middle of its round trip; the quickest one tells best.
    """
    trips = []
    for _ in range(_PINGS):
        sent, began = datetime.now(UTC), time.monotonic()
        (told,) = tx.execute("select clock_timestamp()").fetchone() or (sent,)
        took = time.monotonic() - began
        trips.append((took, (told - sent).total_seconds() - took / 2))
    ordered = sorted(trips)
    return ordered[_PINGS // 2][0], ordered[0][1]


def _link(tx: Transaction) -> Link:
    info = tx.info
    socket = info.host.startswith(("/", "@"))
    tls = None
    if tx.pgconn.ssl_in_use:
        row = tx.execute("select version from pg_stat_ssl where pid = pg_backend_pid()").fetchone()
        tls = (row and row[0]) or "TLS"
    return Link(info.host if socket else info.hostaddr or info.host, socket, tls)


def _server(tx: Transaction) -> Server:
    found = tx.cursor(row_factory=class_row(Server)).execute(_SERVER).fetchone()
    if found is None:
        raise LookupError("a query without conditions gave no row")
    return found


def _schema(tx: Transaction) -> Schema:
    ours = {migration.number: migration for migration in shipped()}
    if tx.execute("select to_regclass('syncd.migration')").fetchone() == (None,):
        return Schema(0, [_named(m.number, m.name) for m in ours.values()], (), (), None)
    rows = tx.execute(
        "select number, name, digest, requires from syncd.migration order by number"
    ).fetchall()
    known = {row[0] for row in rows}
    needed = [row[3] for row in rows if is_newer(row[3], __version__)]
    return Schema(
        len(rows),
        [_named(m.number, m.name) for m in ours.values() if m.number not in known],
        [_named(n, name) for n, name, digest, _ in rows if n in ours and digest != ours[n].digest],
        [_named(n, name) for n, name, _, _ in rows if n not in ours],
        needed[-1] if needed else None,
    )


def _named(number: int, name: str) -> str:
    return f"{number:04} {name}"


_SERVER: Final = """
with ours as (
    select c.oid, c.relname, c.relowner
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'syncd' and c.relkind in ('r', 'p')
)
select current_setting('server_version_num')::integer as version,
       current_setting('server_encoding') as encoding,
       current_setting('data_checksums') as checksums,
       current_setting('max_connections')::integer as max_connections,
       current_setting('superuser_reserved_connections')::integer
           + coalesce(current_setting('reserved_connections', true), '0')::integer as reserved,
       (select count(*)::integer from pg_stat_activity
        where backend_type = 'client backend'
           -- what those of others are is hidden from a role without privileges
           or (backend_type is null and datname is not null)) as used,
       pg_database_size(current_database()) as size,
       has_database_privilege(current_database(), 'create') as can_create,
       (select coalesce(bool_and(has_schema_privilege(oid, 'usage')), true)
        from pg_namespace where nspname = 'syncd')
           and (select coalesce(bool_and(has_table_privilege(oid, 'select')), true)
                from ours where relname = 'migration') as usable,
       array(
           select relname::text from ours
           where not (has_table_privilege(oid, 'select') and has_table_privilege(oid, 'insert')
                      and has_table_privilege(oid, 'update') and has_table_privilege(oid, 'delete'))
           order by 1
       ) as lacking,
       array(select relname::text from ours where not pg_has_role(relowner, 'usage') order by 1)
           as "foreign"
"""

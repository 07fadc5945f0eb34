"""The databases of a server: which there are, and a look into each of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from syncd.context import RunContext
from syncd.engines.base import ServerAccess
from syncd.engines.postgresql.connection import Session, connected
from syncd.errors import ConfigurationError, Conflict, Network, Permission, SyncdError

T = TypeVar("T")

STANDING = "(datallowconn or not datistemplate) and datconnlimit <> -2"
"""Not template0, and not what an interrupted DROP DATABASE leaves behind (-2); but one that is
closed for a while (ALLOW_CONNECTIONS false), since it is not gone, nor any right in it."""

_LIST = f"""
    select oid, datname, datallowconn, has_database_privilege(oid, 'CONNECT')
    from pg_database where {STANDING} and datname <> all (%s::text[]) order by datname
"""  # noqa: S608 - a constant
_STANDS = f"select from pg_database where oid = %s and {STANDING}"


@dataclass(frozen=True, slots=True)
class Database:
    """A database, whether anybody may connect to it, and whether we have the right to."""

    oid: int
    name: str
    open: bool
    ours: bool


def list_databases(connection: Session, access: ServerAccess) -> list[Database]:
    """Return the databases that are not excluded, by name."""
    rows = connection.execute(_LIST, (list(access.excluded),))
    return [Database(*row) for row in rows]


def visit(
    access: ServerAccess,
    ctx: RunContext,
    databases: Sequence[Database],
    read: Callable[[Session, Database], T],
) -> Iterator[tuple[Database, T | SyncdError]]:
    """Yield each database with what is read in it, or with why it can't be.

    One that is dropped meanwhile is left out. Raises what a run is stopped with, and why the
    server itself can't be reached any more.
    """
    for database in databases:
        found = _look(access, ctx, database, read)
        if isinstance(found, Network):  # DROP DATABASE (FORCE) breaks connections before it drops
            found = _look(access, ctx, database, read)
        if found is not None:
            yield database, found


def _look(
    access: ServerAccess,
    ctx: RunContext,
    database: Database,
    read: Callable[[Session, Database], T],
) -> T | SyncdError | None:
    """Return what is read in a database, or why it can't be; None for one that is gone."""
    try:
        if not database.open:
            raise Conflict(f"database {database.name}: it accepts no connections")
        if not database.ours:
            raise Permission(f"database {database.name}: permission denied")
        with connected(access, ctx, database.name) as connection:
            return read(connection, database)
    except SyncdError as error:
        ctx.check()
        if isinstance(error, ConfigurationError):
            raise
        stands = isinstance(error, Permission | Conflict) or _stands(access, ctx, database)
        return error if stands else None


def _stands(access: ServerAccess, ctx: RunContext, database: Database) -> bool:
    """Ask the server, which may be gone itself, whether a database is still there."""
    with connected(access, ctx, access.database) as connection:
        return connection.execute(_STANDS, (database.oid,)).fetchone() is not None

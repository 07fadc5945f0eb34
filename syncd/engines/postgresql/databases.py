"""The databases of a server: which there are, and a look into each of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from syncd.context import RunContext
from syncd.engines.base import ServerAccess
from syncd.engines.postgresql.connection import Session, connected
from syncd.errors import ConfigurationError, Permission, SyncdError

T = TypeVar("T")

STANDING = "datallowconn and datconnlimit <> -2"
"""Those that can be used: -2 is what an interrupted DROP DATABASE leaves behind."""

_LIST = f"""
    select oid, datname, has_database_privilege(oid, 'CONNECT')
    from pg_database where {STANDING} and datname <> all (%s::text[]) order by datname
"""  # noqa: S608 - a constant
_STANDS = f"select from pg_database where oid = %s and {STANDING}"


@dataclass(frozen=True, slots=True)
class Database:
    """A database that allows connections; `open` to us too."""

    oid: int
    name: str
    open: bool


def list_databases(connection: Session, access: ServerAccess) -> list[Database]:
    """Return the databases that are not excluded, by name."""
    rows = connection.execute(_LIST, (list(access.excluded),))
    return [Database(oid, name, bool(may_connect)) for oid, name, may_connect in rows]


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
        try:
            if not database.open:
                raise Permission(f"permission denied for database {database.name}")
            with connected(access, ctx, database.name) as connection:
                result = read(connection, database)
        except SyncdError as error:
            ctx.check()
            if isinstance(error, ConfigurationError):
                raise
            if isinstance(error, Permission) or _stands(access, ctx, database):
                yield database, error
        else:
            yield database, result


def _stands(access: ServerAccess, ctx: RunContext, database: Database) -> bool:
    """Ask the server, which may be gone itself, whether a database is still there."""
    with connected(access, ctx, access.database) as connection:
        return connection.execute(_STANDS, (database.oid,)).fetchone() is not None

"""The sizes of a server's databases and of their largest tables, as the server counts them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import psycopg

from syncd.context import RunContext
from syncd.engines.base import ServerAccess
from syncd.engines.postgresql.connection import Session, connected, snapshot
from syncd.engines.postgresql.databases import STANDING, Database, list_databases, visit
from syncd.engines.postgresql.failures import mapped
from syncd.errors import BadData, Permission, SyncdError
from syncd.model.db_size import DatabaseSize, SizeReading, TableSize

_SYSTEM: Final = frozenset({"template0", "template1"})
_MAY_ASK: Final = """(has_database_privilege(oid, 'CONNECT')
    or pg_has_role('pg_read_all_stats', 'usage'))"""
"""Who may ask for a size: "Database Object Management Functions", pg_database_size."""
_SIZES: Final = f"""
    select oid, {_MAY_ASK}, case when {_MAY_ASK} then pg_database_size(oid) end
    from pg_database where {STANDING} and datname <> all (%s::text[])
"""  # noqa: S608 - constants
_SIZE: Final = f"""
    select {_MAY_ASK}, case when {_MAY_ASK} then pg_database_size(oid) end
    from pg_database where oid = %s and {STANDING}
"""  # noqa: S608
_GONE: Final = ("3D000", "42704")  # of a database, of an object
_OF_ALL: Final = ("57014", "57P01", "57P02")  # a statement cancelled, a server that stops
_MAY_SEE_LOGS: Final = "select has_function_privilege('pg_ls_waldir()', 'execute')"
_LOGS: Final = "select sum(size)::bigint from pg_ls_waldir()"
_WHOLE: Final = """
    select sum(pg_table_size(oid))::bigint, sum(pg_indexes_size(oid))::bigint,
           count(*) filter (where oid >= 16384 and relkind in ('r', 'p'))
    from pg_class where relkind in ('r', 'm', 'p') and not relisshared
"""
_LARGEST: Final = """
    select nspname, relname, heap + indexes, heap, indexes, nullif(reltuples, -1)::bigint
    from (
        select nspname, relname, reltuples, pg_table_size(c.oid) as heap,
               pg_indexes_size(c.oid) as indexes
        from pg_class c join pg_namespace n on n.oid = relnamespace
        where relkind in ('r', 'm') and relpersistence <> 't' and c.oid >= 16384
    ) each
    where heap + indexes is not null
    order by heap + indexes desc, nspname, relname limit %s
"""


@dataclass(frozen=True, slots=True)
class _Inside:
    """What is known of a database by looking into it."""

    largest: tuple[TableSize, ...]
    data_bytes: int
    index_bytes: int
    tables: int


def read_sizes(access: ServerAccess, ctx: RunContext, largest_tables: int) -> SizeReading:
    """Return the sizes of all databases; raises as `connected` does.

    A database that can't be looked into for its tables is told as unread, beside its size. Tables
    are those of the users; their heap is with its TOAST, all tables of a database with the
    system's.
    """
    unread: list[tuple[str, SyncdError]] = []
    sizes: dict[str, DatabaseSize] = {}
    with connected(access, ctx, access.database) as connection:
        databases = list_databases(connection, access)
        log_bytes = _logs(connection)
        for database, size in _sizes(connection, access, databases):
            if isinstance(size, SyncdError):
                unread.append((database.name, size))
            else:
                system = database.name in _SYSTEM
                sizes[database.name] = DatabaseSize(database.name, size, system=system)
    tables: list[TableSize] = []
    if largest_tables:
        sized = [database for database in databases if database.name in sizes]
        for database, inside in visit(access, ctx, sized, _reader(largest_tables)):
            if isinstance(inside, SyncdError):
                unread.append((database.name, inside))
                continue
            tables += inside.largest
            sizes[database.name] = replace(
                sizes[database.name],
                data_bytes=inside.data_bytes,
                index_bytes=inside.index_bytes,
                tables=inside.tables,
            )
    return SizeReading("postgresql", tuple(sizes.values()), tuple(unread), tuple(tables), log_bytes)


def _sizes(
    connection: Session, access: ServerAccess, databases: list[Database]
) -> Iterator[tuple[Database, int | SyncdError]]:
    """Yield the size of each database that still stands, or why it can't be asked.

    All in one statement, unless one of them makes it fail: dropped in this moment, or its files
    damaged.
    """
    rows: list[tuple[Any, ...]] = []
    try:
        rows = connection.execute(_SIZES, (list(access.excluded),)).fetchall()
    except psycopg.Error as error:
        if not _is_of_one(connection, error):
            raise
    sizes = {oid: _told(may_ask, size) for oid, may_ask, size in rows if may_ask is False or size}
    for database in databases:
        size = sizes.get(database.oid) or _size(connection, database)
        if size is not None:
            yield database, size


def _size(connection: Session, database: Database) -> int | SyncdError | None:
    """Return the size of one database, or why it can't be asked; None once it is gone."""
    try:
        answer = connection.execute(_SIZE, (database.oid,)).fetchone()
    except psycopg.Error as error:
        if not _is_of_one(connection, error):
            raise
        return None if error.sqlstate in _GONE else mapped(error, error.sqlstate)
    return _told(*answer) if answer and answer[0] is not None else None  # null: gone meanwhile


def _told(may_ask: bool, size: int | None) -> int | SyncdError:  # noqa: FBT001
    """Return a size, or why the server does not tell it."""
    if not may_ask:
        return Permission("no right to ask for its size")
    return BadData("the server can't tell its size") if size is None else size


def _is_of_one(connection: Session, error: psycopg.Error) -> bool:
    """Tell whether one database made a statement fail, rather than the connection or the time."""
    return not connection.closed and error.sqlstate not in _OF_ALL


def _logs(connection: Session) -> int | None:
    """Return the bytes of the write-ahead log; None for who may not see them."""
    may_see = connection.execute(_MAY_SEE_LOGS).fetchone()
    if not may_see or not may_see[0]:
        return None
    answer = connection.execute(_LOGS).fetchone()
    return answer[0] if answer else None


def _reader(largest_tables: int) -> Callable[[Session, Database], _Inside]:
    """Return what looks into a database."""

    def read(connection: Session, database: Database) -> _Inside:
        with snapshot(connection):
            whole = connection.execute(_WHOLE).fetchall()[0]
            rows = connection.execute(_LARGEST, (largest_tables,)).fetchall()
        largest = tuple(TableSize(database.name, *row) for row in rows)
        return _Inside(largest, *whole)

    return read

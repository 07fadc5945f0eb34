"""The databases of the embedded server: the store, and those that a restore makes beside it."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from syncd.errors import StoreError
from syncd.store.embedded.cluster import ROLE

BESIDE: Final = f"{ROLE}_restoring"
REPLACED: Final = f"{ROLE}_replaced"

_TRIES: Final = 20  # to rename a database, while somebody connects to it again and again
_PAUSE: Final = 0.1  # seconds between them


@contextmanager
def administered(dsn: str) -> Iterator[psycopg.Connection]:
    """Give a connection of its own, outside any transaction; the driver's errors become ours."""
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
            yield connection
    except psycopg.Error as error:
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise StoreError(f"the embedded store failed: {first}") from error


def create_beside(dsn: str) -> None:
    """Make an empty database beside the store's, whose DSN is given."""
    with _apart(dsn) as admin:
        _execute(admin, "create database {} template template0", BESIDE)


def drop_leftovers(dsn: str) -> None:
    """Drop the databases that a restore works with, which one that was killed leaves behind."""
    with _apart(dsn) as admin:
        for name in (BESIDE, REPLACED):
            _execute(admin, "drop database if exists {} with (force)", name)


def swap(dsn: str, replaced: str) -> None:
    """Give the store's database another name and the one beside it its name, at one moment.

    PostgreSQL renames no database that somebody uses: who does is cut off. Raises StoreError.
    """
    with _apart(dsn) as admin:
        for _ in range(_TRIES):
            admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = any (%s)",
                ([ROLE, BESIDE],),
            )
            try:
                with admin.transaction():
                    _execute(admin, "alter database {} rename to {}", ROLE, replaced)
                    _execute(admin, "alter database {} rename to {}", BESIDE, ROLE)
            except psycopg.errors.ObjectInUse:
                time.sleep(_PAUSE)
            else:
                return
    raise StoreError("somebody connects to the present database again and again: nothing changed")


def _apart(dsn: str) -> AbstractContextManager[psycopg.Connection]:
    """Give a connection to the server that is in the way of no database of ours."""
    return administered(make_conninfo(dsn, dbname="postgres"))


def _execute(connection: psycopg.Connection, text: LiteralString, *names: str) -> None:
    """Run a statement about databases."""
    connection.execute(sql.SQL(text).format(*map(sql.Identifier, names)))

"""Schemas that are made where they are missing."""

from contextlib import suppress
from typing import Final

from psycopg.errors import DuplicateSchema, UniqueViolation
from psycopg.sql import SQL, Identifier

from syncd.engines.postgresql.connection import Session
from syncd.engines.postgresql.statements import run
from syncd.errors import Permission

_THERE: Final = "select exists (select from pg_namespace where nspname = %s)"
_MAY: Final = """
    select has_database_privilege(current_database(), 'CREATE'), current_database()::text,
           session_user::text
"""


def is_there(connection: Session, schema: str) -> bool:
    """Tell whether a schema exists."""
    found = connection.execute(_THERE, (schema,)).fetchone()
    return bool(found and found[0])


def require_right(connection: Session, schema: str) -> None:
    """Raise Permission, with the statement that grants it, where we may make no schema."""
    may, database, user = connection.execute(_MAY).fetchall()[0]
    if not may:
        grant = SQL("GRANT CREATE ON DATABASE {} TO {}").format(*map(Identifier, (database, user)))
        told = grant.as_string(connection)
        raise Permission(f"there is no schema {schema}, and it may not be made: {told}")


def ensure(connection: Session, schema: str) -> None:
    """Make a schema where there is none; another one may do so in this moment."""
    if not is_there(connection, schema):
        require_right(connection, schema)
        with suppress(DuplicateSchema, UniqueViolation):
            run(connection, SQL("create schema if not exists {}").format(Identifier(schema)))

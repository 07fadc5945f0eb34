"""Databases that are made where they are missing."""

from typing import Final

from syncd.engines.mysql.connection import Session
from syncd.engines.mysql.names import quoted
from syncd.errors import Permission

_THERE: Final = "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s"


def is_there(session: Session, database: str) -> bool:
    """Tell whether a database exists that we may see."""
    return bool(session.rows(_THERE, database))


def ensure(session: Session, database: str) -> None:
    """Make a database where there is none; raises Permission, with the statement that grants it."""
    if is_there(session, database):
        return
    name = quoted(database)
    try:
        session.change(f"CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET utf8mb4")
    except Permission as error:
        told = f"there is no database {database} that we may see, and it may not be made"
        user = account(session.identity.user)
        raise Permission(f"{told}: GRANT CREATE ON {name}.* TO {user}") from error


def account(user: str) -> str:
    """Return a user as statements have it."""
    name, _, host = user.rpartition("@")
    return f"{_literal(name)}@{_literal(host)}"


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"

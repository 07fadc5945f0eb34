"""Composed statements, executed; without parameters, so that `%` in a name is what it is."""

from collections.abc import Mapping
from typing import Any

from psycopg.sql import Composable

from syncd.engines.postgresql.connection import Session


def ask(connection: Session, query: Composable) -> list[tuple[Any, ...]]:
    """Return all rows of a query."""
    return connection.execute(query.as_bytes(connection)).fetchall()


def run(
    connection: Session, statement: Composable, values: Mapping[str, object] | None = None
) -> int:
    """Execute a statement; return how many rows it changed."""
    return connection.execute(statement.as_bytes(connection), values).rowcount

"""How the views ask: statements of columns, conditions, an order and a limit."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from psycopg.rows import dict_row
from psycopg.sql import SQL, Composable, Composed, Identifier

from syncd.store.database import Transaction

Rows = list[dict[str, Any]]
MOST: Final = 10_000
Condition = tuple[str, object]
"""A condition of SQL with the value of its place, a tuple of values for several, None for none."""


def table(name: str) -> Composable:
    """Return one of our tables, to select from."""
    return Identifier("syncd", name)


def select(
    tx: Transaction,
    columns: Iterable[str],
    source: Composable,
    where: Iterable[Condition],
    order: Composable,
    limit: int,
) -> Rows:
    """Return the columns of the rows for which all conditions hold; each has at most a value."""
    conditions = list(where)
    statement = SQL("select {} from {} where {} order by {} limit {}").format(
        SQL(", ").join(map(Identifier, columns)),
        source,
        SQL(" and ").join([SQL("true"), *(SQL(text) for text, _ in conditions)]),
        order,
        limit,
    )
    values: list[object] = []
    for text, value in conditions:
        if "%s" in text:
            values += value if isinstance(value, tuple) else (value,)
    return select_all(tx, statement, values)


def select_all(
    tx: Transaction, statement: str | Composed, values: Sequence[object] | Mapping[str, object]
) -> Rows:
    """Execute a statement and return its rows."""
    text = statement.encode() if isinstance(statement, str) else statement
    with tx.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(text, values).fetchall()

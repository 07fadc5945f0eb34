"""A guard against rows that would not fit in memory: libpq keeps a whole row at least twice.

It works in the server, by lengths for which no value is read: a statement fails with a text of ours
at the first such row.
"""

from collections.abc import Sequence
from typing import Final

from psycopg.sql import SQL, Composable, Identifier, Literal

from syncd.engines.postgresql.shapes import Look
from syncd.engines.postgresql.table_failures import LONG_ROW
from syncd.model.table import Column

LIMIT: Final = 256 << 20
_PACKED: Final = 1_000_000
"""Bytes below which no value that matters is packed: 255 times is the most that LZ4 can."""


def no_long_row(looked: Look, columns: Sequence[Column], key: Sequence[str]) -> list[Composable]:
    """Return the condition, none where a table keeps no value outside its pages."""
    long = [column for column in columns if column.name in looked.marks.long]
    if not looked.may_be_long or not long:
        return []
    sizes = SQL(" + ").join(_size(column) for column in long)
    names = [Identifier("r", name) for name in key]
    place = SQL("concat_ws(', ', {})").format(
        SQL(", ").join(SQL("left({}::text, 40)").format(n) for n in names)
    )
    return [
        SQL("(case when {} > {} then {} || ' at ' || {} else '1' end)::pg_catalog.int4 = 1").format(
            sizes, Literal(LIMIT), Literal(LONG_ROW), place
        )
    ]


def _size(column: Column) -> Composable:
    """Return the bytes of a value as it is sent; those of small ones do not matter."""
    name = Identifier("r", column.name)
    if column.type.kind == "bytes":
        return SQL("coalesce(octet_length({}), 0)::int8").format(name)
    return SQL(
        "case when pg_column_size({0}) > {1} then octet_length({0}::text) else 0 end::int8"
    ).format(name, Literal(_PACKED))

"""Values and spans in statements: literals, since COPY takes no parameters."""

from binascii import hexlify
from collections.abc import Sequence

from psycopg.abc import AdaptContext
from psycopg.sql import SQL, Composable, Composed, Identifier

from syncd.engines.postgresql.types import comparable
from syncd.errors import BadData
from syncd.model.copy import Edge, Span
from syncd.model.table import Column, Key, Shape


class Text(Composable):
    """A literal of bytes as they are, whatever the encoding of the session."""

    def __init__(self, value: bytes) -> None:
        super().__init__(value)
        self._value = value

    def as_bytes(self, context: AdaptContext | None = None) -> bytes:  # noqa: ARG002 - given
        """Return the literal; raises BadData for NUL, which no text has."""
        if b"\0" in self._value:
            raise BadData("a text with NUL is in no column of PostgreSQL")
        return b" E'" + self._value.replace(b"\\", b"\\\\").replace(b"'", b"\\'") + b"'"


def plain(column: Column, value: bytes) -> bytes:
    r"""Return a value as the text that the column's type reads: bytes as `\x` and digits."""
    return b"\\x" + hexlify(value) if column.type.kind == "bytes" else value


def literal(column: Column, value: bytes) -> Composable:
    """Return a value of a column as what is compared with it.

    An integer may be too large for the column, where it is the end of another side's range.
    """
    return Text(plain(column, value)) + (_wider(column, value) or _cast(column))


def _wider(column: Column, value: bytes) -> Composable | None:
    """Return the cast of an integer that the column can't hold; an index of it takes int8, too."""
    if column.type.kind != "integer" or not value.removeprefix(b"-").isdigit():
        return None
    number, size = int(value), column.type.size or 8
    if -(1 << 8 * size - 1) <= number < 1 << 8 * size - 1:
        return None
    return SQL("::pg_catalog.int8" if -(1 << 63) <= number < 1 << 63 else "::pg_catalog.numeric")


def columns_of(shape: Shape, names: Sequence[str]) -> list[Column]:
    """Return the columns of these names; raises BadData for one that is not there."""
    found = [shape.column(name) for name in names]
    for name, column in zip(names, found, strict=True):
        if column is None:
            raise BadData(f"there is no column {name!r}")
    return [column for column in found if column is not None]


def order_by(span: Span) -> Composable:
    """Return the order of a span; the columns' own collations are those of its index."""
    return SQL(" order by ") + SQL(", ").join(Identifier("r", name) for name in span.order)


def where(shape: Shape, span: Span | None, *further: Composable) -> Composable:
    """Return the condition for the rows of a span, with what else is asked of them."""
    asked = list(further)
    if span is not None:
        columns = columns_of(shape, span.order)
        if span.start is not None:
            asked.append(_beyond(columns, span.start, ">"))
        if span.end is not None:
            asked.append(_beyond(columns, span.end, "<"))
        if span.start is not None or span.end is not None:
            asked += [
                SQL("{} is not null").format(_name(each)) for each in columns if each.nullable
            ]
    return SQL(" where ") + SQL(" and ").join(asked) if asked else Composed([])


def _beyond(columns: Sequence[Column], edge: Edge, operator: str) -> Composable:
    """Return a comparison with an edge: one of rows, for which an index is used as a whole."""
    compared = columns[: len(edge.values)]
    values = [literal(*each) for each in zip(compared, edge.values, strict=True)]
    names = [_name(column) for column in compared]
    sign = SQL(f" {operator}{'=' if edge.inclusive else ''} ")
    if len(names) == 1:
        return names[0] + sign + values[0]
    return SQL("(") + SQL(", ").join(names) + SQL(")") + sign + _listed(values)


def _listed(values: Sequence[Composable]) -> Composable:
    return SQL("(") + SQL(", ").join(values) + SQL(")")


def _name(column: Column) -> Composable:
    return Identifier("r", column.name)


def keys_table(columns: Sequence[Column], keys: Sequence[Key]) -> Composable:
    """Return keys as a function of a FROM clause, with a column of texts for each of the key."""
    lists = [
        SQL("array[") + SQL(", ").join(Text(plain(column, key[at])) for key in keys)
        + SQL("]::pg_catalog.text[]")
        for at, column in enumerate(columns)
    ]  # fmt: skip
    return SQL("unnest({})").format(SQL(", ").join(lists))


def keys_equal(columns: Sequence[Column], table: str, alias: str) -> Composable:
    """Return the condition by which rows of a table meet keys of `keys_table`."""
    return SQL(" and ").join(
        SQL("{} = {}").format(Identifier(table, column.name), Identifier(alias, f"k{at}"))
        + _cast(column)
        for at, column in enumerate(columns, 1)
    )


def _cast(column: Column) -> Composable:
    """Return what makes a text a value of the column: an amount of money is read as a number."""
    through = "::pg_catalog.numeric" if column.type.kind == "decimal" else ""
    return SQL(f"{through}::{comparable(column)}")

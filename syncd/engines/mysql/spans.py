"""Conditions that take a span of rows out of an order, written so that an index is used.

MariaDB reads a whole table for `(u, id) > (x, y)`; `u >= x AND (u > x OR id > y)` is a range.
"""

from collections.abc import Sequence

from syncd.engines.mysql.literals import compared, named
from syncd.engines.mysql.names import quoted
from syncd.engines.mysql.types import members, word_of
from syncd.errors import BadData
from syncd.model.copy import Edge, Span
from syncd.model.table import Column, Shape


def columns_of(shape: Shape, names: Sequence[str]) -> list[Column]:
    """Return columns by name; raises BadData for one that does not exist."""
    found = [shape.column(name) for name in names]
    if None in found:
        missing = ", ".join(name for name in names if shape.column(name) is None)
        raise BadData(f"there is no column {missing}")
    return [each for each in found if each is not None]


def ordered(column: Column) -> str:
    """Return by what a column is ordered; ENUM and SET are by numbers, and compared as texts.

    Those of a query's result, whose texts are not known, are ordered by their bytes.
    """
    name = quoted(column.name)
    if word_of(column) not in ("enum", "set"):
        return name
    return (
        f"{name} + 0" if members(column) else f"CONVERT({name} USING utf8mb4) COLLATE utf8mb4_bin"
    )


def condition(shape: Shape, span: Span | None) -> str:
    """Return the condition of a span, `TRUE` for all rows."""
    if span is None or (span.start is None and span.end is None):
        return "TRUE"
    columns = columns_of(shape, span.order)
    told = [f"{quoted(each.name)} IS NOT NULL" for each in columns if each.nullable]
    if span.start is not None:
        told.append(_beyond(columns, span.start, ">"))
    if span.end is not None:
        told.append(_beyond(columns, span.end, "<"))
    return " AND ".join(told)


def _beyond(columns: Sequence[Column], edge: Edge, sign: str) -> str:
    """Return the condition of rows on one side of an edge."""
    if not edge.values:
        raise BadData("an edge needs a value at least")
    pairs = [
        (ordered(column), compared(column, value))
        for column, value in zip(columns, edge.values, strict=False)
    ]
    (name, value), *before = reversed(pairs)
    told = f"{name} {sign}{'=' if edge.inclusive else ''} {value}"
    for outer, least in before:
        told = f"{outer} {sign}= {least} AND ({outer} {sign} {least} OR ({told}))"
    return f"({told})"


def equal(columns: Sequence[Column], key: Sequence[bytes]) -> str:
    """Return the condition of rows with a key."""
    return " AND ".join(
        f"{quoted(column.name)} = {named(column, value)}"
        for column, value in zip(columns, key, strict=True)
    )


def among(columns: Sequence[Column], keys: Sequence[Sequence[bytes]]) -> str:
    """Return the condition of rows with one of some keys."""
    if len(columns) == 1:
        values = ", ".join(named(columns[0], key[0]) for key in keys)
        return f"{quoted(columns[0].name)} IN ({values})"
    return " OR ".join(f"({equal(columns, key)})" for key in keys)

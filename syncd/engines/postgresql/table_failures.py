"""What becomes of the driver's errors while tables are read and written."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import psycopg

from syncd.context import RunContext
from syncd.engines.postgresql.failures import mapped, words
from syncd.engines.tables import Busy, Refused
from syncd.errors import BadData, Conflict, Network, SyncdError, told_where

_BUSY: Final = ("40001", "40P01", "55P03")  # a conflict of transactions, a deadlock, a lock
_GONE: Final = ("42P01", "42703", "3F000", "42704")  # a table, a column, a schema, a type
_REFUSED: Final = ("22", "23", "38", "39", "44", "54", "P0")
"""Classes of what is wrong with rows: data, constraints, triggers, views, limits of an index."""
_WRONG: Final = ("0A", "21", "22", "25006", "42")  # statements, and servers that only read
_ROOM: Final = ("53100", "53200", "53400")
_AT_COLUMN: Final = re.compile(r"COPY .*?, line \d+, column ")
LONG_ROW: Final = "a row of more than 256 MiB"
"""A text that is no number: a statement fails with it when it meets such a row."""


@contextmanager
def reading(name: str, ctx: RunContext, *, snapshot: bool) -> Iterator[None]:
    """Let errors of a reading block say what they mean; a snapshot does not outlive one."""
    try:
        yield
    except psycopg.Error as error:
        state = error.sqlstate or ""
        if LONG_ROW in str(error):
            place = str(error).partition(LONG_ROW)[2].partition('"')[0]
            raise BadData(f"{name}: {LONG_ROW}{place}") from error
        if state in _BUSY and snapshot:
            raise Conflict(f"{name}: the snapshot was lost: {words(error)}") from error
        ctx.check()
        with told_where(name):
            raise (_known(name, error) or mapped(error, error.sqlstate)) from error


@contextmanager
def writing(name: str, ctx: RunContext, columns: Sequence[str] = ()) -> Iterator[None]:
    """Let errors of a writing block say what they mean; `columns` are those that are staged."""
    try:
        yield
    except psycopg.Error as error:
        state = error.sqlstate or ""
        if state.startswith(_REFUSED):
            raise Refused(_told(name, error, columns)) from error
        ctx.check()
        with told_where(name):
            raise (_known(name, error) or mapped(error, error.sqlstate)) from error


def _known(name: str, error: psycopg.Error) -> SyncdError | None:
    """Return what an error stands for that is of no single row."""
    state = error.sqlstate or ""
    if state in _BUSY:
        return Busy(f"{name}: {words(error)}")
    if state in _ROOM:
        return Network(f"{name}: the server has no room: {words(error)}")
    if state in _GONE or (state != "42501" and state.startswith(_WRONG)):
        return BadData(f"{name}: {words(error)}")
    return None


def _told(name: str, error: psycopg.Error, columns: Sequence[str]) -> str:
    """Return what is wrong with a row, without its values: those are kept with the row."""
    diag = error.diag
    column = diag.column_name or _copied(diag.context or "", columns)
    places = (("constraint", diag.constraint_name), ("column", column))
    told = [
        f"{word} {place}" for word, place in places if place and f'"{place}"' not in words(error)
    ]
    return ", ".join([f"{name}: {words(error)}", *told])


def _copied(context: str, columns: Sequence[str]) -> str | None:
    """Return the column that a COPY was at, by its name in the table where rows are staged."""
    found = _AT_COLUMN.match(context)
    if found is None:
        return None
    at = context[found.end() :]
    staged = context.startswith("COPY syncd_stage,")
    calls = ((f"c{n}:" if staged else f"{each}:", each) for n, each in enumerate(columns))
    return next((each for call, each in calls if at.startswith(call)), None)

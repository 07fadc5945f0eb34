"""What becomes of the driver's errors while tables are read and written."""

from collections.abc import Iterator
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
def writing(name: str, ctx: RunContext) -> Iterator[None]:
    """Let errors of a writing block say what they mean."""
    try:
        yield
    except psycopg.Error as error:
        state = error.sqlstate or ""
        if state.startswith(_REFUSED):
            raise Refused(_told(name, error)) from error
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


def _told(name: str, error: psycopg.Error) -> str:
    """Return what is wrong with a row, without its values: those are kept with the row."""
    diag = error.diag
    places = (("constraint", diag.constraint_name), ("column", diag.column_name))
    told = [f"{word} {place}" for word, place in places if place and place not in words(error)]
    return ", ".join([f"{name}: {words(error)}", *told])

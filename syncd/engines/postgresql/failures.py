"""From what the driver raises to the errors of syncd, by the server's SQLSTATE."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from syncd.context import RunContext
from syncd.errors import (
    Authentication,
    BadData,
    Network,
    Permission,
    SyncdError,
    Throttled,
    TimedOut,
    storable,
)

_KINDS: Final[tuple[tuple[str, type[SyncdError]], ...]] = (
    ("28", Authentication),
    ("42501", Permission),
    ("53300", Throttled),  # too many connections
    ("55P03", TimedOut),  # a lock was waited for too long
    ("57014", TimedOut),  # the statement's time is over
)
"""Beginnings of SQLSTATEs (PostgreSQL, appendix A); the rest is Network where the driver calls it
an operational error: the server starts up, stops, breaks the connection, has no memory."""
_TEXT: Final = 300


@contextmanager
def errors_mapped(ctx: RunContext) -> Iterator[None]:
    """Turn the driver's exceptions into ours; a run that has to stop raises what it is told to."""
    try:
        yield
    except psycopg.Error as error:
        ctx.check()
        raise mapped(error, error.sqlstate) from error


def mapped(error: psycopg.Error, sqlstate: str | None) -> SyncdError:
    """Return the error that an exception of the driver stands for."""
    for beginning, kind in _KINDS:
        if sqlstate and sqlstate.startswith(beginning):
            return kind(words(error))
    if isinstance(error, psycopg.OperationalError) and sqlstate != "3D000":
        return Network(words(error))
    return BadData(words(error))


def words(error: psycopg.Error) -> str:
    """Return what the server says, in one line."""
    said = error.diag.message_primary or str(error).rpartition("failed: ")[2]
    line = " ".join(said.replace("FATAL:", "").split())
    return storable(line)[:_TEXT] or type(error).__name__

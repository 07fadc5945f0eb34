"""Connections to the store: one pool, used only while a statement runs, every wait bounded."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, Literal, Self

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from syncd.context import CancelToken, Deadline
from syncd.errors import BadData, Conflict, StoreError, TimedOut
from syncd.store.connection import BoundedConnection

Transaction = Connection[TupleRow]

_STATEMENT_LIMIT: Final = 60.0  # seconds, for a statement that belongs to no run
_IDLE_LIMIT: Final = 8_000
"""Milliseconds after which the server ends a transaction whose process says nothing.

A frozen one, or one behind a network that swallows all, would keep its locks: on the lease, on the
runs that it began. This is less than the lease lasts, so that nobody who takes over waits for it.
The server does not count so in the middle of a pipeline, as which the driver sends `executemany`:
what has many rows is sent as one statement.
"""
_LONGEST: Final = 86_400.0  # seconds, for those of a run: PostgreSQL takes no more than 24 days
_TOO_LARGE = (psycopg.errors.ProgramLimitExceeded, psycopg.errors.StatementTooComplex)
"""A key too long for an index, a document nested too deep: operational errors to the driver."""

logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # it tells each failed try; we tell once


Operation = Literal["claim", "begin", "load", "stage", "apply", "record", "lease", "read", "other"]
"""What a transaction is for, as the metrics tell it apart."""


def _unobserved(operation: Operation, seconds: float) -> None:
    """Hear of a transaction and keep it to oneself."""


def _connecting(note: Callable[[psycopg.Error | None], None]) -> type[BoundedConnection]:
    """Return a class of connections that tell why one can't be made; the pool does not."""

    class Noting(BoundedConnection):
        @classmethod
        def connect(cls, conninfo: str = "", **options: Any) -> Self:  # noqa: ANN401 - handed on
            try:
                connection = super().connect(conninfo, **options)
            except psycopg.Error as error:
                note(error)
                raise
            note(None)
            return connection

    return Noting


class Store:
    """The store as its rooms see it: transactions under a time limit.

    `session` tells its connections apart on the server, beside the program's name.
    """

    def __init__(
        self,
        dsn: str,
        *,
        pool_min: int = 2,
        pool_max: int = 20,
        pool_idle: timedelta = timedelta(seconds=30),
        connect_timeout: timedelta = timedelta(seconds=2),
        session: str = "",
    ) -> None:
        self.dsn, self.session = dsn, session
        self._wait = max(connect_timeout.total_seconds(), 1.0)
        self.observe: Callable[[Operation, float], None] = _unobserved
        self._refused: psycopg.Error | None = None  # why the last try to connect failed
        self.pool: ConnectionPool[BoundedConnection] = ConnectionPool(
            dsn,
            connection_class=_connecting(self._note_connect),
            min_size=pool_min,
            max_size=pool_max,
            max_idle=pool_idle.total_seconds(),
            timeout=self._wait,
            reconnect_timeout=self._wait,
            open=False,
            check=ConnectionPool.check_connection,
            name="syncd-store",
            kwargs={
                "connect_timeout": max(2, round(self._wait)),
                "application_name": f"syncd {session}".strip(),
                # a server that a network no longer reaches is noticed in some 20 s (tcp(7))
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 2,
                "tcp_user_timeout": 20_000,
                "options": "-c timezone=UTC -c client_encoding=UTF8"
                f" -c idle_in_transaction_session_timeout={_IDLE_LIMIT}",
            },
        )

    def _note_connect(self, error: psycopg.Error | None) -> None:
        self._refused = error

    def open(self) -> None:
        """Start the pool; connections are made in the background."""
        self.pool.open()

    def close(self) -> None:
        """Close every connection, in a few seconds at most."""
        self.pool.close(timeout=5)

    def resize(self, pool_min: int, pool_max: int) -> None:
        """Have so many connections from now on; those too many are closed when they are spare."""
        self.pool.resize(pool_min, pool_max)

    def connections(self) -> dict[str, int]:
        """Return how many connections of the pool are idle and in use."""
        stats = self.pool.get_stats()
        idle = stats.get("pool_available", 0)
        return {"idle": idle, "busy": stats.get("pool_size", 0) - idle}

    @contextmanager
    def transaction(
        self,
        deadline: Deadline | None = None,
        cancel: CancelToken | None = None,
        *,
        limit: float | None = None,
        rehearse: bool = False,
        operation: Operation = "other",
    ) -> Iterator[Transaction]:
        """Give a transaction: committed at the end of the block, rolled back by an exception.

        It ends at the deadline, and `limit` seconds from now; without both, each of its statements
        has a minute. A server that does not answer gets a few seconds more to be cancelled
        (`connection.LAST_WAIT`). A transaction that only rehearses is always rolled back.
        `observe` hears how long it took, the wait for a connection included, by its operation.

        Raises StoreError when the store is out of reach, hangs or refuses a statement, TimedOut
        when the deadline passes, BadData for a value that it can't hold, Conflict for a row that
        may exist once, and the token's error.
        """
        if limit is not None:
            deadline = deadline.sooner(limit) if deadline else Deadline.after(limit)
        with (
            self._timed(operation),
            self._errors_mapped(cancel),
            self._connection(deadline) as connection,
            connection.limited(deadline, _LONGEST if deadline else _STATEMENT_LIMIT),
            connection.transaction(force_rollback=rehearse),
        ):
            seconds = _STATEMENT_LIMIT
            if deadline is not None:
                seconds = min(max(deadline.remaining(), 0.001), _LONGEST)
            connection.execute(
                "select set_config('statement_timeout', %s, true)", (str(round(seconds * 1e3)),)
            )
            with connection.working(cancel):
                yield connection

    @contextmanager
    def _timed(self, operation: Operation) -> Iterator[None]:
        """Tell how long the block took."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.observe(operation, time.monotonic() - began)

    @contextmanager
    def _connection(self, deadline: Deadline | None) -> Iterator[BoundedConnection]:
        """Take a connection that works out of the pool: one that the server dropped is replaced."""
        wait = self._wait if deadline is None else min(self._wait, max(deadline.remaining(), 0.001))
        with self.pool.connection(timeout=wait) as connection:
            yield connection

    @contextmanager
    def _errors_mapped(self, cancel: CancelToken | None) -> Iterator[None]:
        """Turn the driver's exceptions into ours."""
        try:
            yield
        except psycopg.errors.QueryCanceled as error:
            if cancel is not None:
                cancel.check()
            raise TimedOut("a statement of the store passed its time limit") from error
        except psycopg.errors.UniqueViolation as error:
            raise Conflict(f"the store refused a second one: {_first_line(error)}") from error
        except (psycopg.DataError, *_TOO_LARGE) as error:
            raise BadData(f"the store can't hold a value: {_first_line(error)}") from error
        except psycopg.errors.DiskFull as error:
            raise StoreError(f"the disk of the store is full: {_first_line(error)}") from error
        except (PoolTimeout, PoolClosed) as error:
            why = _first_line(self._refused or error)
            raise StoreError(f"the store can't be reached: {why}") from error
        except psycopg.Error as error:
            if cancel is not None:
                cancel.check()
            raise StoreError(f"the store failed: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    """Return the first line of an error's text: the rest quotes statements and values."""
    return (str(error) or type(error).__name__).splitlines()[0]

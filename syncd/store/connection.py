"""A connection that waits for nothing without end, not even for a server that is frozen.

The server enforces `statement_timeout` itself, so one that hangs without refusing enforces nothing:
a stopped process or a suspended machine, which behind a Unix socket no keep-alive notices. Here the
thread that waits looks at the time, and at its token, by itself, for which the driver gives it the
chance ten times a second; so no other thread ever touches its connection.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

import psycopg
from psycopg import Connection
from psycopg.abc import PQGen
from psycopg.errors import ConnectionTimeout
from psycopg.rows import TupleRow
from psycopg.waiting import Wait

from syncd.context import CancelToken, Deadline

T = TypeVar("T")

LAST_WAIT: Final = 2.0
"""Seconds that a server has to take a cancel request, and again to obey it."""

_IDLE: Final = 2.0  # seconds for what the pool does with a connection: a check, a rollback
_LEAST: Final = 1.0  # seconds for the end of a transaction whose time is over


class BoundedConnection(Connection[TupleRow]):
    """A connection whose every wait ends: with an answer, else cancelled, else by closing it."""

    _deadline: Deadline | None = None
    _each = _IDLE
    _at_work = False
    _token: CancelToken | None = None

    @contextmanager
    def limited(self, deadline: Deadline | None, each: float) -> Iterator[None]:
        """Let a transaction in this block wait until the deadline, and `each` seconds at once.

        Its commit or rollback has a second at least: one that was late can still be ended.
        """
        self._deadline, self._each = deadline, each
        try:
            yield
        finally:
            self._deadline, self._each = None, _IDLE

    @contextmanager
    def working(self, token: CancelToken | None) -> Iterator[None]:
        """Hold what is done in this block to the deadline, and let the token cancel it."""
        if token is not None:
            token.check()
        self._at_work, self._token = True, token
        try:
            yield
        finally:
            self._at_work, self._token = False, None

    def wait(self, gen: PQGen[T], *args: Any, **options: Any) -> T:  # noqa: ANN401 - handed on
        """Drive a generator of the driver's: whatever it sends or receives comes through here.

        Raises ConnectionTimeout when the server does not answer; the connection is closed then.
        """
        try:
            wanted = next(gen)
        except StopIteration as end:  # there was nothing to wait for: most of a copy's writes
            result: T = end.value
            return result
        return super().wait(self._bounded(gen, wanted), *args, **options)

    def _bounded(self, gen: PQGen[T], wanted: Wait) -> PQGen[T]:
        """Hand on what a generator waits for; when it is to stop, cancel, then give it up."""
        until, cancelled = self._until(), False
        try:
            while True:
                ready = yield wanted
                wanted = gen.send(ready)  # first: what has arrived counts
                if until.remaining() > 0 and (cancelled or not self._told_to_stop()):
                    continue
                if cancelled or not self._cancel():
                    self.close()
                    gen.throw(ConnectionTimeout("the server does not answer"))
                until, cancelled = Deadline.after(LAST_WAIT), True
        except StopIteration as end:
            result: T = end.value
            return result

    def _until(self) -> Deadline:
        """Return the end of a wait that begins now."""
        until = Deadline.after(self._each)
        if self._deadline is None or self._deadline.at > until.at:
            return until
        return self._deadline if self._at_work else _later(self._deadline, _LEAST)

    def _told_to_stop(self) -> bool:
        return self._token is not None and self._token.is_set()

    def _cancel(self) -> bool:
        """Ask the server to cancel the statement; tell whether it took the request."""
        with suppress(psycopg.Error):
            self.cancel_safe(timeout=LAST_WAIT)
            return True
        return False


def _later(deadline: Deadline, seconds: float) -> Deadline:
    """Return the later one of a deadline and `seconds` from now."""
    return Deadline(max(deadline.at, Deadline.after(seconds).at))

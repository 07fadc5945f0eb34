"""An HTTP call under way: its limits, the socket it waits on, and how its answer is read.

http.client takes any end of a connection for the end of what it reads, and reads what servers that
misbehave say without bounds at some places; here are those mended.
"""

import http.client
import io
import re
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from syncd.context import CancelToken, Deadline

CHUNK: Final = 64 * 2**10
_CHUNK_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,16}")
_MOST_INTERIM: Final = 100
"""Answers 1xx before the one that counts."""


@dataclass(slots=True)
class Trace:
    """What is known of a call even if it fails; one for several requests tells of them together.

    `sent` is true from the moment before the first byte of a request may leave: it stays false
    when the name, the connection, the proxy's tunnel or TLS failed. Times are in seconds since the
    beginning: `connect` when the first request could be sent, `first_byte` and `total` of the last
    answer. None is what was not reached.
    """

    sent: bool = False
    connect: float | None = None
    first_byte: float | None = None
    total: float = 0.0
    started: float = field(default_factory=time.monotonic)
    before: bool = False
    """What `sent` was when the last request was begun."""

    def begin(self) -> None:
        """Take up a further request."""
        self.first_byte, self.before = None, self.sent

    def sending(self) -> None:
        """Note that the next byte leaves."""
        self.sent = True
        if self.connect is None:
            self.connect = time.monotonic() - self.started

    def not_taken(self) -> None:
        """Note that the other side ended the handshake, and what was sent after it is lost.

        In TLS 1.3 a client hears that its certificate is refused when it has begun to send.
        """
        if self.first_byte is None:
            self.sent = self.before

    def receiving(self) -> None:
        """Note that a byte came."""
        if self.first_byte is None:
            self.first_byte = time.monotonic() - self.started

    def end(self) -> None:
        """Note that the call is over, one way or the other."""
        self.total = time.monotonic() - self.started


class Call:
    """A call under way: its limits, and the socket on which it waits."""

    def __init__(
        self, deadline: Deadline, cancel: CancelToken, trace: Trace, *, fresh: bool
    ) -> None:
        self.deadline = deadline
        self.cancel = cancel
        self.trace = trace
        self.fresh = fresh
        self.connecting = False
        self._socket: socket.socket | None = None
        self._spare: socket.socket | None = None

    def check(self) -> None:
        """Raise when the call is cancelled or its time is over."""
        self.cancel.check()
        self.deadline.check()

    def arm(self, sock: socket.socket, seconds: float | None = None) -> None:
        """Let the next step on `sock` wait for `seconds`, by default for all the time left.

        The socket is remembered before the token is looked at and cancelling sets the token before
        it looks at the socket, so that one of the two notices the other.
        """
        self._socket = self._spare or sock
        self.check()
        sock.settimeout(max(seconds or self.deadline.remaining(), 0.001))  # 0 would not wait at all

    def guard(self, sock: socket.socket) -> None:
        """Wait on a copy of `sock`, since TLS takes the socket itself apart to shake hands."""
        self._spare = sock.dup()
        self.arm(sock)

    def connected(self) -> None:
        """Drop the copy, connected or not."""
        if self._spare is not None:
            self._spare.close()
            self._spare = None

    def wake(self) -> None:
        """End the step that waits, from the thread that cancels.

        At the very end of a call its connection may have gone to another call already; that one
        then sees a broken connection, as it might at any time, and tries again.
        """
        if self._socket is not None:
            with suppress(OSError):  # not connected yet, or closed already
                # SSLSocket's own shutdown would also drop its TLS state under the reading thread
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class Current(threading.local):
    """The call of this thread; urllib3 has no way to hand it to a connection."""

    call: Call


current: Final = Current()


class Reader(io.RawIOBase):
    """A socket's bytes, each read limited by the time left for the thread's call."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase) -> None:
        self._socket = sock
        self._raw = raw
        self.ended = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int | None:  # noqa: ANN401 - Buffer comes with 3.12
        """Read what has arrived, or wait for it."""
        call = current.call
        call.arm(self._socket)
        count = self._raw.readinto(buffer)
        self.ended = not count
        if count and not call.connecting:
            call.trace.receiving()
        return count

    def close(self) -> None:
        """Let go of the socket."""
        if not self.closed:
            self._raw.close()
        super().close()


class Answer(http.client.HTTPResponse):
    """An answer that is read through `Reader`, headers and body.

    http.client takes the end of the connection for the end of the headers, or of a chunk's size: a
    server that dies there would seem to have answered.
    """

    def __init__(
        self,
        sock: socket.socket,
        debuglevel: int = 0,
        method: str | None = None,
        url: str | None = None,
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        self._reader = Reader(sock, self.fp.detach())
        self.fp = io.BufferedReader(self._reader, CHUNK)

    def begin(self) -> None:
        """Read the headers, to the empty line that ends them."""
        super().begin()
        if self._reader.ended:
            raise http.client.HTTPException("the connection was closed within the headers")

    def _read_status(self) -> tuple[str, int, str]:
        """Read the first line of the answer that counts: those before it (1xx) are passed over."""
        for _ in range(_MOST_INTERIM):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if status >= 200 or status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                return version, status, reason
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException("interim answers (1xx), and none that counts")

    def _read_next_chunk_size(self) -> int:
        """Read a chunk's size; `int` would take "-1" for one, and read for ever."""
        line = self.fp.readline(CHUNK + 1)
        size = line.partition(b";")[0].strip()
        if not line.endswith(b"\n") or not _CHUNK_SIZE.fullmatch(size):
            raise http.client.HTTPException("the chunks of the answer are broken")
        return int(size, 16)

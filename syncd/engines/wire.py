"""Sockets whose every step ends: with an answer, at the deadline, or when the run is cancelled.

The limits of PyMySQL and of Redis's client are those of one read, so a server that drips keeps
them for ever. Here each step is given what is left of the time; the driver is handed a socket that
is connected already.
"""

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from math import inf
from typing import Any, Final

from syncd import resolver
from syncd.context import CancelToken, Deadline
from syncd.errors import BadData
from syncd.resolver import AddressInfo

_LEAST: Final = 0.001  # a limit of 0 would not wait at all


class Limit:
    """How long the next steps may take together; moved on from one statement to the next.

    `room` is how many bytes they may receive, of drivers that would put all into memory.
    """

    def __init__(self, until: Deadline, cancel: CancelToken) -> None:
        self.until = until
        self.cancel = cancel
        self.room: float = inf

    @property
    def over(self) -> bool:
        """Tell whether the time has passed, give or take what a timer may be early."""
        return self.until.remaining() <= 0.01

    def check(self) -> None:
        """Raise what the run is stopped with, or TimeoutError once the time has passed."""
        self.cancel.check()
        if self.until.remaining() <= 0:
            raise TimeoutError("the time limit passed")

    def left(self) -> float:
        """Return the seconds that the next step may take, above 0."""
        self.check()
        return max(self.until.remaining(), _LEAST)

    def take(self, received: int) -> None:
        """Note that so many bytes came; raise BadData when they have no room."""
        self.room -= received
        if self.room < 0:
            raise BadData("the answer is too large to be taken into memory")


class TimedSocket(socket.socket):
    """A socket whose steps share one limit; with TLS, too."""

    limit: Limit

    def recv(self, *args: Any, **kwargs: Any) -> bytes:  # noqa: ANN401 - handed through
        """Receive, within the time that is left."""
        self.settimeout(self.limit.left())
        received = super().recv(*args, **kwargs)
        self.limit.take(len(received))
        return received

    def recv_into(self, *args: Any, **kwargs: Any) -> int:  # noqa: ANN401 - handed through
        """Receive, within the time that is left."""
        self.settimeout(self.limit.left())
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed through
        """Send, within the time that is left."""
        self.settimeout(self.limit.left())
        super().sendall(*args, **kwargs)


def limit_tls(context: ssl.SSLContext, limit: Limit) -> None:
    """Let the sockets of a context obey a limit; the handshake has what is left when it begins."""
    context.sslsocket_class = type("TimedTls", (TimedSocket, ssl.SSLSocket), {"limit": limit})


@contextmanager
def dialled(host: str, port: int, limit: Limit) -> Iterator[TimedSocket]:
    """Give a connected socket, shut down when the run is cancelled inside the block.

    A host that begins with "/" is a Unix socket. Raises OSError, TimeoutError among it, TimedOut
    while the name is looked up, and what the run is stopped with.
    """
    dialled = _connect_any(_addresses(host, port, limit), limit)
    # TLS takes the socket itself apart: what wakes its reader is a copy
    with dialled, dialled.dup() as copy, limit.cancel.watch(lambda: _shut(copy)):
        yield dialled


def _shut(sock: socket.socket) -> None:
    with suppress(OSError):  # not connected yet, or not any more
        sock.shutdown(socket.SHUT_RDWR)


def _connect_any(addresses: Sequence[AddressInfo], limit: Limit) -> TimedSocket:
    """Connect to the first address that answers; each is given its share of the time."""
    failure: OSError = OSError("the name of the host has no address")
    for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        try:
            return _connect(address, limit, limit.left() / left)
        except OSError as error:
            failure = error
    raise failure


def _connect(address: AddressInfo, limit: Limit, seconds: float) -> TimedSocket:
    family, kind, protocol, _, place = address
    made = TimedSocket(family, kind, protocol)
    made.limit = limit
    try:
        made.settimeout(max(seconds, _LEAST))
        with limit.cancel.watch(lambda: _shut(made)):
            made.connect(place)
        if family != socket.AF_UNIX:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    except BaseException:
        made.close()
        raise
    return made


def _addresses(host: str, port: int, limit: Limit) -> Sequence[AddressInfo]:
    """Return where a host is, or its socket."""
    if host.startswith("/"):
        return [(socket.AF_UNIX, socket.SOCK_STREAM, 0, "", host)]
    return resolver.addresses(host, port, limit.until, limit.cancel)

"""The one HTTP client: a total time limit for each call, cancelling at once, no secrets in errors.

Time limits of HTTP libraries are per read, so a server that drips a byte a second holds a call for
ever. Here every blocking step (lookup of the name, connecting, the proxy's tunnel, the handshake,
sending, each read of headers and body) gets what is left of the call's limit, and cancelling shuts
the socket down under whichever step is waiting. urllib3 keeps the connections; it is extended where
it allows that: `ConnectionCls` of a pool, `response_class` of a connection.
"""

import functools
import http.client
import io
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from syncd import __version__, resolver
from syncd.context import CancelToken, Deadline
from syncd.errors import BadData, Network, SyncdError, TimedOut
from syncd.resolver import AddressInfo

MAX_BODY: Final = 64 * 2**20
_CHUNK: Final = 64 * 2**10
_OPTIONS: Final[dict[str, Any]] = {
    "num_pools": 128,  # hosts whose connections are kept
    "maxsize": 32,  # connections kept for each, more than the threads that use one client
    "retries": False,
}


@dataclass(frozen=True, slots=True)
class Response:
    """An answer whose body has arrived completely; header names are case-insensitive."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """Sends requests over kept connections; any number of threads may use it.

    Certificates are always checked, against the system's authorities. Redirects are not followed,
    nothing is tried twice, and `HTTP_PROXY` and its like are ignored: a proxy is an argument.
    """

    def __init__(self, proxy: str | None = None) -> None:
        self._pools = _proxied(proxy) if proxy else urllib3.PoolManager(**_OPTIONS)
        self._pools.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
        deadline: Deadline,
        cancel: CancelToken,
    ) -> Response:
        """Send a request and return the whole answer, whatever its status.

        Raises TimedOut at the deadline, the token's error when cancelled, Network when the
        connection fails or breaks, BadData for a body of more than 64 MiB.
        """
        call = _Call(deadline, cancel)
        call.check()
        _current.call = call
        try:
            with cancel.watch(call.wake):
                return self._send(method, url, headers, body)
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            raise call.failure(_public(method, url), error) from error
        finally:
            del _current.call

    def close(self) -> None:
        """Close the connections that are kept."""
        self._pools.clear()

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Response:
        response = self._pools.urlopen(
            method, url, headers={"User-Agent": f"syncd/{__version__}", **headers}, body=body,
            redirect=False, preload_content=False, decode_content=False,
        )  # fmt: skip
        try:
            return Response(response.status, response.headers, _read(response))
        except BaseException:
            response.close()  # half a body is left in the connection: it can't be kept
            raise


class _Call:
    """A call under way: its limits, and the socket on which it waits."""

    def __init__(self, deadline: Deadline, cancel: CancelToken) -> None:
        self.deadline = deadline
        self.cancel = cancel
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

    def failure(self, request: str, error: Exception) -> SyncdError:
        """Return what an error of the library means; raise the token's error if cancelled."""
        self.cancel.check()
        if self.deadline.remaining() <= 0.01:
            return TimedOut(f"{request}: no whole answer within the time limit")
        return Network(f"{request}: {_reason(error)}")


class _Current(threading.local):
    """The call of this thread; urllib3 has no way to hand it to a connection."""

    call: _Call


_current: Final = _Current()


class _Reader(io.RawIOBase):
    """A socket's bytes, each read limited by the time left for the thread's call."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase) -> None:
        self._socket = sock
        self._raw = raw

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int | None:  # noqa: ANN401 - Buffer comes with 3.12
        """Read what has arrived, or wait for it."""
        _current.call.arm(self._socket)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Let go of the socket."""
        if not self.closed:
            self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """An answer that is read through `_Reader`, headers and body."""

    def __init__(
        self,
        sock: socket.socket,
        debuglevel: int = 0,
        method: str | None = None,
        url: str | None = None,
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        self.fp = io.BufferedReader(_Reader(sock, self.fp.detach()), _CHUNK)


class _NotConnected(urllib3.exceptions.HTTPError):
    """The connection could not be made."""


class _Timed(HTTPConnection):
    """A connection that spends no more than the time left for the thread's call."""

    response_class = _Answer

    def connect(self) -> None:
        """Connect, through the proxy's tunnel and the handshake if there are any."""
        call = _current.call
        try:
            super().connect()
        except OSError as error:
            # urllib3 would take a reset for one of the request and read from no socket at all
            raise _NotConnected("no connection", error) from error
        finally:
            call.connected()

    def send(self, data: Any) -> None:  # noqa: ANN401 - as http.client has it
        """Send, connecting first where need be."""
        if self.sock is None:
            self.connect()
        _current.call.arm(self.sock)
        super().send(data)

    def _tunnel(self) -> None:
        """Have the proxy connect; what is left of the time is for the handshake."""
        super()._tunnel()
        _current.call.arm(self.sock)

    def _new_conn(self) -> socket.socket:
        """Connect to the first address of the host that answers."""
        call = _current.call
        addresses = resolver.addresses(self.host.strip("[]"), self.port, call.deadline, call.cancel)
        for left in range(len(addresses), 0, -1):
            share = call.deadline.remaining() / left
            try:
                return _connect(addresses[-left], call, share)
            except OSError:
                if left == 1:
                    raise
        raise OSError(f"{self.host} has no address")


class _TimedTls(_Timed, HTTPSConnection):
    """The same with TLS; the authorities are loaded once for all connections."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed through
        kwargs.setdefault("ssl_context", _tls())
        super().__init__(*args, **kwargs)


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Timed


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TimedTls


@functools.cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _proxied(proxy: str) -> urllib3.ProxyManager:
    """Return pools behind a proxy, whose name and password may stand in its URL."""
    auth = urllib3.util.parse_url(proxy).auth
    headers = urllib3.util.make_headers(proxy_basic_auth=unquote(auth)) if auth else None
    return urllib3.ProxyManager(proxy, proxy_headers=headers, **_OPTIONS)


def _connect(info: AddressInfo, call: _Call, seconds: float) -> socket.socket:
    family, kind, protocol, _, address = info
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        call.arm(sock, seconds)
        sock.connect(address)
        call.guard(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _read(response: urllib3.BaseHTTPResponse) -> bytes:
    """Read a whole body, at most `MAX_BODY` bytes of it."""
    length = response.length_remaining
    if length is not None and length <= MAX_BODY:
        return response.read()
    chunks, size = [], length or 0
    while size <= MAX_BODY and (chunk := response.read(_CHUNK)):
        chunks.append(chunk)
        size += len(chunk)
    if size > MAX_BODY:
        raise BadData(f"the answer is longer than {MAX_BODY >> 20} MiB")
    return b"".join(chunks)


def _public(method: str, url: str) -> str:
    """Name a request without its query, where keys and signatures stand."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{method} {parts.scheme}://{host}{parts.path or '/'}"


def _reason(error: BaseException) -> str:
    """Say what was at the bottom of an error; the layers above add nothing but addresses."""
    while error.args and isinstance(error.args[-1], BaseException):
        error = error.args[-1]
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__

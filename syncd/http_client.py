"""The one HTTP client: a total time limit for each call, cancelling at once, no secrets in errors.

Time limits of HTTP libraries are per read, so a server that drips a byte a second holds a call for
ever. Here every blocking step (lookup of the name, connecting, the proxy's tunnel, the handshake,
sending, each read of headers and body) gets what is left of the call's limit, and cancelling shuts
the socket down under whichever step is waiting. urllib3 keeps the connections; it is extended where
it allows that: `ConnectionCls` of a pool, `response_class` of a connection.
"""

import http.client
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urljoin, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from syncd import __version__, http_tls, resolver
from syncd.context import CancelToken, Deadline
from syncd.errors import BadData, Network, SyncdError, TimedOut
from syncd.http_call import CHUNK, Answer, Call, Trace, current
from syncd.http_tls import TlsFiles
from syncd.resolver import AddressInfo

MAX_BODY: Final = 64 * 2**20
BEGINNING: Final = 64 * 2**10
"""Bytes that are read of a body that announces more than its limit."""
_HANDSHAKE_ALERTS: Final = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "a client certificate is asked for",
    "TLSV1_ALERT_UNKNOWN_CA": "the client certificate is refused: its issuer is not known",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the client certificate is refused",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the client certificate is refused: it has expired",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "the client certificate is refused: it was revoked",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the client certificate is refused",
}
"""Alerts by which a server ends a handshake over the client's certificate (RFC 8446, 6.2)."""
_NO_HTTP: Final = (http.client.BadStatusLine, http.client.UnknownProtocol)
_PORTS: Final = {"http": 80, "https": 443}
_OPTIONS: Final[dict[str, Any]] = {
    "num_pools": 128,  # hosts whose connections are kept
    "maxsize": 32,  # connections kept for each, more than the threads that use one client
    "retries": False,
}


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; header names are case-insensitive.

    The body has arrived completely unless it is `cut`: longer than the limit of the call, and only
    its beginning.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a URL leads to; credentials for one origin are nothing to another (RFC 6454)."""

    scheme: str
    host: str
    port: int


def origin(url: str) -> Origin:
    """Return where the client would connect to for a URL: nobody else's reading of it counts.

    Raises ValueError for what is no URL of HTTP.
    """
    try:
        parts = urllib3.util.parse_url(url)
    except urllib3.exceptions.LocationParseError:
        raise ValueError("is no URL") from None  # the error holds it, query and all
    if parts.scheme not in ("http", "https") or not parts.host:
        raise ValueError("is no URL of http or https")
    return Origin(parts.scheme, parts.host.lower(), parts.port or _PORTS[parts.scheme])


def normal(url: str) -> str:
    """Return a URL as the client sends it: characters encoded, no dots in its path, no fragment.

    Raises ValueError for what is no URL.
    """
    try:
        return urllib3.util.parse_url(url)._replace(fragment=None).url
    except urllib3.exceptions.LocationParseError:
        raise ValueError("is no URL") from None


def resolved(base: str, reference: str) -> str:
    """Return the URL to which an answer refers (RFC 9110, 10.2.2), as the client sends it.

    Raises ValueError for what is no URL of HTTP, or names no host where it should: it would lead
    back to where it came from.
    """
    try:
        parts = urlsplit(reference)
    except ValueError:
        raise ValueError("is no URL") from None
    if not parts.netloc and (parts.scheme in _PORTS or reference.startswith("//")):
        raise ValueError("names no host")
    url = normal(urljoin(base, reference))
    origin(url)
    return url


class HttpClient:
    """Sends requests over kept connections; any number of threads may use it.

    Certificates are checked against the system's authorities, unless `tls` says otherwise.
    Redirects are not followed, nothing is tried twice, and `HTTP_PROXY` and its like are ignored: a
    proxy is an argument.
    """

    def __init__(self, proxy: str | None = None, tls: TlsFiles = TlsFiles()) -> None:  # noqa: B008
        """Read the files of `tls`; raises ConfigurationError for one that can't be used."""
        options = _OPTIONS | ({"ssl_context": http_tls.context(tls)} if tls != TlsFiles() else {})
        self._pools = _proxied(proxy, options) if proxy else urllib3.PoolManager(**options)
        self._pools.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def request(  # noqa: PLR0913 - all but two are named
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
        deadline: Deadline,
        cancel: CancelToken,
        trace: Trace | None = None,
        limit: int | None = None,
        fresh: bool = False,
    ) -> Response:
        """Send a request and return the answer, whatever its status.

        A body of more than `limit` bytes is cut, and its connection closed. A `fresh` connection
        is not one that was kept, and is not kept: the server may have closed that, which would
        look as if the answer were lost.

        Raises TimedOut at the deadline, the token's error when cancelled, Network when the
        connection fails or breaks, and, without a limit, BadData for a body of more than 64 MiB.
        """
        call = Call(deadline, cancel, trace or Trace(), fresh=fresh)
        call.check()
        call.trace.begin()
        current.call = call
        try:
            with cancel.watch(call.wake):
                return self._send(method, url, headers, body, limit)
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            if getattr(_bottom(error), "reason", None) in _HANDSHAKE_ALERTS:
                call.trace.not_taken()
            raise _failure(call, _public(method, url), error) from error
        finally:
            call.trace.end()
            del current.call

    def close(self) -> None:
        """Close the connections that are kept."""
        self._pools.clear()

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        limit: int | None,
    ) -> Response:
        response = self._pools.urlopen(
            method, url, headers=_with_agent(headers), body=body,
            redirect=False, preload_content=False, decode_content=False,
        )  # fmt: skip
        whole = False
        try:
            content, cut = _read(response, MAX_BODY if limit is None else limit)
            if cut and limit is None:
                raise BadData(f"the answer is longer than {MAX_BODY >> 20} MiB")
            whole = not cut
            return Response(response.status, response.headers, content, cut)
        finally:
            if not whole:
                response.close()  # half a body is left in the connection: it can't be kept


class _NotConnected(urllib3.exceptions.HTTPError):
    """The connection could not be made."""


class _Timed(HTTPConnection):
    """A connection that spends no more than the time left for the thread's call."""

    response_class = Answer

    def connect(self) -> None:
        """Connect, through the proxy's tunnel and the handshake if there are any."""
        call = current.call
        call.connecting = True
        try:
            super().connect()
        except OSError as error:
            # urllib3 would take a reset for one of the request and read from no socket at all
            raise _NotConnected("no connection", error) from error
        finally:
            call.connecting = False
            call.connected()

    def send(self, data: Any) -> None:  # noqa: ANN401 - as http.client has it
        """Send, connecting first where need be."""
        if self.sock is None:
            self.connect()
        call = current.call
        call.arm(self.sock)
        if not call.connecting:
            call.trace.sending()
        try:
            super().send(data)
        except ssl.SSLError as error:
            # the other side may have said why; urllib3 looks, but at a broken pipe alone
            raise BrokenPipeError(*error.args) from error

    def _tunnel(self) -> None:
        """Have the proxy connect; what is left of the time is for the handshake."""
        super()._tunnel()
        current.call.arm(self.sock)

    def _new_conn(self) -> socket.socket:
        """Connect to the first address of the host that answers."""
        call = current.call
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
        if not kwargs.get("ssl_context"):
            kwargs["ssl_context"] = http_tls.default()
        super().__init__(*args, **kwargs)


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Timed

    def _get_conn(self, timeout: float | None = None) -> Any:  # noqa: ANN401 - urllib3's protocol
        """Return a connection, which was closed if the call wants a fresh one."""
        return _freshened(super()._get_conn(timeout))

    def _put_conn(self, conn: Any) -> None:  # noqa: ANN401 - urllib3's protocol
        """Take a connection back; nobody waits for a further use of a fresh one, nor the server."""
        super()._put_conn(conn and _freshened(conn))


class _HttpsPool(_HttpPool, urllib3.HTTPSConnectionPool):
    ConnectionCls = _TimedTls

    def _validate_conn(self, conn: Any) -> None:  # noqa: ANN401 - urllib3's protocol
        """Connect; urllib3 would also warn at each call that nothing is verified."""
        if conn.is_closed:
            conn.connect()


def _freshened(connection: Any) -> Any:  # noqa: ANN401 - urllib3's protocol
    if current.call.fresh:
        connection.close()
    return connection


def _with_agent(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers that name syncd, unless they name another agent."""
    if any(name.lower() == "user-agent" for name in headers):
        return dict(headers)
    return {"User-Agent": f"syncd/{__version__}", **headers}


def _proxied(proxy: str, options: Mapping[str, Any]) -> urllib3.ProxyManager:
    """Return pools behind a proxy, whose name and password may stand in its URL."""
    auth = urllib3.util.parse_url(proxy).auth
    headers = urllib3.util.make_headers(proxy_basic_auth=unquote(auth)) if auth else None
    return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)


def _connect(info: AddressInfo, call: Call, seconds: float) -> socket.socket:
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


def _read(response: urllib3.BaseHTTPResponse, limit: int) -> tuple[bytes, bool]:
    """Read a whole body of at most `limit` bytes, or its beginning; tell whether it is cut."""
    length = response.length_remaining
    if length is not None:
        cut = length > limit
        return (response.read(min(limit, BEGINNING)) if cut else response.read()), cut
    chunks, size = [], 0
    while size <= limit and (chunk := response.read(CHUNK)):
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)[:limit], size > limit


def _failure(call: Call, request: str, error: Exception) -> SyncdError:
    """Return what an error of the library means; raise the token's error if cancelled."""
    call.cancel.check()
    if call.deadline.remaining() <= 0.01:
        return TimedOut(f"{request}: no whole answer within the time limit")
    return Network(f"{request}: {_reason(error)}")


def _public(method: str, url: str) -> str:
    """Name a request without its query, where keys and signatures stand."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{method} {parts.scheme}://{host}{parts.path or '/'}"


def _bottom(error: BaseException) -> BaseException:
    """Return what was at the bottom of an error; the layers above add nothing but addresses."""
    while error.args and isinstance(error.args[-1], BaseException):
        error = error.args[-1]
    return error


def _reason(error: BaseException) -> str:
    """Say why a connection failed or broke."""
    error = _bottom(error)
    if isinstance(error, ssl.SSLError) and error.reason in _HANDSHAKE_ALERTS:
        return _HANDSHAKE_ALERTS[error.reason]
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {error.verify_message}"
    if isinstance(error, http.client.IncompleteRead):
        return "the connection was closed within the answer"
    if isinstance(error, _NO_HTTP) and not isinstance(error, ConnectionError):
        return "what answers is no HTTP server"  # their own text holds what came
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__

"""A session with a Redis: every step of it limited, its commands counted, nothing ever written."""

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from redis.connection import AbstractConnection
from redis.exceptions import NoPermissionError, ResponseError

from syncd.context import RunContext
from syncd.engines.base import ServerAccess, ServerIdentity
from syncd.engines.redis.failures import CLUSTER, NO_REDIS, errors_mapped, mapped
from syncd.engines.redis.pace import Pace
from syncd.engines.tls import tls_context
from syncd.engines.wire import Limit, dialled, limit_tls
from syncd.errors import BadData, ConfigurationError

Command = tuple[str | bytes | int, ...]
Answer = Any
"""bytes, an int, None, a list of these, or the ResponseError of a command."""

_UNLIMITED: Final = None  # by the client itself: our sockets know the limits
MOST_BYTES: Final = 256 << 20
"""Of the answers to commands that are sent together."""


class _Client(AbstractConnection):
    """The official client over a socket of ours; it never connects by itself again."""

    host: str
    port: int

    def __init__(self, access: ServerAccess, password: str | None, database: int) -> None:
        self.host, self.port = access.host, access.port
        self._given: socket.socket | None = None
        super().__init__(
            db=database,
            username=access.user or None,
            password=password,
            protocol=2,  # the client's own default is another with each version, and Redis 4 has 2
            socket_timeout=_UNLIMITED,
            socket_connect_timeout=_UNLIMITED,
            retry_on_error=(),
            health_check_interval=0,
            client_name=None,
            driver_info=None,  # tells the server of the library by commands that it may not know
        )

    def connect_over(self, sock: socket.socket) -> None:
        """Log in over a connected socket."""
        self._given = sock
        self.connect()  # type: ignore[no-untyped-call]  # as below: the library says nothing of it

    def send(self, commands: Sequence[Command]) -> None:
        """Send commands together."""
        self.send_packed_command(self.pack_commands(commands))  # type: ignore[no-untyped-call]

    def repr_pieces(self) -> list[tuple[str, object]]:
        """Return what tells this connection from others."""
        return [("host", self.host), ("port", self.port), ("db", self.db)]

    def _connect(self) -> socket.socket:
        sock, self._given = self._given, None
        if sock is None:
            raise OSError("the connection is closed")
        return sock

    def _host_error(self) -> str:
        return "the server"


class Session:
    """An open connection; its methods raise the errors of `syncd.errors` alone."""

    def __init__(
        self,
        ctx: RunContext,
        access: ServerAccess,
        limit: Limit,
        client: _Client,
        pace: Pace,
        tls: str | None,
    ) -> None:
        self._ctx, self._access, self._limit, self._client = ctx, access, limit, client
        self._pace = pace
        self.identity = self._identify(tls)

    def ask(self, *command: str | bytes | int) -> Answer:
        """Send a command and return its answer; an error of it is raised."""
        answer = self.each([command])[0]
        if isinstance(answer, ResponseError):
            raise mapped(answer) from answer
        return answer

    def each(self, commands: Sequence[Command]) -> list[Answer]:
        """Send commands together and return their answers, in their order.

        The ResponseError of a single one is its answer. Raises BadData when all together are larger
        than 256 MiB.
        """
        self._pace.take(self._ctx, len(commands))
        self._limit.until = self._ctx.deadline.sooner(self._access.statement_timeout)
        self._limit.room = MOST_BYTES
        return self._each(commands)

    @property
    def received(self) -> int:
        """Return how many bytes the answers of the last commands had."""
        return int(MOST_BYTES - self._limit.room)

    def _each(self, commands: Sequence[Command]) -> list[Answer]:
        with errors_mapped(self._limit):
            self._client.send(commands)
            return [self._answer() for _ in commands]

    def _answer(self) -> Answer:
        try:
            return self._client.read_response()
        except ResponseError as error:
            return error

    def _identify(self, tls: str | None) -> ServerIdentity:
        """Ask who answers; of what is denied or unknown there, less is told."""
        hello, who, info = self._each([("HELLO", 2), ("ACL", "WHOAMI"), ("INFO", "server")])
        told = _pairs(hello) | _lines(info)
        if not told and not isinstance(info, NoPermissionError):
            raise mapped(info) if isinstance(info, ResponseError) else BadData(NO_REDIS)
        if "cluster" in (told.get("mode"), told.get("redis_mode")):
            raise ConfigurationError(CLUSTER)
        version = told.get("redis_version") or told.get("version") or "(version unknown)"
        user = _text(who) if isinstance(who, bytes) else self._access.user or "default"
        return ServerIdentity("redis", version, user, tls)


@contextmanager
def connected(
    access: ServerAccess, ctx: RunContext, database: int = 0, pace: Pace | None = None
) -> Iterator[Session]:
    """Give a session in a database, closed after the block; several may share a pace.

    Raises Network, Throttled, Authentication, Permission, TimedOut, BadData, ConfigurationError for
    files that can't be used, a database that is not there and a cluster, and what the run is
    stopped with.
    """
    ctx.check()
    password = access.password()
    limit = Limit(ctx.deadline.sooner(access.connect_timeout), ctx.cancel)
    client = _Client(access, password, database)
    with ExitStack() as stack:
        with errors_mapped(limit):
            dialled_to = stack.enter_context(dialled(access.host, access.port, limit))
            stack.callback(client.disconnect)
            sock = _encrypted(dialled_to, access, limit)
            client.connect_over(sock)
        tls = sock.version() if isinstance(sock, ssl.SSLSocket) else None
        yield Session(ctx, access, limit, client, pace or Pace(access.commands_per_second), tls)


def _encrypted(sock: socket.socket, access: ServerAccess, limit: Limit) -> socket.socket:
    """Return the socket with TLS, where the mode has it."""
    if access.host.startswith("/") or access.tls.mode in ("disable", "prefer"):
        return sock
    context = tls_context(access.tls)
    limit_tls(context, limit)
    sock.settimeout(limit.left())
    return context.wrap_socket(sock, server_hostname=access.host)


def _pairs(hello: Answer) -> dict[str, str]:
    """Return what HELLO tells: names and values in turn."""
    if not isinstance(hello, list):
        return {}
    return {_text(k): _text(v) for k, v in zip(hello[::2], hello[1::2], strict=False)}


def _lines(info: Answer) -> dict[str, str]:
    """Return what INFO tells: lines of a name, a colon and a value."""
    if not isinstance(info, bytes):
        return {}
    split = (line.partition(":") for line in _text(info).splitlines())
    return {name: value for name, colon, value in split if colon}


def _text(value: object) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return " ".join(text.split()) if "\n" not in text else text

"""A session on a server that is looked at: read-only, in UTC, every wait bounded."""

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from ipaddress import ip_address
from typing import Final

import psycopg
from psycopg import IsolationLevel, pq
from psycopg.abc import Buffer, PQGenConn
from psycopg.adapt import Loader
from psycopg.conninfo import make_conninfo
from psycopg.errors import QueryCanceled, finish_pgconn
from psycopg.pq import ConnStatus, PollingStatus, Trace, abc
from psycopg.waiting import Wait

from syncd import resolver
from syncd.context import Deadline, RunContext
from syncd.engines.base import ServerAccess
from syncd.engines.postgresql.failures import errors_mapped, mapped
from syncd.engines.postgresql.parameters import parameters
from syncd.errors import Authentication, BadData, Network, SyncdError, TimedOut
from syncd.store.connection import LAST_WAIT, BoundedConnection

OLDEST: Final = 12
"""The oldest version that is read."""

_FIRM: Final = {
    "default_transaction_read_only": "on",
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "search_path": "",  # so that names of types come with their schema
    "quote_all_identifiers": "off",
}
_UNLESS_CONFIGURED: Final = {
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "60s",
    "jit": "off",  # compiling a query of the catalogues takes longer than the query
    "max_parallel_workers_per_gather": "0",
}
_WAITS: Final = {PollingStatus.READING: Wait.R, PollingStatus.WRITING: Wait.W}
_REFUSED: Final = re.compile(rb'ErrorResponse\t S "[^"]*" (?:V "[A-Z]+" )?C "([0-9A-Z]{5})"')
_OF_SERVER: Final = re.compile(r"failed: \S+:  ")
"""How libpq words what a server says: its word for FATAL, a colon and two blanks."""
_STATES_KEPT: Final = 1_000
_STATES: Final[dict[str, str]] = {}
"""The SQLSTATEs of the refusals that were met, by their texts."""


class Session(BoundedConnection):
    """A connection as `connected` gives it."""

    overdue = False
    """Whether a statement was cancelled from here since its limit had passed."""

    @property
    def version(self) -> int:
        """Return the server's major version."""
        return self.info.server_version // 10_000

    def _cancel(self) -> bool:
        """Ask the server to cancel the statement, and note why: it says only that somebody did."""
        self.overdue = not self._told_to_stop()
        return super()._cancel()


class AnyText(Loader):
    r"""Reads texts of any encoding: what is no UTF-8 comes as `\xe9`.

    A database in SQL_ASCII holds any bytes; names of roles and databases have the encoding of
    the database in which they were given.
    """

    def load(self, data: Buffer) -> str:
        """Return the text."""
        return bytes(data).decode("utf-8", "backslashreplace")


@contextmanager
def connected(access: ServerAccess, ctx: RunContext, database: str) -> Iterator[Session]:
    """Give a session, autocommitting, for as long as the block; what it raises is mapped.

    Raises Network, Throttled, Authentication, Permission, TimedOut, BadData for a server that is
    too old or no PostgreSQL, ConfigurationError for a password that can't be read, and what a run
    is stopped with.
    """
    ctx.check()
    with errors_mapped(ctx):
        connection = _connect(access, ctx, database)
        try:
            each = access.statement_timeout + LAST_WAIT
            with connection.limited(ctx.deadline, each), connection.working(ctx.cancel):
                _prepare(connection, access)
                yield connection
        except QueryCanceled as error:
            ctx.check()
            if not connection.overdue:
                raise
            raise TimedOut("the limit of a statement passed") from error
        finally:
            connection.close()


@contextmanager
def snapshot(connection: Session) -> Iterator[None]:
    """Let all statements of the block see the server as it was at one moment."""
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    with connection.transaction():
        yield


def _connect(access: ServerAccess, ctx: RunContext, database: str) -> Session:
    """Return a connection, log-in included, made within the limit of a connect.

    Each address of the host is given its share of the time, until one answers.
    """
    deadline = ctx.deadline.sooner(access.connect_timeout)
    told, addresses = parameters(access, database), _addresses(access, ctx, deadline)
    for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        conninfo = make_conninfo("", **(told | {"hostaddr": address}))
        try:
            return _log_in(conninfo, ctx, deadline.sooner(deadline.remaining() / left))
        except (Network, TimedOut):
            ctx.check()
            if left == 1:
                raise
    raise Network("the name of the host has no address")


def _addresses(access: ServerAccess, ctx: RunContext, deadline: Deadline) -> list[str]:
    """Return where a host is; nothing for one that needs no looking up.

    The driver would do it too, but without a limit, and deaf to whoever cancels.
    """
    with suppress(ValueError):
        ip_address(access.host)
        return [""]
    if access.host.startswith("/"):
        return [""]
    try:
        found = resolver.addresses(access.host, access.port, deadline, ctx.cancel)
    except OSError as error:
        raise Network(str(error)) from error
    return [place[0] for *_, place in found]


def _log_in(conninfo: str, ctx: RunContext, deadline: Deadline) -> Session:
    """Return a connection; one whose refusal is new to us is tried again, to learn its SQLSTATE."""
    try:
        return _try(conninfo, ctx, deadline, None)
    except psycopg.Error as error:
        ctx.check()
        said = str(error)
        if getattr(error.pgconn, "needs_password", False):
            raise Authentication("the server asks for a password") from error
        if said in _STATES or not _OF_SERVER.search(said):
            raise mapped(error, _STATES.get(said)) from error
    states: list[str] = []
    try:
        return _try(conninfo, ctx, deadline, states)
    except psycopg.Error as error:
        ctx.check()
        if states and len(_STATES) < _STATES_KEPT:
            _STATES[str(error)] = states[-1]
        raise mapped(error, states[-1] if states else None) from error


def _try(conninfo: str, ctx: RunContext, deadline: Deadline, states: list[str] | None) -> Session:
    """Connect; the SQLSTATEs of a refusal are put into `states`."""

    class Connecting(Session):
        @classmethod
        def _connect_gen(cls, conninfo: str = "") -> PQGenConn["Connecting"]:
            return cls((yield from _steps(conninfo, ctx, deadline, states)))

    return Connecting.connect(conninfo, autocommit=True, prepare_threshold=None)


def _steps(
    conninfo: str, ctx: RunContext, deadline: Deadline, states: list[str] | None
) -> PQGenConn[abc.PGconn]:
    """Connect step by step, looking at the time and the token ten times a second at least."""
    pgconn = pq.PGconn.connect_start(conninfo.encode())
    with nullcontext() if states is None else _overheard(pgconn, states):
        while pgconn.status != ConnStatus.BAD and (wait := _next_wait(pgconn)):
            ready = 0
            while not ready:
                ready = yield pgconn.socket, wait
                _look_up(pgconn, ctx, deadline)
    if pgconn.status != ConnStatus.OK:
        said = pgconn.get_error_message("utf-8")
        raise psycopg.OperationalError(said, pgconn=finish_pgconn(pgconn))
    pgconn.nonblocking = 1
    return pgconn


def _next_wait(pgconn: abc.PGconn) -> Wait | None:
    """Go on with a connect; return what it waits for, None once it is made or has failed."""
    return _WAITS.get(PollingStatus(pgconn.connect_poll()))


def _look_up(pgconn: abc.PGconn, ctx: RunContext, deadline: Deadline) -> None:
    """Give a connect up whose run has to stop, or whose time is over."""
    try:
        ctx.check()
        if deadline.remaining() <= 0:
            raise TimedOut("the server did not answer within the limit of a connect")
    except SyncdError:
        pgconn.finish()
        raise


@contextmanager
def _overheard(pgconn: abc.PGconn, states: list[str]) -> Iterator[None]:
    """Note the SQLSTATEs with which the server refuses a connection.

    libpq keeps them to itself (PQresultErrorField wants a result), and the text of a refusal is in
    the server's language; its trace of the protocol shows them. It is kept in memory, of which the
    driver loses some 5 KB each time: so only a refusal that was not met before is listened to.
    """
    with os.fdopen(os.memfd_create("trace"), "rb") as heard:
        pgconn.trace(heard.fileno())
        pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
        try:
            yield
        finally:
            pgconn.untrace()
            heard.seek(0)
            states += [found.decode() for found in _REFUSED.findall(heard.read())]


def _prepare(connection: Session, access: ServerAccess) -> None:
    """Make sure of who answers, and set the session up.

    By a statement, since poolers refuse settings at the connect, and PGTZ would overrule them.
    """
    version = connection.info.server_version
    if version < OLDEST * 10_000:
        said = connection.info.parameter_status("server_version") or "?"
        raise BadData(f"version {said} of the server is too old: {OLDEST} or later is needed")
    for name in ("text", "name", "varchar", "bpchar"):
        connection.adapters.register_loader(name, AnyText)
    ours = {name: text for name, text in _UNLESS_CONFIGURED.items() if name not in access.options}
    settings = ours | _FIRM
    if connection.info.parameter_status("server_encoding") == "SQL_ASCII":
        settings["client_encoding"] = "SQL_ASCII"  # it refuses to send what is no UTF-8 as such
    settings["statement_timeout"] = str(math.ceil(access.statement_timeout * 1000))
    connection.execute(
        "select set_config(name, text, false)"
        " from unnest(%s::text[], %s::text[]) as setting (name, text)",
        (list(settings), list(settings.values())),
    )

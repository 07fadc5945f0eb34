"""A session with a server: in UTC, its dialect known, every step limited, mostly read-only."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from syncd.context import CancelToken, Deadline, RunContext
from syncd.engines.base import ServerAccess, ServerIdentity
from syncd.engines.mysql.driver import Connection, unconnected
from syncd.engines.mysql.failures import errors_mapped
from syncd.engines.mysql.packets import Changed, Field, Values, changed, lines, streamed
from syncd.engines.wire import Limit, dialled
from syncd.errors import (
    BadData,
    ConfigurationError,
    Permission,
    SyncdError,
    TimedOut,
    told_where,
)

Row = tuple[Any, ...]

T = TypeVar("T")
_GRACE: Final = 5.0  # seconds for the server to end a statement by itself
_LAST: Final = 1.0  # seconds to end a session that was broken off
_OLDEST: Final = {"mysql": (5, 7), "mariadb": (10, 5)}
_FIRM: Final = {
    "autocommit": "1",
    "time_zone": "'+00:00'",
    "sql_mode": "''",
    "character_set_client": "utf8mb4",
    "character_set_connection": "utf8mb4",
    "character_set_results": "utf8mb4",
    "sql_quote_show_create": "1",
    "sql_select_limit": str(2**64 - 1),  # none: a list that is cut would look like deletions
}
_PATIENT: Final = "28800"  # seconds: a session has nothing to do while the other side works
_STRICT: Final = (
    "STRICT_ALL_TABLES", "ALLOW_INVALID_DATES", "NO_AUTO_VALUE_ON_ZERO", "NO_BACKSLASH_ESCAPES",
    "NO_ENGINE_SUBSTITUTION",
)  # fmt: skip
WRITES: Final = {
    "sql_mode": f"'{','.join(_STRICT)}'",
    "foreign_key_checks": "1",
    "unique_checks": "1",
    "completion_type": "0",  # a transaction that ends begins no other one
    "sql_safe_updates": "0",
    "sql_big_selects": "1",
    "sql_notes": "1",  # a number that is rounded is a note
    "max_error_count": "65535",
    "innodb_lock_wait_timeout": "5",  # as long as PostgreSQL waits
    "lock_wait_timeout": "5",  # of a table, not of a row
    "wait_timeout": _PATIENT,
}
"""What a session is like that writes: nothing may change on its way into a column. Zero dates
and the 31st of February are let in, where they are what the source has."""
_PATIENCE: Final = frozenset({"innodb_lock_wait_timeout", "lock_wait_timeout"})
"""What the configuration may say otherwise."""
READS: Final = {
    "max_sort_length": "16384",  # bytes: of longer texts in a query's key only the beginning counts
    "net_write_timeout": _PATIENT,
    "wait_timeout": _PATIENT,
    "sql_big_selects": "1",
}
"""What a session is like whose rows somebody writes, who may take his time."""
_SETTING: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Dialect:
    """Which of the two answers: `engine` is mysql or mariadb, `version` such as (10, 11)."""

    engine: str
    version: tuple[int, int]

    @property
    def mariadb(self) -> bool:
        """Tell whether it is MariaDB."""
        return self.engine == "mariadb"

    @property
    def mysql8(self) -> bool:
        """Tell whether it is MySQL 8 or later: with roles, and a data dictionary."""
        return not self.mariadb and self.version >= (8, 0)


class Session:
    """An open connection; its methods raise the errors of `syncd.errors` alone."""

    def __init__(
        self,
        ctx: RunContext,
        access: ServerAccess,
        limit: Limit,
        connection: Connection,
        settings: Mapping[str, str],
        place: str = "",
    ) -> None:
        self._ctx = ctx
        self._access = access
        self._limit = limit
        self._connection = connection
        self._place = place
        self.identity, self.dialect = self._identify()
        self._settle(settings)

    @property
    def open(self) -> bool:
        """Tell whether nothing has broken it off."""
        return bool(self._connection.open)

    def rows(self, query: str, *parameters: object) -> list[Row]:
        """Return all rows of a statement; `%s` in it stand for the parameters, quoted."""
        self._begin()
        return self._rows(query, *parameters)

    def use(self, database: str) -> None:
        """Go to a database; raises BadData when it does not exist."""
        self._begin()
        with self._mapped():
            self._connection.select_db(database)

    def change(self, statement: str) -> Changed:
        """Execute a statement that gives no rows."""
        self._begin()
        with self._mapped():
            affected = self._connection.query(statement)
            return Changed(affected, self._connection._result.warning_count)

    def send(self, statement: Iterable[bytes], size: int) -> Changed:
        """Execute a statement that gives no rows, of so many bytes, in pieces as they come."""
        self._begin()
        with self._mapped():
            return changed(self._connection, statement, size)

    def fields(self, query: str) -> list[Field]:
        """Return what a query would give, column by column."""
        self._begin()
        with self._mapped():
            self._connection.query(query)
            return [Field(one) for one in self._connection._result.fields]

    def stream(self, query: str, part: int) -> Iterator[list[Values]]:
        """Yield the rows of a query as they come, undecoded, in parts of so many bytes.

        Nothing else can be asked meanwhile. One that is not read to its end ends the session,
        since the server can't be stopped otherwise. Raises BadData for a row that is too large.
        """
        return self._each(lambda: streamed(self._connection, query, part))

    def lines(self, query: str, part: int, hexed: Collection[int]) -> Iterator[list[bytes]]:
        """Yield the rows of a query as `stream` does, as lines that COPY takes as text.

        The cells at `hexed` are for bytea. A long row comes in pieces, and is never whole.
        """
        return self._each(lambda: lines(self._connection, query, part, hexed))

    def _each(self, ask: Callable[[], Iterator[list[T]]]) -> Iterator[list[T]]:
        self._begin()
        with self._mapped():
            parts = ask()
        while True:
            with self._mapped():
                rows = next(parts, None)
            if rows is None:
                return
            yield rows
            self._begin()

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        """Raise errors of syncd, which name the place where it was given."""
        with told_where(self._place), errors_mapped(self._limit):
            yield

    def _begin(self) -> None:
        """Give a step its time."""
        self._limit.until = self._ctx.deadline.sooner(self._access.statement_timeout + _GRACE)

    def _rows(self, query: str, *parameters: object) -> list[Row]:
        with self._mapped(), self._connection.cursor() as cursor:
            cursor.execute(query, parameters or None)
            return list(cursor.fetchall())

    def _identify(self) -> tuple[ServerIdentity, Dialect]:
        who = self._rows("SELECT version(), @@version_comment, current_user(), @@hostname")
        version, comment, user, self.host = who[0]
        dialect = _dialect(version, comment)
        tls = [row[1] for row in self._rows("SHOW SESSION STATUS LIKE 'Ssl_version'") if row[1]]
        return ServerIdentity(dialect.engine, version, user, next(iter(tls), None)), dialect

    def _settle(self, settings: Mapping[str, str]) -> None:
        """Make the session what the rest relies on; settings of the configuration come first."""
        for name, value in self._access.options.items():
            self._option(name, value)
        told = self._access.options.keys() & _PATIENCE
        for name, value in {**_FIRM, **self._statement_limit(), **settings}.items():
            if name in told:
                continue
            self._rows(f"SET SESSION {name} = {value}")
        self._rows(f"SET SESSION TRANSACTION READ {'WRITE' if settings is WRITES else 'ONLY'}")

    def _option(self, name: str, value: str) -> None:
        if not _SETTING.fullmatch(name):
            raise ConfigurationError(f"options: {name!r} is no name of a system variable")
        try:
            if _NUMBER.fullmatch(value):
                self._rows(f"SET SESSION {name} = {value}")
            else:
                self._rows(f"SET SESSION {name} = %s", value)
        except (BadData, Permission) as error:
            raise ConfigurationError(f"options: {name} can't be set: {error}") from error

    def _statement_limit(self) -> dict[str, str]:
        seconds = self._access.statement_timeout
        if self.dialect.mariadb:
            return {"max_statement_time": f"{seconds:.3f}"}
        return {"max_execution_time": str(max(int(seconds * 1000), 1))}


@contextmanager
def connected(
    access: ServerAccess,
    ctx: RunContext,
    settings: Mapping[str, str] | None = None,
    place: str = "",
) -> Iterator[Session]:
    """Give a session, closed after the block; it can write with the settings WRITES alone.

    Its errors begin with `place`, where one is given.

    Raises Network, Throttled, Authentication, Permission, TimedOut, BadData for a server that is
    too old, ConfigurationError for options and files that can't be used, and what the run is
    stopped with.
    """
    ctx.check()
    password = (access.password() or "").encode()
    limit = Limit(ctx.deadline.sooner(access.connect_timeout), ctx.cancel)
    with _logged_in(access, password, limit) as connection:
        session = Session(ctx, access, limit, connection, settings or {}, place)
        try:
            yield session
        except Exception as error:
            told = ctx.cancel.is_set() or isinstance(error, TimedOut)
            if told and not connection.open:  # broken off while the server was at work
                with suppress(SyncdError):
                    _end(access, password, session.host, connection.thread_id())
            raise


@contextmanager
def _logged_in(access: ServerAccess, password: bytes, limit: Limit) -> Iterator[Connection]:
    connection = unconnected(access, password, limit)
    with ExitStack() as stack:
        with errors_mapped(limit):
            sock = stack.enter_context(dialled(access.host, access.port, limit))
            stack.callback(_close, connection, limit)
            connection.connect(sock)
        yield connection


def _close(connection: Connection, limit: Limit) -> None:
    """Say good-bye where that costs nothing."""
    if connection.open and not limit.over:
        connection.close()
    else:
        connection._force_close()


def _end(access: ServerAccess, password: bytes, host: str, thread: int) -> None:
    """End a session over another one: by itself it notices nothing until its statement is done.

    One address may lead to several servers, of which each has a thread of this number.
    """
    limit = Limit(Deadline.after(_LAST), CancelToken())
    with _logged_in(access, password, limit) as connection, errors_mapped(limit):
        with connection.cursor() as cursor:
            cursor.execute("SELECT @@hostname")
            (found,) = cursor.fetchone()
        if found == host:
            connection.kill(thread)


def _dialect(version: str, comment: str) -> Dialect:
    """Tell MySQL and MariaDB apart, and whether they are recent enough.

    MariaDB has its name in one of the two texts; versions read `8.4.3`, `26.10`,
    `10.11.6-MariaDB`, `5.5.5-10.11.6-MariaDB` and `8.0.mysql_aurora.3.04.0`.
    """
    engine = "mariadb" if "mariadb" in f"{version} {comment}".lower() else "mysql"
    found = re.match(r"(?:5\.5\.5-)?(\d+)\.(\d+)", version)
    if found is None:
        raise BadData(f"the server's version can't be read: {version[:40]}")
    dialect = Dialect(engine, (int(found[1]), int(found[2])))
    if dialect.version < _OLDEST[engine]:
        name, oldest = ("MariaDB", "10.5") if dialect.mariadb else ("MySQL", "5.7")
        raise BadData(f"{name} {version[:40]} is too old: {oldest} is the oldest that is read")
    return dialect

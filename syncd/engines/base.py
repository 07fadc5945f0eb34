"""What every database engine offers the jobs; `registry.py` names the engines that exist."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from syncd.context import RunContext
from syncd.model.db_account import AccountReading
from syncd.model.db_size import SizeReading

TlsMode = Literal["disable", "prefer", "require", "verify-ca", "verify-full"]


@dataclass(frozen=True, slots=True)
class Tls:
    """How a connection is encrypted and who is trusted; files are PEM, None where not given."""

    mode: TlsMode = "prefer"
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class ServerAccess:
    """How a server is reached. `password` is read at each connect; limits are in seconds.

    A `host` that begins with "/" is a Unix socket (of PostgreSQL: its directory). `excluded` are
    databases that nobody looks into. An empty `user` is Redis's default one, and with `prefer` it
    is not encrypted. `commands_per_second` is of Redis alone.
    """

    name: str
    engine: str
    host: str
    port: int
    user: str
    password: Callable[[], str | None]
    database: str = "postgres"
    tls: Tls = Tls()
    connect_timeout: float = 5.0
    statement_timeout: float = 300.0
    options: Mapping[str, str] = field(default_factory=dict)
    excluded: Collection[str] = frozenset()
    commands_per_second: float = 1000.0


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """Who answers: `engine` is postgresql, mysql, mariadb, or redis, as which others answer, too.

    `tls` is the protocol, None without.
    """

    engine: str
    version: str
    user: str
    tls: str | None


class Engine(Protocol):
    """One server. Each call makes a connection of its own, read-only, and closes it.

    They raise the errors of `syncd.errors` alone: Network, Throttled (too many connections),
    Authentication, Permission, TimedOut, BadData, and what a run is stopped with. What can't be
    read of a server that answers is no error: it is told in the reading's `unread`. A Redis has
    neither accounts nor sizes that are read: ConfigurationError.
    """

    def identify(self, ctx: RunContext) -> ServerIdentity:
        """Log in and ask who answers."""

    def accounts(self, ctx: RunContext) -> AccountReading:
        """Read all accounts with what they may do; raises BadData when there is none."""

    def sizes(self, ctx: RunContext, largest_tables: int) -> SizeReading:
        """Read the sizes of all databases, and of so many of the largest tables of each."""

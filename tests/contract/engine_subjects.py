"""The servers that the contract of the engines is held to: an entry of SUBJECTS adds one."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import psycopg
import pytest
from debian_postgres import PASSWORD, PrivateServer, PrivateServers
from mariadb_subject import MariaDbSubject
from psycopg.sql import SQL, Identifier, Literal

from syncd.context import RunContext
from syncd.engines.base import ServerAccess
from syncd.engines.postgresql.connection import connected


class Subject(Protocol):
    """A server of an engine. What it tells comes by queries of the tests' own."""

    engine: str
    password: str
    """Of the user that may log in and nothing else."""

    def access(self, **changed: Any) -> ServerAccess:
        """Return the way in of somebody who may read everything."""

    def ordinary(self, **changed: Any) -> ServerAccess:
        """Return the way in, over TCP and with a password, of who may log in and nothing else."""

    def version(self) -> str:
        """Return the server's version."""

    def accounts(self) -> set[str]:
        """Return the names of all accounts."""

    def sizes(self) -> Mapping[str, int]:
        """Return the bytes of all databases that can be looked into."""

    def filled(self) -> AbstractContextManager[str]:
        """Give a database in which three tables, of different sizes, hold rows and an index."""

    def sessions(self) -> int:
        """Return how many sessions of syncd stay."""

    def stalled(self) -> AbstractContextManager[None]:
        """Let the reading of accounts take without end in this block, as far as the server goes."""

    def write(self, ctx: RunContext) -> None:
        """Try to make a table over a session such as the engine's."""


class PostgresSubject:
    """A private server of PostgreSQL."""

    engine = "postgresql"
    password = PASSWORD

    def __init__(self, server: PrivateServer) -> None:
        self.server = server
        self.user = server.unique("ordinary")
        server.execute(
            SQL("create role {} login password {}").format(
                Identifier(self.user), Literal(self.password)
            )
        )

    def access(self, **changed: Any) -> ServerAccess:
        return self.server.access(**changed)

    def ordinary(self, **changed: Any) -> ServerAccess:
        told = {"host": "127.0.0.1", "user": self.user, "password": lambda: self.password}
        return self.server.access(**told | changed)

    def version(self) -> str:
        return str(self.server.rows("show server_version")[0][0]).split()[0]

    def accounts(self) -> set[str]:
        return {name for (name,) in self.server.rows("select rolname from pg_authid")} | {"public"}

    def sizes(self) -> Mapping[str, int]:
        return dict(
            self.server.rows(
                "select datname, pg_database_size(datname) from pg_database where datallowconn"
            )
        )

    @contextmanager
    def filled(self) -> Any:
        with self.server.database() as name:
            for rows in (10, 3000, 300):
                self.server.execute(
                    f"create table t{rows} (id int primary key, text text)",
                    f"insert into t{rows} select generate_series(1, {rows}), repeat('x', 100)",
                    "analyze",
                    database=name,
                )
            self.server.execute("checkpoint")
            yield name

    def sessions(self) -> int:
        query = """
            select count(*) from pg_stat_activity, pg_sleep(%s) where application_name = 'syncd'
        """
        for seconds in (0, *(0.02,) * 200):  # a backend takes a moment to hear of the end
            if (count := self.server.rows(query, "postgres", seconds)[0][0]) == 0:
                break
        return int(count)

    @contextmanager
    def stalled(self) -> Any:
        with psycopg.connect(self.server.dsn()) as connection:
            connection.execute("lock table pg_auth_members in access exclusive mode")
            yield

    def write(self, ctx: RunContext) -> None:
        access = self.access()
        with connected(access, ctx, access.database) as connection:
            connection.execute("create table written (id int)")


def _postgres(version: str) -> Callable[[pytest.FixtureRequest], Subject]:
    def subject(request: pytest.FixtureRequest) -> Subject:
        servers: PrivateServers = request.getfixturevalue("private_servers")
        return PostgresSubject(servers.of(version))

    return subject


def _mariadb(request: pytest.FixtureRequest) -> Subject:
    return MariaDbSubject(request.getfixturevalue("mariadb"))


SUBJECTS: Mapping[str, Callable[[pytest.FixtureRequest], Subject]] = {
    "postgresql-18": _postgres("18"),
    "postgresql-15": _postgres("15"),
    "mariadb": _mariadb,
}

"""Copies of tables as they really run: servers, a store, configuration, Runner; no daemon."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pymysql
from job_runs import COUNTS, JobRuns, Result
from mariadb_server import HOST, MariaDbServer
from psycopg.conninfo import conninfo_to_dict

from syncd import assembly
from syncd.config.configuration import Config, Tables
from syncd.dispatch.planner import Planned

ORDERS = """create table orders (
    id bigint primary key, changed {time}, name varchar(100), price decimal(10, 2) not null)"""
ALL = "select id, changed, name, price from orders order by id"


def counts(**told: int) -> dict[str, int]:
    """Return counts, which are 0 where nothing is said."""
    return {name: told.get(name, 0) for name in COUNTS}


class Side(Protocol):
    """A database that tables are copied from or to."""

    @property
    def server(self) -> Mapping[str, Any]:
        """Return the server as `[servers.NAME]`."""

    @property
    def place(self) -> Mapping[str, str]:
        """Return where its tables are, as a job says it."""

    def execute(self, *statements: str) -> None:
        """Execute statements, each committed at once."""

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""


@dataclass(frozen=True)
class Postgres:
    """A database of PostgreSQL."""

    dsn: str

    @property
    def server(self) -> Mapping[str, Any]:
        told = conninfo_to_dict(self.dsn)
        return {
            "engine": "postgresql", "host": told["host"], "port": int(told.get("port", 5432)),
            "user": told["user"], "database": told["dbname"],
        }  # fmt: skip

    @property
    def place(self) -> Mapping[str, str]:
        return {"schema": "public"}

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(query.encode()).fetchall()


@dataclass(frozen=True)
class Maria:
    """A database of MariaDB."""

    mariadb: MariaDbServer
    database: str

    @property
    def server(self) -> Mapping[str, Any]:
        return {"engine": "mysql", "host": HOST, "port": self.mariadb.port, "user": "root"}

    @property
    def place(self) -> Mapping[str, str]:
        return {"schema": self.database}

    def _connect(self) -> Any:
        return pymysql.connect(
            unix_socket=self.mariadb.socket, user="root", database=self.database, autocommit=True,
            charset="utf8mb4", init_command="set time_zone = '+00:00'",
        )  # fmt: skip

    def execute(self, *statements: str) -> None:
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())


class TableRuns(JobRuns):
    """A job `copy` from one side to the other, of the table `orders` where nothing is said."""

    main = "copy"

    def __init__(self, dsn: str, directory: Path, source: Side, target: Side) -> None:
        super().__init__(dsn, directory)
        self.source, self.target = source, target
        self.accounts = assembly.Accounts(self.store, lambda *_: None, b"key")
        self.tokens = assembly.open_tokens(None, b"key", lambda *_: None)
        self.filled = False
        self.configure()

    def configure(
        self,
        tables: Sequence[str] = ("orders",),
        source: Mapping[str, Any] | None = None,
        target: Mapping[str, Any] | None = None,
        **job: Any,
    ) -> None:
        """Put a configuration in force."""
        reads = {"server": "shop", **self.source.place, **(source or {"tables": list(tables)})}
        writes = {"server": "house", **self.target.place, **(target or {})}
        keys = {"kind": "table_copy", "source": reads, "target": writes, "retries": [], **job}
        servers = {"shop": self.source.server, "house": self.target.server}
        told = {"jobs": {"copy": keys}, "servers": servers}
        self.config = Config.of(Tables.model_validate(told))
        self.specs = assembly.job_specs(
            self.config, self.store, self.accounts, self.tokens, lambda *_: None
        )

    def fill(self, first: int, last: int) -> None:
        """Write rows of these numbers into the source, whose table is made before the first."""
        if not self.filled:
            time = "timestamp(6)" if isinstance(self.source, Postgres) else "datetime(6)"
            self.source.execute(ORDERS.format(time=time))
        self.filled = True
        values = ", ".join(
            f"({n}, '2026-01-01 00:00:{n % 60:02}.5', 'it''s % \\\\ 😀 {n}', {n}.25)"
            for n in range(first, last + 1)
        )
        self.source.execute(f"insert into orders values {values}")

    def assert_same(self) -> None:
        assert self.source.rows(ALL) == self.target.rows(ALL)

    def copied(self, **rest: Any) -> Result:
        """Make a run, which has to succeed."""
        result = self.run(**rest)
        assert result.run["status"] == "success", result.run["error"]
        return result

    def planned(self) -> Planned:
        """Return the plan of the one table."""
        (planned,) = self.plan()
        assert planned.error is None, planned.error
        return planned

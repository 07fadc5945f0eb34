"""A fleet of real servers of databases, and the jobs that look at it, without a daemon."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from databases import reachable_directory
from job_runs import JobRuns, Row
from mariadb_server import MariaDbServer
from proxy import Connect, to_port, to_socket
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from token_helpers import no_tokens

from syncd import assembly
from syncd.config.configuration import Config, Tables
from syncd.store.embedded import EmbeddedPostgres

WATCHER, PASSWORD = "watcher", "the-watchers-s3cret"
JOBS: Mapping[str, Row] = {
    "accounts": {"kind": "db_accounts", "retries": []},
    "sizes": {"kind": "db_sizes", "retries": []},
    "rollups": {"kind": "size_rollups", "retries": []},
}
"""By hand, and without another attempt."""
_TABLES = (
    "db_account", "db_account_change", "db_object", "db_catalog", "db_size", "server_size"
)  # fmt: skip


class FleetPostgres:
    """A PostgreSQL with nothing in it, whose roles have passwords."""

    engine = "postgresql"

    def __init__(self, server: EmbeddedPostgres) -> None:
        self.embedded = server
        self._info = conninfo_to_dict(server.dsn)

    @property
    def connect(self) -> Connect:
        """What connects a proxy with it."""
        return to_socket(f"{self._info['host']}/.s.PGSQL.{self._info['port']}")

    def table(self, **keys: Any) -> Row:
        """Return the table of the configuration."""
        where = {"host": self._info["host"], "port": int(str(self._info["port"]))}
        return {"engine": "postgresql", **where, "user": WATCHER, "password": PASSWORD} | keys

    def rows(self, query: str, *values: Any, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Ask as the superuser."""
        with psycopg.connect(self.embedded.conninfo(database), autocommit=True) as connection:
            return connection.execute(query.encode(), values or None).fetchall()

    def execute(self, *statements: str | sql.Composable, database: str = "postgres") -> None:
        """Execute statements as the superuser, each by itself."""
        with psycopg.connect(self.embedded.conninfo(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode() if isinstance(statement, str) else statement)


class FleetMariaDb:
    """A MariaDB with a user that may read everything."""

    engine = "mysql"

    def __init__(self, server: MariaDbServer) -> None:
        self.server = server

    @property
    def connect(self) -> Connect:
        """What connects a proxy with it."""
        return to_port(self.server.port)

    def table(self, **keys: Any) -> Row:
        """Return the table of the configuration."""
        where = {"host": "127.0.0.1", "port": self.server.port}
        access = {"user": WATCHER, "password": PASSWORD, "tls": "disable"}
        return {"engine": "mysql", **where, **access} | keys

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask as root."""
        return self.server.execute(query)

    def execute(self, *statements: str) -> None:
        """Execute statements as root."""
        self.server.execute(*statements)


FleetServer = FleetPostgres | FleetMariaDb


@contextmanager
def fleet_postgres() -> Iterator[FleetPostgres]:
    """Give a running PostgreSQL of its own; roles log in with passwords, WATCHER as a superuser."""
    with reachable_directory() as directory:
        embedded = EmbeddedPostgres(directory)
        embedded.start(60)
        try:
            with (directory / "postgresql" / "pg_hba.conf").open("a") as rules:
                rules.write("local all all scram-sha-256\n")
            made = FleetPostgres(embedded)
            made.execute(
                "alter system set fsync = off",
                "alter system set autovacuum = off",
                f"create role {WATCHER} superuser login password '{PASSWORD}'",
                "select pg_reload_conf()",
            )
            yield made
        finally:
            embedded.stop(30)


def watched(server: MariaDbServer) -> FleetMariaDb:
    """Make the user that looks at a MariaDB."""
    server.execute(
        f"create or replace user {WATCHER}@'%' identified by '{PASSWORD}'",
        f"grant all on *.* to {WATCHER}@'%' with grant option",
    )
    return FleetMariaDb(server)


class Fleet(JobRuns):
    """A store and the three jobs of JOBS on the servers of `configure`."""

    main = "accounts"

    def __init__(self, dsn: str, directory: Path) -> None:
        super().__init__(dsn, directory)
        self._cloud_accounts = assembly.Accounts(self.store, lambda *_: None, b"key")

    def configure(self, servers: Mapping[str, Mapping[str, Any]], **job: Any) -> None:
        """Put servers in force; `job` are keys of every job that looks at them."""
        jobs = {name: dict(table) for name, table in JOBS.items()}
        for name in ("accounts", "sizes"):
            jobs[name] |= {"max_concurrent_items": 50} | job
        tables = {"servers": servers, "jobs": jobs}
        self.config = Config.of(Tables.model_validate(tables))
        self.specs = assembly.job_specs(self.config, self.store, self._cloud_accounts, no_tokens())

    def accounts(self, server: str) -> dict[str, Row]:
        """Return the living accounts of a server by name."""
        rows = self.rows(
            "select * from syncd.db_account where server = %s and deleted_at is null", server
        )
        return {row["account"]: row for row in rows}

    def changes(self, run_id: Any) -> dict[tuple[str, str], Row]:
        """Return what a run changed, by server and account."""
        rows = self.rows("select * from syncd.db_account_change where run_id = %s", run_id)
        return {(row["server"], row["account"]): row for row in rows}

    def sizes(self, server: str) -> dict[str, int]:
        """Return the sizes of a server's databases, in bytes."""
        rows = self.rows(
            """select distinct on (database) database, size_bytes from syncd.db_size
               where server = %s order by database, collected_on desc""",
            server,
        )
        return {row["database"]: row["size_bytes"] for row in rows}


def known(fleet: Fleet, server: str) -> dict[str, list[Row]]:
    """Return all that the store holds of a server, by table."""
    query = "select * from syncd.{} t where server = %s order by t::text"
    return {table: fleet.rows(query.format(table), server) for table in _TABLES}


@contextmanager
def fleet_over(dsn: str, directory: Path) -> Iterator[Fleet]:
    """Give a fleet without servers over a migrated store, and put it away."""
    fleet = Fleet(dsn, directory)
    fleet.store.open()
    try:
        yield fleet
        assert fleet.rows("select 1 from syncd.db_account_stage") == []
    finally:
        fleet.close()

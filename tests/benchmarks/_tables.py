"""The servers and the table that benchmarks of copies and checks measure, and their peers' pipes.

The table has eight columns of mixed types, about 230 bytes a row. A peer is a pipeline of the
servers' own command line tools, which no copy can be expected to beat.
"""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from syncd.store.embedded import EmbeddedPostgres
from tests.databases import reachable_directory
from tests.mariadb_server import MariaDbServer, private_mariadb

TABLE = "item"
_PG_COLUMNS = """(id bigint primary key, customer integer not null, name varchar(60) not null,
    amount numeric(12,2), paid boolean not null, note text, detail jsonb,
    updated_at timestamp(6) not null)"""
_PG_OTHER = """(id numeric(20) primary key, customer bigint not null, name text not null,
    amount numeric(14,2), paid smallint not null, note varchar(500), detail json,
    updated_at timestamp(6) not null)"""
_MY_COLUMNS = """(id bigint primary key, customer int not null, name varchar(60) not null,
    amount decimal(12,2), paid tinyint(1) not null, note longtext, detail longtext,
    updated_at datetime(6) not null)"""
_PG_FILL = """
select n, n % 5000, 'customer number ' || n % 5000, (n % 1000000)::numeric / 100, n % 3 = 0,
       repeat(md5(n::text), 3),
       jsonb_build_object('sku', 'sku-' || n, 'quantity', n % 17, 'price', n::numeric / 7),
       timestamp '2026-01-01' + n * interval '1 second'
from generate_series({first}, {last}) n"""
_MY_FILL = """
select seq, seq % 5000, concat('customer number ', seq % 5000), (seq % 1000000) / 100, seq % 3 = 0,
       repeat(md5(seq), 3),
       json_object('sku', concat('sku-', seq), 'quantity', seq % 17, 'price', seq / 7),
       timestamp '2026-01-01 00:00:00' + interval seq second
from seq_{first}_to_{last}"""
_PG_SETTINGS = {
    "shared_buffers": "256MB", "max_wal_size": "8GB", "fsync": "off", "autovacuum": "off",
}  # fmt: skip
_MY_SETTINGS = {
    "innodb-buffer-pool-size": "768M", "innodb-log-file-size": "512M", "local-infile": "1",
    "max-allowed-packet": "1G",
}  # fmt: skip


@dataclass
class Postgres:
    """A database of the PostgreSQL server."""

    dsn: str
    engine = "postgresql"

    @property
    def name(self) -> str:
        return str(conninfo_to_dict(self.dsn)["dbname"])

    @property
    def server(self) -> dict[str, Any]:
        """Return it as `[servers.NAME]`."""
        parts = conninfo_to_dict(self.dsn)
        told = {name: parts[name] for name in ("host", "user")}
        return {"engine": "postgresql", "port": int(parts["port"]), "database": self.name, **told}

    @property
    def place(self) -> dict[str, Any]:
        return {"database": self.name, "schema": "public"}

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def value(self, query: str) -> Any:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            row = connection.execute(query.encode()).fetchone()
            assert row is not None
            return row[0]

    def make(self, rows: int = 0, *, other: bool = False) -> None:
        """Make the table anew, with so many rows; `other`: of other types."""
        columns = _PG_OTHER if other else _PG_COLUMNS
        self.execute(f"drop table if exists {TABLE}", f"create table {TABLE} {columns}")
        step = 1_000_000
        for first in range(1, rows + 1, step):
            last = min(first + step - 1, rows)
            self.execute(f"insert into {TABLE} " + _PG_FILL.format(first=first, last=last))
        self.execute(f"vacuum analyze {TABLE}")

    def command(self, query: str) -> list[str]:
        return ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.dsn, "-c", query]


@dataclass
class Maria:
    """A database of the MariaDB server."""

    server_process: MariaDbServer
    name: str
    engine = "mysql"

    @property
    def server(self) -> dict[str, Any]:
        socket = self.server_process.socket
        return {"engine": "mysql", "host": socket, "user": "root"}

    @property
    def place(self) -> dict[str, Any]:
        return {"schema": self.name}

    def execute(self, *statements: str) -> None:
        with (
            closing(self.server_process.connect(database=self.name)) as connection,
            connection.cursor() as cursor,
        ):
            for statement in statements:
                cursor.execute(statement)

    def value(self, query: str) -> Any:
        return self.server_process.execute(f"use {self.name}", query)[0][0]

    def make(self, rows: int = 0) -> None:
        """Make the table anew, with so many rows."""
        self.execute(f"drop table if exists {TABLE}", f"create table {TABLE} {_MY_COLUMNS}")
        if rows:
            self.execute(f"insert into {TABLE} " + _MY_FILL.format(first=1, last=rows))
        self.execute(f"analyze table {TABLE}")

    def command(self, *options: str, program: str = "mariadb") -> list[str]:
        login = ["--no-defaults", "--user=root", f"--socket={self.server_process.socket}"]
        return [program, *login, *options, self.name]


@dataclass
class Servers:
    """Two databases of each server; the store of syncd is on the first one, in one of its own."""

    directory: Path
    store: str
    postgres: EmbeddedPostgres
    pg: tuple[Postgres, Postgres]
    maria: tuple[Maria, Maria]


@contextmanager
def servers() -> Iterator[Servers]:
    """Give servers of their own, with empty databases."""
    with reachable_directory() as directory, private_mariadb(_MY_SETTINGS) as maria:
        server = EmbeddedPostgres(directory)
        dsn = server.start(60)
        try:
            _set_up(server, dsn)
            for name in ("source", "target"):
                maria.execute(f"create database {name} character set utf8mb4")
            first, second = (Postgres(make_conninfo(dsn, dbname=n)) for n in ("source", "target"))
            sides = (Maria(maria, "source"), Maria(maria, "target"))
            yield Servers(directory, dsn, server, (first, second), sides)
        finally:
            server.stop(60)


def _set_up(server: EmbeddedPostgres, dsn: str) -> None:
    """Give the server the memory of a real one."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for name, value in _PG_SETTINGS.items():
            connection.execute(f"alter system set {name} = '{value}'".encode())
        for name in ("source", "target"):
            connection.execute(f"create database {name}".encode())
    server.stop(60)
    server.start(60)


def pipe(*commands: Sequence[str]) -> float:
    """Run commands as a pipeline; return the seconds until all have ended well."""
    began = time.perf_counter()
    processes: list[subprocess.Popen[bytes]] = []
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    for command in commands:
        source = processes[-1].stdout if processes else subprocess.DEVNULL
        last = len(processes) == len(commands) - 1
        sink = subprocess.DEVNULL if last else subprocess.PIPE
        processes.append(subprocess.Popen(command, stdin=source, stdout=sink, env=kept))
        if len(processes) > 1:
            previous = processes[-2].stdout
            assert previous is not None
            previous.close()
    for process in processes:
        if process.wait(3600):
            raise SystemExit(f"{process.args!r} ended with {process.returncode}")
    return time.perf_counter() - began


def pg_to_pg(source: Postgres, target: Postgres) -> float:
    """Copy by `psql COPY BINARY | psql COPY BINARY`, the limit."""
    return pipe(
        source.command(f"copy {TABLE} to stdout (format binary)"),
        target.command(f"copy {TABLE} from stdin (format binary)"),
    )


def maria_to_pg(source: Maria, target: Postgres) -> float:
    r"""Copy by `mariadb --quick | psql COPY`, whose NULL is `NULL` and whose escapes fit."""
    query = ("--quick", "--batch", "--skip-column-names", "--execute", f"select * from {TABLE}")
    return pipe(source.command(*query), target.command(f"copy {TABLE} from stdin (null 'NULL')"))


def pg_to_maria(source: Postgres, target: Maria) -> float:
    """Copy by `psql COPY | mariadb LOAD DATA`."""
    columns = "id, customer, name, amount, paid::int, note, detail, updated_at"
    load = f"load data local infile '/dev/stdin' into table {TABLE} character set utf8mb4"
    return pipe(
        source.command(f"copy (select {columns} from {TABLE}) to stdout"),
        target.command("--local-infile=1", "--execute", load),
    )


def maria_to_maria(source: Maria, target: Maria) -> float:
    """Copy by `mariadb-dump | mariadb`, with rows of many a statement."""
    dump = ("--quick", "--no-create-info", "--skip-triggers", "--single-transaction", "--compact")
    return pipe([*source.command(*dump, program="mariadb-dump"), TABLE], target.command())

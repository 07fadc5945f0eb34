"""Databases that tables are copied between, and a reader of them that shares no code with syncd.

The reader is the servers' own command line (`psql`, `mariadb`): each row comes as one line of text,
whose columns are written alike by both.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import psycopg
import pymysql
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

Kind = Literal["integer", "decimal", "text", "bytes", "instant"]
SECONDS = 120.0
"""How long the command line may take."""


class Side(Protocol):
    """A database of a server."""

    engine: str
    database: str

    def table(self, **changed: Any) -> dict[str, Any]:
        """Return the server as `[servers.NAME]`."""

    def connect(self) -> Any:
        """Return a connection of the driver, with transactions."""

    def execute(self, *statements: str) -> None:
        """Execute statements, each committed at once."""

    def lines(self, query: str) -> list[str]:
        """Return what the command line prints for a query, without headings."""

    def written(self, column: str, kind: Kind) -> str:
        """Return the expression of a column as text, the same on every engine; NULL stays."""

    def instant(self, text: str) -> str:
        """Return the expression of a moment that is written in UTC."""


@dataclass(frozen=True)
class PostgresSide:
    """A database of a PostgreSQL server, whose socket everybody may come by."""

    dsn: str
    engine: str = "postgresql"

    @property
    def parts(self) -> dict[str, Any]:
        return conninfo_to_dict(self.dsn)

    @property
    def database(self) -> str:
        return str(self.parts["dbname"])

    def table(self, **changed: Any) -> dict[str, Any]:
        told = {
            "engine": self.engine,
            "host": self.parts["host"],
            "port": int(self.parts["port"]),
            "user": self.parts["user"],
            "database": self.database,
        }
        return told | changed

    def connect(self) -> "psycopg.Connection[Any]":
        return psycopg.connect(self.dsn)

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def lines(self, query: str) -> list[str]:
        program = tool("psql")
        dsn = make_conninfo(self.dsn, options="-c timezone=UTC -c client_encoding=UTF8")
        return _printed([program, "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-c", query])

    def written(self, column: str, kind: Kind) -> str:
        forms: Mapping[Kind, str] = {
            "integer": "{}::text",
            "decimal": "{}::text",
            "text": "encode(convert_to({}, 'UTF8'), 'hex')",
            "bytes": "encode({}, 'hex')",
            "instant": "to_char({} at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')",
        }
        return forms[kind].format(f'"{column}"')

    def instant(self, text: str) -> str:
        return f"'{text}+00'::timestamptz"


@dataclass(frozen=True)
class MariaSide:
    """A database of a MariaDB server, whose root needs no password."""

    socket: str
    port: int
    database: str
    engine: str = "mysql"

    def table(self, **changed: Any) -> dict[str, Any]:
        told = {"engine": self.engine, "host": "127.0.0.1", "port": self.port, "user": "root"}
        return told | changed

    def connect(self) -> Any:
        return pymysql.connect(
            unix_socket=self.socket, user="root", database=self.database, charset="utf8mb4",
            init_command="set time_zone = '+00:00'",
        )  # fmt: skip

    def execute(self, *statements: str) -> None:
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
                connection.commit()

    def lines(self, query: str) -> list[str]:
        options = [
            "--no-defaults", "--user=root", f"--socket={self.socket}", "--batch", "--quick",
            "--skip-column-names", "--default-character-set=utf8mb4",
            "--init-command=set time_zone = '+00:00'",
        ]  # fmt: skip
        return _printed([tool("mariadb"), *options, "--execute", query, self.database])

    def written(self, column: str, kind: Kind) -> str:
        forms: Mapping[Kind, str] = {
            "integer": "cast({} as char)",
            "decimal": "cast({} as char)",
            "text": "lower(hex({}))",
            "bytes": "lower(hex({}))",
            "instant": "date_format({}, '%Y-%m-%d %H:%i:%s.%f')",
        }
        return forms[kind].format(f"`{column}`")

    def instant(self, text: str) -> str:
        return f"cast('{text}' as datetime(6))"


def content(
    side: Side,
    table: str,
    columns: Mapping[str, Kind],
    key: Sequence[str],
    where: str = "true",
) -> list[str]:
    """Return all rows of a table as the command line has them, in the order of a key of numbers."""
    rows = rows_query(side, table, columns)
    return side.lines(f"{rows} where {where} order by {', '.join(key)}")


def rows_query(side: Side, table: str, columns: Mapping[str, Kind]) -> str:
    """Return the query of all rows of a table, each as one text."""
    values = ", '|', ".join(
        f"coalesce({side.written(name, kind)}, '~')" for name, kind in columns.items()
    )
    return f"select concat({values}) from {table}"


def tool(name: str) -> str:
    """Return the path of a command line tool; skips the test where it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"there is no {name}")
    return path


def _printed(command: Sequence[str]) -> list[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=SECONDS, env=kept
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()

"""Comparisons for tests: both servers as sides, and rows that are written by plain SQL."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from engine_run import context
from mariadb_server import MariaDbServer
from mysql_helpers import access as mysql_access
from mysql_helpers import ident
from psycopg.conninfo import conninfo_to_dict

from syncd.checks.check import Check
from syncd.checks.findings import MOST, Result
from syncd.checks.ranges import Sizes
from syncd.context import RunContext
from syncd.engines.base import ServerAccess
from syncd.engines.mysql.sides import MySQLSides
from syncd.engines.postgresql.sides import PostgreSQLSides
from syncd.engines.sides import Sides
from syncd.model.check import CheckRules
from syncd.model.table import Relation

SMALL = Sizes(chunk=64, leaf=4, per_bucket=4)


class Postgres:
    """A database of PostgreSQL in which tables are made and compared."""

    engine = "postgresql"

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        told = conninfo_to_dict(dsn)
        self.database = str(told["dbname"])
        self.access = ServerAccess(
            "postgres", "postgresql", str(told.get("host", "")), int(told.get("port") or 5432),
            str(told.get("user", "")), lambda: str(told.get("password") or "") or None,
            self.database,
        )  # fmt: skip

    def execute(self, *statements: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute statements, and return the rows of the last one."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def sides(self, access: ServerAccess | None = None) -> Sides:
        return PostgreSQLSides(access or self.access)

    def relation(self, table: str = "t", query: str = "", key: tuple[str, ...] = ()) -> Relation:
        return Relation("postgres", self.database, "public", table, query, key)


class MariaDb:
    """A database of MariaDB in which tables are made and compared."""

    engine = "mariadb"

    def __init__(self, server: MariaDbServer, database: str) -> None:
        self.server, self.database = server, database
        self.access = mysql_access(server)

    def execute(self, *statements: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute statements, and return the rows of the last one."""
        connection = self.server.connect(charset="utf8mb4", database=self.database)
        try:
            with connection.cursor() as cursor:
                cursor.execute("set time_zone = '+00:00', sql_mode = 'NO_BACKSLASH_ESCAPES'")
                for statement in statements:
                    cursor.execute(statement, values or None)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def sides(self, access: ServerAccess | None = None) -> Sides:
        return MySQLSides(access or self.access)

    def relation(self, table: str = "t", query: str = "", key: tuple[str, ...] = ()) -> Relation:
        return Relation("mariadb", self.database, self.database, table, query, key)


Place = Postgres | MariaDb


def rules(one: Place, other: Place, /, table: str = "t", **changed: Any) -> CheckRules:
    """Return the rules of a comparison that does not wait."""
    made = CheckRules("item", one.relation(table), other.relation(table), recheck=timedelta(0))
    return replace(made, **changed)


def compare(
    one: Place, other: Place, /, *, sizes: Sizes = SMALL, most: int = MOST,
    ctx: RunContext | None = None, now: datetime | None = None, **changed: Any,
) -> Result:  # fmt: skip
    """Compare table `t` of two places, by small steps."""
    told = rules(one, other, **changed)
    check = Check(
        ctx or context(), told, (one.sides(), told.left), (other.sides(), told.right),
        now or datetime.now(UTC), sizes, most,
    )  # fmt: skip
    return check.run()[0]


def quoted(place: Place, name: str) -> str:
    """Return a name as the place has it."""
    return ident(name) if place.engine == "mariadb" else '"' + name.replace('"', '""') + '"'

"""What the tests of table copies on MariaDB share: tables, sessions on them, and what is there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from engine_run import context
from mariadb_server import MariaDbServer
from mysql_helpers import access, fresh_database, ident, make_user, unique

from syncd.context import RunContext
from syncd.engines.mysql.reading import MySQLSource
from syncd.engines.mysql.tables import MySQLTables
from syncd.engines.mysql.writing import MySQLTarget
from syncd.engines.tables import Into, Written
from syncd.model.copy import CopyState, Span
from syncd.model.run import Claim, new_run_id
from syncd.model.table import Relation, Row

COPIER = "copier"


class Shop:
    """A database of its own on the private server, and a user who may copy."""

    def __init__(self, server: MariaDbServer, database: str) -> None:
        self.server = server
        self.database = database
        make_user(server, COPIER, "ALL PRIVILEGES")

    def tables(self, **changed: Any) -> MySQLTables:
        return MySQLTables(access(self.server, changed.pop("user", COPIER), **changed))

    def relation(self, table: str, **changed: Any) -> Relation:
        return Relation("mariadb", self.database, self.database, table, **changed)

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Execute statements as root, a `%` in them being one, in UTC and without a mode."""
        connection = self.server.connect(database=self.database, charset="utf8mb4")
        with connection, connection.cursor() as cursor:
            cursor.execute("set time_zone = '+00:00', sql_mode = ''")
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    @contextmanager
    def source(
        self, table: str, *, snapshot: bool = False, ctx: RunContext | None = None, **changed: Any
    ) -> Iterator[MySQLSource]:
        ctx = ctx or context()
        with self.tables().source(ctx, self.relation(table, **changed), snapshot=snapshot) as one:
            yield one

    @contextmanager
    def target(self, table: str, ctx: RunContext | None = None) -> Iterator[MySQLTarget]:
        ctx = ctx or context()
        with self.tables().target(ctx, self.relation(table), self.database) as one:
            yield one

    def read(self, table: str, *columns: str, order: Sequence[str] = ("id",)) -> list[Row]:
        """Return all rows as the source gives them."""
        with self.source(table) as source:
            names = columns or [each.name for each in source.shape.columns]
            return [row for part in source.rows(names, Span(tuple(order)), 10**9) for row in part]

    def put(self, table: str, into: Into, rows: Sequence[Row]) -> Written:
        """Write rows as one page."""
        with self.target(table) as target, target.page(into) as page:
            return page.put(rows)


def into(*columns: str, **changed: Any) -> Into:
    return Into(**{"columns": columns, "key": ("id",), "conflict": "update"} | changed)


def state(**changed: Any) -> CopyState:
    """Return the state of a copy that nobody else has claimed."""
    now = datetime(2026, 11, 26, tzinfo=UTC)
    claim = Claim(new_run_id(now), "daemon", 1, 1)
    return CopyState(**{"job": "orders", "item": "lines", "claim": claim, "mode": "full"} | changed)


@contextmanager
def fresh_shop(server: MariaDbServer) -> Iterator[Shop]:
    with fresh_database(server, unique("shop")) as name:
        yield Shop(server, name)


def quoted(name: str) -> str:
    return ident(name)

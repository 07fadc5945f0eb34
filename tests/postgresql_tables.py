"""Tables of a private PostgreSQL, read and written by syncd, in tests."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from debian_postgres import PrivateServer
from engine_run import context

from syncd.context import RunContext
from syncd.engines.postgresql.tables import PostgreSQLTables
from syncd.engines.tables import Into, Source, Target, Written
from syncd.model.copy import Span
from syncd.model.table import Relation, Row


class Shop:
    """A database with tables."""

    def __init__(self, server: PrivateServer, database: str) -> None:
        self.server, self.database = server, database

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self.server.dsn(self.database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.server.dsn(self.database), autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.server.dsn(self.database))

    @contextmanager
    def source(
        self, table: str, ctx: RunContext | None = None, *, snapshot: bool = False,
        access: dict[str, Any] | None = None, **changed: Any,
    ) -> Iterator[Source]:  # fmt: skip
        tables = PostgreSQLTables(self.server.access(**access or {}))
        relation = self.relation(table, **changed)
        with tables.source(ctx or context(), relation, snapshot=snapshot) as source:
            yield source

    @contextmanager
    def target(self, table: str, ctx: RunContext | None = None, **access: Any) -> Iterator[Target]:
        tables = PostgreSQLTables(self.server.access(**access))
        with tables.target(ctx or context(), self.relation(table), "public") as target:
            yield target

    def relation(self, table: str, **changed: Any) -> Relation:
        return Relation("shop-db", self.database, changed.pop("schema", "public"), table, **changed)

    def read(self, table: str, **changed: Any) -> list[Row]:
        """Return all rows, by the key."""
        with self.source(table, **changed) as source:
            names = [column.name for column in source.shape.columns]
            return everything(source, names)

    def put(self, table: str, rows: Sequence[Row], into: Into | None = None) -> Written:
        """Write rows of all columns that can be written."""
        with self.target(table) as target, target.page(into or into_all(target)) as page:
            return page.put(rows)


def into_all(target: Target, **changed: Any) -> Into:
    """Return how all columns are written, by the table's own key."""
    assert target.shape is not None
    names = tuple(column.name for column in target.shape.columns if not column.generated)
    return Into(**{"columns": names, "key": target.shape.key, "conflict": "update"} | changed)


def everything(source: Source, names: Sequence[str]) -> list[Row]:
    """Return all rows of a source."""
    return [row for part in source.rows(names, Span(source.shape.key), 100_000) for row in part]

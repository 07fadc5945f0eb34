"""A table that is written, over one session."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from psycopg.errors import DuplicateColumn, DuplicateObject, DuplicateTable, UniqueViolation
from psycopg.sql import SQL, Composable, Identifier, Literal

from syncd.context import RunContext
from syncd.engines.postgresql import schemas
from syncd.engines.postgresql import state as states
from syncd.engines.postgresql.connection import Session
from syncd.engines.postgresql.merging import Merge
from syncd.engines.postgresql.reading import formats
from syncd.engines.postgresql.shapes import Look, of_query, of_table
from syncd.engines.postgresql.statements import ask, run
from syncd.engines.postgresql.table_failures import writing
from syncd.engines.postgresql.types import native, quoted
from syncd.engines.postgresql.writing import PostgreSQLPage, covers
from syncd.engines.tables import Into, NewColumn, Page
from syncd.errors import BadData, final
from syncd.model.copy import STATE_TABLE, CopyState
from syncd.model.table import POSTGRESQL_NAME, Column, Relation, Shape, Type


class PostgreSQLTarget:
    """A table that is written; `shape` is None where it does not exist."""

    def __init__(
        self, connection: Session, ctx: RunContext, relation: Relation, state_schema: str
    ) -> None:
        self._connection, self._ctx, self._relation = connection, ctx, relation
        self._name, self._schema = str(relation), state_schema
        self._direct: bool | None = None
        self._made: Merge | None = None
        self._look: Look | None = None
        self._types: dict[tuple[str, str], Type] = {}
        self.shape: Shape | None = None
        self._look_again()

    def spelled(self, like: Column, engine: str) -> Type:
        """Return the type that a column made after one of another engine would have."""
        wanted = engine, native(like, engine, None)
        if wanted not in self._types:  # a table of many columns has few types
            self._types[wanted] = self._spelled(like, engine)
        return self._types[wanted]

    def absent(self) -> list[str]:
        """Return the schemas that are not there; raises Permission where we may make none."""
        names = dict.fromkeys(each or "public" for each in (self._relation.schema, self._schema))
        with writing(self._name, self._ctx):
            absent = [each for each in names if not schemas.is_there(self._connection, each)]
            for each in absent:
                schemas.require_right(self._connection, each)
        return absent

    def require_names(self, names: Iterable[str]) -> None:
        """Raise BadData for a name that the server would cut."""
        for name in names:
            if len(name.encode()) > POSTGRESQL_NAME:
                told = f"{self._name}: PostgreSQL cuts names of more than {POSTGRESQL_NAME} bytes"
                raise final(BadData(f"{told}: rename or exclude column {name}"))

    def create(self, columns: Sequence[NewColumn], key: Sequence[str], engine: str) -> None:
        """Make the table, and look at its shape; one that exists meanwhile is looked at alone."""
        parts = [self._declared(column, engine) for column in columns]
        if key:
            names = SQL(", ").join(map(Identifier, key))
            parts.append(SQL("primary key ({})").format(names))
        query = SQL("create table {} ({})").format(self._table, SQL(", ").join(parts))
        with writing(self._name, self._ctx):
            schemas.ensure(self._connection, self._relation.schema or "public")
            with suppress(DuplicateObject, DuplicateTable, UniqueViolation):  # made by others now
                run(self._connection, query)
            self._look_again()

    def extend(self, columns: Sequence[NewColumn], engine: str) -> None:
        """Add columns that may be NULL, and look at the shape."""
        with writing(self._name, self._ctx):
            for column in columns:
                query = SQL("alter table {} add column if not exists {}").format(
                    self._table, self._declared(column, engine)
                )
                with suppress(DuplicateColumn):
                    run(self._connection, query)
            self._look_again()

    def formats(self, columns: Sequence[str]) -> dict[str, Sequence[str]]:
        """Return the formats that `Page.forward` takes."""
        return formats(self._looked, columns)

    def claim(self, state: CopyState) -> CopyState | None:
        """Take the copy over for the state's attempt; return what was kept before, if anything."""
        with writing(f"{self._name} ({STATE_TABLE})", self._ctx):
            kept = states.claim(self._connection, self._schema, state)
        if kept is not None and kept.fresh and kept.claim.run_id == state.claim.run_id:
            self._direct = True
        return kept

    def peek(self, job: str, item: str) -> CopyState | None:
        """Return what is kept of a copy, and change nothing."""
        with writing(f"{self._name} ({STATE_TABLE})", self._ctx):
            return states.peek(self._connection, self._schema, job, item)

    def is_empty(self) -> bool:
        """Tell whether the table has no row."""
        with writing(self._name, self._ctx):
            query = SQL("select not exists (select from {})").format(self._looked.name)
            return bool(ask(self._connection, query)[0][0])

    @contextmanager
    def page(self, into: Into, *, rehearse: bool = False) -> Iterator[Page]:
        """Begin a transaction. Raises Busy, also at its end."""
        merge = self._prepared(into)
        page = PostgreSQLPage(self._connection, self._ctx, self._name, merge, self._schema)
        page.rehearsed, page.direct = rehearse, self._may_be_direct(merge)
        was_direct = page.direct
        try:
            with (
                writing(self._name, self._ctx),
                self._connection.transaction(force_rollback=rehearse),
            ):
                yield page
                self._ctx.check()
        finally:
            self._direct = self._direct and page.direct == was_direct

    def settle(self) -> None:
        """Let numbers that the server gives go on behind those that were copied."""
        with writing(self._name, self._ctx):
            for column in self._looked.shape.columns:
                if column.identity:
                    self._settle(column)

    def _settle(self, column: Column) -> None:
        """Move the sequence of a column behind its largest value, never back."""
        found = self._connection.execute(
            "select pg_get_serial_sequence(%s, %s)::regclass::oid::int8",
            (self._table.as_string(self._connection), column.name),
        ).fetchone()
        if found is None or found[0] is None:
            return
        [(schema, name)] = self._connection.execute(
            "select nspname, relname from pg_class c join pg_namespace n on n.oid = relnamespace"
            " where c.oid = %s",
            (found[0],),
        ).fetchall()
        query = SQL(
            "select setval({oid}::oid::regclass, m)"
            " from (select max({column})::int8 as m from {table}) as largest, {sequence} as s,"
            " pg_sequence as q where q.seqrelid = {oid}"
            " and seqincrement > 0 and m between seqmin and seqmax"
            " and (m > last_value or m = last_value and not is_called)"
        )
        told = query.format(
            oid=Literal(found[0]),
            column=Identifier(column.name),
            table=self._table,
            sequence=Identifier(schema, name),
        )
        run(self._connection, told)

    def _may_be_direct(self, merge: Merge) -> bool:
        """Tell whether rows may go into the table itself.

        It was empty, it guards its key itself, and no trigger changes what becomes of rows.
        """
        if self._direct is None:
            self._direct = self.is_empty()
        shape = self._looked.shape
        if merge.money or self._looked.triggers:
            return False
        return self._direct and covers(merge.into, (shape.key, *shape.unique))

    def _prepared(self, into: Into) -> Merge:
        """Return the SQL for a way of writing, once its tables are there for the session."""
        if self._made is None or self._made.into != into:
            merge = Merge(into, self._looked)
            with writing(self._name, self._ctx):
                for statement in merge.create():
                    run(self._connection, statement)
            self._made = merge
        return self._made

    @property
    def _table(self) -> Composable:
        return quoted(self._relation.schema, self._relation.table)

    @property
    def _looked(self) -> Look:
        """Return the table as it was looked at; raises BadData where there is none."""
        if self._look is None:
            raise BadData(f"{self._name}: there is no such table")
        return self._look

    def _look_again(self) -> None:
        self._look = of_table(self._connection, self._relation)
        self.shape = None if self._look is None else self._look.shape
        self._made = None

    def _spelled(self, like: Column, engine: str) -> Type:
        made = self._native(like, engine, None)
        with writing(self._name, self._ctx):
            described = replace(self._relation, query=f"select null::{made} as made", key=())
            return of_query(self._connection, described).shape.columns[0].type

    def _declared(self, column: NewColumn, engine: str) -> Composable:
        """Return a column as CREATE TABLE declares it."""
        made = self._native(column.like, engine, column.type)
        last = SQL("" if column.nullable else " not null")
        return Identifier(column.name) + SQL(f" {made}") + last

    def _native(self, like: Column, engine: str, wanted: Type | None) -> str:
        """Return the type of a column; text where the server has none of that name."""
        made = native(like, engine, wanted)
        if engine != "postgresql":
            return made
        found = self._connection.execute("select to_regtype(%s) is not null", (made,)).fetchone()
        return made if found and found[0] else "text"

"""What our role may do with tables, as the catalogues of PostgreSQL tell it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, LiteralString

from psycopg.errors import InsufficientPrivilege
from psycopg.sql import SQL, Composable, Identifier

from syncd.context import RunContext
from syncd.engines.base import ServerAccess
from syncd.engines.postgresql.connection import Session, connected
from syncd.engines.postgresql.failures import words
from syncd.engines.postgresql.shapes import Look, look, of_table
from syncd.engines.postgresql.statements import ask, run
from syncd.engines.postgresql.table_failures import reading
from syncd.engines.postgresql.times import FOLLOWS
from syncd.engines.postgresql.types import quoted
from syncd.engines.rights import WORTH_AN_INDEX, Lack, Looker, Readable, Writable, Writing
from syncd.errors import Permission
from syncd.model.copy import STATE_TABLE
from syncd.model.table import Relation

_SETTINGS: Final = "select set_config('row_security', 'off', false)"
_SEES: Final = f"select {FOLLOWS}, pg_has_role('pg_read_all_stats', 'usage')"
_INDEXED: Final = """
    select exists (
        select from pg_index i
        join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indrelid = %s and a.attname = %s and i.indisvalid and i.indpred is null)
"""
_SCHEMA: Final = """
    select has_schema_privilege(oid, 'USAGE'), has_schema_privilege(oid, 'CREATE')
    from pg_namespace where nspname = %s
"""
_DATABASE: Final = """
    select has_database_privilege(current_database(), 'CREATE'),
           has_database_privilege(current_database(), 'TEMPORARY'), current_database()::text
"""
_DENIED: Final = """
    select array(select verb from unnest(%s::text[]) with ordinality as v (verb, place)
                 where not has_table_privilege(%s::oid, verb) order by place)
"""
_OWNED: Final = "select pg_has_role(relowner, 'usage') from pg_class where oid = %s"
_OID: Final = """
    select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = %s and c.relname = %s
"""
_SEQUENCE: Final = """
    select n.nspname::text, c.relname::text from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where c.oid = pg_get_serial_sequence(%s, %s)::regclass
      and not (has_sequence_privilege(c.oid, 'SELECT') and has_sequence_privilege(c.oid, 'UPDATE'))
"""
_VERBS: Final = {
    "SELECT": SQL("SELECT"), "INSERT": SQL("INSERT"), "UPDATE": SQL("UPDATE"),
    "DELETE": SQL("DELETE"),
}  # fmt: skip
_STATE_VERBS: Final = ("SELECT", "INSERT", "UPDATE")


class PostgreSQLRights:
    """What our role may do on a server."""

    def __init__(self, access: ServerAccess) -> None:
        self._access = access

    @contextmanager
    def looking(self, ctx: RunContext, database: str) -> Iterator[Looker]:
        """Begin a session that looks, in a database."""
        with connected(self._access, ctx, database or self._access.database) as connection:
            connection.execute(_SETTINGS)
            yield PostgreSQLLooker(connection, ctx)


class PostgreSQLLooker:
    """A session that looks; it is read-only."""

    def __init__(self, connection: Session, ctx: RunContext) -> None:
        self._connection, self._ctx = connection, ctx
        self._user = Identifier(self._one("select session_user::text")[0])

    def readable(
        self, relation: Relation, columns: Sequence[str], without: Sequence[str], watermark: str
    ) -> Readable:
        """Look at a table, or at a query, which is asked for no row."""
        with self._told(relation):
            return self._readable(relation, columns, without, watermark)

    def _readable(
        self, relation: Relation, columns: Sequence[str], without: Sequence[str], watermark: str
    ) -> Readable:
        schema = relation.schema or "public"
        if relation.query:
            self._find_names(relation)
        elif self._oid(schema, relation.table) and not self._may_use(schema):
            return Readable(None, (self._use(schema),))
        looked = look(self._connection, relation)
        if looked is None:
            return Readable(None)
        unseen = self._unseen() if watermark else None
        if relation.query:
            return Readable(looked.shape, unseen=unseen)
        named = [c.name for c in looked.shape.columns if not columns or c.name in columns]
        lacks = self._unread(relation, looked, [name for name in named if name not in without])
        index = self._index(relation, looked, watermark) if watermark else ""
        return Readable(looked.shape, lacks, unseen, index)

    def writable(self, writing: Writing) -> Writable:
        """Look at a table, its schema, and the table of states."""
        relation, states = writing.relation, writing.state_schema or "public"
        schema = relation.schema or "public"
        with self._told(relation):
            oid, kept = self._oid(schema, relation.table), self._oid(states, STATE_TABLE)
            missing = [] if oid else [(schema, relation.table)]
            missing += [] if kept else [(states, STATE_TABLE)]
            makes, lacks = self._places(dict.fromkeys((schema, states)), missing)
            looked = of_table(self._connection, relation) if self._may_use(schema) else None
            if looked is not None:
                lacks += self._unwritten(schema, relation.table, looked, writing)
            if kept is not None and self._may_use(states):
                lacks += self._lacking(states, STATE_TABLE, kept, _STATE_VERBS)
        return Writable(looked.shape if looked else None, tuple(makes), tuple(lacks))

    def _find_names(self, relation: Relation) -> None:
        """Let a query find its tables as a copy lets it."""
        statement: Composable = SQL("reset search_path")
        if relation.schema:
            statement = SQL("set search_path = {}").format(Identifier(relation.schema))
        run(self._connection, statement)

    def _unread(self, relation: Relation, looked: Look, names: Sequence[str]) -> tuple[Lack, ...]:
        """Try to read no row of some columns; row-level security shows then, too."""
        schema = relation.schema or "public"
        query = SQL("select {} from {} limit 0").format(
            SQL(", ").join(map(Identifier, names)), looked.name
        )
        try:
            ask(self._connection, query)
        except InsufficientPrivilege as error:
            lacking = self._lacking(schema, relation.table, looked.oid, ("SELECT",))
            return tuple(lacking) or (Lack(f"read it: {words(error)}"),)
        return ()

    def _unseen(self) -> Lack | None:
        """Tell why nobody can say which transactions are open."""
        follows, allowed = self._one(_SEES)
        if follows:
            return Lack("its rows come from another server, whose open transactions are not seen")
        if allowed:
            return None
        what = "it may not see which transactions are open"
        return self._lack(what, SQL("pg_read_all_stats"))

    def _index(self, relation: Relation, looked: Look, watermark: str) -> str:
        """Return the statement for an index that a table of some size lacks."""
        shape = looked.shape
        if shape.trouble or shape.bytes < WORTH_AN_INDEX or shape.column(watermark) is None:
            return ""
        if self._one(_INDEXED, looked.oid, watermark)[0]:
            return ""
        names = dict.fromkeys((watermark, *shape.key))
        place = quoted(relation.schema or "public", relation.table)
        statement = SQL("CREATE INDEX CONCURRENTLY ON {} ({})")
        return self._text(statement.format(place, SQL(", ").join(map(Identifier, names))))

    def _places(
        self, schemas: Iterable[str], missing: Sequence[tuple[str, str]]
    ) -> tuple[list[str], list[Lack]]:
        """Return what would be made, and what we may not do for it."""
        makes, lacks = list[str](), list[Lack]()
        may_create, may_be_temporary, database = self._one(_DATABASE)
        on_database = SQL("ON DATABASE {}").format(Identifier(database))
        if not may_be_temporary:
            lacks.append(self._lack("make temporary tables", SQL("TEMPORARY ") + on_database))
        for schema in schemas:
            tables = [table for place, table in missing if place == schema]
            found = self._connection.execute(_SCHEMA, (schema,)).fetchone()
            if found is None:
                makes.append(f"the schema {schema}")
                what = f"make the schema {schema}"
                lacks += [] if may_create else [self._lack(what, SQL("CREATE ") + on_database)]
            elif not found[0]:
                lacks.append(self._use(schema))
            elif tables and not found[1]:
                right = SQL("CREATE ON SCHEMA {}").format(Identifier(schema))
                lacks.append(self._lack(f"make {schema}.{tables[0]}", right))
            makes += [f"{schema}.{table}" for table in tables]
        return makes, lacks

    def _unwritten(self, schema: str, table: str, looked: Look, writing: Writing) -> list[Lack]:
        """Return what we may not do with the rows and columns of a table."""
        lacks = self._lacking(schema, table, looked.oid, writing.verbs)
        if writing.extends and not self._one(_OWNED, looked.oid)[0]:
            lacks.append(Lack(f"add columns to {schema}.{table}, which its owner alone may"))
        for column in looked.shape.columns:
            if column.identity:
                lacks += self._numbering(schema, table, column.name)
        return lacks

    def _numbering(self, schema: str, table: str, column: str) -> list[Lack]:
        """Return what we may not do with a column's sequence, which follows what is copied."""
        place = self._text(quoted(schema, table))
        found = self._connection.execute(_SEQUENCE, (place, column)).fetchone()
        if found is None:
            return []
        right = SQL("SELECT, UPDATE ON SEQUENCE {}").format(quoted(*found))
        return [self._lack(f"let the numbers of {schema}.{table} go on", right)]

    def _lacking(self, schema: str, table: str, oid: int, verbs: Sequence[str]) -> list[Lack]:
        """Return what we may not do with a table's rows."""
        (denied,) = self._one(_DENIED, list(verbs), oid)
        if not denied:
            return []
        told = SQL(", ").join([_VERBS[verb] for verb in denied])
        right = SQL("{} ON {}").format(told, quoted(schema, table))
        return [self._lack(f"{', '.join(denied)} in {schema}.{table}", right)]

    def _may_use(self, schema: str) -> bool:
        found = self._connection.execute(_SCHEMA, (schema,)).fetchone()
        return bool(found and found[0])

    def _use(self, schema: str) -> Lack:
        right = SQL("USAGE ON SCHEMA {}").format(Identifier(schema))
        return self._lack(f"use the schema {schema}", right)

    def _oid(self, schema: str, table: str) -> int | None:
        found = self._connection.execute(_OID, (schema, table)).fetchone()
        return None if found is None else int(found[0])

    def _lack(self, what: str, right: Composable) -> Lack:
        return Lack(what, self._text(SQL("GRANT {} TO {}").format(right, self._user)))

    def _one(self, query: LiteralString, *values: object) -> tuple[Any, ...]:
        return self._connection.execute(query, values or None).fetchone() or ()

    def _text(self, statement: Composable) -> str:
        return statement.as_string(self._connection)

    @contextmanager
    def _told(self, relation: Relation) -> Iterator[None]:
        """Let an error say what it means, so that the session can go on."""
        try:
            with reading(str(relation), self._ctx, snapshot=False):
                yield
        except InsufficientPrivilege as error:
            raise Permission(words(error)) from error

"""The tables of a PostgreSQL server: the sessions in which they are read and written."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Final

from psycopg.sql import Identifier

from syncd.context import RunContext
from syncd.engines.base import ServerAccess
from syncd.engines.postgresql import times
from syncd.engines.postgresql.connection import Session, connected, snapshot
from syncd.engines.postgresql.reading import PostgreSQLSource
from syncd.engines.postgresql.shapes import Look, look
from syncd.engines.postgresql.table_failures import reading, writing
from syncd.engines.postgresql.targets import PostgreSQLTarget
from syncd.engines.tables import Source, Target
from syncd.errors import BadData
from syncd.model.table import Relation

_BOTH: Final = {
    "intervalstyle": "postgres",
    "extra_float_digits": "1",  # the shortest digits that are the same number
    "bytea_output": "hex",
    "xmlbinary": "base64",
    "row_security": "off",  # rows that are hidden from us are an error
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "idle_session_timeout": "0",  # one waits while the other one works
}
_SNAPSHOT: Final = {"idle_in_transaction_session_timeout": "0", "transaction_timeout": "0"}
_WRITING: Final = {
    "default_transaction_read_only": "off",
    "idle_in_transaction_session_timeout": "10min",
    "work_mem": "64MB",
    "temp_buffers": "32MB",
}
_SERVERS_PATH: Final = "select reset_val from pg_settings where name = 'search_path'"


class PostgreSQLTables:
    """The tables of a server, version 12 or later; any number of threads may use it."""

    def __init__(self, access: ServerAccess) -> None:
        self._access = access

    @contextmanager
    def source(self, ctx: RunContext, relation: Relation, *, snapshot: bool) -> Iterator[Source]:
        """Begin a session that reads; with `snapshot` all of it as it is at one moment."""
        with ExitStack() as stack:
            connection = self._session(stack, ctx, relation, {})
            oldest = None
            if snapshot:
                outside = self._session(stack, ctx, relation, {})
                oldest = times.oldest(connection)  # before the snapshot: what it lacks is later
                stack.enter_context(_one_moment(connection))
            looked = looked_at(connection, ctx, relation, snapshot=snapshot)
            source = PostgreSQLSource(connection, ctx, relation, looked, oldest)
            if snapshot:
                _find_names(outside, relation)
                source.outside(outside)
            yield source

    @contextmanager
    def target(self, ctx: RunContext, relation: Relation, state_schema: str) -> Iterator[Target]:
        """Begin a session that writes."""
        with ExitStack() as stack:
            connection = self._session(stack, ctx, relation, _WRITING)
            with writing(str(relation), ctx):
                target = PostgreSQLTarget(connection, ctx, relation, state_schema)
            yield target

    def _session(
        self, stack: ExitStack, ctx: RunContext, relation: Relation, settings: dict[str, str]
    ) -> Session:
        """Return a session that tells values in the forms in which they travel."""
        connection = stack.enter_context(connected(self._access, ctx, relation.database))
        settle(connection, settings)
        return connection


def settle(connection: Session, settings: Mapping[str, str] | None = None) -> None:
    """Let a session tell values in their forms, and all rows or none."""
    _set(connection, _BOTH | dict(settings or {}))


@contextmanager
def _one_moment(connection: Session) -> Iterator[None]:
    """Let all that is read be of one moment, however long others write meanwhile."""
    _set(connection, _SNAPSHOT)
    with snapshot(connection):
        yield


def looked_at(connection: Session, ctx: RunContext, relation: Relation, *, snapshot: bool) -> Look:
    """Return what a relation looks like; raises BadData where there is none."""
    with reading(str(relation), ctx, snapshot=snapshot):
        _find_names(connection, relation)
        looked = look(connection, relation)
        _find_names(connection, relation)
    if looked is None:
        raise BadData(f"{relation}: there is no such table")
    return looked


def _find_names(connection: Session, relation: Relation) -> None:
    """Let a query find its tables: in the schema that is named, else where the server says."""
    if relation.query:
        path = (connection.execute(_SERVERS_PATH).fetchone() or ("",))[0]
        if relation.schema:
            path = Identifier(relation.schema).as_string(connection)
        _set(connection, {"search_path": path})


def _set(connection: Session, settings: dict[str, str]) -> None:
    """Set what the server knows of these settings."""
    connection.execute(
        "select set_config(s.name, s.text, false)"
        " from unnest(%s::text[], %s::text[]) as s (name, text)"
        " where current_setting(s.name, true) is not null",
        (list(settings), list(settings.values())),
    )

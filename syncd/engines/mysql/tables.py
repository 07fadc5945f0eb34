"""The tables of a MySQL or MariaDB server, read and written."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Final

from syncd.context import RunContext
from syncd.engines.base import ServerAccess
from syncd.engines.mysql import databases
from syncd.engines.mysql.connection import READS, WRITES, Session, connected
from syncd.engines.mysql.reading import MySQLSource
from syncd.engines.mysql.writing import MySQLTarget
from syncd.model.table import Relation

_SNAPSHOT: Final = (
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
)

_READ_COMMITTED: Final = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"


class MySQLTables:
    """A server of either kind; each session of it is a connection of its own."""

    def __init__(self, access: ServerAccess) -> None:
        self._access = access

    @contextmanager
    def source(
        self, ctx: RunContext, relation: Relation, *, snapshot: bool
    ) -> Iterator[MySQLSource]:
        """Begin a session that reads; raises BadData when the relation does not exist."""
        with ExitStack() as stack:
            session = self._reading(stack, ctx, relation)

            @cache  # of one source: it may be asked many times
            def present() -> Session:
                return self._reading(stack, ctx, relation) if snapshot else session

            source = MySQLSource(session, relation, present)
            if snapshot:
                for statement in _SNAPSHOT:
                    session.change(statement)
            yield source

    @contextmanager
    def target(
        self, ctx: RunContext, relation: Relation, state_schema: str
    ) -> Iterator[MySQLTarget]:
        """Begin a session that writes."""
        with connected(self._access, ctx, WRITES, str(relation)) as session:
            if databases.is_there(session, relation.schema):
                session.use(relation.schema)
            if not _logs_statements(session):
                session.change(_READ_COMMITTED)
            yield MySQLTarget(session, relation, state_schema)

    def _reading(self, stack: ExitStack, ctx: RunContext, relation: Relation) -> Session:
        session = stack.enter_context(connected(self._access, ctx, READS, str(relation)))
        session.use(relation.schema or relation.database)
        return session


def _logs_statements(session: Session) -> bool:
    """Tell whether the binary log wants each statement to be repeatable.

    Elsewhere gaps between rows need no locks, by which others that write would have to wait.
    """
    found = session.rows("SHOW GLOBAL VARIABLES LIKE 'binlog_format'")
    return bool(found) and found[0][1].upper() == "STATEMENT"

"""A table that is written, as `Target` describes it."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from syncd.context import Deadline
from syncd.engines.mysql import databases
from syncd.engines.mysql.connection import Session
from syncd.engines.mysql.creating import create_statement, extend_statement
from syncd.engines.mysql.failures import code_of
from syncd.engines.mysql.names import quoted
from syncd.engines.mysql.pages import Desk, MySQLPage
from syncd.engines.mysql.shapes import table_shape
from syncd.engines.mysql.staging import declarations
from syncd.engines.mysql.state import States, nopad
from syncd.engines.mysql.table_failures import busy_mapped
from syncd.engines.mysql.types import spelled
from syncd.engines.tables import Busy, Into, NewColumn
from syncd.errors import BadData, SyncdError, final
from syncd.model.copy import CopyState
from syncd.model.table import Column, Relation, Shape, Type

_CLAIMS: Final = 10
_PATIENCE: Final = 20.0
_DOUBLE: Final = 1062


class MySQLTarget:
    """A table and the states of copies, in one session."""

    def __init__(self, session: Session, relation: Relation, state_schema: str) -> None:
        self._session = session
        self._name, self._path = str(relation), (relation.schema, relation.table)
        self._table = quoted(*self._path)
        self._places = tuple(dict.fromkeys((relation.schema, state_schema)))
        self._states = States(session, state_schema)
        self._desk: Desk | None = None
        self.shape: Shape | None = None
        self._look()

    def spelled(self, like: Column, engine: str) -> Type:
        """Return the type that a column made after one of another engine would have."""
        return spelled(like, engine)

    def absent(self) -> list[str]:
        """Return the databases that are not there; whether they may be made shows then."""
        return [each for each in self._places if not databases.is_there(self._session, each)]

    def require_names(self, names: Iterable[str]) -> None:
        """Raise BadData for a name that the server takes for no column."""
        for name in names:
            try:
                quoted(name)
            except BadData as error:
                told = f"{self._name}: {error}: rename or exclude that column"
                raise final(BadData(told)) from error

    def create(self, columns: Sequence[NewColumn], key: Sequence[str], engine: str) -> None:
        """Make the table, and look at its shape."""
        databases.ensure(self._session, self._path[0])
        self._session.use(self._path[0])
        self._session.change(
            create_statement(self._path, columns, key, engine, nopad(self._session))
        )
        self._look()

    def extend(self, columns: Sequence[NewColumn], engine: str) -> None:
        """Add columns that may be NULL, and look at the shape."""
        self._session.change(extend_statement(self._path, columns, engine))
        self._look()

    def formats(self, columns: Sequence[str]) -> dict[str, Sequence[str]]:  # noqa: ARG002
        """Return no format: MySQL takes none."""
        return {}

    def claim(self, state: CopyState) -> CopyState | None:
        """Keep a state, and return what was kept before."""
        self._states.ensure()
        patience = Deadline.after(_PATIENCE)
        for _ in range(_CLAIMS - 1):
            try:
                return self._claim(state)
            except Busy:
                if patience.remaining() <= 0:
                    raise
        return self._claim(state)

    def _claim(self, state: CopyState) -> CopyState | None:
        """Claim; of two that do so for the first time at once one may be turned away."""
        with self._transaction(rehearse=False):
            try:
                return self._states.take(state)
            except BadData as error:
                if code_of(error.__cause__) == _DOUBLE:
                    raise Busy(str(error)) from error
                raise

    def peek(self, job: str, item: str) -> CopyState | None:
        """Return what is kept of a copy."""
        return self._states.peek(job, item)

    def is_empty(self) -> bool:
        """Tell whether the table has no row."""
        return not self._session.rows(f"SELECT 1 FROM {self._table} LIMIT 1")  # noqa: S608

    @contextmanager
    def page(self, into: Into, *, rehearse: bool = False) -> Iterator[MySQLPage]:
        """Begin a transaction, rolled back if the block raises, and in a rehearsal."""
        desk = self._prepared(into)
        page = MySQLPage(desk, self._states, rehearse=rehearse)
        with self._transaction(rehearse=rehearse):
            yield page

    def settle(self) -> None:
        """Do nothing: AUTO_INCREMENT follows by itself."""

    @contextmanager
    def _transaction(self, *, rehearse: bool) -> Iterator[None]:
        with busy_mapped():
            self._session.change("START TRANSACTION")
            try:
                yield
            except BaseException:
                self._roll_back()
                raise
            self._session.change("ROLLBACK" if rehearse else "COMMIT")

    def _roll_back(self) -> None:
        if self._session.open:
            with suppress(SyncdError):
                self._session.change("ROLLBACK")

    def _prepared(self, into: Into) -> Desk:
        """Return what pages need, made when it is first asked for."""
        if self.shape is None:
            raise BadData(f"there is no table {'.'.join(self._path)}")
        if self._desk is None or self._desk.into != into:
            types = declarations(self._session, *self._path)
            self._desk = Desk(self._session, self._path, self.shape, into, types)
        return self._desk

    def _look(self) -> None:
        self._desk = None
        self.shape = table_shape(self._session, *self._path)

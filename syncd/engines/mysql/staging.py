"""The temporary tables of a session that writes: rows of a page, and keys of the source.

Both have columns of the target's types and collations, so that what a column would change or
refuse shows before a row is near the table, and so that keys are equal here as they are there.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Final

from syncd.engines.copy_text import LONG, weight_of
from syncd.engines.mysql.connection import Session
from syncd.engines.mysql.literals import Encoder, line_alone, lines
from syncd.engines.mysql.names import quoted
from syncd.engines.tables import Refused
from syncd.errors import BadData
from syncd.model.table import Column, Row

PAGE: Final = "syncd_page"
KEYS: Final = "syncd_keys"

_STATEMENT: Final = 2 * 2**20
_ROOM: Final = 1024  # of a packet, for what is not a row
_HARMLESS: Final = frozenset({1592, 1681, 1287, 3778})
"""Of the binary log's formats, and of what will be gone in a later version."""
_COLUMN: Final = re.compile(r"column (?:`(?:[^`]|``)*`\.){0,2}['`](\w+)['`]")
_AT_ROW: Final = re.compile(r" at row \d+")
_COLLATIONS: Final = """
SELECT COLUMN_NAME, COLUMN_TYPE, CHARACTER_SET_NAME, COLLATION_NAME
  FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s
"""


def beside(table: str, wanted: str) -> str:
    """Return the name of a temporary table, another one than that of the table it would hide."""
    return f"{wanted}_" if table.casefold() == wanted else wanted


def declarations(session: Session, schema: str, table: str) -> dict[str, str]:
    """Return the types of all columns of a table, with their collations."""
    return {
        name: native if charset is None else f"{native} CHARACTER SET {charset} COLLATE {collation}"
        for name, native, charset, collation in session.rows(_COLLATIONS, schema, table)
    }


class Inserter:
    """Writes rows with statements of some MiB; raises Refused for what would not stay as it is."""

    def __init__(
        self, session: Session, into: str, names: Sequence[str], columns: Sequence[Column]
    ) -> None:
        self._session = session
        told = ", ".join(names)
        self._head = f"INSERT INTO {into} ({told}) VALUES (".encode()  # noqa: S608
        self._encoders = [Encoder(each) for each in columns]
        staged = names[-len(columns) :] if columns else ()
        self._called = {ours: each.name for ours, each in zip(staged, columns, strict=True)}
        found = session.rows("SELECT @@max_allowed_packet")[0][0]
        self._most = int(found) - _ROOM - len(self._head)

    def insert(self, rows: Sequence[Row], *, numbered: bool = False) -> None:
        """Insert rows, with their numbers before them if they are to be `numbered`."""
        if len(rows) == 1 and weight_of(rows[0]) > LONG:
            self._insert_alone(rows[0], numbered=numbered)
        elif rows:
            for some in self._statements(lines(self._encoders, rows, numbered=numbered)):
                values = b"),(".join(some)
                self._execute([values], len(values))

    def _insert_alone(self, row: Row, *, numbered: bool) -> None:
        """Insert a row that is not put together with anything."""
        size, values = line_alone(self._encoders, row, numbered=numbered)
        self._look_at_size(size)
        self._execute(values, size)

    def _statements(self, told: Sequence[bytes]) -> Iterator[list[bytes]]:
        """Yield what of rows goes into a statement."""
        most = min(self._most, _STATEMENT)
        some: list[bytes] = []
        size = 0
        for each in told:
            self._look_at_size(len(each))
            if some and size + len(each) > most:
                yield some
                some, size = [], 0
            some.append(each)
            size += len(each) + 3
        yield some

    def _look_at_size(self, size: int) -> None:
        if size > self._most:
            raise Refused(f"a row of {size:,} bytes is larger than the server's max_allowed_packet")

    def _execute(self, values: Iterable[bytes], size: int) -> None:
        statement = chain([self._head], values, [b")"])
        with self._named():
            if self._session.send(statement, len(self._head) + size + 1).warnings:
                self._look_at_warnings()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Let errors name the columns of the table, and not the row of a statement."""
        try:
            yield
        except BadData as error:
            said = _COLUMN.sub(
                lambda found: f"column '{self._called.get(found[1], found[1])}'", str(error)
            )
            error.args = (_AT_ROW.sub("", said),)
            raise

    def _look_at_warnings(self) -> None:
        for _, code, text in self._session.rows("SHOW WARNINGS"):
            if code not in _HARMLESS:
                raise Refused(f"{text} ({code})")


class Staging:
    """The rows of a page in a temporary table, numbered as they came."""

    def __init__(
        self,
        session: Session,
        path: tuple[str, str],
        columns: Sequence[Column],
        types: dict[str, str],
    ) -> None:
        self._session = session
        self.names = [f"c{number}" for number in range(len(columns))]
        told = [f"{name} NULL" for name in _typed(self.names, columns, types)]
        told.insert(0, "seq INT UNSIGNED NOT NULL PRIMARY KEY")
        self.table = _made(session, path, PAGE, told)
        self._inserter = Inserter(session, self.table, ["seq", *self.names], columns)
        self._filled = False

    def fill(self, rows: Sequence[Row]) -> None:
        """Let it hold these rows, and no others."""
        if self._filled:
            self._session.change(f"DELETE FROM {self.table}")  # noqa: S608
        self._filled = True
        self._inserter.insert(rows, numbered=True)


class Keys:
    """Keys of the source in a temporary table; one may be noted twice."""

    def __init__(
        self,
        session: Session,
        path: tuple[str, str],
        columns: Sequence[Column],
        types: dict[str, str],
    ) -> None:
        self.names = [f"k{number}" for number in range(len(columns))]
        told = [f"{name} NOT NULL" for name in _typed(self.names, columns, types)]
        told.insert(0, "seq BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY")
        told.append(f"KEY ({', '.join(self.names)})")
        self.table = _made(session, path, KEYS, told)
        self._inserter = Inserter(session, self.table, self.names, columns)

    def note(self, rows: Sequence[Row]) -> None:
        """Add keys."""
        self._inserter.insert(rows)


def _typed(names: Sequence[str], columns: Sequence[Column], types: dict[str, str]) -> Iterator[str]:
    """Yield names with the types of the target's columns."""
    for name, column in zip(names, columns, strict=True):
        yield f"{name} {types[column.name]}"


def _made(session: Session, path: tuple[str, str], wanted: str, told: Sequence[str]) -> str:
    """Make a temporary table in place of one that is there; return its name."""
    table = quoted(path[0], beside(path[1], wanted))
    session.change(f"DROP TEMPORARY TABLE IF EXISTS {table}")
    session.change(f"CREATE TEMPORARY TABLE {table} ({', '.join(told)}) ENGINE = InnoDB")
    return table

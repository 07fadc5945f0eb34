"""A relation as it is read: pages by the order of its key, through COPY as text."""

from collections.abc import Collection, Generator, Iterator, Sequence
from typing import Any, Final

from psycopg.sql import SQL, Composable, Identifier, Literal

from syncd.context import RunContext
from syncd.engines.copy_text import LONG, TEXT, format_of, parsed, parsed_alone
from syncd.engines.postgresql import times
from syncd.engines.postgresql.connection import Session
from syncd.engines.postgresql.copying import copy_out
from syncd.engines.postgresql.literals import columns_of, keys_equal, keys_table, order_by, where
from syncd.engines.postgresql.long_rows import no_long_row
from syncd.engines.postgresql.shapes import Look
from syncd.engines.postgresql.statements import ask
from syncd.engines.postgresql.table_failures import reading
from syncd.engines.postgresql.types import reading as read
from syncd.model.copy import Span
from syncd.model.table import Column, Key, Relation, Row

BINARY: Final = "postgresql-binary"
_PART: Final = 2 << 20
_BLOCK: Final = 64 << 10
"""Bytes that are read at once: about what a socket holds, so that the target works meanwhile."""
_KEYS: Final = 5_000


class PostgreSQLSource:
    """A relation that is read over one session; `elsewhere` gives another, outside a snapshot."""

    def __init__(
        self,
        connection: Session,
        ctx: RunContext,
        relation: Relation,
        looked: Look,
        oldest: times.Oldest | None,
    ) -> None:
        self.shape = looked.shape
        self._connection, self._ctx, self._look = connection, ctx, looked
        self._name, self._oldest = str(relation), oldest
        self._snapshot = oldest is not None
        self._now: Session = connection
        self._copy: Generator[bytearray] | None = None

    def outside(self, connection: Session) -> None:
        """Let `existing` ask over a session that is in no snapshot."""
        self._now = connection

    def bound(self, column: str, zone: str) -> bytes | None:
        """Return a value of a column of times below which no row can come any more."""
        [asked] = columns_of(self.shape, [column])
        self._end_copy()
        with reading(self._name, self._ctx, snapshot=self._snapshot):
            oldest = self._oldest or times.oldest(self._connection)
            return times.as_value(self._connection, oldest, asked, zone)

    def back(self, column: str, value: bytes, lookback: str) -> bytes:
        """Return what lies before a value of the column."""
        [asked] = columns_of(self.shape, [column])
        self._end_copy()
        with reading(self._name, self._ctx, snapshot=self._snapshot):
            return times.back(self._connection, asked, value, lookback)

    def rows(self, columns: Sequence[str], span: Span, limit: int) -> Iterator[list[Row]]:
        """Yield the first rows of a span in parts of some MiB, each row by itself if it is long."""
        asked = columns_of(self.shape, columns)
        query = SQL("copy (select {} from {} as r{}{} limit {}) to stdout").format(
            SQL(", ").join(read(each, Identifier("r", each.name)) for each in asked),
            self._look.name, self._where(asked, span), order_by(span), Literal(limit),
        )  # fmt: skip
        hexed = [at for at, column in enumerate(asked) if column.type.kind == "bytes"]
        with reading(self._name, self._ctx, snapshot=self._snapshot):
            for lines in self._copied(query, _PART):
                if len(lines) < 2 * _PART:
                    yield parsed(bytes(lines), hexed)
                else:
                    yield from _apart(lines, hexed)

    def edge(self, span: Span, rows: int) -> Key | None:
        """Return where so many rows of a span end, None when it has no more than those."""
        names = [Identifier("r", name) for name in span.order]
        skipped = SQL("select {} from {} as r{}{} limit 2 offset {}").format(
            SQL(", ").join(names), self._look.name, where(self.shape, span), order_by(span),
            Literal(max(rows - 1, 0)),
        )  # fmt: skip
        query = SQL("select {} from ({}) as r{}").format(  # no text is made of what is skipped
            self._texts(span.order), skipped, order_by(span)
        )
        found = self._ask(self._connection, query)
        return _key(found[0]) if len(found) == 2 else None

    def count(self, span: Span | None = None, null: str | None = None) -> int:
        """Count the rows: of a span, or those with NULL in a column."""
        further = [] if null is None else [SQL("{} is null").format(Identifier("r", null))]
        query = SQL("select count(*) from {} as r{}").format(
            self._look.name, where(self.shape, span, *further)
        )
        return int(self._ask(self._connection, query)[0][0])

    def existing(self, columns: Sequence[str], keys: Collection[Key]) -> set[Key]:
        """Return those keys of which there is a row now, whatever a snapshot shows."""
        asked, listed = columns_of(self.shape, columns), list(keys)
        found: set[Key] = set()
        for begin in range(0, len(listed), _KEYS):
            part = listed[begin : begin + _KEYS]
            query = SQL(
                "select place from {} with ordinality as k ({}, place)"
                " where exists (select from {} as r where {})"
            )
            names = [Identifier(f"k{at}") for at in range(1, len(asked) + 1)]
            told = query.format(
                keys_table(asked, part), SQL(", ").join(names), self._look.name,
                keys_equal(asked, "r", "k"),
            )  # fmt: skip
            found |= {part[place - 1] for (place,) in self._ask(self._now, told)}
        return found

    def formats(self, columns: Sequence[str]) -> dict[str, Sequence[str]]:
        """Return binary where its blocks mean the same everywhere, and text."""
        return formats(self._look, columns)

    def blocks(self, columns: Sequence[str], span: Span, form: str) -> Iterator[bytes | memoryview]:
        """Yield all rows of a span in a format, in no order, undecoded."""
        asked = columns_of(self.shape, columns)
        told: list[Composable] = [Identifier("r", each.name) for each in asked]
        if form == TEXT:
            told = [read(column, name) for column, name in zip(asked, told, strict=True)]
        query = SQL("copy (select {} from {} as r{}) to stdout (format {})").format(
            SQL(", ").join(told), self._look.name, self._where(asked, span),
            SQL(form.removeprefix("postgresql-")),
        )  # fmt: skip
        with reading(self._name, self._ctx, snapshot=self._snapshot):
            for rows in self._copied(query, _BLOCK):
                if len(rows) < LONG:
                    yield memoryview(rows)
                else:
                    yield from _pieces(rows)

    def _copied(self, query: Composable, size: int) -> Iterator[bytearray]:
        """Yield what a COPY sends; one before it that was left is over then."""
        self._end_copy()
        self._copy = copy = copy_out(self._connection, self._ctx, query, size, whole=self._snapshot)
        yield from copy
        if self._copy is not copy:
            raise RuntimeError("rows were left for another question")

    def _end_copy(self) -> None:
        """End a COPY that somebody left, and maybe still refers to."""
        if self._copy is not None:
            self._copy.close()
            self._copy = None

    def _where(self, columns: Sequence[Column], span: Span) -> Composable:
        """Return the condition for rows of a span, which fails at a row that is too long."""
        guard = no_long_row(self._look, columns, span.order)
        return where(self.shape, span, *guard)

    def _texts(self, names: Sequence[str]) -> Composable:
        """Return columns as the bytes of the texts in which their values travel."""
        return as_texts(columns_of(self.shape, names), "r")

    def _ask(self, connection: Session, query: Composable) -> list[tuple[Any, ...]]:
        self._end_copy()
        with reading(self._name, self._ctx, snapshot=self._snapshot):
            return ask(connection, query)


def _apart(lines: bytearray, hexed: Collection[int]) -> Iterator[list[Row]]:
    """Yield the rows of a buffer whose last one is long, which comes by itself.

    The buffer is left empty before that: others refer to it.
    """
    if last := lines.rfind(b"\n", 0, -1) + 1:
        yield parsed(bytes(lines[:last]), hexed)
        del lines[:last]
    rows = [parsed_alone(lines, hexed)]
    lines.clear()
    yield rows


def _pieces(rows: bytearray) -> Iterator[bytes]:
    """Yield what a buffer with a long row holds, and leave it empty: others refer to it."""
    for begin in range(0, len(rows), _BLOCK):
        yield bytes(rows[begin : begin + _BLOCK])
    rows.clear()


def as_texts(columns: Sequence[Column], table: str) -> Composable:
    """Return columns as bytea of the texts in which their values travel."""
    return SQL(", ").join(as_text(column, Identifier(table, column.name)) for column in columns)


def as_text(column: Column, name: Composable) -> Composable:
    """Return a column as bytea of the text in which its value travels."""
    if column.type.kind == "bytes":
        return SQL("{}::bytea").format(name)
    return SQL("convert_to({}::text, current_setting('client_encoding'))").format(
        read(column, name)
    )


def _key(row: tuple[Any, ...]) -> Key:
    return tuple(bytes(value) for value in row)


def formats(looked: Look, columns: Sequence[str]) -> dict[str, Sequence[str]]:
    """Return the formats in which columns can be copied: in binary where each of them can."""
    asked = columns_of(looked.shape, columns)
    text: dict[str, Sequence[str]] = {TEXT: format_of(asked)}
    if not all(column.name in looked.marks.portable for column in asked):
        return text
    return {BINARY: tuple(column.native for column in asked)} | text

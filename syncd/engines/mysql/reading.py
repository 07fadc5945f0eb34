"""A table, a view or a query that is read: rows by keyset pages, streamed, in parts."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Final

from syncd.engines.copy_text import TEXT, format_of
from syncd.engines.mysql.bounds import bound
from syncd.engines.mysql.connection import Session
from syncd.engines.mysql.literals import shown
from syncd.engines.mysql.names import quoted
from syncd.engines.mysql.shapes import derived, relation_shape
from syncd.engines.mysql.spans import among, columns_of, condition, ordered
from syncd.engines.mysql.table_failures import busy_mapped
from syncd.engines.mysql.times import earlier
from syncd.engines.mysql.types import selected
from syncd.errors import BadData, Conflict
from syncd.model.copy import Edge, Span
from syncd.model.table import Column, Key, Relation, Row, Value

_PART: Final = 2 * 2**20
_BLOCK: Final = 128 * 1024
"""Bytes that are read at once: about what a socket holds, so that the target works meanwhile."""
_STATEMENT: Final = 32 * 2**20
"""Bytes that one statement is to give: a reader that is slow should not hold it open for long."""
_FEWEST: Final = 100
_KEYS: Final = 500


class MySQLSource:
    """A relation, as `Source` describes it. `present` gives a session that no snapshot binds."""

    def __init__(
        self, session: Session, relation: Relation, present: Callable[[], Session]
    ) -> None:
        self._session = session
        self._relation = relation
        self._present = present
        self.shape = relation_shape(session, relation)
        self._from = (
            derived(relation.query) if relation.query else quoted(relation.schema, relation.table)
        )
        self._weight = self.shape.bytes / self.shape.rows if self.shape.rows else 1000.0

    def bound(self, column: str, zone: str) -> bytes | None:
        """Return a value of a column of times below which no row can come any more."""
        (found,) = columns_of(self.shape, [column])
        return bound(self._present(), found, zone)

    def back(self, column: str, value: bytes, lookback: str) -> bytes:
        """Return what lies before a value of the column."""
        (found,) = columns_of(self.shape, [column])
        return earlier(found, value, lookback)

    def rows(self, columns: Sequence[str], span: Span, limit: int) -> Iterator[list[Row]]:
        """Yield the first rows of a span, in its order, in parts."""
        extra = [name for name in span.order if name not in columns]
        asked, left = [*columns, *extra], limit
        places = [asked.index(name) for name in span.order]
        while left > 0:
            size = min(left, max(_FEWEST, int(_STATEMENT / max(self._weight, 1))))
            query = self._query(asked, span, size)
            count = 0
            last: Row = ()
            for part in self._parts(query, span):
                count += len(part)
                last = tuple(part[-1][at] for at in places)
                self._weigh(part[:: max(1, len(part) // 20)])
                if extra:
                    part[:] = [row[: len(columns)] for row in part]
                yield part
            left -= count
            if count < size:
                return
            if left > 0:
                span = Span(span.order, Edge(_key(last)), span.end)

    def edge(self, span: Span, rows: int) -> Key | None:
        """Return where so many rows of a span end, None when it has no more than those."""
        found = self._few(f"{self._query(span.order, span, 2)} OFFSET {max(rows, 1) - 1}")
        return _key(found[0]) if len(found) == 2 else None

    def count(self, span: Span | None = None, null: str | None = None) -> int:
        """Count the rows: of a span, or those with NULL in a column."""
        where = condition(self.shape, span)
        if null is not None:
            columns_of(self.shape, [null])
            where = f"{where} AND {quoted(null)} IS NULL"
        found = self._few(f"SELECT COUNT(*) FROM {self._from} WHERE {where}")  # noqa: S608
        return int(found[0][0] or 0)

    def existing(self, columns: Sequence[str], keys: Collection[Key]) -> set[Key]:
        """Return those keys, as they are given, of which there is a row now."""
        asked = columns_of(self.shape, columns)
        names = ", ".join(selected(each, quoted(each.name)) for each in asked)
        given = list(keys)
        found: set[Row] = set()
        session = self._present()
        for at in range(0, len(given), _KEYS):
            where = among(asked, given[at : at + _KEYS])
            query = f"SELECT {names} FROM {self._from} WHERE {where}"  # noqa: S608
            with self._named():
                for part in session.stream(query, _PART):
                    found.update(part)
        alike = {_alike(asked, row) for row in found}
        return {key for key in given if _alike(asked, key) in alike}

    def formats(self, columns: Sequence[str]) -> dict[str, Sequence[str]]:
        """Return the text of COPY alone, which PostgreSQL takes."""
        return {TEXT: format_of(columns_of(self.shape, columns))}

    def blocks(self, columns: Sequence[str], span: Span, form: str) -> Iterator[bytes]:
        """Yield all rows of a span as the text of COPY has them."""
        if form != TEXT:
            raise BadData(f"MySQL gives no {form}")
        hexed = [at for at, kind in enumerate(self.formats(columns)[TEXT]) if kind == "bytes"]
        query = self._query(columns, span)
        with self._named(_of(span)):
            for lines in self._session.lines(query, _BLOCK, hexed):
                yield from lines

    def _query(self, names: Sequence[str], span: Span, limit: int | None = None) -> str:
        asked = columns_of(self.shape, names)
        told = ", ".join(
            f"{selected(each, quoted(each.name))} AS c{number}" for number, each in enumerate(asked)
        )
        order = ", ".join(ordered(each) for each in columns_of(self.shape, span.order))
        return (
            f"SELECT {told or '1'} FROM {self._from} WHERE {condition(self.shape, span)}"  # noqa: S608
            f" ORDER BY {order}{'' if limit is None else f' LIMIT {limit}'}"
        )

    def _few(self, query: str) -> list[Row]:
        with self._named():
            return [row for part in self._session.stream(query, _PART) for row in part]

    def _parts(self, query: str, span: Span) -> Iterator[list[Row]]:
        with self._named(_of(span)):
            yield from self._session.stream(query, _PART)

    @contextmanager
    def _named(self, place: str = "") -> Iterator[None]:
        """Let errors say of what they are."""
        try:
            with busy_mapped():
                yield
        except (BadData, Conflict) as error:
            said = str(error).removeprefix(f"{self._relation}: ")
            error.args = (f"{self._relation}{place}: {said}",)
            raise

    def _weigh(self, rows: Sequence[Row]) -> None:
        """Learn what rows weigh, for the size of later statements."""
        total = sum(len(value) for row in rows for value in row if value is not None)
        self._weight = max(self._weight / 2, total / len(rows)) + 1


def _of(span: Span) -> str:
    """Return where a span begins, as errors tell it."""
    start = span.start
    place = ", ".join(shown(value) for value in start.values) if start else "the first row"
    return f", from {place} on"


def _alike(columns: Sequence[Column], key: Sequence[Value]) -> tuple[object, ...]:
    """Return what of a key is the same however its numbers are spelled: 1.5 and 1.50."""
    return tuple(
        Decimal(value.decode()) if value and column.type.kind in ("decimal", "float") else value
        for column, value in zip(columns, key, strict=True)
    )


def _key(row: Row) -> Key:
    """Return what rows are ordered by as a place among them; raises BadData where it has NULL."""
    key = tuple(value for value in row if value is not None)
    if len(key) < len(row):
        raise BadData("a row has NULL in a column that rows are ordered by")
    return key

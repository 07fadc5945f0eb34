"""One side of a comparison that is a table, a view or a query of MySQL or MariaDB."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from syncd.context import RunContext
from syncd.engines.base import ServerAccess
from syncd.engines.mysql import digests
from syncd.engines.mysql.connection import READS, Session, connected
from syncd.engines.mysql.names import quoted
from syncd.engines.mysql.shapes import derived, relation_shape
from syncd.engines.mysql.spans import among, condition, ordered
from syncd.engines.mysql.table_failures import busy_mapped
from syncd.engines.mysql.types import selected
from syncd.engines.sides import (
    ENDED,
    PAGE,
    SUMMED,
    Aggregate,
    Digest,
    Field,
    Part,
    Seen,
    View,
    added_up,
    span_of,
    spellings,
    told_apart,
    unhindered,
)
from syncd.errors import BadData
from syncd.model.check import RedisKeys
from syncd.model.copy import Edge, Span
from syncd.model.table import Column, Key, Relation, Row, Shape

_BLOCK: Final = 2 << 20
_LOST: Final = 2**100  # more than all hashes together: stands for one that could not be made
_NO_HASH: Final = (
    "a row can't be hashed: a value is larger than the server's max_allowed_packet,"
    " or it makes no MD5 in FIPS mode"
)


class MySQLSides:
    """What can be compared of one server."""

    def __init__(self, access: ServerAccess) -> None:
        self._access = access

    @contextmanager
    def side(self, ctx: RunContext, relation: Relation | RedisKeys) -> Iterator["MySQLSide"]:
        """Begin a session, autocommitting; raises BadData when the relation does not exist."""
        if isinstance(relation, RedisKeys):
            raise BadData(f"{relation}: the server is MySQL or MariaDB")
        with connected(
            self._access, ctx, READS, str(relation)
        ) as session:  # READS: it may idle long
            if relation.database:
                session.use(relation.database)
            yield MySQLSide(session, ctx, relation, relation_shape(session, relation))


@dataclass(slots=True)
class MySQLSide:
    """A relation that is compared. Nothing is kept between two statements."""

    session: Session
    ctx: RunContext
    relation: Relation
    shape: Shape
    received: int = 0
    columns: dict[str, Column] = field(init=False)

    def __post_init__(self) -> None:
        self.columns = {column.name: column for column in self.shape.columns}

    def count(self, view: View, *, null_keys: bool = False) -> int:
        """Count the rows, or those with NULL in the key."""
        nulls = " OR ".join(f"{quoted(each.name)} IS NULL" for each in view.key)
        asked = [f"({nulls})"] if null_keys else []
        return _number(self._ask("SELECT COUNT(*)", view, None, *asked)[0][0])

    def aggregates(self, view: View, fields: Sequence[Field]) -> list[Aggregate]:
        """Return the aggregates of fields, in their order."""
        asked = [text for each in fields for text in self._aggregated(each)]
        [row] = self._ask(f"SELECT {', '.join(['COUNT(*)', *asked])}", view, None)
        rows, values = _number(row[0]), iter(row[1:])
        return [
            Aggregate(rows - _number(count), _number(count), total, least, most)
            for count, total, least, most in zip(*[values] * 4, strict=True)
        ]

    def edge(self, view: View, start: Key | None, rows: int) -> Key | None:
        """Return the values of the columns of the order so many rows after a start."""
        query = f"SELECT {self._texts(view.key[: view.order])}"
        end = f" ORDER BY {self._order(view.key[: view.order])} LIMIT 1 OFFSET {rows - 1}"
        found = self._ask(query, view, Part(start), end=end)
        return _key(found[0]) if found else None

    def cuts(self, view: View, part: Part, rows: int) -> list[Key]:
        """Return such values after each so many rows of a part, in their order.

        One by one, since MySQL 5.7 can't number rows in a statement.
        """
        query = f"SELECT {self._texts(view.key[: view.order])}"
        end = f" ORDER BY {self._order(view.key[: view.order])} LIMIT 1 OFFSET {rows - 1}"
        cuts: list[Key] = []
        while found := self._ask(query, view, part, end=end):
            cuts.append(_key(found[0]))
            part = Part(cuts[-1], part.end)
        return cuts

    def digests(self, view: View, part: Part, cuts: Sequence[Key]) -> list[Digest]:
        """Return the digests of a part that is cut in so many places, one more than there are."""
        found = self._summed(view, part, self._place(view, cuts))
        return [found.get(place, Digest()) for place in range(len(cuts) + 1)]

    def buckets(self, view: View, part: Part, depth: int) -> dict[int, Digest]:
        """Return the digests of a part by buckets of 2**depth; those without a row are left out.

        Page by page in the order of the key's own index, so that no statement is long.
        """
        bucket = digests.bucket(view.key, self.columns, depth)
        pages = self._pages(view, part)
        return added_up(self._summed(view, part, bucket, page) for page in pages)

    def hashes(self, view: View, part: Part) -> dict[Key, bytes]:
        """Return the hashes of all rows of a part; raises BadData when two have the same key."""
        query = f"SELECT {self._hash(view)}, {self._texts(view.key)}"
        pages = ["TRUE"] if part.buckets is None else self._pages(view, part)
        asked = (self._ask(query, view, part, page) for page in pages)
        return told_apart(
            str(self.relation),
            ([(_key(key), self._bytes_of(number)) for number, *key in rows] for rows in asked),
        )

    def lookup(self, view: View, keys: Collection[Key]) -> dict[Key, Seen]:
        """Return what there is of these keys now, young rows too."""
        young = f"NOT {self._old(view)}" if view.age else "0"
        query = f"SELECT {self._hash(view)}, {young}, {self._texts(view.key)}"
        rows = self._find(query, view, keys)
        return {
            _key(key): Seen(self._bytes_of(number), young == b"1") for number, young, *key in rows
        }

    def values(
        self, view: View, keys: Collection[Key], fields: Sequence[Field], limit: int | None
    ) -> dict[Key, Row]:
        """Return the values of fields, in their forms, of rows of these keys, young ones too."""
        query = f"SELECT {self._texts(fields, limit)}, {self._texts(view.key)}"
        count = len(fields)
        rows = self._find(query, view, keys)
        return {_key(row[count:]): row[:count] for row in rows}

    def _summed(self, view: View, part: Part, place: str, *further: str) -> dict[int, Digest]:
        """Return digests by places; a hash is named once, since MariaDB computes it where it is."""
        found = self._ask(
            f"SELECT q0, COUNT(*), SUM(IFNULL(q1, {_LOST}))"  # noqa: S608
            f" FROM (SELECT {place} AS q0, {self._hash(view)} AS q1",
            view, part, *further, end=") AS q GROUP BY q0",
        )  # fmt: skip
        if any(_number(total) >= _LOST for *_, total in found):
            raise self._unhashed()
        return {
            _number(at): Digest(_number(rows), _number(total) % 2**64) for at, rows, total in found
        }

    def _place(self, view: View, cuts: Sequence[Key]) -> str:
        """Return the expression for how many cuts a row is behind."""
        order = _names(view.key[: view.order])
        cases = [
            f"WHEN {condition(self.shape, Span(order, None, Edge(cut, inclusive=True)))} THEN {at}"
            for at, cut in enumerate(cuts)
        ]
        return f"CASE {' '.join(cases)} ELSE {len(cuts)} END" if cases else "0"

    def _pages(self, view: View, part: Part) -> Iterator[str]:
        """Yield conditions that together hold all rows of a part, of so many rows each."""
        own = _names(view.key)
        columns = [self.columns[name] for name in own]
        texts = ", ".join(selected(each, quoted(each.name)) for each in columns)
        end = f" ORDER BY {self._order(view.key)} LIMIT 1 OFFSET {PAGE - 1}"
        start: Edge | None = None
        while True:
            page = condition(self.shape, Span(own, start))
            found = self._ask(f"SELECT {texts}", view, part, page, end=end)
            if not found:
                yield page
                return
            last = _key(found[0])
            yield condition(self.shape, Span(own, start, Edge(last, inclusive=True)))
            start = Edge(last)

    def _find(self, query: str, view: View, keys: Collection[Key]) -> list[Row]:
        """Ask for rows by their keys."""
        columns = [self.columns[each.name] for each in view.key]
        where = among(columns, list(spellings(view.key, self.columns, keys)))
        told = " AND ".join([f"({where})", *_standing(view)])
        return self._execute(f"{query} FROM {self._from()} WHERE {told}")

    def _aggregated(self, each: Field) -> list[str]:
        column = self.columns[each.name]
        name, kind, real = quoted(each.name), each.form.kind, column.type.kind
        told = [f"COUNT({name})", "NULL", "NULL", "NULL"]
        if real in ("integer", "decimal", "float", "bits") and kind in SUMMED:
            number = name if real == "bits" else selected(column, name)
            value = f"({number} + {'0e0' if kind == 'float' else '0'})"
            told[1:] = [f"{word}({value})" for word in ("SUM", "MIN", "MAX")]
        elif kind in ENDED and real not in ("text", "other"):
            told[2:] = [
                digests.text_of(column, each.form, f"{word}({name})") for word in ("MIN", "MAX")
            ]
        return told

    def _hash(self, view: View) -> str:
        return digests.row_hash(view.fields, self.columns)

    def _bytes_of(self, number: bytes | None) -> bytes:
        """Return a hash as it came."""
        if number is None:
            raise self._unhashed()
        return int(number).to_bytes(8)

    def _unhashed(self) -> BadData:
        return BadData(f"{self.relation}: {_NO_HASH}")

    def _texts(self, fields: Sequence[Field], limit: int | None = None) -> str:
        told = [digests.text_of(self.columns[each.name], each.form) for each in fields]
        return ", ".join(told if limit is None else [f"LEFT({text}, {limit})" for text in told])

    def _order(self, fields: Sequence[Field]) -> str:
        return ", ".join(ordered(self.columns[each.name]) for each in fields)

    def _old(self, view: View) -> str:
        """Return the condition for rows that are old enough."""
        if view.before is None:
            return "TRUE"
        moment = view.before.strftime("%Y-%m-%d %H:%M:%S.%f")
        return f"COALESCE({quoted(view.age)} <= '{moment}', TRUE)"

    def _from(self) -> str:
        if self.relation.query:
            return derived(self.relation.query)
        return quoted(self.relation.schema, self.relation.table)

    def _ask(
        self, query: str, view: View, part: Part | None, *further: str, end: str = ""
    ) -> list[Row]:
        """Ask for rows of a part of the view."""
        asked = [*further, *_standing(view)]
        if view.age:
            asked.append(self._old(view))
        if part is not None:
            if part.buckets is not None:
                listed = ", ".join(map(str, sorted(part.buckets)))
                asked.append(f"{digests.bucket(view.key, self.columns, part.depth)} IN ({listed})")
            asked.append(condition(self.shape, span_of(view, part)))
        where = " AND ".join(asked) or "TRUE"
        return self._execute(f"{query} FROM {self._from()} WHERE {where}{end}")

    def _execute(self, query: str) -> list[Row]:
        def ask() -> list[Row]:
            with busy_mapped():
                return [row for block in self.session.stream(query, _BLOCK) for row in block]

        rows = unhindered(self.ctx, ask)
        self.received += sum(len(value) for row in rows for value in row if value is not None)
        return rows


def _names(fields: Sequence[Field]) -> tuple[str, ...]:
    return tuple(each.name for each in fields)


def _standing(view: View) -> list[str]:
    """Return the condition for rows that are not marked as deleted."""
    return [f"{quoted(view.gone)} IS NULL"] if view.gone else []


def _number(value: bytes | None) -> int:
    return int(value or 0)


def _key(values: Sequence[bytes | None]) -> Key:
    return tuple(value for value in values if value is not None)

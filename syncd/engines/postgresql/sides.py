"""One side of a comparison that is a table, a view or a query of PostgreSQL."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from syncd.context import RunContext
from syncd.engines.base import ServerAccess
from syncd.engines.postgresql import digests
from syncd.engines.postgresql.connection import Session, connected
from syncd.engines.postgresql.literals import Text, keys_equal, keys_table, literal, where
from syncd.engines.postgresql.shapes import Look
from syncd.engines.postgresql.table_failures import reading
from syncd.engines.postgresql.tables import looked_at, settle
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
from syncd.model.table import Column, Key, Kind, Relation, Row, Shape

_NOTHING: Final = SQL("")
_NUMBERS: Final[Mapping[Kind, str]] = {
    "integer": "{}", "decimal": "{}::numeric", "float": "{}::float8", "boolean": "{}::int4",
    "bits": "{}::bigint",
}  # fmt: skip
"""How a column is summed that is compared with numbers."""


class PostgreSQLSides:
    """What can be compared of one server."""

    def __init__(self, access: ServerAccess) -> None:
        self._access = access

    @contextmanager
    def side(self, ctx: RunContext, relation: Relation | RedisKeys) -> Iterator["PostgreSQLSide"]:
        """Begin a session, autocommitting; raises BadData when the relation does not exist."""
        if isinstance(relation, RedisKeys):
            raise BadData(f"{relation}: the server is PostgreSQL")
        database = relation.database or self._access.database
        with connected(self._access, ctx, database) as connection:
            settle(connection)
            found = looked_at(connection, ctx, relation, snapshot=False)
            yield PostgreSQLSide(connection, ctx, str(relation), found)


@dataclass(slots=True)
class PostgreSQLSide:
    """A relation that is compared. Nothing is kept between two statements."""

    connection: Session
    ctx: RunContext
    name: str
    looked: Look
    received: int = 0
    columns: dict[str, Column] = field(init=False)
    utf8: bool = field(init=False)

    def __post_init__(self) -> None:
        self.columns = {column.name: column for column in self.shape.columns}
        encoding = self.connection.info.parameter_status("server_encoding")
        self.utf8 = encoding == "UTF8"

    @property
    def shape(self) -> Shape:
        """Return what the relation looks like."""
        return self.looked.shape

    def count(self, view: View, *, null_keys: bool = False) -> int:
        """Count the rows, or those with NULL in the key."""
        asked = []
        if null_keys:
            nulls = [SQL("{} is null").format(Identifier("r", each.name)) for each in view.key]
            asked = [SQL("({})").format(SQL(" or ").join(nulls))]
        return int(self._ask(SQL("select count(*)"), view, None, *asked)[0][0])

    def aggregates(self, view: View, fields: Sequence[Field]) -> list[Aggregate]:
        """Return the aggregates of fields, in their order."""
        asked: list[Composable] = [SQL("count(*)")]
        for each in fields:
            asked += self._aggregated(each)
        [row] = self._ask(SQL("select ") + SQL(", ").join(asked), view, None)
        rows, values = row[0], iter(row[1:])
        return [
            Aggregate(rows - count, count, *map(_bytes, (total, least, most)))
            for count, total, least, most in zip(*[values] * 4, strict=True)
        ]

    def edge(self, view: View, start: Key | None, rows: int) -> Key | None:
        """Return the values of the columns of the order so many rows after a start."""
        query = SQL("select {}").format(self._texts(view.key[: view.order]))
        order = SQL(" order by {} limit 1 offset {}").format(_order(view), Literal(rows - 1))
        found = self._ask(query, view, Part(start), end=order)
        return _key(found[0]) if found else None

    def cuts(self, view: View, part: Part, rows: int) -> list[Key]:
        """Return such values after each so many rows of a part, in their order."""
        numbered = SQL("select {}, row_number() over (order by {}) as place").format(
            _named(self._texts_of(view.key[: view.order])), _order(view)
        )
        names = SQL(", ").join(Identifier(f"k{at}") for at in range(view.order))
        found = self._ask(
            SQL("select {} from ({}").format(names, numbered), view, part,
            end=SQL(") as q where place % {} = 0 order by place").format(Literal(rows)),
        )  # fmt: skip
        return [_key(row) for row in found]

    def digests(self, view: View, part: Part, cuts: Sequence[Key]) -> list[Digest]:
        """Return the digests of a part that is cut in so many places, one more than there are."""
        found = self._summed(view, part, self._place(view, cuts))
        return [found.get(place, Digest()) for place in range(len(cuts) + 1)]

    def buckets(self, view: View, part: Part, depth: int) -> dict[int, Digest]:
        """Return the digests of a part by buckets of 2**depth; those without a row are left out.

        Page by page in the order of the key's own index, so that no statement is long.
        """
        bucket = digests.bucket(view.key, self.columns, depth, utf8=self.utf8)
        pages = self._pages(view, part)
        return added_up(self._summed(view, part, bucket, page) for page in pages)

    def hashes(self, view: View, part: Part) -> dict[Key, bytes]:
        """Return the hashes of all rows of a part; raises BadData when two have the same key."""
        query = SQL("select {}, {}").format(self._hash(view), self._texts(view.key))
        pages = [SQL("true")] if part.buckets is None else self._pages(view, part)
        asked = (self._ask(query, view, part, page) for page in pages)
        return told_apart(
            self.name, ([(_key(key), _hash(number)) for number, *key in rows] for rows in asked)
        )

    def lookup(self, view: View, keys: Collection[Key]) -> dict[Key, Seen]:
        """Return what there is of these keys now, young rows too."""
        young = SQL("not ({})").format(self._old(view)) if view.age else SQL("false")
        query = SQL("select {}, {}, {}").format(self._hash(view), young, self._texts(view.key))
        rows = self._find(query, view, keys)
        return {_key(key): Seen(_hash(number), young) for number, young, *key in rows}

    def values(
        self, view: View, keys: Collection[Key], fields: Sequence[Field], limit: int | None
    ) -> dict[Key, Row]:
        """Return the values of fields, in their forms, of rows of these keys, young ones too."""
        texts = SQL(", ").join(self._texts_of(fields, limit))
        query = SQL("select {}, {}").format(texts, self._texts(view.key))
        count = len(fields)
        return {
            _key(row[count:]): tuple(map(_bytes, row[:count]))
            for row in self._find(query, view, keys)
        }

    def _summed(
        self, view: View, part: Part, place: Composable, *further: Composable
    ) -> dict[int, Digest]:
        query = SQL(
            "select place, count(*), sum(hash) from (select {} as place, {} as hash"
        ).format(place, self._hash(view))
        found = self._ask(query, view, part, *further, end=SQL(") as q group by place"))
        return {int(at): Digest(rows, int(total) % 2**64) for at, rows, total in found}

    def _place(self, view: View, cuts: Sequence[Key]) -> Composable:
        """Return the expression for how many cuts a row is behind."""
        if not cuts:
            return SQL("0")
        cases = [
            SQL("when {} then {}").format(self._beyond(view, cut, "<="), Literal(at))
            for at, cut in enumerate(cuts)
        ]
        return SQL("case {} else {} end").format(SQL(" ").join(cases), Literal(len(cuts)))

    def _beyond(self, view: View, key: Key, operator: str) -> Composable:
        columns = [self.columns[each.name] for each in view.key[: len(key)]]
        names = SQL(", ").join(Identifier("r", each.name) for each in columns)
        values = SQL(", ").join(literal(*each) for each in zip(columns, key, strict=True))
        return SQL(f"({{}}) {operator} ({{}})").format(names, values)

    def _pages(self, view: View, part: Part) -> Iterator[Composable]:
        """Yield conditions that together hold all rows of a part, of so many rows each."""
        texts = SQL(", ").join(_as_it_is(self.columns[each.name]) for each in view.key)
        order = SQL(", ").join(Identifier("r", each.name) for each in view.key)
        end = SQL(" order by {} limit 1 offset {}").format(order, Literal(PAGE - 1))
        page: Composable = SQL("true")
        while found := self._ask(SQL("select {}").format(texts), view, part, page, end=end):
            last = _key(found[0])
            yield SQL("{} and {}").format(page, self._beyond(view, last, "<="))
            page = self._beyond(view, last, ">")
        yield page

    def _find(self, query: Composable, view: View, keys: Collection[Key]) -> list[tuple[Any, ...]]:
        """Ask for rows by their keys."""
        columns = [self.columns[each.name] for each in view.key]
        names = SQL(", ").join(Identifier(f"k{at}") for at in range(1, len(columns) + 1))
        spelled = list(spellings(view.key, self.columns, keys))
        told = SQL("{} from {} as k ({}) join {} as r on {}").format(
            query, keys_table(columns, spelled), names, self.looked.name,
            keys_equal(columns, "r", "k"),
        )  # fmt: skip
        conditions = [SQL(" and {}").format(each) for each in _standing(view)]
        return self._execute(told + Composed(conditions))

    def _aggregated(self, each: Field) -> list[Composable]:
        column, nothing = self.columns[each.name], SQL("null")
        name = Identifier("r", each.name)
        told: list[Composable] = [SQL("count({})").format(name), nothing, nothing, nothing]
        kind, real = each.form.kind, column.type.kind
        if real in _NUMBERS and kind in SUMMED:
            value = SQL(_NUMBERS[real]).format(name)
            told[1:] = [SQL(f"{word}({{}})::text").format(value) for word in ("sum", "min", "max")]
        elif kind in ENDED and real not in ("text", "other"):
            told[2:] = [
                digests.text_of(column, each.form, SQL(f"{word}({{}})").format(name))
                for word in ("min", "max")
            ]
        return told

    def _hash(self, view: View) -> Composable:
        return digests.row_hash(view.fields, self.columns, utf8=self.utf8)

    def _texts(self, fields: Sequence[Field]) -> Composable:
        return SQL(", ").join(self._texts_of(fields))

    def _texts_of(self, fields: Sequence[Field], limit: int | None = None) -> list[Composable]:
        """Return fields as bytea of their texts in UTF-8."""
        told = []
        for each in fields:
            text = digests.text_of(self.columns[each.name], each.form)
            if limit is not None:
                cut = "substring({} from 1 for {})" if each.form.kind == "bytes" else "left({}, {})"
                text = SQL(cut).format(text, Literal(limit))
            if each.form.kind != "bytes":
                text = SQL("convert_to({}, 'UTF8')").format(text)
            told.append(text)
        return told

    def _old(self, view: View) -> Composable:
        """Return the condition for rows that are old enough."""
        column, moment = self.columns[view.age], view.before
        if moment is None:
            return SQL("true")
        told = Text(moment.strftime("%Y-%m-%d %H:%M:%S.%f+00").encode())
        cast = "timestamptz" if column.type.kind == "instant" else "timestamp"
        return SQL(f"coalesce({{}} <= {{}}::{cast}, true)").format(
            Identifier("r", view.age), told
        )  # fmt: skip

    def _ask(
        self, query: Composable, view: View, part: Part | None, *further: Composable,
        end: Composable = _NOTHING,
    ) -> list[tuple[Any, ...]]:  # fmt: skip
        """Ask for rows of a part of the view."""
        asked = [*further, *_standing(view)]
        if view.age:
            asked.append(self._old(view))
        span = None
        if part is not None:
            if part.buckets is not None:
                bucket = digests.bucket(view.key, self.columns, part.depth, utf8=self.utf8)
                listed = SQL(", ").join(map(Literal, sorted(part.buckets)))
                asked.append(SQL("{} in ({})").format(bucket, listed))
            span = span_of(view, part)
        rows = where(self.shape, span, *asked)
        return self._execute(SQL("{} from {} as r{}{}").format(query, self.looked.name, rows, end))

    def _execute(self, query: Composed) -> list[tuple[Any, ...]]:
        def ask() -> list[tuple[Any, ...]]:
            with reading(self.name, self.ctx, snapshot=False):
                return self.connection.execute(query).fetchall()

        rows = unhindered(self.ctx, ask)
        self.received += sum(_weight(value) for row in rows for value in row)
        return rows


def _weight(value: object) -> int:
    return len(value) if isinstance(value, bytes | str) else 8


def _order(view: View) -> Composable:
    return SQL(", ").join(Identifier("r", each.name) for each in view.key[: view.order])


def _as_it_is(column: Column) -> Composable:
    """Return a column of a key as bytea of a text that its type reads."""
    name = Identifier("r", column.name)
    if column.type.kind == "bytes":
        return SQL("{}::bytea").format(name)
    return SQL("convert_to({}::text, 'UTF8')").format(name)


def _standing(view: View) -> list[Composable]:
    """Return the condition for rows that are not marked as deleted."""
    return [SQL("{} is null").format(Identifier("r", view.gone))] if view.gone else []


def _named(texts: Sequence[Composable]) -> Composable:
    return SQL(", ").join(
        SQL("{} as {}").format(text, Identifier(f"k{at}")) for at, text in enumerate(texts)
    )


def _key(values: Sequence[Any]) -> Key:
    return tuple(bytes(value) for value in values)


def _bytes(value: bytes | str | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _hash(number: int) -> bytes:
    return (number % 2**64).to_bytes(8)

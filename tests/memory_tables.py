"""Tables in memory that are copied as those of servers are, with every step open to accidents.

`MemoryServer.step` is called before and after whatever a server would be asked; it may raise (the
process dies, the connection breaks) or write into the tables as others do. A transaction that is
not committed by then leaves nothing.
"""

import pickle
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from syncd.copies.order import NUMBERS, TIMES, place
from syncd.engines.tables import Busy, Into, NewColumn, Refused, Written
from syncd.errors import BadData, Conflict, Fenced
from syncd.model.copy import CopyState, Edge, Span
from syncd.model.table import Column, Key, Relation, Row, Shape, Type

PART = 3
"""Rows of a part: small, so that pages have several."""
FORM = "memory"
KEPT_KEYS = 20


@dataclass
class MemoryTable:
    """Rows by their keys, in the order of `columns`."""

    columns: list[Column]
    key: tuple[str, ...]
    unique: tuple[tuple[str, ...], ...] = ()
    engine: str = "postgresql"
    rows: dict[Key, Row] = field(default_factory=dict)
    trouble: str = ""

    @property
    def shape(self) -> Shape:
        return Shape(
            self.engine, tuple(self.columns), self.key, self.unique, len(self.rows), 0, self.trouble
        )

    def place(self, name: str) -> int:
        return next(n for n, column in enumerate(self.columns) if column.name == name)

    def put(self, *values: bytes | None) -> None:
        """Write a row as a client of the server would."""
        self.rows[self.key_of(values)] = values

    def key_of(self, row: Sequence[bytes | None]) -> Key:
        return tuple(row[self.place(name)] or b"" for name in self.key)

    def sort_key(self, name: str) -> Callable[[bytes], Any]:
        kind = self.columns[self.place(name)].type.kind
        return lambda value: place(kind, value) if kind in NUMBERS | TIMES else value


class MemoryServer:
    """A server; it offers `Tables`, and remembers the names of its steps in `steps`."""

    def __init__(self) -> None:
        self.tables: dict[str, MemoryTable] = {}
        self.states: dict[tuple[str, str, str], CopyState] = {}
        self.step: Callable[[str], None] = lambda _name: None
        self.bound: Callable[[], bytes | None] = lambda: None
        self.refuses: Callable[[dict[str, bytes | None]], str | None] = lambda _row: None
        self.refuses_key: Callable[[Row], bool] = lambda _key: False
        self.undecoded = True

    @contextmanager
    def source(self, ctx: Any, relation: Relation, *, snapshot: bool) -> Iterator["MemorySource"]:
        self.step("source")
        if relation.table not in self.tables:
            raise BadData(f"{relation} does not exist")
        yield MemorySource(self, relation, snapshot)

    @contextmanager
    def target(self, ctx: Any, relation: Relation, state_schema: str) -> Iterator["MemoryTarget"]:
        self.step("target")
        yield MemoryTarget(self, relation, state_schema)


class MemorySource:
    """A session that reads; a snapshot is a copy of all rows."""

    def __init__(self, server: MemoryServer, relation: Relation, snapshot: bool) -> None:
        self._server, self._relation = server, relation
        table = server.tables[relation.table]
        self.shape = replace(table.shape, key=relation.key or table.key)
        self._rows = dict(table.rows) if snapshot else None

    @property
    def _table(self) -> MemoryTable:
        if self._relation.table not in self._server.tables:
            raise BadData(f"{self._relation} is gone")
        return self._server.tables[self._relation.table]

    def bound(self, column: str, zone: str) -> bytes | None:
        self._server.step("bound")
        return self._server.bound()

    def back(self, column: str, value: bytes, lookback: str) -> bytes:
        kind = self._table.columns[self._table.place(column)].type.kind
        if kind in TIMES:
            moment = datetime.fromisoformat(value.decode())
            return (moment - timedelta(seconds=float(lookback))).isoformat(" ").encode()
        return str(int(value) - int(lookback)).encode()

    def _span(self, span: Span | None) -> list[Row]:
        """Return the rows of a span, in its order."""
        table = self._table
        rows = list((table.rows if self._rows is None else self._rows).values())
        if span is None:
            return rows
        places = [(table.place(name), table.sort_key(name)) for name in span.order]
        if span.start or span.end:
            rows = [row for row in rows if all(row[n] is not None for n, _ in places)]

        def at(row: Row) -> list[Any]:
            return [key(row[n]) if row[n] is not None else () for n, key in places]  # type: ignore[arg-type]

        def edge(end: Edge) -> list[Any]:
            return [key(value) for value, (_, key) in zip(end.values, places, strict=False)]

        if span.start:
            low, width = edge(span.start), len(span.start.values)
            rows = [
                row for row in rows
                if at(row)[:width] > low or (span.start.inclusive and at(row)[:width] == low)
            ]  # fmt: skip
        if span.end:
            high, wide = edge(span.end), len(span.end.values)
            rows = [
                row for row in rows
                if at(row)[:wide] < high or (span.end.inclusive and at(row)[:wide] == high)
            ]  # fmt: skip
        return sorted(rows, key=at)

    def rows(self, columns: Sequence[str], span: Span, limit: int) -> Iterator[list[Row]]:
        self._server.step("rows")
        places = [self._table.place(name) for name in columns]
        found = [tuple(row[n] for n in places) for row in self._span(span)[:limit]]
        for n in range(0, len(found), PART):
            yield found[n : n + PART]
            self._server.step("part")

    def edge(self, span: Span, rows: int) -> Key | None:
        self._server.step("edge")
        found = self._span(span)
        if len(found) <= rows:
            return None
        return tuple(found[rows - 1][self._table.place(name)] or b"" for name in span.order)

    def count(self, span: Span | None = None, null: str | None = None) -> int:
        rows = self._span(span)
        return len([row for row in rows if null is None or row[self._table.place(null)] is None])

    def existing(self, columns: Sequence[str], keys: Collection[Key]) -> set[Key]:
        self._server.step("existing")
        places = [self._table.place(name) for name in columns]
        there = {tuple(row[n] for n in places) for row in self._table.rows.values()}
        return {key for key in keys if key in there}

    def formats(self, columns: Sequence[str]) -> dict[str, Sequence[str]]:
        return _formats(self._server, self._table, columns)

    def blocks(self, columns: Sequence[str], span: Span, form: str) -> Iterator[bytes]:
        self._server.step("blocks")
        places = [self._table.place(name) for name in columns]
        found = [tuple(row[n] for n in places) for row in self._span(span)]
        for n in range(0, len(found), PART):
            yield pickle.dumps(found[n : n + PART])


class MemoryTarget:
    """A session that writes; `kept` are the keys that were noted."""

    def __init__(self, server: MemoryServer, relation: Relation, state_schema: str) -> None:
        self._server, self._relation, self._schema = server, relation, state_schema
        self.kept: set[Key] = set()
        self.settled = 0
        self.claimed: Any = None
        self._look()

    def _look(self) -> None:
        table = self._server.tables.get(self._relation.table)
        self.shape = table.shape if table else None

    @property
    def table(self) -> MemoryTable:
        if self._relation.table not in self._server.tables:
            raise BadData(f"{self._relation} does not exist")
        return self._server.tables[self._relation.table]

    def spelled(self, like: Column, engine: str) -> Type:
        return like.type

    def absent(self) -> list[str]:
        return []

    def require_names(self, names: Iterable[str]) -> None:
        """Take all."""

    def create(self, columns: Sequence[NewColumn], key: Sequence[str], engine: str) -> None:
        self._server.step("create")
        if self._relation.table not in self._server.tables:
            made = [
                Column(each.name, each.type, each.like.native, each.nullable) for each in columns
            ]
            self._server.tables[self._relation.table] = MemoryTable(made, tuple(key))
        self._server.step("created")
        self._look()

    def extend(self, columns: Sequence[NewColumn], engine: str) -> None:
        table = self.table
        for each in columns:
            table.columns.append(Column(each.name, each.type, each.like.native, nullable=True))
            table.rows = {key: (*row, None) for key, row in table.rows.items()}
        self._look()

    def formats(self, columns: Sequence[str]) -> dict[str, Sequence[str]]:
        return _formats(self._server, self.table, columns)

    def _at(self, job: str, item: str) -> tuple[str, str, str]:
        return self._schema, job, item

    def claim(self, state: CopyState) -> CopyState | None:
        self._server.step("claim")
        at = self._at(state.job, state.item)
        before = self._server.states.get(at)
        if (
            before
            and before.claim.run_id == state.claim.run_id
            and (before.claim.attempt > state.claim.attempt)
        ):
            raise Fenced("a later attempt has it")
        self._server.states[at] = state
        self.claimed = state.claim
        self._server.step("claimed")
        return before

    def peek(self, job: str, item: str) -> CopyState | None:
        self._server.step("peek")
        return self._server.states.get(self._at(job, item))

    def is_empty(self) -> bool:
        return not self.table.rows

    @contextmanager
    def page(self, into: Into, *, rehearse: bool = False) -> Iterator["MemoryPage"]:
        self._server.step("page")
        page = MemoryPage(self, self._server, into)
        yield page
        self._server.step("commit")
        if not rehearse:
            page.commit()
        self._server.step("committed")

    def settle(self) -> None:
        self._server.step("settle")
        self.settled += 1


class MemoryPage:
    """A transaction: what it writes is its own until it is committed."""

    def __init__(self, target: MemoryTarget, server: MemoryServer, into: Into) -> None:
        self._target, self._server, self._into = target, server, into
        self._table = target.table
        self._rows = dict(self._table.rows)
        self._kept = set(target.kept)
        self._state: CopyState | None = None

    def commit(self) -> None:
        if self._target.table is not self._table:
            raise BadData("the table is another one by now")
        if self._state:
            self._check(self._state)
            self._server.states[self._at(self._state)] = self._state
        self._table.rows, self._target.kept = self._rows, self._kept

    def put(self, rows: Sequence[Row]) -> Written:
        assert rows
        self._server.step("put")
        before = dict(self._rows)
        try:
            written = self._written(rows)
        except BadData:
            self._rows = before
            raise
        self._server.step("written")
        return written

    def _written(self, rows: Sequence[Row]) -> Written:
        width = len(self._into.columns)
        assert all(len(row) == width for row in rows)
        named = [dict(zip(self._into.columns, row, strict=True)) for row in rows]
        last = {tuple(row[name] or b"" for name in self._into.key): row for row in named}
        added, updated = list[Key](), list[Key]()
        for key, row in last.items():
            self._refuse(row)
            there = self._rows.get(key)
            if there is None:
                self._rows[key] = self._merged(row, (None,) * len(self._table.columns))
                added.append(key)
            elif self._wins(row, there):
                self._rows[key] = self._merged(row, there)
                updated.append(key)
        self._refuse_doubles()
        return Written(
            len(added), len(updated), len(last) - len(added) - len(updated),
            tuple(added[:KEPT_KEYS]), tuple(updated[:KEPT_KEYS]), len(rows) - len(last),
        )  # fmt: skip

    def _wins(self, row: dict[str, bytes | None], there: Row) -> bool:
        table, into = self._table, self._into
        if self._merged(row, there) == there or into.conflict == "skip":
            return False
        if into.conflict == "error":
            raise Conflict("another row of the same key stands already")
        if into.conflict == "newer":
            ours, theirs = row[into.newer], there[table.place(into.newer)]
            key = table.sort_key(into.newer)
            return ours is not None and (theirs is None or key(ours) > key(theirs))
        return True

    def _merged(self, row: dict[str, bytes | None], there: Row) -> Row:
        names = [column.name for column in self._table.columns]
        merged = [row.get(name, old) for name, old in zip(names, there, strict=True)]
        if self._into.revive:
            merged[names.index(self._into.revive)] = None
        return tuple(merged)

    def _refuse(self, row: dict[str, bytes | None]) -> None:
        for column in self._table.columns:
            if column.name in row and row[column.name] is None and not column.nullable:
                raise Refused(f"{column.name} takes no NULL")
        if why := self._server.refuses(row):
            raise Refused(why)

    def _refuse_doubles(self) -> None:
        for unique in self._table.unique:
            places = [self._table.place(name) for name in unique]
            values = [tuple(row[n] for n in places) for row in self._rows.values()]
            there = [each for each in values if None not in each]
            if len(there) != len(set(there)):
                raise Refused(f"({', '.join(unique)}) is there already")

    def forward(self, blocks: Iterable[bytes | memoryview], form: str) -> Written:
        assert form == FORM
        rows = [row for block in blocks for row in pickle.loads(block)]
        return self.put(rows[::-1]) if rows else Written()

    def keep_keys(self, rows: Sequence[Row]) -> None:
        self._server.step("keep keys")
        if any(map(self._server.refuses_key, rows)):
            raise Refused("no row has such a key")
        self._kept.update(tuple(value or b"" for value in row) for row in rows)

    def save(self, state: CopyState) -> None:
        self._server.step("save")
        self._check(state)
        self._state = state

    def _check(self, state: CopyState) -> None:
        kept = self._server.states.get(self._at(state))
        if kept is None or kept.claim != self._target.claimed:
            raise Fenced("claimed by another attempt")

    def _at(self, state: CopyState) -> tuple[str, str, str]:
        return self._target._at(state.job, state.item)

    def missing(self, limit: int) -> tuple[int, list[Key]]:
        gone = [
            key for key, row in self._rows.items()
            if key not in self._kept and not self._is_marked(row)
        ]  # fmt: skip
        return len(gone), gone[:limit]

    def _is_marked(self, row: Row) -> bool:
        soft = self._into.revive
        return bool(soft) and row[self._table.place(soft)] is not None

    def delete(self, keys: Sequence[Key], soft_column: str) -> int:
        self._server.step("delete")
        deleted = 0
        for key in keys:
            if key in self._rows:
                deleted += 1
                if soft_column:
                    row = list(self._rows[key])
                    row[self._table.place(soft_column)] = b"2026-11-26 00:00:00"
                    self._rows[key] = tuple(row)
                else:
                    del self._rows[key]
        return deleted


def _formats(
    server: MemoryServer, table: MemoryTable, columns: Sequence[str]
) -> dict[str, Sequence[str]]:
    if not server.undecoded:
        return {}
    return {FORM: [table.columns[table.place(name)].native for name in columns]}


def busy(times: int, name: str) -> Callable[[str], None]:
    """Return a step that finds others in the way so many times."""
    left = [times]

    def step(at: str) -> None:
        if at == name and left[0]:
            left[0] -= 1
            raise Busy("a deadlock")

    return step

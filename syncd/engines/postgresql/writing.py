"""One transaction of a copy in its target: staged rows are merged, each call in a savepoint."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from psycopg.errors import UniqueViolation
from psycopg.sql import SQL, Composable, Identifier

from syncd.context import RunContext
from syncd.engines.copy_text import written
from syncd.engines.postgresql import state as states
from syncd.engines.postgresql.connection import Session
from syncd.engines.postgresql.copying import copy_in
from syncd.engines.postgresql.literals import keys_equal, keys_table
from syncd.engines.postgresql.merging import DIFF, KEYS, SAMPLES, STAGE, Merge
from syncd.engines.postgresql.statements import ask, run
from syncd.engines.postgresql.table_failures import writing
from syncd.engines.tables import Into, Refused, Written
from syncd.errors import Conflict, final
from syncd.model.copy import STATE_TABLE, CopyState
from syncd.model.table import Column, Key, Row

_DELETED: Final = 5_000
_NONE: Final[tuple[int, tuple[Key, ...]]] = (0, ())
_EXACT: Final = ("integer", "text", "uuid", "bytes")
"""Kinds whose values are equal only when their forms are."""


class PostgreSQLPage:
    """A page under way. `direct` tells whether rows may go into the table itself."""

    def __init__(
        self, connection: Session, ctx: RunContext, name: str, merge: Merge, state_schema: str
    ) -> None:
        self._connection, self._ctx, self._name = connection, ctx, name
        self._merge, self._into, self._schema = merge, merge.into, state_schema
        self._used = False
        self.direct = False
        self.rehearsed = False

    def put(self, rows: Sequence[Row]) -> Written:
        """Write rows. Raises Refused when one is refused; nothing of these rows stands then."""
        if not rows:
            return Written()
        kept = self._last_ones(rows)
        places = [self._into.columns.index(name) for name in self._into.key]

        def send(table: Composable) -> int:
            blocks = written(kept, _hexed(self._merge.columns))
            return self._copy(table, "text", blocks)

        def keys() -> tuple[Key, ...]:
            return tuple(tuple(row[at] or b"" for at in places) for row in kept[:SAMPLES])

        return self._write(send, keys, len(rows) - len(kept), unique=self._is_exact())

    def forward(self, blocks: Iterable[bytes | memoryview], form: str) -> Written:
        """Write rows as a source of the same engine gives them. Raises Refused.

        They are asked for again where they can't go into the table itself after all; an iterator,
        of which that can't be asked, is refused then.
        """
        name, once = form.removeprefix("postgresql-"), isinstance(blocks, Iterator)

        def send(table: Composable) -> int:
            return self._copy(table, name, blocks)

        return self._write(send, tuple, 0, unique=True, once=once)

    def keep_keys(self, rows: Sequence[Row]) -> None:
        """Note keys of the source for `missing`, for as long as the session."""
        if not rows:
            return
        with writing(self._name, self._ctx), self._connection.transaction():
            query = SQL("copy {} from stdin").format(KEYS)
            blocks = written(rows, _hexed(self._merge.keys))
            copy_in(self._connection, self._ctx, query, blocks)

    def save(self, state: CopyState) -> None:
        """Keep how far the copy is; raises Fenced when another attempt has claimed it."""
        if not self.rehearsed:
            with writing(f"{self._name} ({STATE_TABLE})", self._ctx):
                states.save(self._connection, self._schema, state)

    def missing(self, limit: int) -> tuple[int, list[Key]]:
        """Count the rows whose keys were not noted (softly deleted ones aside), and return some."""
        with writing(self._name, self._ctx):
            found = ask(self._connection, self._merge.missing(limit))
        keys = [_key(row[1:]) for row in found if row[1] is not None]
        return found[0][0], keys

    def delete(self, keys: Sequence[Key], soft_column: str) -> int:
        """Delete rows, or mark them with the moment where a column is given; return how many."""
        columns, table = self._merge.keys, self._merge.looked.name
        names = SQL(", ").join(Identifier(f"k{at}") for at in range(1, len(columns) + 1))
        done = 0
        with self._savepoint():
            for begin in range(0, len(keys), _DELETED):
                some = keys_table(columns, keys[begin : begin + _DELETED])
                met = keys_equal(columns, "t", "k")
                if soft_column:
                    query = SQL("update {0} as t set {1} = now() from {2} as k ({3})"
                                " where {4} and t.{1} is null").format(
                        table, Identifier(soft_column), some, names, met)  # fmt: skip
                else:
                    query = SQL("delete from {} as t using {} as k ({}) where {}").format(
                        table, some, names, met
                    )
                done += run(self._connection, query)
        return done

    def _write(
        self,
        send: Callable[[Composable], int],
        keys: Callable[[], tuple[Key, ...]],
        duplicates: int,
        *,
        unique: bool,
        once: bool = False,
    ) -> Written:
        """Write rows that are sent when asked for, into the table or by way of the stage.

        Those of `once` can't be sent again. What is `unique` has no key twice, or is in no
        order: then any row of a key will do, and only those that are written are looked at.
        """
        with self._savepoint():
            if self.direct and (added := self._sent_directly(send, once=once)) is not None:
                return Written(added, added_keys=keys(), duplicates=duplicates)
            if self._used:
                self._connection.execute(SQL("truncate {}, {}").format(STAGE, DIFF))
            self._used = True
            sent = send(STAGE)
            dropped = 0 if unique else self._drop_duplicates(STAGE)
            done = self._merged(sent - dropped)
            return replace(done, duplicates=duplicates + dropped + done.duplicates)

    def _sent_directly(self, send: Callable[[Composable], int], *, once: bool) -> int | None:
        """Send rows into the table itself; None when one of them is there already.

        Of those that can be sent but once UniqueViolation is raised.
        """
        try:
            with self._connection.transaction():
                return send(self._merge.looked.name)
        except UniqueViolation:
            self.direct = False
            if once:
                raise
            return None

    def _merged(self, rows: int) -> Written:
        """Bring what is staged into the table."""
        ends = ask(self._connection, self._merge.range())[0]
        differing = run(self._connection, self._merge.differ(ends))
        dropped = self._drop_duplicates(DIFF) if differing else 0
        differing, rows = differing - dropped, rows - dropped
        if self._into.conflict == "error":
            self._raise_if_existing()
        updated, updated_keys = _NONE
        if differing and self._into.conflict != "skip" and (update := self._merge.update()):
            updated, updated_keys = self._counted(update)
        added, added_keys = self._counted(self._merge.insert()) if differing else _NONE
        if added + updated != differing:
            raise Refused(
                f"{self._name}: {differing - added - updated} of {rows} rows were not written:"
                " a trigger left them out, or others deleted them meanwhile"
            )
        if self._into.revive and self._into.conflict in ("skip", "newer"):
            revived, keys = self._counted(self._merge.revive())
            updated, updated_keys = updated + revived, (updated_keys + keys)[:SAMPLES]
        return Written(added, updated, rows - added - updated, added_keys, updated_keys, dropped)

    def _raise_if_existing(self) -> None:
        """Fail for rows that are there and differ, where they are not to be touched."""
        found = ask(self._connection, self._merge.existing())
        if found:
            keys = "; ".join(
                ", ".join(part.decode("utf-8", "backslashreplace")[:40] for part in _key(row))
                for row in found[:3]
            )
            raise final(Conflict(f"{self._name}: rows are there already and differ: {keys}"))

    def _counted(self, statement: Composable) -> tuple[int, tuple[Key, ...]]:
        """Execute what writes; return how many rows it did, and the keys of some."""
        found = ask(self._connection, self._merge.counted(statement))
        return (found[0][0] if found else 0), tuple(_key(row[1:]) for row in found)

    def _drop_duplicates(self, table: Composable) -> int:
        """Leave one row of each key in a table of the session; return how many were too many."""
        if not ask(self._connection, self._merge.has_duplicates(table))[0][0]:
            return 0
        return run(self._connection, self._merge.drop_duplicates(table))

    def _last_ones(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return the last of each key, where equal keys have equal forms."""
        if not self._is_exact():
            return rows
        places = [self._into.columns.index(name) for name in self._into.key]
        if len(places) == 1:
            [at] = places
            if len({row[at] for row in rows}) == len(rows):
                return rows
        return list({tuple(row[at] for at in places): row for row in rows}.values())

    def _is_exact(self) -> bool:
        """Tell whether the forms of keys show which are equal."""
        return all(
            column.type.kind in _EXACT and not column.blind and column.native != "bpchar"
            for column in self._merge.keys
        )

    def _copy(self, table: Composable, form: str, blocks: Iterable[bytes | memoryview]) -> int:
        query = self._merge.copy(table, form)
        return copy_in(self._connection, self._ctx, query, blocks)

    @contextmanager
    def _savepoint(self) -> Iterator[None]:
        """Let what is refused leave the page as it was; checks that wait for its end come now."""
        staged = self._into.columns
        with writing(self._name, self._ctx, staged), self._connection.transaction():
            yield
            self._connection.execute("set constraints all immediate")


def _hexed(columns: Sequence[Column]) -> list[int]:
    return [at for at, column in enumerate(columns) if column.type.kind == "bytes"]


def _key(row: tuple[Any, ...]) -> Key:
    return tuple(bytes(value) for value in row)


def covers(into: Into, keys: Iterable[tuple[str, ...]]) -> bool:
    """Tell whether the table itself keeps two rows with one key out."""
    return any(key and set(key) <= set(into.key) for key in keys)

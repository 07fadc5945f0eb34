"""A page of rows: one transaction in the target."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, NoReturn

from syncd.engines.mysql.connection import Session
from syncd.engines.mysql.literals import shown
from syncd.engines.mysql.merging import Found, Merge, told
from syncd.engines.mysql.names import quoted
from syncd.engines.mysql.spans import among, columns_of
from syncd.engines.mysql.staging import Inserter, Keys, Staging
from syncd.engines.mysql.state import States
from syncd.engines.mysql.table_failures import refusals_mapped
from syncd.engines.mysql.types import selected
from syncd.engines.tables import Busy, Into, Refused, Written
from syncd.errors import BadData, Conflict, final
from syncd.model.copy import CopyState
from syncd.model.table import Key, Row, Shape

SAMPLES: Final = 10
_KEYS: Final = 500
_PART: Final = 2 * 2**20


class Desk:
    """What the pages of a session share: temporary tables, and whether rows go straight in."""

    def __init__(
        self,
        session: Session,
        path: tuple[str, str],
        shape: Shape,
        into: Into,
        types: dict[str, str],
    ) -> None:
        self.session = session
        self.into = into
        self.columns = columns_of(shape, into.columns)
        self.key = columns_of(shape, into.key)
        self.places = [into.columns.index(name) for name in into.key]
        self.target = quoted(*path)
        self.shape = shape
        self.staging = Staging(session, path, self.columns, types)
        self.keys = Keys(session, path, self.key, types)
        self.direct = into.fresh
        names = [quoted(each.name) for each in self.columns]
        self.inserter = Inserter(session, self.target, names, self.columns)
        self.merge = Merge(
            self.target, self.staging.table, into, self.columns, self.staging.names,
            session.dialect.mariadb,
        )  # fmt: skip


class MySQLPage:
    """A page, as `Page` describes it."""

    def __init__(self, desk: Desk, states: States, *, rehearse: bool) -> None:
        self._desk = desk
        self._session = desk.session
        self._states = states
        self._rehearse = rehearse
        self._lost: Busy | None = None

    def put(self, rows: Sequence[Row]) -> Written:
        """Write rows; raises Refused when one is refused, Conflict, Busy."""
        last = {self._key(row): row for row in rows}
        kept = list(last.values())
        duplicates = len(rows) - len(kept)
        if not kept:
            return Written()
        with self._savepoint():
            return self._write(kept, duplicates)

    def forward(self, blocks: Iterable[bytes | memoryview], form: str) -> NoReturn:  # noqa: ARG002
        """Raise BadData: no format is taken."""
        raise BadData(f"MySQL takes no {form}")

    def keep_keys(self, rows: Sequence[Row]) -> None:
        """Note keys of the source, for as long as the session."""
        with self._savepoint():
            self._desk.keys.note(rows)

    def save(self, state: CopyState) -> None:
        """Keep how far the copy is; raises Fenced. A rehearsal has no claim, and keeps nothing."""
        if self._rehearse:
            return
        with self._guarded():
            self._states.save(state)

    def missing(self, limit: int) -> tuple[int, list[Key]]:
        """Count the rows whose keys were not noted, and return some."""
        desk = self._desk
        pairs = list(zip(desk.key, desk.keys.names, strict=True))
        on = " AND ".join(f"t.{quoted(column.name)} = k.{name}" for column, name in pairs)
        where = f"FROM {desk.target} t LEFT JOIN {desk.keys.table} k ON {on} WHERE k.seq IS NULL"
        where += "".join(f" AND t.{quoted(c.name)} IS NOT NULL" for c in desk.key if c.nullable)
        if desk.into.revive:
            where += f" AND t.{quoted(desk.into.revive)} IS NULL"
        asked = ", ".join(selected(each, f"t.{quoted(each.name)}") for each in desk.key)
        order = ", ".join(f"t.{quoted(each.name)}" for each in desk.key)
        with self._guarded():
            count = self._session.rows(f"SELECT COUNT(*) {where}")[0][0]
            query = f"SELECT {asked} {where} ORDER BY {order} LIMIT {limit}"
            found = [row for part in self._session.stream(query, _PART) for row in part]
        return int(count), [tuple(value or b"" for value in row) for row in found]

    def delete(self, keys: Sequence[Key], soft_column: str) -> int:
        """Delete rows, or mark them with the moment; return how many."""
        desk = self._desk
        if soft_column:
            (column,) = columns_of(desk.shape, [soft_column])
            name = quoted(soft_column)
            moment = f"UTC_TIMESTAMP({column.type.scale or 0})"
            head = f"UPDATE {desk.target} SET {name} = {moment} WHERE {name} IS NULL AND "  # noqa: S608
        else:
            head = f"DELETE FROM {desk.target} WHERE "  # noqa: S608
        done = 0
        with self._guarded():
            for at in range(0, len(keys), _KEYS):
                where = among(desk.key, keys[at : at + _KEYS])
                done += self._session.change(f"{head}({where})").rows
        return done

    @contextmanager
    def _savepoint(self) -> Iterator[None]:
        """Let what is refused leave the page as it was."""
        with self._guarded():
            self._session.change("SAVEPOINT syncd")
        try:
            with self._guarded():
                yield
        except Busy:
            raise  # nothing stands any more, nor does the savepoint
        except (BadData, Conflict):
            if self._session.open:
                self._undo()
            raise

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Let errors say what they mean; after Busy the page is over, its transaction gone.

        Whoever went on would write outside of it.
        """
        if self._lost is not None:
            raise Busy(str(self._lost))
        try:
            with refusals_mapped():
                yield
        except Busy as error:
            self._lost = error
            raise

    def _key(self, row: Row) -> Row:
        return tuple(row[at] for at in self._desk.places)

    def _write(self, rows: list[Row], duplicates: int) -> Written:
        if self._desk.direct:
            try:
                with self._guarded():
                    self._desk.inserter.insert(rows)
            except Refused:
                self._desk.direct = False
                self._undo()
            else:
                return self._written(rows, range(len(rows)), (), duplicates)
        return self._merge(rows, duplicates)

    def _merge(self, rows: list[Row], duplicates: int) -> Written:
        desk, merge = self._desk, self._desk.merge
        desk.staging.fill(rows)
        self._look_for_one_key(rows)
        found = [
            Found(int(number or 0), new == b"1", other or b"")
            for part in self._session.stream(merge.changes(), _PART)
            for number, new, other in part
        ]
        for each in found:
            if each.other:
                raise Refused(
                    f"the keys {told(self._key(rows[each.number]))} and {shown(each.other)}, which"
                    " the table has, are one by its collation"
                )
        new = [each.number for each in found if each.new]
        other = [each.number for each in found if not each.new]
        if other and desk.into.conflict == "error":
            key = told(self._key(rows[other[0]]))
            raise final(Conflict(f"the table has another row {key} already"))
        if other:
            self._session.change(merge.update(None if len(other) == len(rows) else other))
        if new:
            self._session.change(merge.insert(None if len(new) == len(rows) else new))
        done = self._written(rows, new, other, duplicates)
        if not merge.revives:
            return done
        revived = self._session.change(merge.revive()).rows
        return replace(done, updated=done.updated + revived, unchanged=done.unchanged - revived)

    def _look_for_one_key(self, rows: list[Row]) -> None:
        """Raise Refused where two keys of the source are one for the target."""
        query = self._desk.merge.twice()
        if query is not None and (found := self._session.rows(query)):
            first, second = (told(self._key(rows[number])) for number in found[0])
            raise Refused(f"the keys {first} and {second} are one by the table's collation")

    def _written(
        self, rows: list[Row], new: Sequence[int], other: Sequence[int], duplicates: int
    ) -> Written:
        return Written(
            len(new), len(other), len(rows) - len(new) - len(other), self._samples(rows, new),
            self._samples(rows, other), duplicates,
        )  # fmt: skip

    def _samples(self, rows: list[Row], numbers: Sequence[int]) -> tuple[Key, ...]:
        keys = (self._key(rows[number]) for number in numbers[:SAMPLES])
        return tuple(tuple(value or b"" for value in key) for key in keys)

    def _undo(self) -> None:
        self._session.change("ROLLBACK TO SAVEPOINT syncd")

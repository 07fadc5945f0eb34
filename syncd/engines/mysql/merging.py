"""The statements that bring the rows of a page into the table they are for.

What a row needs is found by one statement that locks what is there; then one changes what differs
and one adds what is missing. ON DUPLICATE KEY UPDATE would change rows that another unique key
names, and INSERT IGNORE would take what is wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from syncd.engines.mysql.literals import shown
from syncd.engines.mysql.names import quoted
from syncd.engines.mysql.types import is_geometry, selected
from syncd.engines.tables import Into
from syncd.model.table import Column


class Found(NamedTuple):
    """A row of a page that is not in the table as it is."""

    number: int
    new: bool
    other: bytes
    """The key of the row that is there, where it is another text."""


@dataclass(frozen=True, slots=True)
class Merge:
    """How staged rows (`s`) find theirs in the table (`t`)."""

    target: str
    staged: str
    into: Into
    columns: Sequence[Column]
    names: Sequence[str]
    """Of the staged columns, in the same order."""
    mariadb: bool

    def twice(self) -> str | None:
        """Return the query of two rows whose keys are different texts, and yet one key."""
        if not any(column.blind for column, _ in self._key()):
            return None
        names = ", ".join(name for _, name in self._key())
        return (
            f"SELECT MIN(seq), MAX(seq) FROM {self.staged}"  # noqa: S608
            f" GROUP BY {names} HAVING COUNT(*) > 1 LIMIT 1"
        )

    def changes(self) -> str:
        """Return the query of the rows that something is to be done about, and locks theirs."""
        blind = [(column, name) for column, name in self._key() if column.blind]
        other = " OR ".join(self._differs(column, name) for column, name in blind) or "FALSE"
        first = quoted(self._key()[0][0].name)
        keys = ", ', ', ".join(
            selected(column, f"t.{quoted(column.name)}") for column, _ in self._key()
        )
        absent = f"t.{first} <=> NULL"  # of a date that is not null IS NULL finds 0000-00-00, too
        return (
            f"SELECT s.seq, {absent},"  # noqa: S608
            f" IF({other}, CONCAT({keys}), '') FROM {self.staged} s"
            f" LEFT JOIN {self.target} t ON {self._same_key()}"
            f" WHERE {absent} OR ({other}) OR ({self._differing()})"
            " ORDER BY s.seq FOR UPDATE"
        )

    def update(self, numbers: Sequence[int] | None) -> str:
        """Return the statement that changes rows, all that are staged for None."""
        told = [f"t.{quoted(column.name)} = s.{name}" for column, name in self._rest()]
        if self.into.revive:
            told.append(f"t.{quoted(self.into.revive)} = NULL")
        return (
            f"UPDATE {self.staged} s JOIN {self.target} t ON {self._same_key()}"  # noqa: S608
            f" SET {', '.join(told)}{_those(numbers)}"
        )

    def insert(self, numbers: Sequence[int] | None) -> str:
        """Return the statement that adds rows, all that are staged for None."""
        columns = ", ".join(quoted(column.name) for column in self.columns)
        names = ", ".join(f"s.{name}" for name in self.names)
        return (
            f"INSERT INTO {self.target} ({columns}) SELECT {names} FROM {self.staged} s"  # noqa: S608
            f"{_those(numbers)} ORDER BY s.seq"
        )

    @property
    def revives(self) -> bool:
        """Tell whether rows that are not to be written over may have to be revived."""
        return bool(self.into.revive) and self.into.conflict in ("skip", "newer")

    def revive(self) -> str:
        """Return the statement that takes the mark of a deletion off all rows that came."""
        mark = f"t.{quoted(self.into.revive)}"
        return (
            f"UPDATE {self.staged} s JOIN {self.target} t ON {self._same_key()}"  # noqa: S608
            f" SET {mark} = NULL WHERE {mark} IS NOT NULL"
        )

    def _key(self) -> list[tuple[Column, str]]:
        pairs = zip(self.columns, self.names, strict=True)
        named = {column.name: (column, name) for column, name in pairs}
        return [named[each] for each in self.into.key]

    def _rest(self) -> list[tuple[Column, str]]:
        pairs = zip(self.columns, self.names, strict=True)
        return [(column, name) for column, name in pairs if column.name not in self.into.key]

    def _same_key(self) -> str:
        return " AND ".join(f"t.{quoted(column.name)} = s.{name}" for column, name in self._key())

    def _differing(self) -> str:
        """Return the condition of rows that are to be changed."""
        into = self.into
        told = [self._differs(column, name) for column, name in self._rest()]
        found = "FALSE" if into.conflict == "skip" or not told else " OR ".join(told)
        if into.conflict == "newer":
            ours = {column.name: name for column, name in self._rest()}[into.newer]
            theirs = f"t.{quoted(into.newer)}"
            later = f"s.{ours} > {theirs} OR (s.{ours} IS NOT NULL AND {theirs} IS NULL)"
            found = f"({later}) AND ({found})"
        if into.revive and not self.revives:
            found = f"({found}) OR t.{quoted(into.revive)} IS NOT NULL"
        return found

    def _differs(self, column: Column, name: str) -> str:
        """Return the condition of two values that are not the same, NULL being like NULL."""
        mine, theirs = f"s.{name}", f"t.{quoted(column.name)}"
        if is_geometry(column):
            # HEX of a large one would be NULL on both sides, and so the same
            mine, theirs = f"SHA2({mine}, 256)", f"SHA2({theirs}, 256)"
        elif column.type.kind == "json" and not self.mariadb:
            mine, theirs = f"CAST({mine} AS CHAR)", f"CAST({theirs} AS CHAR)"
        if column.type.kind in ("text", "json"):
            mine, theirs = f"CAST({mine} AS BINARY)", f"CAST({theirs} AS BINARY)"
        return f"NOT ({mine} <=> {theirs})"


def _those(numbers: Sequence[int] | None) -> str:
    if numbers is None:
        return ""
    return f" WHERE s.seq IN ({', '.join(str(each) for each in numbers)})"


def told(key: Sequence[bytes | None]) -> str:
    """Return a key for a message."""
    return ", ".join("NULL" if value is None else shown(value) for value in key)

"""What a login may do with tables, found out without changing anything, for those who look ahead.

All raise the errors of `syncd.errors` alone, as `Engine` does.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Protocol

from syncd.context import RunContext
from syncd.model.table import Relation, Shape

WORTH_AN_INDEX: Final = 4 << 20
"""Bytes of a table from which on looking through all of it takes its time."""


@dataclass(frozen=True, slots=True)
class Lack:
    """What a login may not do, and the statement that grants it; "" where none does."""

    what: str
    statement: str = ""


@dataclass(frozen=True, slots=True)
class Readable:
    """What was found of a relation that is read.

    `shape` is None where there is no such table, or none that the login sees. `unseen`: why nobody
    can tell which transactions are open. `index`: the statement that makes the index by which a
    watermark is read; "" where there is one, or no need of one.
    """

    shape: Shape | None
    lacks: tuple[Lack, ...] = ()
    unseen: Lack | None = None
    index: str = ""


@dataclass(frozen=True, slots=True)
class Writable:
    """What was found of a table that is written; `makes` is what is not there, and would be made.

    `shape` is None where there is no such table.
    """

    shape: Shape | None
    makes: tuple[str, ...] = ()
    lacks: tuple[Lack, ...] = ()


@dataclass(frozen=True, slots=True)
class Writing:
    """What is done to a table: `verbs` with its rows (SELECT, INSERT, UPDATE, DELETE), of SQL.

    `state_schema` is where the states of copies are kept, `extends` whether columns are added.
    """

    relation: Relation
    state_schema: str
    verbs: tuple[str, ...]
    extends: bool = False


class Looker(Protocol):
    """A session that looks, in one database."""

    def readable(
        self, relation: Relation, columns: Sequence[str], without: Sequence[str], watermark: str
    ) -> Readable:
        """Look at what is read: these columns (none: all), without others.

        `watermark` is a column of it by which rows are found; "" where none is. Raises Permission
        and BadData for a query that can't be asked.
        """

    def writable(self, writing: Writing) -> Writable:
        """Look at a table that is written."""


class Rights(Protocol):
    """What our login may do on one server."""

    def looking(self, ctx: RunContext, database: str) -> AbstractContextManager[Looker]:
        """Begin a session that looks, in a database."""

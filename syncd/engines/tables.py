"""What an engine offers those who copy its tables; a session each, for as long as a block.

All raise the errors of `syncd.errors` alone, as `Engine` does.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from syncd.context import RunContext
from syncd.errors import BadData
from syncd.model.copy import Conflict, CopyState, Span
from syncd.model.table import Column, Key, Relation, Row, Shape, Type


class Refused(BadData):
    """The target takes none of these rows as they are: one of them at least has something wrong.

    Whoever gave several may give fewer; what was written of the page before them still stands.
    """


class Busy(BadData):
    """A page could not be read or written because of others (a deadlock, a lock, a replica).

    Nothing of it stands; it may be tried again at once.
    """

    error_class = "conflict"  # no data is bad: somebody else works on the same
    retryable = True


class Source(Protocol):
    """A relation that is read. It was looked at when the session began: `shape`.

    The `key` of the shape is what tells rows apart: the relation's own, or its primary key.
    """

    shape: Shape

    def bound(self, column: str, zone: str) -> bytes | None:
        """Return a value of a column of times below which no row can come any more.

        None where that can't be asked. `zone` is that of a column without one; "": the server's.
        """

    def back(self, column: str, value: bytes, lookback: str) -> bytes:
        """Return what lies before a value of the column: by so many seconds, or by a number."""

    def rows(self, columns: Sequence[str], span: Span, limit: int) -> Iterator[list[Row]]:
        """Yield the first rows of a span, at most `limit`, in its order, in parts.

        A part is of some MiB at most, or of one row; who is done with it may empty it, so that
        nobody holds a long row while the next one is read. Raises Busy, BadData for a row that is
        too large, or a relation that is gone or has changed.
        """

    def edge(self, span: Span, rows: int) -> Key | None:
        """Return where so many rows of a span end, None when it has no more than those."""

    def count(self, span: Span | None = None, null: str | None = None) -> int:
        """Count the rows: of a span, or those with NULL in a column."""

    def existing(self, columns: Sequence[str], keys: Collection[Key]) -> set[Key]:
        """Return those keys, as they are given, of which there is a row now.

        Whatever a snapshot shows.
        """

    def formats(self, columns: Sequence[str]) -> dict[str, Sequence[str]]:
        """Return the formats of blocks, the best first, each with what columns are.

        Blocks pass where a target takes a format for the same: `postgresql-binary`, which goes by
        native types, and the text of COPY, which MySQL gives, too.
        """

    def blocks(self, columns: Sequence[str], span: Span, form: str) -> Iterator[bytes | memoryview]:
        """Yield all rows of a span in a format, in no order, undecoded.

        A block is of whole rows, or a piece of a long one.
        """


@dataclass(frozen=True, slots=True)
class NewColumn:
    """A column that is to be made: after one of the source, or as a text."""

    name: str
    like: Column
    type: Type
    nullable: bool


@dataclass(frozen=True, slots=True)
class Into:
    """How rows are written: values come in the order of `columns`, which are the target's.

    `key` tells rows apart. `newer` is the column that decides with that conflict. Of rows of one
    page with the same key the last one counts. `revive`: a column that is set to NULL in each row
    that comes (soft deletion). `fresh`: the table was empty when the pass began, so that rows may
    be written directly.
    """

    columns: tuple[str, ...]
    key: tuple[str, ...]
    conflict: Conflict
    newer: str = ""
    revive: str = ""
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """What became of some rows; the keys are of the first ones that were added and updated."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    added_keys: tuple[Key, ...] = ()
    updated_keys: tuple[Key, ...] = ()
    duplicates: int = field(default=0)
    """Rows of the page that a later one of the same key took the place of."""


class Page(Protocol):
    """One transaction in the target: rows, and how far the copy is with them.

    It is committed when the block ends, rolled back when it raises; in a rehearsal always rolled
    back.
    """

    def put(self, rows: Sequence[Row]) -> Written:
        """Write rows. Raises Refused when one is refused; nothing of these rows stands then.

        With conflict = error, a final Conflict for another row of the same key that stands already.
        """

    def forward(self, blocks: Iterable[bytes | memoryview], form: str) -> Written:
        """Write rows as a source of the same engine gives them. Raises Refused."""

    def keep_keys(self, rows: Sequence[Row]) -> None:
        """Note keys of the source for `missing`, for as long as the session.

        Raises Refused when the target can have no row with one of them; none of them is noted then.
        """

    def save(self, state: CopyState) -> None:
        """Keep how far the copy is; raises Fenced when another attempt has claimed it."""

    def missing(self, limit: int) -> tuple[int, list[Key]]:
        """Count the rows whose keys were not noted (softly deleted ones aside), and return some."""

    def delete(self, keys: Sequence[Key], soft_column: str) -> int:
        """Delete rows, or mark them with the moment where a column is given; return how many."""


class Target(Protocol):
    """A table that is written; `shape` is None where it does not exist."""

    shape: Shape | None

    def spelled(self, like: Column, engine: str) -> Type:
        """Return the type that a column made after one of another engine would have."""

    def absent(self) -> list[str]:
        """Return the schemas (of MySQL databases) that are not there: of the table and of states.

        They are made with what stands in them. Raises Permission where they may not be made.
        """

    def require_names(self, names: Iterable[str]) -> None:
        """Raise a final BadData for a name that no column of this server can have."""

    def create(self, columns: Sequence[NewColumn], key: Sequence[str], engine: str) -> None:
        """Make the table, and look at its shape; one that exists meanwhile is looked at alone."""

    def extend(self, columns: Sequence[NewColumn], engine: str) -> None:
        """Add columns that may be NULL, and look at the shape."""

    def formats(self, columns: Sequence[str]) -> dict[str, Sequence[str]]:
        """Return the formats that `Page.forward` takes, as `Source.formats` does."""

    def claim(self, state: CopyState) -> CopyState | None:
        """Take the copy over: keep this state, all of it; return what was kept before, if anything.

        The table of states is made where it is missing. From here on `Page.save` of an earlier
        claim raises Fenced, as this does where a later attempt of the same run has the copy; it
        waits for a page that is under way.
        """

    def peek(self, job: str, item: str) -> CopyState | None:
        """Return what is kept of a copy, and change nothing."""

    def is_empty(self) -> bool:
        """Tell whether the table has no row."""

    def page(self, into: Into, *, rehearse: bool = False) -> AbstractContextManager[Page]:
        """Begin a transaction. Raises Busy, also at its end."""

    def settle(self) -> None:
        """Let numbers that the server gives go on behind those that were copied."""


class Tables(Protocol):
    """The tables of one server."""

    def source(
        self, ctx: RunContext, relation: Relation, *, snapshot: bool
    ) -> AbstractContextManager[Source]:
        """Begin a session that reads; with `snapshot` all of it as it is at one moment.

        Raises BadData when the relation does not exist.
        """

    def target(
        self, ctx: RunContext, relation: Relation, state_schema: str
    ) -> AbstractContextManager[Target]:
        """Begin a session that writes."""

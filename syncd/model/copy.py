"""What is asked of the copy of one table, and how far it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal

from syncd.model.deletion import DeletionPolicy
from syncd.model.run import Claim, Counts
from syncd.model.table import Key, Relation

Mode = Literal["full", "incremental"]
Phase = Literal["rows", "deletes", "done"]
Conflict = Literal["update", "skip", "error", "newer"]
Delete = Literal["none", "soft", "hard"]
NewColumns = Literal["freeze", "evolve", "error"]
Mask = Literal["hash", "null"]
ValuePolicy = Literal["error", "null", "text"]

STATE_TABLE: Final = "syncd_watermark"
"""The table in a target that tells how far each copy is."""


@dataclass(frozen=True, slots=True)
class ColumnRules:
    """Which columns are copied, and how.

    `include` are source columns, all where it is empty; `rename` goes from source to target names;
    the others go by source names. `values`: what becomes of a value that has no place in the
    target; error where nothing is said. `new` is what becomes of columns that the target lacks.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    mask: Mapping[str, Mask] = field(default_factory=dict)
    values: Mapping[str, ValuePolicy] = field(default_factory=dict)
    new: NewColumns = "freeze"


@dataclass(frozen=True, slots=True)
class Watermark:
    """The column by which an incremental copy finds what is new.

    `lookback` is how far behind the last watermark reading begins: a time for a column of times, a
    number for one of numbers; None: 10 minutes, or 0. `zone` is the zone of times that carry none,
    "" for the server's own.
    """

    column: str
    lookback: timedelta | int | None = None
    zone: str = ""


@dataclass(frozen=True, slots=True)
class CopyRules:
    """The copy of one table. `name` is that of its item.

    `newer` is the column that decides with conflict = newer. `soft_column` is set where delete is
    soft. `full_every`: an incremental copy reads the whole table again after so long; None: never.
    `state_schema`: where the target keeps `syncd_watermark`.
    """

    name: str
    source: Relation
    target: Relation
    state_schema: str
    mode: Mode = "full"
    watermark: Watermark | None = None
    full_every: timedelta | None = None
    conflict: Conflict = "update"
    newer: str = ""
    delete: Delete = "none"
    soft_column: str = "deleted_at"
    deletions: DeletionPolicy = field(default_factory=DeletionPolicy)
    columns: ColumnRules = field(default_factory=ColumnRules)
    max_rejected: int = 0
    page_rows: int = 50_000


@dataclass(frozen=True, slots=True)
class Edge:
    """A place in an order of rows: `values` of its columns, of the first ones at least.

    As a start, rows after it are meant, and with `inclusive` those at it too; as an end, rows up to
    it, and those at it only with `inclusive`.
    """

    values: Key
    inclusive: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """Rows in the order of some columns, the last of which tell rows apart; None: no end.

    Rows with NULL in a column of the order are in no span that has a start or an end.
    """

    order: tuple[str, ...]
    start: Edge | None = None
    end: Edge | None = None


@dataclass(frozen=True, slots=True)
class CopyState:
    """How far the copy of a table is, as its target keeps it with the rows (`syncd_watermark`).

    `position` is the last row that is copied of the pass under way, in its order; `watermark` is
    where the next incremental pass begins, before its lookback; None before the first full pass is
    over. `bound` is what it becomes once the pass under way is over. `fresh`: the target was empty
    when the pass began. Counts are those of the run. `full_at`: when the last full pass began, in
    ISO 8601. `phase` is done when the run has nothing left to do.
    """

    job: str
    item: str
    claim: Claim
    mode: Mode
    phase: Phase = "rows"
    position: Key | None = None
    watermark: bytes | None = None
    bound: bytes | None = None
    fresh: bool = False
    full_at: str | None = None
    counts: Counts = field(default_factory=Counts)
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that the target refused: its key and its values as JSON, cut, and why."""

    key: str
    error: str
    row: str

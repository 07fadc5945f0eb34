"""What is told of a copy beside its counts: the details of its item, each named here.

| detail | meaning |
| --- | --- |
| source, target | where from and where to: `orders-db shop.orders` |
| pass | full or incremental |
| order | the columns by which it went |
| bytes | of the values that were read |
| rows_per_second | of this attempt |
| watermark, watermark_column | where the next incremental pass begins, before its lookback |
| watermark_zone | the zone of its times, where their type has none and one is configured |
| bounded | whether the source told which values are safe; else the latest value seen counts |
| null_watermark | rows that only full passes read, since their watermark is NULL |
| beyond_bound | rows whose watermark is not safe yet, or lies in the future: they wait |
| rejected | rows that were refused and put aside |
| nulled, mended | by column: values without a place that became NULL, or a text without the bad |
| duplicates | rows in whose place a later one of the same key of the target came |
| created | the table was made |
| new_columns, ignored_columns | columns that the target was given, or that it lacks |
| resumed | how often an attempt went on where another ended: in full passes with a new snapshot |
| committed | of a copy that failed or was killed: its counts up to the last page known to stand |
| guarded | rows that were not deleted, because too many were gone |
| new_values | of a plan: by column that would be added, the rows with a value for it |
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from syncd.context import Reporter
from syncd.copies.layout import Layout
from syncd.engines.tables import NewColumn
from syncd.model.copy import CopyState

_KEPT: Final = frozenset({"began", "emptied", "places", "watermark_column"})
"""Details of the state that only a later attempt or pass needs."""


def of_columns(
    before: Mapping[str, object], layout: Layout, made: tuple[NewColumn, ...], *, created: bool
) -> dict[str, object]:
    """Return the details with what is told of columns."""
    after = dict(before)
    if created:
        after["created"] = True
    elif made:
        after["new_columns"] = [column.name for column in made]
    if layout.ignored:
        after["ignored_columns"] = list(layout.ignored)
    return after


def report(reporter: Reporter, state: CopyState, rows: int, seconds: float) -> None:
    """Tell all of a copy; `rows` are those of the attempt, in so many seconds."""
    told = {name: value for name, value in state.details.items() if name not in _KEPT}
    if state.watermark is not None:
        told["watermark"] = state.watermark.decode("utf-8", "backslashreplace")
    if column := state.details.get("watermark_column"):
        told["watermark_column"] = column
    if rows:
        told["rows_per_second"] = rate(rows, seconds)
    for name, value in told.items():
        reporter.detail(name, value)


def stands(reporter: Reporter, state: CopyState) -> None:
    """Tell what is committed by now, which is all that is known of a copy that is killed."""
    reporter.meanwhile("committed", asdict(state.counts))


def rate(rows: int, seconds: float) -> int:
    """Return rows a second."""
    return round(rows / seconds) if seconds > 0 else rows


def megabytes(state: CopyState) -> float:
    """Return how much was read, in a run."""
    return round(int(str(state.details.get("bytes", 0))) / 1_000_000, 1)

"""How the tables of a copy look when a run is shown: a line each, and some of the rejected rows."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import Any, Final

from syncd.cli.cells import Cell, cell, size_cell, some, word
from syncd.cli.moments import moment_cell
from syncd.cli.records import count_cells, error_text
from syncd.cli.screen import print_line, print_table

Json = dict[str, Any]
_REJECTED_SHOWN: Final = 10
_LONGEST: Final = 120  # characters of a rejected row
_NAMES: Final = 8  # columns named in a remark
_HEADERS: Final = (
    "table", "status", "pass", "read", "added", "updated", "deleted", "unchanged", "rejected",
    "bytes", "seconds", "rows/s", "watermark", "remarks",
)  # fmt: skip


def print_copies(run: Json, zone: tzinfo) -> None:
    """Print the tables of a run with their figures, and the first rows that were rejected."""
    print_table(_HEADERS, [_line(item) for item in run["items"]], "no tables")
    rejected = run.get("rejected_rows", ())  # an older daemon tells of none
    if rejected:
        print_line()
        _print_rejected(run, rejected, zone)


def _line(item: Json) -> list[Cell]:
    """Return the figures of a table; of one that failed those of the pages that stand."""
    details = item["details"]
    committed = details.get("committed", item) if item["status"] != "success" else item
    return [
        cell(item["target"]), word(item["status"]), cell(details.get("pass")),
        *count_cells(committed), size_cell(details.get("bytes")), cell(item["duration_seconds"]),
        cell(details.get("rows_per_second")), cell(details.get("watermark")),
        cell("; ".join(_remarks(item))),
    ]  # fmt: skip


def _remarks(item: Json) -> Iterator[str]:
    if error := error_text(item):
        yield error
    if item["details"].get("created"):
        yield "the table was made"
    yield from copy_notes(item["details"])


def copy_notes(details: Json) -> Iterator[str]:
    """Yield what became of values and columns, and which rows were left out."""
    for name, words in (("new_columns", "new columns"), ("ignored_columns", "left out")):
        if names := details.get(name):
            yield f"{words}: {some(names, _NAMES)}"
    if details.get("new_columns") and details.get("pass") == "incremental":
        yield "rows of before get the new columns with the next full pass"
    for name, words in _VALUES.items():
        if counted := details.get(name):
            yield f"{words}: {_by_column(counted)}"
    for name, words in _ROWS.items():
        if number := details.get(name):
            yield words.format(f"{number:,} {'row' if number == 1 else 'rows'}")
    if resumed := details.get("resumed"):
        yield f"resumed {'once' if resumed == 1 else f'{resumed} times'}"


_VALUES: Final = {
    "nulled": "NULL in place of values",
    "mended": "mended texts",
    "new_values": "values for new columns, for which rows counted as unchanged may be updated",
}
_ROWS: Final = {
    "duplicates": "{} in whose place a later one of the same key came",
    "null_watermark": "{} without a watermark, which full passes alone read",
    "beyond_bound": "{} later than what is safe to read yet",
}


def _by_column(counted: Mapping[str, int]) -> str:
    return some([f"{name} {number:,}" for name, number in counted.items()], _NAMES)


def _print_rejected(run: Json, rejected: Sequence[Json], zone: tzinfo) -> None:
    """Print some rejected rows, and where the others are."""
    rows = [
        [
            cell(each["item"]), cell(each["key"]), cell(each["error"], "red"),
            cell(_cut(each["row"])), moment_cell(each["rejected_at"], zone),
        ]
        for each in rejected[:_REJECTED_SHOWN]
    ]  # fmt: skip
    print_table(["table", "rejected key", "error", "row", "at"], rows, "")
    told = sum(item["details"].get("rejected", 0) for item in run["items"])
    if (more := max(told, len(rejected)) - len(rows)) > 0:
        print_line(cell(f"and {more:,} more: syncd.rejected_row where run_id = '{run['id']}'"))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"

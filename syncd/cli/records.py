"""How runs look: one line each in a list, with items, calls and errors when one is shown."""

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

from syncd.cli.cells import Cell, cell, some, word
from syncd.cli.moments import moment_cell
from syncd.cli.screen import print_line, print_table

Json = dict[str, Any]
COUNTS = ("total", "added", "updated", "deleted", "unchanged", "errors")
_DETAILS = {
    "skipped": "skipped",
    "incomplete": "incomplete",
    "lossy": "lacking in the list, found by id",
    "data_disks": "data disks",
    "counted_from": "ages counted from",
    "removed": "removed before it was ended",
    "file": "dump",
    "bytes": "bytes",
}
"""What is known of an item besides, in words; its error tells of what is guarded."""


def print_runs(runs: Sequence[Json], zone: tzinfo) -> None:
    """Print runs as a table."""
    headers = [
        "run", "job", "trigger", "status", "attempt", "started", "seconds", "total", "changes",
        "error",
    ]  # fmt: skip
    rows = [
        [
            cell(run["id"]), cell(run["job"]), cell(_trigger(run)), word(run["status"]),
            cell(f"{run['attempt']}/{run['max_attempts']}"), moment_cell(run["started_at"], zone),
            cell(run["duration_seconds"]), cell(run["total"]), cell(_changes(run)),
            cell(error_text(run), "red"),
        ]
        for run in runs
    ]  # fmt: skip
    print_table(headers, rows, "no runs")


def print_items(items: Sequence[Json]) -> None:
    """Print the items of a run as a table."""
    rows = [
        [
            cell(item["target"]), word(item["status"]), *count_cells(item),
            cell(item["duration_seconds"]), cell(_remarks(item)),
        ]
        for item in items
    ]  # fmt: skip
    print_table(["target", "status", *COUNTS, "seconds", "remarks"], rows, "no items")


def print_calls(calls: Sequence[Json], zone: tzinfo) -> None:
    """Print the HTTP calls of a run as a table; one that nobody answered is `sent`."""
    headers = [
        "call", "attempt", "method", "url", "sent", "outcome", "status", "tries", "polls",
        "seconds", "error",
    ]  # fmt: skip
    rows = [
        [
            cell(call["name"]), cell(call["attempt"]), cell(call["method"]), cell(call["url"]),
            moment_cell(call["request_sent_at"], zone), word(call["outcome"] or "sent"),
            cell(call["status"]), cell(call["tries"]), cell(call["polls"]),
            _precise(call["total_seconds"]), cell(error_text(call), "red"),
        ]
        for call in calls
    ]  # fmt: skip
    print_table(headers, rows, "no calls")


def _precise(seconds: float | None) -> Cell:
    """Return seconds with their thousandths: most calls take less than one."""
    return cell(None) if seconds is None else Cell(f"{seconds:,.3f}", right=True)


def print_facts(facts: Sequence[tuple[str, Cell]]) -> None:
    """Print what is known, a line each; what there is nothing of is left out."""
    for name, shown in facts:
        if shown.text != "-":
            print_line(Cell(f"{name:<12}", "bold"), shown)


def summary(run: Json) -> Json:
    """Return a shown run with the columns of its table: `errors` is the number again."""
    row = {name: value for name, value in run.items() if name != "error_count"}
    return row | {"errors": run["error_count"]}


def error_text(row: Json) -> str | None:
    """Return class and text of the error of a run or item; of one cancelled the reason."""
    return f"{row['error_class']}: {row['error']}" if row["error_class"] else row["error"]


def _remarks(item: Json) -> str | None:
    """Return what went wrong with an item, and what its counts leave out: a region skipped."""
    notes = [
        f"{_DETAILS[name]}: {value}" for name, value in item["details"].items() if name in _DETAILS
    ]
    return "; ".join(filter(None, [error_text(item), *notes])) or None


def count_cells(row: Json) -> list[Cell]:
    """Return the counts, those of changes in their colours where there are any."""
    styles = ("", "green", "yellow", "red", "", "red")
    return [
        cell(row[name], style if row[name] else "")
        for name, style in zip(COUNTS, styles, strict=True)
    ]


def _changes(run: Json) -> str:
    """Return what a run changed: `+1 ~2 -3`."""
    signs = (("+", "added"), ("~", "updated"), ("-", "deleted"))
    return " ".join(f"{sign}{run[name]:,}" for sign, name in signs if run[name])


def _trigger(run: Json) -> str:
    """Return what made a run, and which part of the job it is for: `manual (orders-db)`."""
    chosen = [name for names in run["selection"].values() for name in names]
    return f"{run['trigger']} ({some(chosen)})" if chosen else str(run["trigger"])

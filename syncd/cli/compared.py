"""How the tables of a check look when a run is shown: a line each, and the rows that differ."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from syncd.cli.cells import Cell, cell, size_cell, some, word
from syncd.cli.records import error_text
from syncd.cli.screen import print_line, print_table

Json = dict[str, Any]
_DIFFERENCES_SHOWN: Final = 20  # of each table
_NAMES: Final = 8  # columns named in a remark
_HEADERS: Final = (
    "table", "status", "equal", "left rows", "right rows", "only left", "only right", "differ",
    "transferred", "seconds", "remarks",
)  # fmt: skip


def print_checks(run: Json) -> None:
    """Print the tables of a run with what was found, and the first keys that differ."""
    print_table(_HEADERS, [_line(item) for item in run["items"]], "no tables")
    for item in run["items"]:
        if differences := item["details"].get("differences"):
            print_line()
            _print_differences(item, differences)


def _line(item: Json) -> list[Cell]:
    found = item["details"]
    differing = [
        cell(found.get(name), "red" if found.get(name) else "")
        for name in ("only_left", "only_right", "differ")
    ]
    return [
        cell(item["target"]), word(item["status"]), _equal(found.get("equal")),
        cell(found.get("left_rows")), cell(found.get("right_rows")), *differing,
        size_cell(found.get("transferred_bytes")), cell(item["duration_seconds"]),
        cell("; ".join(_remarks(item))),
    ]  # fmt: skip


def _equal(equal: bool | None) -> Cell:  # noqa: FBT001 - what was found
    return cell(equal, "" if equal is None else "green" if equal else "red")


def _remarks(item: Json) -> Iterator[str]:
    if error := error_text(item):
        yield error
    yield from check_notes(item["details"])


def check_notes(found: Json) -> Iterator[str]:
    """Yield how the sums differ, and what was not looked at."""
    for column, sums in (found.get("aggregates") or {}).items():
        for name, (left, right) in sums.items():
            yield f"{name} of {column}: {_shown(left)} ≠ {_shown(right)}"
    if found.get("exact") is False:
        skipped = found.get("differing_ranges_skipped", 0)
        yield f"{skipped:,} more ranges of rows differ, which were not looked into"
    if settled := found.get("settled"):
        yield f"{settled:,} equal at the second look"
    if repaired := found.get("repaired"):
        yield f"{repaired:,} repaired"
    if names := found.get("not_compared"):
        yield f"not compared: {some(names, _NAMES)}"


def _print_differences(item: Json, differences: Sequence[Json]) -> None:
    """Print the first rows that differ: their keys, and both values of each column."""
    shown = differences[:_DIFFERENCES_SHOWN]
    rows = [[cell(_pairs(each["key"])), _difference(each)] for each in shown]
    print_table([f"key of {cell(item['target']).text}", "difference"], rows, "")
    if (more := item["details"].get("differing", 0) - len(rows)) > 0:
        kept = len(differences) - len(rows)
        where = f"; --json has {kept:,} of them" if kept else ""
        print_line(cell(f"and {more:,} more{where}"))


def _difference(difference: Json) -> Cell:
    if side := difference.get("only"):
        return Cell(f"only {side}", "red")
    pairs = (difference.get("columns") or {}).items()
    return cell("; ".join(f"{name}: {_shown(a)} ≠ {_shown(b)}" for name, (a, b) in pairs))


def _pairs(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {_shown(value)}" for name, value in values.items())


def _shown(value: object) -> str:
    return "NULL" if value is None else str(value)

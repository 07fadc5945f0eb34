"""Requests of a plan on the screen: what would be sent, with its headers and its body."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

from syncd.cli.cells import Cell, cell, mark
from syncd.cli.screen import print_line

SEND: Final = "send"
_MOST: Final = 100
"""Lines of a body that are shown; `--json` has them all."""


def are_requests(changes: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether what would be done is to send requests."""
    return bool(changes) and all(change["change"] == SEND for change in changes)


def print_requests(target: str, changes: Sequence[Mapping[str, Any]]) -> None:
    """Print the requests of one target, in their order."""
    what = "request" if len(changes) == 1 else "requests"
    print_line(Cell(cell(target).text, "bold"), Cell(f": {len(changes)} {what} to send"))
    for change in changes:
        _print_request(change)


def _print_request(change: Mapping[str, Any]) -> None:
    fields = change["fields"]
    print_line(
        Cell("  "), mark(SEND), Cell(" "), Cell(cell(change["name"]).text, "bold"), Cell("  "),
        cell(change["resource_id"]),
    )  # fmt: skip
    for name, value in fields["headers"].items():
        print_line(Cell("      "), Cell(f"{cell(name).text}: ", "dim"), cell(value))
    lines = fields["body"].splitlines()
    for line in islice(lines, _MOST):
        print_line(Cell("      "), cell(line))
    if len(lines) > _MOST:
        print_line(Cell(f"      … {len(lines) - _MOST} lines more: --json", "dim"))

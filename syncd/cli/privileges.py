"""Privileges on the screen: what an account may do, what it was granted and lost, a line each."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from syncd.cli.cells import Cell, before_and_after, cell
from syncd.model.privilege import describe

Line = Sequence[Cell]
Documents = Iterable[Mapping[str, Any]]
GRANTED: Final = "granted"
REVOKED: Final = "revoked"


def in_words(privileges: Documents) -> list[str]:
    """Return privileges of the records as people read them, in their order."""
    return [describe(each) for each in privileges]


def changed_lines(granted: Iterable[str], revoked: Iterable[str]) -> list[Line]:
    """Return a line for each privilege that came or went."""
    signs = (("+ ", "green", granted), ("- ", "red", revoked))
    return [
        (Cell("    "), Cell(sign, style), cell(text))
        for sign, style, texts in signs
        for text in texts
    ]


def other_fields(fields: Mapping[str, Any]) -> str:
    """Return what an update changes besides privileges: `locked: no → yes`."""
    others = {name: pair for name, pair in fields.items() if name not in (GRANTED, REVOKED)}
    return before_and_after(others)

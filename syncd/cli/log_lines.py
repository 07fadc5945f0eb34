"""How the lines of a run's log look to a person."""

import json
from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any, Final

from syncd.cli.cells import Cell, clean
from syncd.cli.moments import moment_cell

Line = dict[str, Any]

_STYLES: Final = {
    "debug": "dim", "warning": "yellow", "error": "red", "critical": "bold red",
}  # fmt: skip
_TEXTS: Final = ("exception", "stack")  # of many lines
_APART: Final = {"timestamp", "level", "event", "job", "run", *_TEXTS}


def log_lines(line: Line, zone: tzinfo) -> list[Sequence[Cell]]:
    """Return a line of a log, with its job and run left out, and a traceback's lines below it."""
    level = str(line.get("level", ""))
    style = _STYLES.get(level, "")
    fields = [
        piece
        for name, value in line.items()
        if name not in _APART
        for piece in (Cell(f" {clean(name)}=", "dim"), Cell(_text(value)))
    ]
    first = [
        _moment(line.get("timestamp"), zone), Cell(f" {clean(level):<8} ", style),
        Cell(clean(str(line.get("event", ""))), style or "bold"), *fields,
    ]  # fmt: skip
    below = [
        [Cell(f"    {clean(text)}", "dim")]
        for name in _TEXTS
        for text in str(line.get(name, "")).splitlines()
    ]
    return [first, *below]


def _moment(value: object, zone: tzinfo) -> Cell:
    try:
        return moment_cell(datetime.fromisoformat(str(value)), zone)
    except ValueError:
        return Cell(" " * 25)


def _text(value: object) -> str:
    """Return a value as one word: a text is quoted where it would not be one."""
    plain = isinstance(value, str) and value and not set(value) & set(' "=')
    return clean(str(value) if plain else json.dumps(value, ensure_ascii=False))

"""The pieces of text that a screen is made of."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

_STYLES: Final = {
    "success": "green", "running": "cyan", "pending": "yellow", "failed": "red",
    "cancelled": "magenta", "stopped": "dim", "added": "green", "updated": "yellow",
    "deleted": "red", "restored": "green", "accepted": "cyan", "sent": "yellow", "send": "cyan",
    "rejected": "red", "only left": "red", "only right": "red", "differs": "yellow",
}  # fmt: skip
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_MARKS: Final = {
    "added": "+", "restored": "+", "updated": "~", "deleted": "-", "send": ">", "rejected": "!",
    "only left": "<", "only right": ">", "differs": "≠",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cell:
    """A text that is safe to print, and how a terminal shows it; numbers stand to the right."""

    text: str
    style: str = ""
    right: bool = False


def clean(text: str) -> str:
    r"""Return a text in which what is not printable is escaped: `\n`, `\x1b`, `\u202e`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def cell(value: object, style: str = "") -> Cell:  # noqa: PLR0911 - a table of types
    """Return a value as people read it; "-" where there is none."""
    match value:
        case None | "" | []:
            return Cell("-", "dim")
        case bool():
            return Cell("yes" if value else "no", style)
        case int():
            return Cell(f"{value:,}", style, right=True)
        case float():
            return Cell(f"{value:,.1f}", style, right=True)
        case str() | UUID():
            return Cell(clean(str(value)), style)
        case list() | tuple() if all(isinstance(each, str) for each in value):
            return Cell(clean(", ".join(value)), style)
    return Cell(clean(json.dumps(value, ensure_ascii=False)), style)


def size_cell(size: float | None, *, signed: bool = False) -> Cell:
    """Return a number of bytes as people read it: `1.5 GiB`, or how it changed: `+1.5 GiB`."""
    if size is None:
        return Cell("-", "dim", right=True)
    power = 0
    while round(abs(size), min(power, 1)) >= 1024 and power < len(_UNITS) - 1:
        size, power = size / 1024, power + 1
    shown = round(size, min(power, 1)) or 0  # no negative zero
    sign = "+" if signed and shown > 0 else ""
    return Cell(f"{sign}{shown:,.{min(power, 1)}f} {_UNITS[power]}", right=True)


def some(names: Sequence[str], most: int = 3) -> str:
    """Return names in a row, of many the first: `a, b, c and 47 more`."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def word(value: object) -> Cell:
    """Return one of our words (a status, a change) in its colour."""
    return cell(value, _STYLES.get(str(value), ""))


def mark(change: str) -> Cell:
    """Return the sign of a change: + ~ -."""
    return Cell(_MARKS.get(change, "?"), _STYLES.get(change, ""))


def before_and_after(fields: Mapping[str, Any], sign: str = "→") -> str:
    """Return what an update changes: `status: Running → Stopped; …`."""
    return "; ".join(
        f"{name}: {cell(pair[0]).text} {sign} {cell(pair[1]).text}"
        for name, pair in fields.items()
        if isinstance(pair, list | tuple) and len(pair) == 2
    )


def column_widths(headers: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[int]:
    """Return how many places of the terminal the content of each column takes."""
    from rich.cells import cell_len

    texts = [headers, *([each.text for each in row] for row in rows)]
    return [max(map(cell_len, column)) for column in zip(*texts, strict=True)]


def plain_table(headers: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[str]:
    """Return the lines of a table with columns as wide as their content."""
    from rich.cells import cell_len

    widths = column_widths(headers, rows)
    right = [all(row[n].right for row in rows) for n in range(len(headers))]
    lines = []
    for line in [list(headers), *([each.text for each in row] for row in rows)]:
        gaps = [" " * (width - cell_len(text)) for text, width in zip(line, widths, strict=True)]
        parts = zip(line, gaps, right, strict=True)
        lines.append("  ".join(gap + text if r else text + gap for text, gap, r in parts).rstrip())
    return lines

"""What goes to the terminal or into the pipe: data to standard output, messages to standard error.

Names come from clouds and may hold anything: no control character, no direction mark and no markup
in them ever reaches the terminal. In a pipe, tables are as wide as their content.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from syncd.cli.cells import Cell, clean, column_widths, plain_table
from syncd.errors import BadRequest

_JSON_CONTROLS: Final = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)} | {
    code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
}
"""What JSON allows inside texts, and a terminal may obey."""
_GAP: Final = 2  # between columns
_FOLDED: Final = 20  # what the last column needs at least to be folded


def complain(message: str) -> None:
    """Tell what is wrong, each line on its own, as `syncd: …`."""
    for line in message.splitlines():
        click.echo(f"syncd: {clean(line)}", err=True)


def tell(message: str) -> None:
    """Say something that is not data."""
    click.echo(clean(message), err=True)


def confirm(question: str, facts: Iterable[str] = (), *, yes: bool) -> None:
    """Tell facts and have a person agree; raises BadRequest where nobody can, click.Abort for no.

    With `yes` somebody has agreed already.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadRequest("say --yes: there is no terminal to ask at")
    for fact in facts:
        tell(fact)
    click.confirm(clean(question), abort=True, err=True)


def print_json(value: object) -> None:
    """Print a document for programs."""
    encoded = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    _put(encoded.translate(_JSON_CONTROLS))


def print_json_rows(rows: Iterable[dict[str, Any]]) -> None:
    """Print an array, a row a line, as the rows come."""
    between = "["
    for row in rows:
        text = msgspec.json.encode(row).decode().translate(_JSON_CONTROLS)
        _put(f"{between}{text}", end="")
        between = ",\n"
    _put("]" if between != "[" else "[]")


def print_json_lines(rows: Iterable[dict[str, Any]]) -> None:
    """Print an object a line."""
    texts = [msgspec.json.encode(row).decode().translate(_JSON_CONTROLS) for row in rows]
    if texts:
        _put("\n".join(texts))


def print_text(text: str) -> None:
    """Print lines that are made already, with their ends."""
    _put(text, end="")


def print_table(headers: Sequence[str], rows: Sequence[Sequence[Cell]], empty: str) -> None:
    """Print rows under headers; `empty` is said where there are none."""
    if not rows:
        tell(empty)
    elif sys.stdout.isatty():
        _print_rich_table(headers, rows)
    else:
        _put("\n".join(plain_table(headers, rows)))


def print_line(*cells: Cell) -> None:
    """Print a line of pieces, which a terminal may colour."""
    print_lines([cells])


def print_lines(lines: Sequence[Sequence[Cell]]) -> None:
    """Print lines of pieces, which a terminal may colour."""
    if not lines:
        return
    if not sys.stdout.isatty():
        _put("\n".join("".join(cell.text for cell in cells) for cells in lines))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for cells in lines:
        line = Text.assemble(*((cell.text, cell.style) for cell in cells))
        console.print(line, soft_wrap=True)


def _print_rich_table(headers: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Fold the last column to the terminal's width; where that is too little, let lines run on."""
    from rich.console import Console, JustifyMethod
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    last = len(headers) - 1
    for number, header in enumerate(headers):
        justify: JustifyMethod = "right" if all(row[number].right for row in rows) else "left"
        table.add_column(header, justify=justify, overflow="fold", no_wrap=number != last)
    for row in rows:
        table.add_row(*(Text(cell.text, cell.style) for cell in row))
    console = Console(highlight=False)
    widths = column_widths(headers, rows)
    kept = sum(widths[:-1]) + _GAP * last
    if kept + min(widths[-1], _FOLDED) > console.width:
        console.width = kept + widths[-1]
    console.print(table)


def _put(text: str, end: str = "\n") -> None:
    """Write and flush, so that a reader that is gone is noticed here, where click handles it.

    Raises click.ClickException when the text can't be written.
    """
    try:
        click.echo(text + end, nl=False)  # flushes
    except BrokenPipeError:
        raise
    except OSError as error:
        # what is left in the buffer would fail again at the exit
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - stays open
        raise click.ClickException(f"standard output: {error.strerror}") from error

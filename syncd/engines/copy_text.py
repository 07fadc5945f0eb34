r"""Rows in the text format of COPY: a line a row, cells between tabs, NULL as `\N`.

Escapes are few in most data: whole blocks are joined and split, and only a block, line or cell that
has a backslash is looked at more closely (PostgreSQL, "COPY", File Formats).
"""

import re
from binascii import hexlify, unhexlify
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from syncd.model.table import Column, Row, Value

TEXT: Final = "postgresql-text"
"""The name of the format, of which MySQL gives blocks, too."""

_NULL: Final = b"\\N"
_ESCAPED: Final = re.compile(rb"[\\\t\n\r]")
_ESCAPES: Final = {b"\\": b"\\\\", b"\t": b"\\t", b"\n": b"\\n", b"\r": b"\\r"}
_WRITTEN: Final = re.compile(rb"\\(.)", re.DOTALL)
_MEANT: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_ROWS: Final = 1_000
_BYTES: Final = 1 << 20


def format_of(columns: Sequence[Column]) -> tuple[str, ...]:
    """Return how the cells of columns are written: bytea in hexadecimal digits."""
    return tuple("bytes" if each.type.kind == "bytes" else "text" for each in columns)


def parsed(text: bytes, hexed: Collection[int]) -> list[Row]:
    """Return the rows of whole lines; the cells at `hexed` are bytea."""
    lines = text.split(b"\n")
    lines.pop()  # the end of the last line
    if b"\\" not in text:
        return [tuple(line.split(b"\t")) for line in lines]
    if text.count(b"\\") == text.count(_NULL):  # and not `\\N`, which has two
        return [_with_nulls(line) if _NULL in line else tuple(line.split(b"\t"))
                for line in lines]  # fmt: skip
    rows: list[Row] = [
        tuple([_read(cell) if b"\\" in cell else cell for cell in line.split(b"\t")])
        if b"\\" in line
        else tuple(line.split(b"\t"))
        for line in lines
    ]
    return [_with_bytes(row, hexed) for row in rows] if hexed else rows


def _with_nulls(line: bytes) -> Row:
    """Return the row of a line whose only escapes stand for NULL."""
    cells: list[Value] = [*line.split(b"\t")]
    for _ in range(cells.count(_NULL)):
        cells[cells.index(_NULL)] = None
    return tuple(cells)


def _read(cell: bytes) -> Value:
    """Return what a cell with a backslash stands for."""
    if cell == _NULL:
        return None
    return _WRITTEN.sub(lambda found: _MEANT.get(found[1], found[1]), cell)


def _with_bytes(row: Row, hexed: Collection[int]) -> Row:
    r"""Return a row whose bytea, which come as `\x` and digits, are bytes."""
    cells = list(row)
    for place in hexed:
        cell = cells[place]
        cells[place] = cell if cell is None else unhexlify(cell[2:])
    return tuple(cells)


def written(rows: Sequence[Row], hexed: Collection[int]) -> Iterator[bytes]:
    """Yield rows as blocks of lines; the cells at `hexed` are for bytea."""
    size = _ROWS
    for begin in range(0, len(rows), _ROWS):
        block = rows[begin : begin + size]
        if sum(len(cell) for cell in block[0] if cell is not None) * _ROWS > _BYTES * 8:
            yield from (_block([row], hexed) for row in block)  # long ones: not two in memory
        else:
            yield _block(block, hexed)


def _block(rows: Sequence[Row], hexed: Collection[int]) -> bytes:
    """Return lines, joined as they are when nothing in them has to be escaped."""
    told = [_hexed(row, hexed) for row in rows] if hexed else rows
    text = b"\n".join(
        [b"\t".join([_NULL if cell is None else cell for cell in row]) for row in told]
    )
    text += b"\n"
    nulls = sum(row.count(None) for row in told)
    digits = sum(row[place] is not None for row in told for place in hexed)
    if (
        text.count(b"\n") == len(rows)
        and text.count(b"\\") == nulls + 2 * digits
        and text.count(b"\t") == len(rows) * (len(rows[0]) - 1)
        and b"\r" not in text
    ):
        return text
    return b"".join([b"\t".join(_cells(row, hexed)) + b"\n" for row in told])


def _hexed(row: Row, hexed: Collection[int]) -> Row:
    """Return a row whose bytes are written as those of bytea, escaped already."""
    cells = list(row)
    for place in hexed:
        cell = cells[place]
        cells[place] = cell if cell is None else b"\\\\x" + hexlify(cell)
    return tuple(cells)


def _cells(row: Row, hexed: Collection[int]) -> Iterator[bytes]:
    """Yield the cells of a row, escaped."""
    for place, cell in enumerate(row):
        if cell is None:
            yield _NULL
        elif place in hexed:
            yield cell
        else:
            yield _ESCAPED.sub(lambda found: _ESCAPES[found[0]], cell)

r"""Rows in the text format of COPY: a line a row, cells between tabs, NULL as `\N`.

Escapes are few in most data: whole blocks are joined and split, and only a block, line or cell that
has a backslash is looked at more closely (PostgreSQL, "COPY", File Formats).
"""

import re
from binascii import hexlify, unhexlify
from collections.abc import Collection, Iterable, Iterator, Sequence
from io import BytesIO
from typing import Final

from syncd.model.table import Column, Row, Value

TEXT: Final = "postgresql-text"
"""The name of the format, of which MySQL gives blocks, too."""

LONG: Final = 1 << 20
"""Bytes of a row from which on it goes in pieces: no line is made of it."""
PIECE: Final = 256 << 10

_NULL: Final = b"\\N"
_BYTEA: Final = b"\\\\x"
_ESCAPES: Final = {b"\\": b"\\\\", b"\t": b"\\t", b"\n": b"\\n", b"\r": b"\\r"}
_TAB: Final = re.compile(rb"\t")
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
    return _meant(cell)


def _meant(text: bytes) -> bytes:
    """Return a text without its escapes."""
    return _WRITTEN.sub(lambda found: _MEANT.get(found[1], found[1]), text)


def _with_bytes(row: Row, hexed: Collection[int]) -> Row:
    r"""Return a row whose bytea, which come as `\x` and digits, are bytes."""
    cells = list(row)
    for place in hexed:
        cell = cells[place]
        cells[place] = cell if cell is None else unhexlify(cell[2:])
    return tuple(cells)


def parsed_alone(line: bytearray, hexed: Collection[int]) -> Row:
    """Return the row of one line, which may be long: nothing is copied but the values."""
    with memoryview(line)[:-1] as text:
        ends = [found.start() for found in _TAB.finditer(text)] + [len(text)]
        begins = [0, *(end + 1 for end in ends)]
        return tuple(
            _value(text[begin:end], at in hexed)
            for at, (begin, end) in enumerate(zip(begins, ends, strict=False))
        )


def _value(cell: memoryview, hexed: bool) -> Value:  # noqa: FBT001 - private
    """Return what a cell stands for."""
    if bytes(cell[:3]) == _NULL:
        return None
    return unhexlify(cell[len(_BYTEA) :]) if hexed else whole(map(_meant, _between_escapes(cell)))


def _between_escapes(cell: memoryview) -> Iterator[bytes]:
    """Yield a cell in pieces that end inside of no escape."""
    while cell:
        piece = bytes(cell[:PIECE])
        backslashes = len(piece) - len(piece.rstrip(b"\\"))
        if backslashes % 2 and len(piece) < len(cell):
            piece = piece[:-1]
        cell = cell[len(piece) :]
        yield piece


def whole(pieces: Iterable[bytes]) -> bytes:
    """Return what pieces are together; unlike with join, they need not all be there before."""
    text = BytesIO()
    for piece in pieces:
        text.write(piece)
    return text.getvalue()


def written(rows: Sequence[Row], hexed: Collection[int]) -> Iterator[bytes]:
    """Yield rows as blocks of lines, long ones in pieces; the cells at `hexed` are for bytea."""
    for begin in range(0, len(rows), _ROWS):
        block = rows[begin : begin + _ROWS]
        weight = weight_of(block[0])
        if weight > LONG:
            for row in block:
                yield from in_pieces((cell if cell is None else cut(cell) for cell in row), hexed)
        elif weight * _ROWS > _BYTES * 8:
            yield from (_block([row], hexed) for row in block)
        else:
            yield _block(block, hexed)


def weight_of(row: Row) -> int:
    """Return the bytes of a row's values."""
    return sum(len(cell) for cell in row if cell is not None)


def cut(value: bytes) -> Iterator[bytes]:
    """Yield a value in pieces."""
    for begin in range(0, len(value), PIECE):
        yield value[begin : begin + PIECE]


def in_pieces(values: Iterable[Iterable[bytes] | None], hexed: Collection[int]) -> Iterator[bytes]:
    """Yield the line of a row whose values come in pieces, each asked for when it is its turn."""
    for at, pieces in enumerate(values):
        if at:
            yield b"\t"
        if pieces is None:
            yield _NULL
        elif at in hexed:
            yield _BYTEA
            yield from map(hexlify, pieces)
        else:
            yield from map(_escaped, pieces)
    yield b"\n"


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
        cells[place] = cell if cell is None else _BYTEA + hexlify(cell)
    return tuple(cells)


def _cells(row: Row, hexed: Collection[int]) -> Iterator[bytes]:
    """Yield the cells of a row, escaped."""
    for place, cell in enumerate(row):
        if cell is None:
            yield _NULL
        elif place in hexed:
            yield cell
        else:
            yield _escaped(cell)


def _escaped(text: bytes) -> bytes:
    """Return a text as a cell has it: backslashes first, since the others bring some."""
    for plain, told in _ESCAPES.items():
        text = text.replace(plain, told)
    return text

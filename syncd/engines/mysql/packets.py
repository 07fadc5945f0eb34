"""Results as they come from the server: packets taken apart without the driver's decoding.

A row of the text protocol is a packet of length-encoded values
(https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset_row.html).
The driver reads each with several calls and decodes every value; here whole buffers are cut up.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final, Generic, TypeVar

from pymysql.constants import COMMAND
from pymysql.err import InterfaceError
from pymysql.protocol import FieldDescriptorPacket, MysqlPacket

from syncd.engines.copy_text import LONG, PIECE, in_pieces, whole, written
from syncd.engines.mysql.copy_lines import FULL, WIDTHS, is_last, lined
from syncd.engines.mysql.driver import Connection
from syncd.errors import BadData

Values = tuple[bytes | None, ...]
T = TypeVar("T")

LARGEST: Final = 256 * 2**20
"""Bytes of the largest row that is read."""

_BUFFER: Final = 256 * 1024
_NULL: Final = 251


@dataclass(frozen=True, slots=True)
class Changed:
    """What a statement did: rows that it changed, and warnings and notes that it caused."""

    rows: int
    warnings: int


class Field:
    """A column of a result, as the server describes it."""

    def __init__(self, packet: FieldDescriptorPacket) -> None:
        self.name: str = packet.name
        self.code: int = packet.type_code
        self.flags: int = packet.flags
        self.charset: int = packet.charsetnr
        self.length: int = packet.length
        self.scale: int = packet.scale


def changed(connection: Connection, statement: Iterable[bytes], size: int) -> Changed:
    """Execute a statement that gives no rows, of so many bytes, in pieces as they come.

    The driver wants it whole, and copies what is left of a long one for each packet.
    """
    if not connection.open:
        raise InterfaceError(0, "")
    command = bytes([COMMAND.COM_QUERY])
    for piece in framed(chain([command], statement), size + 1):
        connection._write_bytes(piece)
    connection._next_seq_id = ((size + 1) // FULL + 1) % 256
    return Changed(connection._read_query_result(), connection._result.warning_count)


def framed(pieces: Iterable[bytes], size: int) -> Iterator[bytes | memoryview]:
    """Yield the packets of pieces that are so many bytes: headers, and views of what is in them.

    A packet that is full is continued by the next, though that be empty.
    """
    views, view = (memoryview(piece) for piece in pieces), memoryview(b"")
    for number in range(size // FULL + 1):
        room = min(size - number * FULL, FULL)
        yield room.to_bytes(3, "little") + bytes([number % 256])
        while room:
            view = view or next(views)
            yield view[:room]
            room, view = max(room - len(view), 0), view[room:]


def streamed(connection: Connection, query: str, part: int) -> Iterator[list[Values]]:
    """Execute a query, and return what yields its rows in parts of about so many bytes.

    A long row comes by itself.
    """
    return _parts(_Reader(connection, _asked(connection, query)), part)


def lines(
    connection: Connection, query: str, part: int, hexed: Collection[int]
) -> Iterator[list[bytes]]:
    """Execute a query, and return what yields blocks of its rows as COPY has them as text.

    The cells at `hexed` are for bytea. A long row comes in pieces.
    """
    return _parts(_LineReader(connection, _asked(connection, query), hexed), part)


def _asked(connection: Connection, query: str) -> int:
    """Execute a query; return how many columns its rows have."""
    connection._execute_command(COMMAND.COM_QUERY, query)
    width = int(connection._read_packet().read_length_encoded_integer())
    for _ in range(width):
        connection._read_packet(FieldDescriptorPacket)
    connection._read_packet()  # the end of the descriptions
    return width


def _parts(reader: "_Cutter[T]", part: int) -> Iterator[list[T]]:
    try:
        while not reader.done:
            if rows := reader.read(part):
                yield rows
            elif not reader.done:
                yield from reader.long_row()
    finally:
        if not reader.done:
            reader.close()


class _Cutter(ABC, Generic[T]):
    """Cuts rows out of what has arrived; `done` once the server has said its last word."""

    done = False

    def __init__(self, connection: Connection, width: int) -> None:
        self._connection = connection
        self._file = connection._rfile
        self._width = width
        self._data = b""

    @abstractmethod
    def _cut(self, rows: list[T]) -> None:
        """Add the rows that are whole."""

    @abstractmethod
    def long_row(self) -> Iterator[list[T]]:
        """Yield the next row, which is long."""

    def close(self) -> None:
        """End the connection: the server can't be stopped otherwise."""
        self._connection._force_close()

    def read(self, part: int) -> list[T]:
        """Return rows of about so many bytes; none at the end, and where a long one is next."""
        rows: list[T] = []
        got = 0
        while got < part and not self.done:
            if len(self._data) < 4:
                self._more(4 - len(self._data))
            size = int.from_bytes(self._data[:3], "little")
            if size > LONG:
                break
            if len(self._data) < size + 4:
                self._more(size + 4 - len(self._data))
            before = len(self._data)
            self._cut(rows)
            got += before - len(self._data)
        return rows

    def _more(self, least: int) -> None:
        """Wait for so many bytes more, and take what else has arrived."""
        found = self._file.read1(max(_BUFFER, least))
        if len(found) < least:
            rest = self._file.read(least - len(found)) if found else b""
            if not found or len(rest) < least - len(found):
                self._connection._force_close()
                raise ConnectionResetError("the server closed the connection")
            found += rest
        self._data += found

    def _cut_values(self, rows: list[Values]) -> None:
        """Add the values of the rows that are whole."""
        data = self._data
        at, end, width = 0, len(data), self._width
        columns = range(width)
        while at + 4 <= end:
            size = data[at] | data[at + 1] << 8 | data[at + 2] << 16
            stop = at + 4 + size
            if stop > end or size == FULL:
                break
            first = data[at + 4]
            if is_last(size, first):
                self._data, self.done = b"", True
                MysqlPacket(data[at + 4 : stop], "utf-8").check_error()
                return
            at += 4
            row: list[bytes | None] = []
            for _ in columns:
                length = data[at]
                at += 1
                if length < _NULL:
                    row.append(data[at : at + length])
                    at += length
                elif length == _NULL:
                    row.append(None)
                else:
                    bytes_of_it = WIDTHS[length]
                    length = int.from_bytes(data[at : at + bytes_of_it], "little")
                    at += bytes_of_it
                    row.append(data[at : at + length])
                    at += length
            rows.append(tuple(row))
        self._data = data[at:]

    def _packets(self) -> "_Packets":
        return _Packets(self._header, self._pull)

    def _header(self) -> int:
        """Go past the header of a packet, and return its size."""
        return int.from_bytes(self._pull(4)[:3], "little")

    def _pull(self, size: int) -> bytes:
        """Take so many bytes."""
        if len(self._data) < size:
            self._more(size - len(self._data))
        found, self._data = self._data[:size], self._data[size:]
        return found


class _Reader(_Cutter[Values]):
    """Gives rows."""

    def _cut(self, rows: list[Values]) -> None:
        self._cut_values(rows)

    def long_row(self) -> Iterator[list[Values]]:
        """Yield a row value by value; one that is too large is not read."""
        packets = self._packets()
        rows = [tuple(packets.value() for _ in range(self._width))]
        packets.close()
        yield rows


class _LineReader(_Cutter[bytes]):
    """Gives blocks of lines; the cells at `hexed` are for bytea."""

    def __init__(self, connection: Connection, width: int, hexed: Collection[int]) -> None:
        super().__init__(connection, width)
        self._hexed = hexed

    def _cut(self, rows: list[bytes]) -> None:
        text, end = (None, 0) if self._hexed else lined(self._data, self._width)
        if text:
            rows.append(text)
            self._data = self._data[end:]
        else:
            values: list[Values] = []
            self._cut_values(values)
            rows += written(values, self._hexed)

    def long_row(self) -> Iterator[list[bytes]]:
        """Yield the line of a row as it comes: it is never whole."""
        packets = self._packets()
        values = (packets.pieces() for _ in range(self._width))
        for piece in in_pieces(values, self._hexed):
            yield [piece]
        packets.close()


class _Packets:
    """A row as one stream, however many packets it takes."""

    def __init__(self, header: Callable[[], int], pull: Callable[[int], bytes]) -> None:
        self._header, self._pull = header, pull
        self._size = FULL
        self._left = self._total = 0

    def value(self) -> bytes | None:
        """Read the next value."""
        pieces = self.pieces()
        return None if pieces is None else whole(pieces)

    def pieces(self) -> Iterator[bytes] | None:
        """Return what reads the next value, to be done before the one after it.

        Raises BadData where the row becomes too large with it.
        """
        length = self._number(1)
        if length == _NULL:
            return None
        if length > _NULL:
            length = self._number(WIDTHS[length])
        self._total += length
        if self._total > LARGEST:
            raise BadData(f"a row is larger than {LARGEST >> 20} MiB")
        return self._taken(length)

    def close(self) -> None:
        """Go past an empty packet at the end: that of a row that fills its packets."""
        while self._size == FULL:
            self._open()

    def _number(self, size: int) -> int:
        return int.from_bytes(whole(self._taken(size)), "little")

    def _taken(self, size: int) -> Iterator[bytes]:
        while size:
            if not self._left:
                self._open()
            piece = self._pull(min(size, self._left, PIECE))
            self._left -= len(piece)
            size -= len(piece)
            yield piece

    def _open(self) -> None:
        self._size = self._left = self._header()

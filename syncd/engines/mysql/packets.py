"""Results as they come from the server: packets taken apart without the driver's decoding.

A row of the text protocol is a packet of length-encoded values
(https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset_row.html).
The driver reads each with several calls and decodes every value; here whole buffers are cut up.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from pymysql.constants import COMMAND
from pymysql.protocol import FieldDescriptorPacket, MysqlPacket

from syncd.engines.copy_text import written
from syncd.engines.mysql.copy_lines import FULL, WIDTHS, is_last, lined
from syncd.engines.mysql.driver import Connection
from syncd.errors import BadData

Values = tuple[bytes | None, ...]
T = TypeVar("T")

LARGEST: Final = 256 * 2**20
"""Bytes of the largest row that is read."""

_BUFFER: Final = 256 * 1024
_PIECE: Final = 2**20
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


def streamed(connection: Connection, query: str, part: int) -> Iterator[list[Values]]:
    """Execute a query, and return what yields its rows in parts of about so many bytes."""
    return _parts(_Reader(connection, _asked(connection, query)), part)


def lines(connection: Connection, query: str, part: int) -> Iterator[list[bytes]]:
    """Execute a query, and return what yields blocks of its rows as COPY has them as text."""
    return _parts(_LineReader(connection, _asked(connection, query)), part)


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
    def _alone(self, row: Values) -> T:
        """Return a row that came by itself."""

    def close(self) -> None:
        """End the connection: the server can't be stopped otherwise."""
        self._connection._force_close()

    def read(self, part: int) -> list[T]:
        """Return rows of about so many bytes; a larger one comes alone."""
        rows: list[T] = []
        got = 0
        while got < part and not self.done:
            if len(self._data) < 4:
                self._more(4 - len(self._data))
            size = int.from_bytes(self._data[:3], "little")
            if size > part and rows:
                break
            if size == FULL:
                return [self._alone(self._large())]
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

    def _large(self) -> Values:
        """Read a row that takes several packets, value by value; one that is too large ends it."""
        packets = _Packets(self._header, self._pull)
        row = tuple(packets.value() for _ in range(self._width))
        packets.close()
        return row

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

    def _alone(self, row: Values) -> Values:
        return row


class _LineReader(_Cutter[bytes]):
    """Gives blocks of lines."""

    def _cut(self, rows: list[bytes]) -> None:
        text, end = lined(self._data, self._width)
        if text:
            rows.append(text)
            self._data = self._data[end:]
        else:
            values: list[Values] = []
            self._cut_values(values)
            rows += written(values, ())

    def _alone(self, row: Values) -> bytes:
        return b"".join(written([row], ()))


class _Packets:
    """A row as one stream, however many packets it takes."""

    def __init__(self, header: Callable[[], int], pull: Callable[[int], bytes]) -> None:
        self._header, self._pull = header, pull
        self._size = FULL
        self._left = self._total = 0

    def value(self) -> bytes | None:
        """Read the next value; raises BadData before it reads one that is too large."""
        length = self._take(1)[0]
        if length == _NULL:
            return None
        if length > _NULL:
            length = int.from_bytes(self._take(WIDTHS[length]), "little")
        self._total += length
        if self._total > LARGEST:
            raise BadData(f"a row is larger than {LARGEST >> 20} MiB")
        return self._take(length)

    def close(self) -> None:
        """Go past an empty packet at the end: that of a row that fills its packets."""
        while self._size == FULL:
            self._open()

    def _take(self, size: int) -> bytes:
        pieces: list[bytes] = []
        while size:
            if not self._left:
                self._open()
            piece = self._pull(min(size, self._left, _PIECE))
            self._left -= len(piece)
            size -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def _open(self) -> None:
        self._size = self._left = self._header()

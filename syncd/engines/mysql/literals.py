"""Values as statements have them: in conditions, and row by row to be inserted.

MySQL changes some values without a word even in its strict mode: '1.5' into an INT is 2, '7' into
an ENUM its seventh text, 70 into a YEAR 1970, blanks at the end of a CHAR and of a VARCHAR that is
full are gone, digits of seconds are cut. So what a column would change is found here.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Final

from syncd.engines.copy_text import LONG, cut
from syncd.engines.mysql.types import members, word_of
from syncd.engines.tables import Refused
from syncd.errors import BadData
from syncd.model.table import Column, Value

Values = Sequence[Value]

_NULL: Final = b"NULL"
_INTEGER: Final = re.compile(rb"-?[0-9]+")
_DECIMAL: Final = re.compile(rb"-?[0-9]+(\.[0-9]*)?")
_FLOAT: Final = re.compile(rb"-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?")
_TIME: Final = re.compile(rb"[0-9:. -]+")
_DURATION: Final = re.compile(rb"-?[0-9]+:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?")
_BITS: Final = re.compile(rb"[01]+")
_YEAR: Final = re.compile(rb"0|19[0-9]{2}|2[01][0-9]{2}")
_SHOWN: Final = 80
_LARGEST: Final = {
    sign + b"3.4028235e+38": sign + b"3.4028234663852886e+38" for sign in (b"", b"-")
}


def compared(column: Column, value: bytes) -> str:
    """Return a value to compare a column with, such that an index of the column is of use.

    A quoted number would be compared as a double. Raises BadData for a value of another type.
    """
    kind = column.type.kind
    if kind == "bytes":
        return f"x'{value.hex()}'"
    if word_of(column) in ("enum", "set") and members(column):
        return str(place(column, value))
    pattern = _COMPARED.get(kind)
    if pattern is None:
        return _text(value)
    if not pattern.fullmatch(value):
        raise BadData(f"{column.name}: {shown(value)} is no {kind}")
    text = value.decode("ascii")
    if kind == "bits":
        return str(int(text, 2))
    if kind == "float":
        return text if "e" in text else f"{text}e0"
    return text if kind in ("integer", "decimal") else f"'{text}'"


def named(column: Column, value: bytes) -> str:
    """Return a value that a column is to be equal to; one that an ENUM can't have is equal to none.

    Raises BadData as `compared` does.
    """
    return _text(value) if word_of(column) in ("enum", "set") else compared(column, value)


def _text(value: bytes) -> str:
    return f"_utf8mb4 x'{value.hex()}'"


def place(column: Column, value: bytes) -> int:
    """Return the number by which an ENUM or SET orders a text."""
    texts = [each.encode() for each in members(column)]
    try:
        if word_of(column) == "enum":
            return texts.index(value) + 1 if value or b"" in texts else 0
        return sum(1 << texts.index(each) for each in set(value.split(b",")) if each)
    except ValueError as error:
        raise BadData(f"{column.name}: {shown(value)} is none of its texts") from error


def shown(value: bytes) -> str:
    """Return a value for a message, cut."""
    return repr(value[:_SHOWN].decode("utf-8", "backslashreplace"))


class Encoder:
    """Makes literals of the values of a column; it raises Refused for what would be changed."""

    def __init__(self, column: Column) -> None:
        self._column, self._check = column, _check(column)
        self._write = _WRITTEN.get(column.type.kind, _texts)
        if column.type.kind == "float" and column.type.size == 4:
            self._write = _reals
        self._quote = _QUOTES.get(self._write)

    def __call__(self, values: Values) -> list[bytes]:
        """Return the literals of values."""
        self._look(values)
        return self._write(values)

    def alone(self, value: Value) -> tuple[int, Iterable[bytes]]:
        """Return the size of a literal, and the literal, of a long text in pieces."""
        if value is None or self._quote is None or len(value) <= LONG:
            [literal] = self([value])
            return len(literal), [literal]
        self._look([value])
        size = len(self._quote) + len(value) + value.count(b"'") + 1
        inside = (piece.replace(b"'", b"''") for piece in cut(value))
        return size, chain([self._quote], inside, [b"'"])

    def _look(self, values: Values) -> None:
        name, check = self._column.name, self._check
        if not self._column.nullable and None in values:
            raise Refused(f"{name}: NULL has no place there")
        if check is not None:
            for value in values:
                if value is not None and not check(value):
                    raise Refused(f"{name}: {shown(value)} would be changed or refused")


def lines(
    encoders: Sequence[Encoder], rows: Sequence[Sequence[Value]], *, numbered: bool
) -> list[bytes]:
    """Return rows as VALUES has them, without parentheses; with their numbers if `numbered`."""
    columns = [
        encode(values) for encode, values in zip(encoders, zip(*rows, strict=True), strict=True)
    ]
    if numbered:
        columns.insert(0, [b"%d" % number for number in range(len(rows))])
    return [b",".join(row) for row in zip(*columns, strict=True)]


def line_alone(
    encoders: Sequence[Encoder], row: Sequence[Value], *, numbered: bool
) -> tuple[int, Iterator[bytes]]:
    """Return the size of what `lines` makes of a row, and the line in pieces, never whole.

    What raises Refused has been looked at by then.
    """
    told = [encode.alone(value) for encode, value in zip(encoders, row, strict=True)]
    if numbered:
        told.insert(0, (1, [b"0"]))
    size = sum(size for size, _ in told) + len(told) - 1
    parts = [part for _, literal in told for part in ([b","], literal)]
    return size, chain.from_iterable(parts[1:])


def _check(column: Column) -> Callable[[bytes], object] | None:  # noqa: PLR0911 - one a type
    """Return what tells whether a value arrives as it is, None where the server refuses it."""
    word, kind = word_of(column), column.type.kind
    if word == "year":
        return _YEAR.fullmatch
    if kind == "integer":
        return _INTEGER.fullmatch
    if kind == "bits":
        return _BITS.fullmatch
    if word == "char":
        return lambda value: not value.endswith(b" ")
    if word == "binary":
        size = column.type.size
        return lambda value: len(value) == size
    if word == "enum":
        texts = frozenset(each.encode() for each in members(column))
        return texts.__contains__
    if word == "set":
        return _set_check(column)
    if kind in ("timestamp", "instant", "duration", "time"):
        return _time_check(column)
    return None


def _set_check(column: Column) -> Callable[[bytes], object]:
    texts = [each.encode() for each in members(column)]

    def check(value: bytes) -> bool:
        given = frozenset(value.split(b","))
        return value == b",".join(each for each in texts if each in given)

    return check


def _time_check(column: Column) -> Callable[[bytes], object]:
    pattern = _DURATION if column.type.kind == "duration" else _TIME
    digits = column.type.scale or 0

    def check(value: bytes) -> bool:
        fraction = value.partition(b".")[2].rstrip(b"0")
        return pattern.fullmatch(value) is not None and len(fraction) <= digits

    return check


def _plain(values: Values) -> list[bytes]:
    return [_NULL if value is None else value for value in values]


def _texts(values: Values) -> list[bytes]:
    return [_NULL if value is None else b"'%b'" % value.replace(b"'", b"''") for value in values]


def _bytes(values: Values) -> list[bytes]:
    return [
        _NULL if value is None else b"_binary'%b'" % value.replace(b"'", b"''") for value in values
    ]


def _reals(values: Values) -> list[bytes]:
    """Write 32-bit numbers; the largest one, in so few digits, is more than the server takes."""
    return _texts([_LARGEST.get(each, each) if each is not None else each for each in values])


def _bits(values: Values) -> list[bytes]:
    return [_NULL if value is None else b"b'" + value + b"'" for value in values]


_WRITTEN: Final = {"integer": _plain, "bits": _bits, "bytes": _bytes}
_QUOTES: Final = {_texts: b"'", _bytes: b"_binary'"}
_COMPARED: Final = {
    "integer": _INTEGER, "decimal": _DECIMAL, "float": _FLOAT, "bits": _BITS, "date": _TIME,
    "timestamp": _TIME, "instant": _TIME, "duration": _TIME,
}  # fmt: skip

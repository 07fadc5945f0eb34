"""Values that have no place in a column whose type fits: what they look like, and how to find them.

Where every value of the source has its place nothing is looked at. What the server refuses by
itself and says so (a text that is too long, a number out of range) is left to it; here is what it
would change silently, or what a column's policy may be asked about.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from syncd.model.table import Column, Kind, Value

Some = Callable[[Sequence[Value]], bool]
Lacks = Callable[[bytes], bool]

_DATES: Final = ("date", "timestamp", "instant")
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|u([dD][89a-fA-F]..|0000)|.)", re.DOTALL
)
"""An escape of JSON: what it says where that is NUL, or one half of a character alone."""
_NUL: Final = b"0000"
_ODD_DAYS: Final = (
    b"-00", b"\n0000", b"-02-29", b"-02-3", b"-04-31", b"-06-31", b"-09-31", b"-11-31",
)  # fmt: skip
_FIVE_DIGITS: Final = re.compile(rb"\n\d{5}")
_HOURS: Final = re.compile(rb"-?(\d+):[0-5]\d:[0-5]\d(\.\d+)?")
_LONG: Final = 1_000
"""More bytes than a number or a date has, which are looked at by the beginning of their lines."""
_TIME_LIMIT: Final = 838
"""The hours of MySQL's TIME."""
MENDED: Final = frozenset[Kind]({"text", "json", "bytes", "other"})
"""Kinds whose values without a place can be mended; those of others have one in a text alone."""
_LAST_BLANKS: Final = (b" \t", b" \n")
_FIRST_INSTANT: Final = b"1970-01-01 00:00:01"
_LAST_INSTANT: Final = b"2106-02-07 06:28:15.999999"
"""What no TIMESTAMP of MySQL goes beyond; where one ends in 2038 the server refuses the rest."""


@dataclass(frozen=True, slots=True)
class Unplaced:
    """Values without a place.

    `some` looks at a whole column, fast, and tells whether there may be one; `lacks` looks at one
    value; `mended` makes a text of it that has its place. `signs` is what the text of COPY has
    wherever there is one, nothing where the target refuses them by itself; None where only a look
    at the values tells.
    """

    lack: str
    some: Some
    lacks: Lacks
    mended: Callable[[bytes], bytes] | None = None
    signs: tuple[bytes, ...] | None = None


def unplaced(source: Column, target: Column, engines: tuple[str, str]) -> tuple[Unplaced, ...]:
    """Return which values of a column have no place in another; `engines` are those of both."""
    return tuple(_found(source, target, engines))


def _found(source: Column, target: Column, engines: tuple[str, str]) -> Iterator[Unplaced]:
    from_postgresql, to_postgresql = (each == "postgresql" for each in engines)
    mine, theirs = source.type.kind, target.type.kind
    if theirs == "boolean" and mine == "integer":
        yield Unplaced("no boolean", _any(_is_no_boolean), _is_no_boolean, signs=())
    if mine in ("decimal", "float") and from_postgresql:
        yield from _numbers(source, target, to_postgresql=to_postgresql)
    if mine in _DATES and theirs in _DATES:
        yield from _dates(target, from_postgresql=from_postgresql, to_postgresql=to_postgresql)
    if mine in ("duration", "interval") and theirs in ("time", "duration") and mine != theirs:
        yield _times(theirs)
    if theirs in ("text", "json", "other", "uuid") and to_postgresql:
        yield from _texts(source, from_postgresql=from_postgresql)
    if theirs == "json" and source.native != "jsonb" and (from_postgresql or to_postgresql):
        yield from _json(target, to_postgresql=to_postgresql)
    if mine in ("text", "other") and theirs == "text":
        yield from _blanks(source, target)
    if target.native.lower().startswith("enum("):
        yield _members(target.native)
    elif not to_postgresql and source.native != target.native:
        yield from _of_mysql(source, target, engines[1])


def _numbers(source: Column, target: Column, *, to_postgresql: bool) -> Iterator[Unplaced]:
    """Find NaN and the infinities: MySQL has none, a numeric with a limit has NaN alone."""
    kind = target.type.kind
    if kind == "integer" or (not to_postgresql and kind in ("decimal", "float")):
        yield Unplaced("a number that the target does not have", _among(b"N", b"I"), _is_special)
    elif kind == "decimal" and target.type.size is not None and source.type.size is None:
        yield Unplaced("without an end", _among(b"I"), lambda value: b"I" in value)


def _dates(target: Column, *, from_postgresql: bool, to_postgresql: bool) -> Iterator[Unplaced]:
    """Find days that only one of the engines knows; MySQL's own go to MySQL as they are."""
    if from_postgresql and not to_postgresql:
        if target.native.lower().startswith("timestamp"):
            yield Unplaced("out of the range of a TIMESTAMP", _any(_is_no_instant), _is_no_instant)
        else:
            lack = "a time that the target does not have"
            yield Unplaced(lack, _may_be_far, _is_far)
    elif not from_postgresql and to_postgresql:
        yield Unplaced("no day of the calendar", _among(*_ODD_DAYS), _is_no_day, signs=())


def _times(kind: str) -> Unplaced:
    if kind == "time":
        return Unplaced("no time of a day", _any(_is_no_time), _is_no_time)
    return Unplaced("out of the range of a TIME", _any(_is_no_duration), _is_no_duration)


def _texts(source: Column, *, from_postgresql: bool) -> Iterator[Unplaced]:
    """Find NUL, which no text of PostgreSQL has."""
    if source.type.kind == "bytes" or (
        not from_postgresql and source.type.kind in ("text", "other")
    ):
        lacks: Lacks = lambda value: b"\0" in value  # noqa: E731
        yield Unplaced("a text with NUL", _among(b"\0"), lacks, _without_nul, signs=())


def _json(target: Column, *, to_postgresql: bool) -> Iterator[Unplaced]:
    """Find halves of characters, which MySQL's JSON and jsonb refuse, and of jsonb NUL."""
    halves = (b"\\ud", b"\\uD")
    if target.native == "jsonb":
        some = _among(b"\\u0000", *halves)
        yield Unplaced("JSON with what jsonb refuses", some, _is_no_jsonb, _to_jsonb, signs=())
    elif not to_postgresql:
        some = _among(*halves)
        yield Unplaced("JSON with half a character", some, _has_half, _without_halves)


def _blanks(source: Column, target: Column) -> Iterator[Unplaced]:
    """Find texts whose last blanks would be cut off, without a word: SQL demands it."""
    native, limit = target.native.lower(), target.type.size
    lack, some = "a text whose last blanks would be lost", _any(_ends_blank)
    if native.startswith(("char(", "character(", "bpchar")):
        if not source.native.lower().startswith(("char(", "character(", "bpchar")):
            yield Unplaced(lack, some, _ends_blank, signs=_LAST_BLANKS)
    elif limit is not None and (source.type.size is None or source.type.size > limit):
        in_bytes = native.endswith("text")

        def cut(value: bytes) -> bool:
            return _ends_blank(value) and limit < (
                len(value) if in_bytes else len(value.decode("utf-8", "replace"))
            )

        yield Unplaced(lack, some, cut, signs=_LAST_BLANKS)


def _of_mysql(source: Column, target: Column, engine: str) -> Iterator[Unplaced]:
    """Find what MySQL takes for something else, or fills up."""
    native = target.native.lower()
    if native.startswith("set("):
        yield _members(target.native)
    if native.startswith("year") and not source.native.lower().startswith("year"):
        yield Unplaced("no year of the target", _any(_is_no_year), _is_no_year)
    if native.startswith("binary(") and target.type.size is not None:
        size = target.type.size
        lacks: Lacks = lambda value: len(value) != size  # noqa: E731
        yield Unplaced("shorter than the target, which fills it up", _any(lacks), lacks)
    if engine == "mysql" and native == "json":
        yield Unplaced("JSON with a number that would be rounded", _any(_rounds), _rounds)


def _members(native: str) -> Unplaced:
    """Find what is not spelled like a value of an ENUM or SET: '7' is its seventh value."""
    listed = native[native.index("(") + 1 : native.rindex(")")]
    quoted = re.findall(r"'((?:[^']|'')*)'", listed)
    members = [each.replace("''", "'").encode() for each in quoted]
    known = frozenset(members)
    if native[0] in "eE":
        return Unplaced(
            "no value of the target", lambda column: not known.issuperset(_present(column)),
            lambda value: value not in known,
        )  # fmt: skip
    places = {each: number for number, each in enumerate(members)}

    def strays(value: bytes) -> bool:
        at = [places.get(each, -1) for each in value.split(b",")] if value else []
        return -1 in at or at != sorted(set(at))

    return Unplaced("no set of the target's values, in its order", _any(strays), strays)


def _present(column: Sequence[Value]) -> Iterable[bytes]:
    return (value for value in column if value is not None)


def _any(lacks: Lacks) -> Some:
    return lambda column: any(map(lacks, _present(column)))


def _among(*parts: bytes) -> Some:
    """Look for these bytes, which is done for a whole column as fast as for one value."""

    def some(column: Sequence[Value]) -> bool:
        text = _joined(column)
        return any(part in text for part in parts)

    return some


def _may_be_far(column: Sequence[Value]) -> bool:
    text = _joined(column)
    return b"B" in text or b"i" in text or _FIVE_DIGITS.search(text) is not None


def _joined(column: Sequence[Value]) -> bytes:
    """Return all values of a column, a line each; one that is alone may be long: no copy of it."""
    if len(column) == 1 and len(column[0] or b"") > _LONG:
        return column[0] or b""
    return b"\n".join([b"", *filter(None, column)])


def _is_special(value: bytes) -> bool:
    return value.endswith((b"NaN", b"Infinity"))


def _is_far(value: bytes) -> bool:
    return value.endswith((b"BC", b"infinity")) or value[4:5] != b"-"


def _is_no_instant(value: bytes) -> bool:
    return _is_far(value) or not _FIRST_INSTANT <= value <= _LAST_INSTANT


def _is_no_day(value: bytes) -> bool:
    """Tell days apart that MySQL holds: with zeros, or the 31st of February."""
    try:
        date(int(value[:4]), int(value[5:7]), int(value[8:10]))
    except ValueError:
        return True
    return False


def _is_no_time(value: bytes) -> bool:
    found = _HOURS.fullmatch(value)
    if not found or value.startswith(b"-"):
        return True
    return int(found[1]) > 23 and not re.fullmatch(rb"24:00:00(\.0+)?", value)


def _is_no_duration(value: bytes) -> bool:
    """Tell what is counted in days or months, too: a TIME has hours alone."""
    found = _HOURS.fullmatch(value)
    return not found or int(found[1]) > _TIME_LIMIT


def _is_no_year(value: bytes) -> bool:
    return value != b"0" and not 1901 <= int(value) <= 2155


def _is_no_boolean(value: bytes) -> bool:
    return value not in (b"0", b"1")


def _ends_blank(value: bytes) -> bool:
    return value.endswith(b" ")


def _without_nul(value: bytes) -> bytes:
    return value.replace(b"\0", b"")


def _to_jsonb(value: bytes) -> bytes:
    r"""Leave \u0000 out, and put the sign for unknown characters where there is half of one."""
    return _ESCAPE.sub(lambda found: b"" if found[1] == _NUL else _whole(found), value)


def _without_halves(value: bytes) -> bytes:
    return _ESCAPE.sub(_whole, value)


def _whole(escape: re.Match[bytes]) -> bytes:
    return escape[0] if escape[1] in (None, _NUL) else b"\\ufffd"


def _is_no_jsonb(value: bytes) -> bool:
    return any(found[1] for found in _ESCAPE.finditer(value))


def _has_half(value: bytes) -> bool:
    return any(found[1] not in (None, _NUL) for found in _ESCAPE.finditer(value))


def _rounds(value: bytes) -> bool:
    """Tell whether MySQL's JSON, whose numbers are 64-bit ones, would change a number."""
    if not re.search(rb"\d[\d.]{15}|\d[eE]", value):
        return False
    numbers: list[str] = []
    try:
        json.loads(value, parse_float=numbers.append, parse_int=numbers.append)
    except (ValueError, RecursionError):
        return False  # the server says what is wrong with it
    return any(map(_is_rounded, numbers))


def _is_rounded(number: str) -> bool:
    if len(number) <= 20 and number.lstrip("-").isdigit() and -(2**63) <= int(number) < 2**64:
        return False
    try:
        return Decimal(repr(float(number))) != Decimal(number)
    except ArithmeticError:
        return True

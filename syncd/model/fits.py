"""Whether the values of one column have their place in another, as both engines really behave.

Strict MySQL refuses what is out of range, but rounds the digits of DECIMAL and of seconds with a
note at most, cuts blanks off, and takes '7' for the seventh value of an ENUM. PostgreSQL rounds
numeric(10,2) and timestamp(0) without a word, and cuts `name`. What would change so is no fit;
what is refused by the server becomes a rejected row. Single values that have no place although
their column fits (zero dates, NaN) are those of `copies/places.py`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, Literal

from syncd.model.table import Column, Kind, Type

Fit = Literal["exact", "checked", "lossy"]
"""exact: all arrive. checked: the server refuses those that don't. lossy: some would be changed,
or one means nothing as the other."""

Rule = Callable[[Type, Type, str], Fit]
"""Judges a source's type, a target's type, and the target's engine."""

_ALL_DIGITS: Final = {1: 3, 2: 5, 3: 8, 4: 10, 8: 20}
"""Digits of the largest integer of so many bytes, signed or not (of 8 bytes: unsigned)."""
_TEXT: Final[Mapping[Kind, int]] = {
    "boolean": 1, "date": 16, "timestamp": 32, "instant": 32, "time": 15, "duration": 17,
    "uuid": 36, "float": 24, "interval": 96,
}  # fmt: skip
"""How many characters the longest values of a kind have."""
_DOUBLE_DIGITS: Final = 15
_REAL_DIGITS: Final = 6

_OF_ITS_OWN: Final[Mapping[str, re.Pattern[str]]] = {
    "postgresql": re.compile(
        r"name|\"char\"|tsvector|tsquery|money|oid|xid8?|cid|tid|pg_lsn|(pg|txid)_snapshot|reg[a-z]+"
        r"|time(\(\d\))? with time zone|cidr|aclitem|int2vector|oidvector|jsonpath|refcursor|.*\[\]"
        r"|.*range|point|line|lseg|box|path|polygon|circle|interval .* to .*"
    ),
    "mysql": re.compile(r"(float|double|real)\s*\(\s*\d+\s*,.*"),
}
"""Types that change silently what they don't know: they take only values of themselves."""


def fit(source: Column, target: Column, engines: tuple[str, str]) -> Fit:
    """Judge the values of one column in another; `engines` are those of source and target."""
    ours, theirs = source.native.lower(), target.native.lower()
    alike = _family(engines[0]) == _family(engines[1])
    if alike and ours == theirs:
        return "exact"
    if _OF_ITS_OWN[_family(engines[1])].fullmatch(theirs):
        return "lossy"
    if source.type.kind == target.type.kind == "bits":
        return _bits(source, target, engines)
    rule = _RULES.get((source.type.kind, target.type.kind))
    found = rule(source.type, target.type, _family(engines[1])) if rule else "lossy"
    if found == "exact" and theirs.startswith(("enum(", "set(", "year")):
        return "checked"
    return found


def _family(engine: str) -> str:
    return "postgresql" if engine == "postgresql" else "mysql"


def _exact(_source: Type, _target: Type, _engine: str) -> Fit:
    return "exact"


def _checked(_source: Type, _target: Type, _engine: str) -> Fit:
    return "checked"


def _if(holds: bool, otherwise: Fit = "checked") -> Fit:  # noqa: FBT001 - it reads as a sentence
    return "exact" if holds else otherwise


def _whole_digits(source: Type) -> int | None:
    """Return how many digits before the point a number can have, None where there is no limit."""
    if source.kind == "integer":
        digits = _ALL_DIGITS[source.size or 8]
        return digits - 1 if digits == 20 and not source.unsigned else digits
    if source.kind == "boolean":
        return 1
    return None if source.size is None else source.size - (source.scale or 0)


def _integers(source: Type, target: Type, _engine: str) -> Fit:
    mine, theirs = source.size or 8, target.size or 8
    if target.unsigned:
        return _if(source.unsigned and mine <= theirs)
    return _if(mine < theirs if source.unsigned else mine <= theirs)


def _to_decimal(source: Type, target: Type, _engine: str) -> Fit:
    """Judge integers, booleans and decimals: digits after the point are rounded by both engines."""
    scale = source.scale if source.kind == "decimal" else 0
    if target.size is None and target.scale is None:
        return "exact"
    if scale is None or scale > (target.scale or 0):
        return "lossy"
    mine, room = _whole_digits(source), (target.size or 0) - (target.scale or 0)
    signed = target.unsigned and not source.unsigned and source.kind != "boolean"
    return _if(mine is not None and mine <= room and not signed)


def _decimal_to_integer(source: Type, target: Type, engine: str) -> Fit:
    """Judge decimals: PostgreSQL refuses 1.5 as an integer, MySQL makes 2 of it."""
    if source.scale is None:
        return "checked" if engine == "postgresql" else "lossy"
    if source.scale > 0:
        return "lossy"
    mine, room = _whole_digits(source), _whole_digits(target)
    signed = target.unsigned and not source.unsigned
    return _if(mine is not None and room is not None and mine < room and not signed)


def _to_float(source: Type, target: Type, _engine: str) -> Fit:
    """Judge numbers: a float tells so many digits apart, and no more."""
    bound = _REAL_DIGITS if target.size == 4 else _DOUBLE_DIGITS
    if source.kind == "float":
        fits = (source.size or 8) <= (target.size or 8)
    elif source.kind == "integer":
        fits = (source.size or 8) <= (3 if target.size == 4 else 4)
    else:
        fits = source.kind == "boolean" or (source.size is not None and source.size <= bound)
    if not fits:
        return "lossy"
    return _if(source.unsigned or not target.unsigned)


def _float_to_number(_source: Type, target: Type, engine: str) -> Fit:
    """Judge floats: their digits have a place in numeric; PostgreSQL's integers refuse others."""
    if engine != "postgresql":
        return "lossy"
    if target.kind == "integer":
        return "checked"
    return _if(target.size is None and target.scale is None, "lossy")


def _seconds(source: Type, target: Type, _engine: str) -> Fit:
    """Judge times: the digits of a second are rounded by both engines."""
    mine = 6 if source.scale is None else source.scale
    theirs = 6 if target.scale is None else target.scale
    return _if(mine <= theirs, "lossy")


def _seconds_checked(source: Type, target: Type, engine: str) -> Fit:
    return "checked" if _seconds(source, target, engine) == "exact" else "lossy"


def _instant_to_timestamp(source: Type, target: Type, engine: str) -> Fit:
    """Judge instants: MySQL has no other place for them than DATETIME, in UTC."""
    return _seconds(source, target, engine) if engine == "mysql" else "lossy"


def _instants(source: Type, target: Type, engine: str) -> Fit:
    """Judge instants: a TIMESTAMP of MySQL ends in 2038."""
    return (_seconds if engine == "postgresql" else _seconds_checked)(source, target, engine)


def _to_text(source: Type, target: Type, _engine: str) -> Fit:
    """Judge what becomes a text, by the length of the longest one."""
    if target.size is None:
        return "exact"
    longest = _TEXT.get(source.kind)
    if source.kind == "integer":
        longest = _ALL_DIGITS[source.size or 8] + 1
    elif source.kind in ("text", "bits"):
        longest = source.size
    elif source.kind == "decimal" and source.size is not None:
        longest = max(source.size, source.scale or 0) + 3
    return _if(longest is not None and longest <= target.size)


def _text_to_bytes(source: Type, target: Type, _engine: str) -> Fit:
    """Judge texts, a character of which has up to four bytes in UTF-8."""
    longest = None if source.size is None else source.size * 4
    return _if(target.size is None or (longest is not None and longest <= target.size))


def _bytes(source: Type, target: Type, _engine: str) -> Fit:
    return _if(target.size is None or (source.size is not None and source.size <= target.size))


def _bits(source: Column, target: Column, engines: tuple[str, str]) -> Fit:
    """Judge bits: bit(n) refuses another length, MySQL's puts zeros before the first.

    Those make other bits of PostgreSQL's; of MySQL's they are the same number.
    """
    mine, theirs = source.type.size, target.type.size
    same = mine == theirs and mine is not None
    if _family(engines[1]) == "postgresql":
        return _if(theirs is None or (same and "varying" not in source.native))
    if _family(engines[0]) == "postgresql":
        return _if(same and "varying" not in source.native, "lossy")
    return _if((mine or 1) <= (theirs or 1))


def _one_bit(source: Type, _target: Type, _engine: str) -> Fit:
    return _if(source.size == 1, "lossy")


def _boolean_to_bits(_source: Type, target: Type, _engine: str) -> Fit:
    return _if(target.size == 1, "lossy")


_RULES: Final[Mapping[tuple[Kind, Kind], Rule]] = {
    ("integer", "integer"): _integers,
    ("integer", "decimal"): _to_decimal,
    ("integer", "float"): _to_float,
    ("integer", "boolean"): _checked,
    ("decimal", "integer"): _decimal_to_integer,
    ("decimal", "decimal"): _to_decimal,
    ("decimal", "float"): _to_float,
    ("float", "integer"): _float_to_number,
    ("float", "decimal"): _float_to_number,
    ("float", "float"): _to_float,
    ("boolean", "boolean"): _exact,
    ("boolean", "integer"): _exact,
    ("boolean", "decimal"): _to_decimal,
    ("boolean", "float"): _exact,
    ("boolean", "bits"): _boolean_to_bits,
    ("text", "text"): _to_text,
    ("text", "bytes"): _text_to_bytes,
    ("text", "json"): _checked,
    ("text", "uuid"): _checked,
    ("text", "other"): _checked,
    ("bytes", "bytes"): _bytes,
    ("bytes", "text"): _checked,
    ("date", "date"): _exact,
    ("date", "timestamp"): _exact,
    ("timestamp", "timestamp"): _seconds,
    ("instant", "instant"): _instants,
    ("instant", "timestamp"): _instant_to_timestamp,
    ("time", "time"): _seconds,
    ("time", "duration"): _seconds,
    ("time", "interval"): _seconds,
    ("duration", "duration"): _seconds,
    ("duration", "interval"): _seconds,
    ("duration", "time"): _seconds_checked,
    ("interval", "interval"): _seconds,
    ("interval", "duration"): _seconds_checked,
    ("interval", "time"): _seconds_checked,
    ("json", "json"): _exact,
    ("json", "bytes"): _checked,
    ("uuid", "uuid"): _exact,
    ("bits", "boolean"): _one_bit,
    ("bits", "integer"): _one_bit,
    ("other", "other"): _checked,
    **{
        (kind, "text"): _to_text
        for kind in (
            "integer", "decimal", "float", "boolean", "date", "timestamp", "instant", "time",
            "duration", "interval", "json", "uuid", "bits", "other",
        )
    },
}  # fmt: skip

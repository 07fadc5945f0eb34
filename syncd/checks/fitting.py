"""Which keys of one side the other can have at all: it can't be asked for the rest.

A key of Redis may be anything: to ask a table for the number `x` would fail.
"""

import re
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from syncd.engines.sides import Field, own
from syncd.model.table import Column, Key, Kind, Shape

_SPECIAL: Final = re.compile(rb"NaN|-?Infinity")
_NUMBER: Final = rb"-?[0-9]{1,400}(\.[0-9]{0,400})?"
_SHAPES: Final[dict[Kind, re.Pattern[bytes]]] = {
    "integer": re.compile(rb"0|-?[1-9][0-9]{0,19}"),
    "decimal": re.compile(_NUMBER),
    "float": re.compile(_NUMBER + rb"(e[+-]?[0-9]{1,3})?"),
    "boolean": re.compile(rb"[01]"),
    "bits": re.compile(rb"[01]+"),
    "uuid": re.compile(rb"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
    "time": re.compile(rb"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?|24:00:00"),
    "duration": re.compile(rb"-?[0-9]{1,9}:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"),
}
_DAY: Final = re.compile(rb"([0-9]{4}-[0-9]{2}-[0-9]{2})( [0-9]{2}:[0-9]{2}:[0-9]{2})?(\.[0-9]+)?")
_FAR: Final = re.compile(rb"-?infinity|[0-9]{4,6}-[0-9]{2}-[0-9]{2}[0-9 :.]{0,16}( BC)?")
_INEXACT: Final = frozenset[Kind]({"decimal", "float"})
_DAYS: Final = frozenset[Kind]({"date", "timestamp", "instant"})
_TEXTS: Final = frozenset[Kind]({"text", "json", "other", "interval"})


def fitting(shape: Shape, key: Sequence[Field], keys: Collection[Key]) -> list[Key]:
    """Return the keys that rows of a relation can have."""
    if shape.engine == "redis":
        return list(keys)
    columns = [shape.column(each.name) for each in key]
    postgresql = shape.engine == "postgresql"
    return [
        values
        for values in keys
        if all(
            column is None or _fits(column, own(field.form, column, value), postgresql=postgresql)
            for field, column, value in zip(key, columns, values, strict=True)
        )
    ]


def _fits(column: Column, value: bytes, *, postgresql: bool) -> bool:
    kind = column.type.kind
    if kind in _TEXTS:
        return _is_text(value, nul=not postgresql)
    if kind in _DAYS:
        return _is_day(value, zero=not postgresql)
    if kind == "bits" and column.type.size is not None and len(value) != column.type.size:
        return False
    if kind in _INEXACT and _SPECIAL.fullmatch(value):
        return postgresql
    pattern = _SHAPES.get(kind)
    if pattern is not None and not pattern.fullmatch(value):
        return False
    return kind != "integer" or int(value) in column.type.integers


def _is_text(value: bytes, *, nul: bool) -> bool:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return False
    return nul or "\0" not in text


def _is_day(value: bytes, *, zero: bool) -> bool:
    """Tell whether it is a day, or a moment; MySQL has days that no calendar has."""
    if match := _DAY.fullmatch(value):
        try:
            datetime.fromisoformat(b"".join(filter(None, match.groups()[:2])).decode())
        except ValueError:
            return zero
        return True
    return not zero and _FAR.fullmatch(value) is not None

"""Whether two values that are spelled differently are the same after all: pure."""

import json
import math
from decimal import Context, Decimal, InvalidOperation
from typing import Any, Final

from syncd.engines.sides import number_in
from syncd.model.check import Tolerance
from syncd.model.table import Value

_FINE: Final = Context(prec=1_000)
"""Python's own has 28 digits, fewer than numbers of databases have."""
_DECODER: Final = json.JSONDecoder(parse_float=Decimal, parse_int=Decimal)
"""Made once, for to make one takes as long as to read a short text."""


def tolerable(left: Value, right: Value, tolerance: Tolerance) -> bool:
    """Tell whether two numbers are within a tolerance; what is no number has to be the same."""
    if left == right:
        return True
    one, other = number_in(left), number_in(right)
    if one is None or other is None:
        return False
    if one == other or not (one.is_finite() and other.is_finite()):
        return one == other
    apart, larger = _FINE.subtract(one, other).copy_abs(), max(one.copy_abs(), other.copy_abs())
    return apart <= tolerance.absolute or (
        _FINE.multiply(apart, Decimal(100)) <= _FINE.multiply(larger, tolerance.percent)
    )


def same_float(left: Value, right: Value) -> bool:
    """Tell whether two texts are the same double; what is no number has to be the same text.

    Beyond 2**54 the engines do not agree on the shortest digits: where both 7.131658412119042e16
    and 7.1316584121190416e16 read back as a number, PostgreSQL writes the longer one.
    """
    if left == right:
        return True
    one, other = number_in(left), number_in(right)
    if one is None or other is None:
        return False
    return math.isfinite(float(one)) and float(one) == float(other)


def same_json(left: Value, right: Value) -> bool:
    """Tell whether two JSON texts are the same but for blanks, the order of keys, and spelling.

    Numbers are the same when they are equal (`1.0` and `1e0`). A key that comes twice counts with
    its last value, as jsonb takes it. What is no JSON has to be the same text.
    """
    if left == right:
        return True
    if left is None or right is None:
        return False
    try:
        return bool(_parsed(left) == _parsed(right))
    except (ValueError, RecursionError, InvalidOperation):
        return False


def _parsed(text: bytes) -> Any:  # noqa: ANN401 - as JSON is
    """Return what a text says; booleans are no numbers, though Python's are equal to them."""
    return _tagged(_DECODER.decode(text.decode()))


def _tagged(value: Any) -> Any:  # noqa: ANN401 - as JSON is
    if isinstance(value, dict):
        return {name: _tagged(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_tagged(each) for each in value]
    return (value,) if isinstance(value, bool) else value

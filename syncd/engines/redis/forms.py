"""Values of Redis, which are texts, in the forms in which they are compared with columns."""

import math
import re
from decimal import Decimal
from typing import Final

from syncd.engines.sides import Form, formed
from syncd.model.table import Key, Value

_WRITTEN: Final = re.compile(rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_SIMPLE: Final = re.compile(rb"-?[0-9]{1,40}")
_LONGEST: Final = 1_100  # no number of any column has more digits
_FARTHEST: Final = 1_000  # nor so many zeros


def in_form(form: Form, value: Value) -> Value:
    """Return a value in a form: `10`, `10.0`, `1e1` and ` 10 ` are the same number.

    What is no number stays as it is, and so is equal to none.
    """
    if value is None:
        return None
    if form.kind in ("integer", "decimal"):
        return formed(form, value if _SIMPLE.fullmatch(value) else _plain(value))
    if form.kind == "float":
        return _float(value)
    return formed(form, value)


def key_in_form(forms: tuple[Form, ...], key: Key) -> Key:
    """Return a key in its forms; a value of it is never NULL."""
    return tuple(in_form(form, each) or b"" for form, each in zip(forms, key, strict=True))


def _plain(value: bytes) -> bytes:
    """Return a number without blanks around it and without an exponent."""
    text = value.strip(b" \t\r\n")
    if len(text) > _LONGEST or not _WRITTEN.fullmatch(text):
        return value
    number = Decimal(text.decode())
    if not number:
        return b"0"
    if abs(number.adjusted()) > _FARTHEST:
        return value
    return format(number, "f").encode()


def _float(value: bytes) -> bytes:
    """Return the shortest digits, with an exponent below 1e-4 and from 1e15 on, as tables do."""
    text = value.strip(b" \t\r\n")
    if len(text) > _LONGEST or not _WRITTEN.fullmatch(text):
        return value
    number = float(text)
    if not number or math.isinf(number):
        return b"0" if not number else value
    if 1e-4 <= abs(number) < 1e15:
        return repr(number).removesuffix(".0").encode()
    sign, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    first, *rest = map(str, digits)
    power = int(exponent) + len(rest)
    return f"{'-' * sign}{first}{'.' * bool(rest)}{''.join(rest)}e{power}".encode()

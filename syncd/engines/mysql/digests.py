"""The texts of values and rows as SQL, which PostgreSQL makes the same; see `syncd.engines.sides`.

https://dev.mysql.com/doc/refman/8.4/en/encryption-functions.html#function_md5: the MD5 of a text is
that of its bytes, so all texts are brought into utf8mb4 first, whatever their columns hold them in.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from syncd.engines.mysql.names import quoted
from syncd.engines.mysql.types import selected
from syncd.engines.sides import COUNTED, Field, Form
from syncd.model.table import Column, Kind

Columns = Mapping[str, Column]

_DIGITS: Final = 150_000
"""No number has more: one of PostgreSQL has 131,072 before the point, and 16,383 behind it."""


def text_of(column: Column, form: Form, name: str = "") -> str:
    """Return the expression for a column's value in a form; `name` may stand for the column."""
    name = name or quoted(column.name)
    if form.kind in ("float", "integer") and column.type.kind in ("text", "other"):
        return _text(name, column, form)
    return _MADE.get(form.kind, _text)(name, column, form)


def row_hash(fields: Sequence[Field], columns: Columns) -> str:
    """Return the expression for a row's hash, an unsigned number of 64 bits."""
    return f"CAST(CONV(LEFT({_md5(fields, columns)}, 16), 16, 10) AS UNSIGNED)"


def bucket(key: Sequence[Field], columns: Columns, depth: int) -> str:
    """Return the expression for a row's bucket, of 2**depth."""
    return f"(CAST(CONV(LEFT({_md5(key, columns)}, 8), 16, 10) AS UNSIGNED) >> {32 - depth})"


def _md5(fields: Sequence[Field], columns: Columns) -> str:
    parts = [_in_text(columns[field.name], field.form) for field in fields]
    return f"MD5(CONCAT({', '.join(parts)}))"


def _in_text(column: Column, form: Form) -> str:
    """Return how a value stands in the text of its row; NULL for one that is too long for that.

    The server makes NULL of what is larger than max_allowed_packet, with a mere warning.
    """
    text = text_of(column, form)
    if form.kind == "bytes" and column.type.kind == "bytes":
        made = f"MD5({quoted(column.name)})"
    elif form.kind == "bytes" and column.type.kind != "uuid":
        made = f"MD5({_utf8(quoted(column.name), column)})"
    elif form.long or form.kind == "bytes":
        made = f"MD5({text})"
    elif form.kind in COUNTED:
        made = f"CONCAT(LENGTH({text}), ':', {text})"
    elif column.type.kind in ("text", "other"):
        made = f"CONCAT({_no_mark(text)}, '|')"
    else:
        made = f"CONCAT({text}, '|')"
    return f"IF({quoted(column.name)} <=> NULL, '~', {made})"


def _no_mark(text: str) -> str:
    """Return a text that is compared with numbers, without what ends a field or stands for NULL."""
    return f"REPLACE(REPLACE(LEFT({text}, {_DIGITS}), '|', '!'), '~', '!')"


def _utf8(name: str, column: Column) -> str:
    """Return a value as a text in utf8mb4, as it is selected for a copy."""
    return f"CONVERT({selected(column, name)} USING utf8mb4)"


def _text(name: str, column: Column, form: Form) -> str:
    text = _utf8(name, column)
    return f"TRIM(TRAILING ' ' FROM {text})" if form.blanks else text


def _integer(name: str, column: Column, form: Form) -> str:  # noqa: ARG001 - one shape for all
    return f"{name} + 0" if column.type.kind == "bits" else selected(column, name)


def _decimal(name: str, column: Column, form: Form) -> str:
    kind = column.type.kind
    if form.scale is not None or kind in ("integer", "bits") or column.type.scale == 0:
        return _integer(name, column, form)
    text = _utf8(name, column)
    short = f"TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {text}))"
    if kind == "decimal":
        return short
    return f"IF({text} LIKE '%.%' AND {text} NOT LIKE '%.%.%', {short}, {text})"


def _float(name: str, column: Column, form: Form) -> str:  # noqa: ARG001
    """Return the shortest digits, with an exponent below 1e-4 and from 1e15 on, as PostgreSQL has.

    MySQL itself writes some of these without one, whichever is shorter.
    """
    number = f"({selected(column, name)} + 0e0)"
    text, size = f"CAST({number} AS CHAR)", f"CAST(ABS({number}) AS CHAR)"
    whole = f"TRIM(TRAILING '0' FROM REPLACE({size}, '.', ''))"
    part = f"TRIM(LEADING '0' FROM REPLACE({size}, '.', ''))"
    exponent_of_part = f"CHAR_LENGTH({part}) - CHAR_LENGTH({size}) + 1"
    scientific = (
        f"IF(LOCATE('e', {size}), {size}, IF(ABS({number}) < 1,"
        f" {_mantissa(part, exponent_of_part)},"
        f" {_mantissa(whole, f'''LOCATE('.', CONCAT({size}, '.')) - 2''')}))"
    )
    return (
        f"CASE WHEN {number} = 0 THEN '0'"
        f" WHEN ABS({number}) >= 1e-4 AND ABS({number}) < 1e15 THEN {text}"
        f" ELSE CONCAT(IF({number} < 0, '-', ''), {scientific}) END"
    )


def _mantissa(digits: str, exponent: str) -> str:
    """Return digits with a point after the first one, and an exponent."""
    rest = f"IF(CHAR_LENGTH({digits}) > 1, CONCAT('.', SUBSTR({digits}, 2)), '')"
    return f"CONCAT(LEFT({digits}, 1), {rest}, 'e', {exponent})"


def _bytes(name: str, column: Column, form: Form) -> str:  # noqa: ARG001
    kind = column.type.kind
    if kind == "bytes":
        return f"CAST({name} AS BINARY)"
    if kind == "uuid":
        return f"UNHEX(REPLACE(CAST({name} AS CHAR), '-', ''))"
    return f"CAST({_utf8(name, column)} AS BINARY)"


def _uuid(name: str, column: Column, form: Form) -> str:  # noqa: ARG001
    return f"LOWER({_utf8(name, column)})"


def _timestamp(name: str, column: Column, form: Form) -> str:
    if column.type.kind == "date":
        return f"CONCAT({name}, ' 00:00:00')"
    return _time(name, column, form)


def _time(name: str, column: Column, form: Form) -> str:
    """Return a time with so many digits of seconds, without zeros at the end."""
    digits, text = column.type.scale or 0, f"CAST({name} AS CHAR)"
    kept = digits if form.scale is None else min(digits, form.scale)
    if kept < digits:
        cut = digits - kept + (1 if kept == 0 else 0)
        text = f"LEFT({text}, CHAR_LENGTH({text}) - {cut})"
    if kept == 0:
        return text
    return f"TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {text}))"


def _date(name: str, column: Column, form: Form) -> str:  # noqa: ARG001
    return f"CAST({name} AS CHAR)"


def _bits(name: str, column: Column, form: Form) -> str:  # noqa: ARG001
    return selected(column, name)


_MADE: Final[Mapping[Kind, Callable[[str, Column, Form], str]]] = {
    "integer": _integer,
    "decimal": _decimal,
    "float": _float,
    "bytes": _bytes,
    "uuid": _uuid,
    "date": _date,
    "timestamp": _timestamp,
    "duration": _time,
    "bits": _bits,
}

"""The texts of values and rows as SQL, which MySQL makes the same; `syncd.engines.sides` says how.

How floats and intervals are written depends on the settings of the session (`tables.settle`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from psycopg.sql import SQL, Composable, Identifier, Literal

from syncd.engines.sides import COUNTED, Field, Form
from syncd.model.table import Column, Kind

Columns = Mapping[str, Column]


def text_of(column: Column, form: Form, name: Composable | None = None) -> Composable:
    """Return the expression for a column's value in a form; that of bytes is a bytea.

    `name` may stand for the column.
    """
    name = name or Identifier("r", column.name)
    if form.kind == "float" and column.type.kind in ("text", "other"):
        return _text(name, column, form)
    return _MADE.get(form.kind, _text)(name, column, form)


def row_hash(fields: Sequence[Field], columns: Columns, *, utf8: bool) -> Composable:
    """Return the expression for a row's hash, a bigint."""
    return SQL("('x' || left({}, 16))::bit(64)::bigint").format(_md5(fields, columns, utf8=utf8))


def bucket(key: Sequence[Field], columns: Columns, depth: int, *, utf8: bool) -> Composable:
    """Return the expression for a row's bucket, of 2**depth."""
    return SQL("(('x' || left({}, 8))::bit(32)::bigint >> {})").format(
        _md5(key, columns, utf8=utf8), Literal(32 - depth)
    )


def _md5(fields: Sequence[Field], columns: Columns, *, utf8: bool) -> Composable:
    parts = [_in_text(columns[field.name], field.form, utf8=utf8) for field in fields]
    text = SQL(" || ").join(parts)
    return SQL("md5({})" if utf8 else "md5(convert_to({}, 'UTF8'))").format(text)


def _in_text(column: Column, form: Form, *, utf8: bool) -> Composable:
    """Return how a value stands in the text of its row."""
    text = text_of(column, form)
    if form.kind == "bytes":
        made = SQL("md5({})").format(text)
    elif form.kind not in COUNTED:
        if column.type.kind in ("text", "other"):  # no number has a mark of the row's text
            text = SQL("translate({}, '|~', '!!')").format(text)
        made = SQL("{} || '|'").format(text)
    else:
        octets = text if utf8 else SQL("convert_to({}, 'UTF8')").format(text)
        if form.long:
            made = SQL("md5({})").format(octets)
        else:
            made = SQL("octet_length({}) || ':' || {}").format(octets, text)
    return SQL("coalesce({}, '~')").format(made)


def _text(name: Composable, column: Column, form: Form) -> Composable:
    """Return a text; of other types the one that their values are written as.

    That is not what a cast gives: `'::1'::inet::text` is `::1/128`.
    """
    text = SQL("{}::text").format(name)
    if column.type.kind == "other":
        text = SQL("case when {0} is not null then concat({0}) end").format(name)
    return SQL("rtrim({}, ' ')").format(text) if form.blanks else text


def _integer(name: Composable, column: Column, form: Form) -> Composable:  # noqa: ARG001
    kind = column.type.kind
    through = {"boolean": "::int4", "bits": "::bigint"}.get(kind, "")
    return SQL(f"{{}}{through}::text").format(name)


def _decimal(name: Composable, column: Column, form: Form) -> Composable:
    kind = column.type.kind
    number = {"boolean": "::int4", "bits": "::bigint", "decimal": "::numeric"}.get(kind, "")
    text = SQL(f"{{}}{number}::text").format(name)
    if form.scale is not None or kind not in ("decimal", "text", "other"):
        return text
    return SQL(
        "case when {0} like '%.%' and {0} not like '%.%.%'"
        " then rtrim(rtrim({0}, '0'), '.') else {0} end"
    ).format(text)


def _float(name: Composable, column: Column, form: Form) -> Composable:  # noqa: ARG001
    """Return the shortest digits, with an exponent as MySQL writes it: `1e-7`, `1e15`."""
    through = {"boolean": "::int4", "bits": "::bigint"}.get(column.type.kind, "")
    text = SQL(f"({{}}{through}::float8 + 0)::text").format(name)
    return SQL(
        r"case when {0} like '%e%' then regexp_replace({0}, 'e(?:\+|(-))0*', 'e\1') else {0} end"
    ).format(text)


def _bytes(name: Composable, column: Column, form: Form) -> Composable:  # noqa: ARG001
    kind = column.type.kind
    if kind == "bytes":
        return SQL("{}::bytea").format(name)
    made = "uuid_send({})" if kind == "uuid" else "convert_to({}::text, 'UTF8')"
    return SQL(made).format(name)


def _uuid(name: Composable, column: Column, form: Form) -> Composable:  # noqa: ARG001
    text = SQL("{}::text").format(name)
    return text if column.type.kind == "uuid" else SQL("lower({})").format(text)


def _json(name: Composable, column: Column, form: Form) -> Composable:
    r"""Return the text; where it is to be parsed, that of jsonb, which refuses `\u0000`."""
    text = SQL("{}::text").format(name)
    if not form.parsed or column.native != "json":
        return text
    return SQL(r"case when {0} like '%\\u0000%' then {0} else {1}::jsonb::text end").format(
        text, name
    )


def _timestamp(name: Composable, column: Column, form: Form) -> Composable:
    through = {"instant": "({} at time zone 'UTC')", "date": "{}::timestamp"}
    text = SQL(through.get(column.type.kind, "{}") + "::text").format(name)
    return _cut(text, form)


def _duration(name: Composable, column: Column, form: Form) -> Composable:
    """Return the hours, minutes and seconds of a time or an interval."""
    text = SQL("{}::text").format(name)
    if column.type.kind != "time":
        text = SQL(
            "case when {0} ~ '[a-z]' then make_interval(secs => extract(epoch from {1}))::text"
            " else {0} end"
        ).format(text, name)
    return _cut(text, form)


def _cut(text: Composable, form: Form) -> Composable:
    """Return times with so many digits of seconds, without zeros at the end."""
    if form.scale is None:
        return text
    if form.scale == 0:
        return SQL(r"regexp_replace({}, '\.\d+', '')").format(text)
    shorter = SQL(r"regexp_replace({}, {}, '\1')").format(
        text, Literal(rf"(\.\d{{{form.scale}}})\d+")
    )
    return SQL(r"regexp_replace({}, '(\.\d*[1-9])0+(?!\d)|\.0+(?!\d)', '\1')").format(shorter)


_MADE: Final[Mapping[Kind, Callable[[Composable, Column, Form], Composable]]] = {
    "integer": _integer,
    "decimal": _decimal,
    "float": _float,
    "bytes": _bytes,
    "uuid": _uuid,
    "json": _json,
    "timestamp": _timestamp,
    "duration": _duration,
}

"""The types of PostgreSQL's columns: what they hold, and how others' are made here."""

import re
from collections.abc import Mapping
from typing import Final

from psycopg.sql import SQL, Composable, Identifier

from syncd.model.table import Column, Kind, Type

_INTEGERS: Final = {"int2": 2, "int4": 4, "int8": 8}
_FLOATS: Final = {"float4": 4, "float8": 8}
_TEXTS: Final = ("text", "varchar", "bpchar", "name", "char", "citext", "unknown")
_PLAIN: Final = {
    "bool": Type("boolean"),
    "bytea": Type("bytes"),
    "date": Type("date"),
    "uuid": Type("uuid", 36),
    "json": Type("json"),
    "jsonb": Type("json"),
    "oid": Type("integer", 4, unsigned=True),
}
_TIMES: Final[Mapping[str, Kind]] = {
    "timestamp": "timestamp",
    "timestamptz": "instant",
    "time": "time",
    "interval": "interval",
}
_HEADER: Final = 4  # the typmod of a length counts the header of a value (VARHDRSZ)
_NUMERIC_DIGITS: Final = 1_000
_VARCHAR: Final = 10_485_760
_LIMITS: Final = re.compile(r"\(\d+(,-?\d+)?\)")
_BARE: Final = {"character": 'pg_catalog."bpchar"', "bit": 'pg_catalog."bit"'}
"""Without a length these words of SQL mean a length of 1."""
_ADDRESSES: Final = ("inet4", "inet6")


def held(name: str, typmod: int, money_digits: int) -> Type:  # noqa: PLR0911 - a table of kinds
    """Return what a type of pg_type, whose name is its own there, holds; domains by their base."""
    if name in _PLAIN:
        return _PLAIN[name]
    if name in _INTEGERS:
        return Type("integer", _INTEGERS[name])
    if name in _FLOATS:
        return Type("float", _FLOATS[name])
    if name in _TEXTS:
        return Type("text", _length(name, typmod))
    if name in ("bit", "varbit"):
        return Type("bits", typmod if typmod >= 0 else None)
    if name == "numeric":
        return _numeric(typmod)
    if name == "money":
        return Type("decimal", 19, money_digits)
    if name in _TIMES:
        return Type(_TIMES[name], scale=_fraction(typmod))
    return Type("other")


def _length(name: str, typmod: int) -> int | None:
    """Return how many characters a text has at most."""
    if name == "char":
        return 1
    return typmod - _HEADER if name in ("varchar", "bpchar") and typmod >= _HEADER else None


def _fraction(typmod: int) -> int:
    """Return the digits of seconds after the point; the fields of an interval stand before them."""
    told = typmod & 0xFFFF
    return 6 if told == 0xFFFF else told


def _numeric(typmod: int) -> Type:
    """Return what a numeric holds: its precision, and a scale that may be negative (15)."""
    if typmod < _HEADER:
        return Type("decimal")
    told = typmod - _HEADER
    scale = ((told & 0x7FF) ^ 1024) - 1024
    return Type("decimal", told >> 16 & 0xFFFF, scale)


def reading(column: Column, name: Composable) -> Composable:
    """Return the expression whose text is the column's value in the form in which it travels."""
    return SQL(_READ.get(column.type.kind, "{}")).format(name)


_READ: Final = {
    "boolean": "{}::pg_catalog.int4",
    "decimal": "{}::pg_catalog.numeric",  # money among them
    "instant": "({} at time zone 'UTC')",
    "text": "{}::pg_catalog.text",  # characters lose the blanks that fill them up
}


def comparable(column: Column) -> str:
    """Return the type to which a literal is cast that is compared with the column.

    Without its limits, by which a literal would be rounded or cut.
    """
    if '"' in column.native:
        return column.native
    bare = _LIMITS.sub("", column.native)
    return _BARE.get(bare, bare)


def native(like: Column, engine: str, wanted: Type | None = None) -> str:
    """Return the type of a column that is made after one of another engine."""
    if wanted is not None and wanted.kind == "text" and like.type.kind != "text":
        return "text"
    if engine == "postgresql":
        return like.native
    if like.native.lower() in _ADDRESSES:
        return "inet"
    if like.type.kind == "text":
        return _text(like)
    return spelled(like.type)


def _text(like: Column) -> str:
    """Return the type of a text: one of MySQL's that has a length in characters keeps it."""
    size = like.type.size
    sized = re.match(r"(?i)(national )?(var)?n?(var)?char", like.native)
    return f"character varying({size})" if sized and size and size <= _VARCHAR else "text"


def spelled(what: Type) -> str:  # noqa: PLR0911 - a table of kinds
    """Return the type that holds what another engine's does."""
    if what.kind == "integer":
        return _integer(what)
    if what.kind == "decimal":
        if what.size is None or what.size > _NUMERIC_DIGITS:
            return "numeric"
        return f"numeric({what.size},{what.scale or 0})"
    if what.kind == "float":
        return "real" if what.size == 4 else "double precision"
    if what.kind == "bits":
        return f"bit({what.size})" if what.size else "bit varying"
    scale = "" if what.scale is None or what.scale >= 6 else f"({what.scale})"
    if what.kind in ("timestamp", "time"):
        return f"{what.kind}{scale} without time zone"
    if what.kind == "instant":
        return f"timestamp{scale} with time zone"
    if what.kind in ("duration", "interval"):
        return f"interval{scale}"
    return _SPELLED.get(what.kind, "text")


_SPELLED: Final = {
    "boolean": "boolean",
    "bytes": "bytea",
    "date": "date",
    "json": "json",
    "uuid": "uuid",
}


def _integer(what: Type) -> str:
    """Return the smallest integer that holds all numbers of another."""
    size = (what.size or 8) + (1 if what.unsigned else 0)
    if size > 8:
        return "numeric(20,0)"
    return "smallint" if size <= 2 else "integer" if size <= 4 else "bigint"


def quoted(schema: str, table: str) -> Composable:
    """Return the name of a table."""
    return Identifier(schema or "public", table)

"""The types of columns: what they hold, how their values are read, and what is made of others.

https://dev.mysql.com/doc/refman/8.4/en/data-types.html,
https://mariadb.com/docs/server/reference/data-types
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from syncd.model.table import Column, Kind, Type

_NATIVE: Final = re.compile(r"(\w+)\s*(?:\((.*?)\))?\s*((?:unsigned|zerofill|signed|\s)*)", re.I)
_MEMBER: Final = re.compile(r"'((?:[^']|'')*)'")
_INTEGERS: Final = {
    "tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "integer": 4, "bigint": 8,
}  # fmt: skip
_SIZED: Final[Mapping[str, tuple[Kind, int | None]]] = {
    "tinytext": ("text", 255), "text": ("text", 65_535), "mediumtext": ("text", 16_777_215),
    "longtext": ("text", None),
    "tinyblob": ("bytes", 255), "blob": ("bytes", 65_535), "mediumblob": ("bytes", 16_777_215),
    "longblob": ("bytes", None), "vector": ("bytes", None),
    "json": ("json", None), "uuid": ("uuid", None), "date": ("date", None),
}  # fmt: skip
_TIMES: Final[Mapping[str, Kind]] = {
    "datetime": "timestamp", "timestamp": "instant", "time": "duration",
}  # fmt: skip
_GEOMETRIES: Final = frozenset(
    {
        "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring",
        "multipolygon", "geometrycollection", "geomcollection",
    }
)  # fmt: skip


def parsed(native: str) -> Type:
    """Return what a column type can hold: `bigint(20) unsigned`, `enum('a','b')`."""
    found = _NATIVE.match(native)
    if found is None:
        return Type("other")
    word = found[1].lower()
    numbers = [int(each) for each in re.findall(r"\d+", found[2] or "")]
    size = numbers[0] if numbers else None
    unsigned = re.search("unsigned|zerofill", found[3], re.I) is not None
    if word in _INTEGERS:
        return Type("integer", _INTEGERS[word], unsigned=unsigned)
    if word in ("decimal", "numeric"):
        return Type("decimal", size or 10, numbers[1] if len(numbers) > 1 else 0, unsigned)
    if word in ("float", "double", "real"):
        return Type("float", 4 if word == "float" else 8, unsigned=unsigned)
    return _sized(word, size)


def _sized(word: str, size: int | None) -> Type:
    if word in _TIMES:
        return Type(_TIMES[word], scale=size or 0)
    if word in ("char", "varchar", "binary", "varbinary"):
        return Type("bytes" if "binary" in word else "text", 1 if size is None else size)
    if word in _SIZED:
        return Type(*_SIZED[word])
    return _rest(word, size)


def _rest(word: str, size: int | None) -> Type:
    if word == "bit":
        return Type("bits", size or 1)
    if word == "year":
        return Type("integer", 2)
    if word in ("enum", "set"):
        return Type("text")
    return Type("bytes" if word in _GEOMETRIES else "other")


def word_of(column: Column) -> str:
    """Return the first word of a column's type: `varchar`."""
    return _word(column.native)


@lru_cache(maxsize=1_000)
def _word(native: str) -> str:
    """Return the first word; it is asked for with each value that is looked up."""
    return re.split(r"[^a-z0-9_]", native.lower(), maxsplit=1)[0]


def is_geometry(column: Column) -> bool:
    """Tell whether a column holds geometries."""
    return word_of(column) in _GEOMETRIES


def members(column: Column) -> list[str]:
    """Return the texts of an ENUM or SET, in their order."""
    return [each.replace("''", "'") for each in _MEMBER.findall(column.native)]


def selected(column: Column, name: str) -> str:
    """Return the expression that gives a column's values in the common form.

    `name` is the column's as SQL has it. FLOAT shows six digits of what it holds, and the others
    fill up with zeros.
    """
    native = column.native.lower()
    kind = column.type.kind
    if kind == "float":
        return name if native.startswith("double") and "(" not in native else f"{name} * 1e0"
    if kind == "integer":
        return f"{name} + 0" if "zerofill" in native or native.startswith("year") else name
    if kind == "decimal" and "zerofill" in native:
        return f"CAST({name} AS DECIMAL({column.type.size},{column.type.scale}))"
    if kind == "bits":
        return f"LPAD(BIN({name}), {column.type.size}, '0')"
    if kind in ("timestamp", "instant", "duration") and column.type.scale:
        return f"TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM CAST({name} AS CHAR)))"
    return _address(name) if native == "inet6" else name


def _address(name: str) -> str:
    """Return an address as RFC 5952 (4.2.2) writes it: MariaDB leaves out a single group of zeros.

    A text with seven groups is one of those.
    """
    text = f"CAST({name} AS CHAR)"
    whole = f"TRIM(BOTH ':' FROM REPLACE({text}, '::', ':0:'))"
    return f"IF({text} REGEXP '^:*([^:]+:+){{6}}[^:]+:*$', {whole}, {text})"


def spelled(like: Column, engine: str) -> Type:
    """Return what a column would hold that is made after one of another engine."""
    if engine in ("mysql", "mariadb") and like.type.kind not in ("other", "uuid"):
        return like.type
    if "varying" in like.native and like.type.kind == "bits":
        return Type("text")  # BIT fills them up
    make = _MADE.get(like.type.kind, _longtext)
    return make(like.type)


def declared(like: Column, made: Type, engine: str, *, key_share: int | None = None) -> str:
    """Return the SQL type of a new column; `key_share`: the bytes it may have as part of a key."""
    native = like.native.lower()
    if like.type.kind == "boolean" and made.kind == "integer":
        return "TINYINT(1)"
    if like.type.kind == "uuid" and made.size == 36:
        return "CHAR(36)"
    if engine in ("mysql", "mariadb") and made == like.type and "zerofill" not in native:
        if word_of(like) in ("enum", "set", "year") or is_geometry(like):
            return re.sub(r"^year\(\d\)", "year", like.native, flags=re.I)
        if native.startswith(("char(", "binary(", "tinyint(1)", "timestamp")):
            return like.native
    return _sql(made, key_share)


def _sql(made: Type, key_share: int | None) -> str:
    unsigned = " UNSIGNED" if made.unsigned else ""
    if made.kind == "integer":
        names = {1: "TINYINT", 2: "SMALLINT", 3: "MEDIUMINT", 4: "INT", 8: "BIGINT"}
        return names[made.size or 8] + unsigned
    if made.kind == "decimal":
        return f"DECIMAL({made.size},{made.scale or 0}){unsigned}"
    if made.kind == "float":
        return ("FLOAT" if made.size == 4 else "DOUBLE") + unsigned
    plain = {
        "boolean": "TINYINT(1)", "date": "DATE", "json": "JSON", "uuid": "CHAR(36)",
        "bits": f"BIT({made.size or 1})",
        "timestamp": f"DATETIME({made.scale or 0})", "instant": f"TIMESTAMP({made.scale or 0})",
        "duration": f"TIME({made.scale or 0})", "time": f"TIME({made.scale or 0})",
    }  # fmt: skip
    if made.kind in plain:
        return plain[made.kind]
    if made.kind == "bytes":
        return _of_length("VARBINARY", "LONGBLOB", made.size, 65_532, key_share)
    return _of_length("VARCHAR", "LONGTEXT", made.size, 16_383, key_share and key_share // 4)


def _of_length(short: str, long: str, size: int | None, longest: int, key_share: int | None) -> str:
    if key_share is not None:
        return f"{short}({min(size or key_share, key_share)})"
    if size is not None and size <= longest:
        return f"{short}({size})"
    return long


def _decimal(like: Type) -> Type:
    """Return a DECIMAL where the digits have a place in one, a text otherwise."""
    digits, scale = like.size, like.scale or 0
    if digits is None or digits > 65 or not 0 <= scale <= min(30, digits):
        return Type("text")
    return Type("decimal", digits, scale, like.unsigned)


def _bits(like: Type) -> Type:
    return like if like.size is not None and 1 <= like.size <= 64 else Type("text")


def _text(like: Type) -> Type:
    return like if like.size is not None and like.size <= 16_383 else Type("text")


def _longtext(_like: Type) -> Type:
    return Type("text")


def _digits(like: Type) -> int:
    return 6 if like.scale is None else like.scale


_MADE: Final[Mapping[Kind, Callable[[Type], Type]]] = {
    "integer": lambda like: like,
    "decimal": _decimal,
    "float": lambda like: Type("float", like.size or 8),
    "boolean": lambda _like: Type("integer", 1),
    "text": _text,
    "bytes": lambda like: like,
    "date": lambda like: like,
    "timestamp": lambda like: Type("timestamp", scale=_digits(like)),
    "instant": lambda like: Type("timestamp", scale=_digits(like)),
    "time": lambda like: Type("duration", scale=_digits(like)),
    "duration": lambda like: Type("duration", scale=_digits(like)),
    "json": lambda like: like,
    "uuid": lambda _like: Type("text", 36),
    "bits": _bits,
}

"""Tables that are made, and columns that are added to some."""

from collections.abc import Sequence
from typing import Final

from syncd.engines.mysql.names import quoted
from syncd.engines.mysql.types import declared, parsed, spelled
from syncd.engines.tables import NewColumn
from syncd.model.table import Column

_KEY_BYTES: Final = 3072  # of an index of InnoDB
_ROW_BYTES: Final = 65_535 - 1_024
"""Of a row, what is kept apart from it not counted; some are left for NULLs and lengths."""
_IN_THE_ROW: Final = 12  # bytes of what is kept apart


def create_statement(
    path: tuple[str, str],
    columns: Sequence[NewColumn],
    key: Sequence[str],
    engine: str,
    collation: str,
) -> str:
    """Return the statement that makes a table where there is none."""
    told = ", ".join(definitions(columns, key, engine))
    primary = f", PRIMARY KEY ({', '.join(quoted(name) for name in key)})" if key else ""
    return (
        f"CREATE TABLE IF NOT EXISTS {quoted(*path)} ({told}{primary}) ENGINE = InnoDB"
        f" DEFAULT CHARACTER SET = utf8mb4 COLLATE = {collation} ROW_FORMAT = DYNAMIC"
    )


def extend_statement(path: tuple[str, str], columns: Sequence[NewColumn], engine: str) -> str:
    """Return the statement that adds columns."""
    told = ", ".join(f"ADD COLUMN {each}" for each in definitions(columns, (), engine))
    return f"ALTER TABLE {quoted(*path)} {told}"


def definitions(columns: Sequence[NewColumn], key: Sequence[str], engine: str) -> list[str]:
    """Return columns as SQL has them; texts that make a row too long are kept apart from it."""
    shares = _shares([each for each in columns if each.name in key], engine)
    types = {each.name: _type(each, engine, shares.get(each.name)) for each in columns}
    for each in sorted(columns, key=lambda one: -_size(types[one.name])):
        if sum(_size(native) for native in types.values()) <= _ROW_BYTES:
            break
        if each.name not in key:
            types[each.name] = _apart(types[each.name])
    return [
        f"{quoted(each.name)} {types[each.name]} {'NULL' if each.nullable else 'NOT NULL'}"
        for each in columns
    ]


def _type(column: NewColumn, engine: str, share: int | None) -> str:
    as_it_is = column.type == spelled(column.like, engine)
    like = column.like if as_it_is else _text(column)
    return declared(like, column.type, engine if as_it_is else "", key_share=share)


def _text(column: NewColumn) -> Column:
    return Column(column.name, column.type, "")


def _shares(key: Sequence[NewColumn], engine: str) -> dict[str, int]:
    """Return how many bytes each column of a key may have: who wants less leaves more to others."""
    wanted = {each.name: _key_size(_type(each, engine, None)) for each in key}
    shares: dict[str, int] = {}
    left = _KEY_BYTES
    for name, size in sorted(wanted.items(), key=lambda pair: pair[1]):
        shares[name] = min(size, left // (len(wanted) - len(shares)))
        left -= shares[name]
    return shares


def _key_size(native: str) -> int:
    """Return how many bytes of an index a column takes."""
    held = parsed(native)
    if native.startswith(("LONG", "JSON")):
        return _KEY_BYTES
    if held.kind in ("text", "bytes"):
        return (held.size or 64) * (4 if held.kind == "text" else 1)
    return held.size or 4 if held.kind == "integer" else 8 if held.kind != "decimal" else 30


def _size(native: str) -> int:
    """Return about how many bytes of a row a column takes."""
    held = parsed(native)
    if native.startswith(("LONG", "JSON")):
        return _IN_THE_ROW
    if held.kind == "text":
        return (held.size or 1) * 4 + 2
    return (held.size or 8) + 2 if held.kind == "bytes" else 32


def _apart(native: str) -> str:
    if native.startswith("VARCHAR"):
        return "LONGTEXT"
    return "LONGBLOB" if native.startswith("VARBINARY") else native

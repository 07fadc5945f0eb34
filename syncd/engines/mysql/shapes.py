"""What a table or the result of a query looks like.

https://dev.mysql.com/doc/refman/8.4/en/information-schema-columns-table.html,
https://mariadb.com/docs/server/reference/system-tables/information-schema
"""

import re
from collections import defaultdict
from dataclasses import replace
from typing import Final

from pymysql.constants import FIELD_TYPE, FLAG

from syncd.engines.mysql.connection import Session
from syncd.engines.mysql.packets import Field
from syncd.engines.mysql.types import parsed
from syncd.errors import BadData
from syncd.model.table import Column, Relation, Shape, Type

_TABLE: Final = """
SELECT t.TABLE_TYPE, t.ENGINE, t.TABLE_ROWS,
       COALESCE(t.DATA_LENGTH, 0) + COALESCE(t.INDEX_LENGTH, 0),
       (SELECT e.TRANSACTIONS = 'YES' AND e.SAVEPOINTS = 'YES' FROM information_schema.ENGINES e
         WHERE e.ENGINE = t.ENGINE)
  FROM information_schema.TABLES t WHERE t.TABLE_SCHEMA = %s AND t.TABLE_NAME = %s
"""
_COLUMNS: Final = """
SELECT COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, EXTRA, COLLATION_NAME
  FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s
 ORDER BY ORDINAL_POSITION
"""
_KEYS: Final = """
SELECT INDEX_NAME, COLUMN_NAME, SUB_PART
  FROM information_schema.STATISTICS
 WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s AND NON_UNIQUE = 0
 ORDER BY INDEX_NAME, SEQ_IN_INDEX
"""
_CHECKS: Final = """
SELECT CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS
 WHERE CONSTRAINT_SCHEMA = %s AND TABLE_NAME = %s
"""
_TABLES: Final = ("BASE TABLE", "SYSTEM VERSIONED")
_GENERATED: Final = re.compile(r"\b(VIRTUAL|STORED|PERSISTENT) GENERATED\b", re.I)
_JSON: Final = re.compile(r"json_valid\(`((?:[^`]|``)+)`\)", re.I)
_BINARY: Final = 63
"""The collation of what is no text."""

_CODES: Final = {
    FIELD_TYPE.TINY: "tinyint", FIELD_TYPE.SHORT: "smallint", FIELD_TYPE.INT24: "mediumint",
    FIELD_TYPE.LONG: "int", FIELD_TYPE.LONGLONG: "bigint", FIELD_TYPE.FLOAT: "float",
    FIELD_TYPE.DOUBLE: "double", FIELD_TYPE.YEAR: "year", FIELD_TYPE.DATE: "date",
    FIELD_TYPE.NEWDATE: "date", FIELD_TYPE.JSON: "json", FIELD_TYPE.GEOMETRY: "geometry",
}  # fmt: skip
_WITH_DIGITS: Final = {
    FIELD_TYPE.DATETIME: "datetime", FIELD_TYPE.TIMESTAMP: "timestamp", FIELD_TYPE.TIME: "time",
}  # fmt: skip


def table_shape(session: Session, schema: str, table: str) -> Shape | None:
    """Return the shape of a table or view, None where there is none."""
    if max(f"{schema}{table}") > "\uffff":  # the catalogues have no such characters
        return None
    found = session.rows(_TABLE, schema, table)
    if not found:
        return None
    kind, engine, rows, size, transactional = found[0]
    key, unique = _keys(session, schema, table)
    return Shape(
        session.dialect.engine, _columns(session, schema, table), key, unique, rows or 0,
        int(size), _trouble(kind, engine, bool(transactional)),
    )  # fmt: skip


def relation_shape(session: Session, relation: Relation) -> Shape:
    """Return the shape of what is read; raises BadData where it does not exist."""
    if relation.query:
        shape = query_shape(session, relation.query)
    else:
        found = table_shape(session, relation.schema, relation.table)
        if found is None:
            raise BadData(f"{relation}: there is no such table")
        shape = found
    return _keyed(shape, relation.key) if relation.key else shape


def query_shape(session: Session, query: str) -> Shape:
    """Return the shape of the result of a query, which is not carried out."""
    fields = session.fields(f"SELECT * FROM {derived(query)} LIMIT 0")  # noqa: S608
    columns = tuple(_described(field) for field in fields)
    return Shape(session.dialect.engine, columns, (), trouble="it is a query")


def derived(query: str) -> str:
    """Return a query as a table; it may end in a comment or a semicolon."""
    return f"(\n{query.rstrip().rstrip(';')}\n) AS `syncd_query`"


def _keyed(shape: Shape, key: tuple[str, ...]) -> Shape:
    for name in key:
        if shape.column(name) is None:
            raise BadData(f"there is no column {name}, which is said to be part of its key")
    unique = shape.unique if shape.key in ((), key) else (shape.key, *shape.unique)
    return replace(shape, key=key, unique=unique)


def _trouble(kind: str, engine: str | None, transactional: bool) -> str:  # noqa: FBT001
    if kind not in _TABLES:
        return f"it is no table but a {kind.lower()}"
    return "" if transactional else f"its storage engine {engine} has no transactions"


def _columns(session: Session, schema: str, table: str) -> tuple[Column, ...]:
    json = _json_columns(session, schema, table) if session.dialect.mariadb else set()
    return tuple(
        Column(
            name,
            Type("json") if name in json else parsed(native),
            native,
            nullable == "YES",
            generated=_GENERATED.search(extra) is not None,
            identity="auto_increment" in extra.lower(),
            blind=_is_blind(native, collation),
        )
        for name, native, nullable, extra, collation in session.rows(_COLUMNS, schema, table)
    )


def _json_columns(session: Session, schema: str, table: str) -> set[str]:
    """Return the columns that MariaDB calls JSON: texts with a check."""
    clauses = (row[0] for row in session.rows(_CHECKS, schema, table))
    matches = (_JSON.fullmatch(clause) for clause in clauses)
    return {found[1].replace("``", "`") for found in matches if found}


def _is_blind(native: str, collation: str | None) -> bool:
    """Tell whether texts that differ may be equal; most binary collations ignore blanks."""
    if not collation or native.lower().startswith(("enum", "set")):
        return False
    return collation != "binary" and not collation.endswith(("_nopad_bin", "_0900_bin"))


def _keys(
    session: Session, schema: str, table: str
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Return the primary key, and the other unique ones of whole columns."""
    found: dict[str, list[str]] = defaultdict(list)
    partly: set[str] = set()
    for index, column, prefix in session.rows(_KEYS, schema, table):
        found[index].append(column or "")
        if column is None or (prefix is not None and index != "PRIMARY"):
            partly.add(index)
    key = tuple(found.pop("PRIMARY", ()))
    return key, tuple(tuple(names) for index, names in found.items() if index not in partly)


def _described(field: Field) -> Column:
    native = _native(field)
    return Column(
        field.name, parsed(native), native,
        nullable=not field.flags & FLAG.NOT_NULL,
        blind=field.charset != _BINARY and parsed(native).kind == "text",
    )  # fmt: skip


def _native(field: Field) -> str:
    """Return the type of a column of a result as a table would have it."""
    unsigned = " unsigned" if field.flags & FLAG.UNSIGNED else ""
    zerofill = " zerofill" if field.flags & FLAG.ZEROFILL else ""
    if field.code in _WITH_DIGITS:
        digits = field.scale if field.scale <= 6 else 6
        return f"{_WITH_DIGITS[field.code]}({digits})"
    if field.code in _CODES:
        word = _CODES[field.code]
        return word if word in ("date", "json", "geometry") else word + unsigned + zerofill
    if field.code in (FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL):
        digits = field.length - (0 if unsigned else 1) - (1 if field.scale else 0)
        return f"decimal({digits},{field.scale}){unsigned}{zerofill}"
    if field.flags & (FLAG.ENUM | FLAG.SET):
        return "enum" if field.flags & FLAG.ENUM else "set"
    if field.code == FIELD_TYPE.BIT:
        return f"bit({field.length})"
    return "longblob" if field.charset == _BINARY else "longtext"

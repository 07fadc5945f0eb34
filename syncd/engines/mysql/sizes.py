"""The sizes of all databases: the files of InnoDB, and what other storage engines say of theirs.

A table that has a file of its own (`innodb_file_per_table`) counts with that file's size; all else
with the data and index bytes of information_schema.TABLES, which for tables in a shared tablespace
is what they use of it. Views, and tables that hold nothing here, count nothing.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Final

from syncd.engines.mysql.connection import Session
from syncd.engines.mysql.logs import log_bytes
from syncd.engines.mysql.sight import Sight
from syncd.engines.mysql.tablespaces import Files, tablespaces
from syncd.errors import BadData, Permission, SyncdError
from syncd.model.db_size import DatabaseSize, SizeReading, TableSize

VIRTUAL: Final = frozenset({"information_schema", "performance_schema"})
SYSTEM: Final = VIRTUAL | {"mysql", "sys", "ndbinfo"}

_COUNTED: Final = ("BASE TABLE", "SYSTEM VERSIONED")
_ELSEWHERE: Final = ("MEMORY", "MRG_MyISAM", "FEDERATED", "SPIDER", "CONNECT", "S3", "BLACKHOLE")
"""Engines whose tables have their bytes in memory, in other tables, or on other machines."""

_TABLES: Final = """
SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, COALESCE(ENGINE, ''), TABLE_ROWS,
       DATA_LENGTH, INDEX_LENGTH
  FROM information_schema.TABLES
 WHERE TABLE_TYPE NOT IN ('VIEW', 'SYSTEM VIEW') AND BINARY TABLE_SCHEMA NOT IN %s
"""


@dataclass(frozen=True, slots=True)
class Table:
    """One row of information_schema.TABLES; sizes in bytes."""

    database: str
    name: str
    kind: str
    engine: str
    rows: int | None
    data: int | None
    index: int | None


def read_sizes(session: Session, excluded: Collection[str], largest: int) -> SizeReading:
    """Read the sizes of all databases but the excluded, and of so many tables of each.

    It takes PROCESS, and REFERENCES or SELECT on all databases. A database of which not all may be
    seen is told among the unread, with the privilege that is missing; raises Permission when even
    the list of databases would not be whole, since those that are left out would seem to be gone.
    """
    sight = Sight.of(session)
    if not sight.lists_all:
        raise Permission("not all databases may be listed: GRANT SHOW DATABASES ON *.* is missing")
    names = {row[0] for row in session.rows("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA")}
    files, refused = _files(session)
    databases = _tables(session, set(excluded) | VIRTUAL)
    made: list[DatabaseSize] = []
    unread: list[tuple[str, SyncdError]] = []
    tables: list[TableSize] = []
    for name in sorted(names - set(excluded)):
        held = databases.get(name, [])
        if problem := _problem(name, held, files, sight, refused):
            unread.append((name, problem))
            continue
        sized = [_sized(table, files) for table in held]
        made.append(_size(name, held, sized, files))
        tables += nlargest(largest, sized, key=lambda one: (one.total_bytes, one.table))
    return SizeReading(
        session.dialect.engine, tuple(made), tuple(unread), tuple(tables), log_bytes(session)
    )


def _files(session: Session) -> tuple[Files, Permission | None]:
    try:
        return tablespaces(session), None
    except Permission as error:
        return Files(), Permission(f"GRANT PROCESS ON *.* is missing: {error}")


def _tables(session: Session, without: Collection[str]) -> dict[str, list[Table]]:
    """Return the tables of each database, measured now: MySQL 8 would remember them for a day."""
    if session.dialect.mysql8:
        session.rows("SET SESSION information_schema_stats_expiry = 0")
    found: dict[str, list[Table]] = defaultdict(list)
    for row in session.rows(_TABLES, sorted(without)):
        table = Table(*row)
        found[table.database].append(table)
    return dict(found)


def _problem(
    name: str, tables: Sequence[Table], files: Files, sight: Sight, refused: Permission | None
) -> SyncdError | None:
    """Return why the size of a database can't be told."""
    if name not in VIRTUAL and not sight.covers(name):
        return Permission("its tables may not be seen: GRANT REFERENCES ON *.* is missing")
    if refused is not None and any(table.engine == "InnoDB" for table in tables):
        return refused
    for table in tables:
        if not table.engine and (name, table.name) not in files.tables:
            return BadData(f"the server can't open its table {table.name}")
    return None


def _sized(table: Table, files: Files) -> TableSize:
    """Return the size of a table; what is free within its file counts as data."""
    kept = table.engine not in _ELSEWHERE
    data, index = (table.data or 0, table.index or 0) if kept else (0, 0)
    total = files.tables.get((table.database, table.name), data + index)
    index = min(index, total)  # it is an estimate, the file's size is none
    return TableSize(table.database, "", table.name, total, total - index, index, table.rows)


def _size(
    name: str, tables: Sequence[Table], sized: Sequence[TableSize], files: Files
) -> DatabaseSize:
    others = (t.total_bytes for t in sized if (t.database, t.table) not in files.tables)
    return DatabaseSize(
        database=name,
        size_bytes=files.databases.get(name, 0) + sum(others),
        data_bytes=sum(t.heap_bytes for t in sized),
        index_bytes=sum(t.index_bytes for t in sized),
        tables=sum(t.kind in _COUNTED for t in tables),
        system=name.lower() in SYSTEM,
    )

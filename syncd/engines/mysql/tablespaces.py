"""The files of InnoDB, each named for its database and table.

MySQL 8 has INNODB_TABLESPACES, MySQL 5.7 and MariaDB have INNODB_SYS_TABLESPACES:
https://dev.mysql.com/doc/refman/8.4/en/information-schema-innodb-tablespaces-table.html,
https://mariadb.com/docs/server/reference/system-tables/information-schema/information-schema-tables/information-schema-innodb-tables/information-schema-innodb_sys_tablespaces-table.
A name is `database/table`, of a partition `database/table#P#name`. The older ones spell it as the
file is called, `@002d` for a dash (https://dev.mysql.com/doc/refman/8.4/en/identifier-mapping.html);
they have a character set for that, `filename`, by which they decode it themselves. Tablespaces
without a slash belong to no database: the system's, undo logs, temporary and general ones.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from syncd.engines.mysql.connection import Session

_SPELT: Final = "CONVERT(CONVERT(CAST({} AS BINARY) USING filename) USING utf8mb4)"
_DATABASE: Final = "SUBSTRING_INDEX(NAME, '/', 1)"
_TABLE: Final = "SUBSTRING(NAME, LOCATE('/', NAME) + 1)"
_OLDER: Final = f"""
SELECT {_SPELT.format(_DATABASE)}, {_SPELT.format(f"SUBSTRING_INDEX({_TABLE}, '#', 1)")}, FILE_SIZE
  FROM information_schema.INNODB_SYS_TABLESPACES WHERE NAME LIKE '%/%'
"""  # noqa: S608 - made of constants
_NEWER: Final = f"""
SELECT {_DATABASE}, {_TABLE}, FILE_SIZE
  FROM information_schema.INNODB_TABLESPACES WHERE NAME LIKE '%/%'
"""  # noqa: S608 - made of constants
_PARTITION: Final = "#p#"


@dataclass(frozen=True, slots=True)
class Files:
    """The bytes of all files of each database, and of each (database, table) with files."""

    databases: Mapping[str, int] = field(default_factory=dict)
    tables: Mapping[tuple[str, str], int] = field(default_factory=dict)


def tablespaces(session: Session) -> Files:
    """Return the sizes of all files; raises Permission without PROCESS.

    Files that are no table's (full-text indexes, copies of an ALTER that runs) count for the
    database.
    """
    if session.dialect.mysql8:
        return summed((db, _whole(table), size) for db, table, size in session.rows(_NEWER))
    return summed(session.rows(_OLDER))


def summed(rows: Iterable[tuple[str, str, int | None]]) -> Files:
    """Return the sums of (database, table, bytes)."""
    databases: dict[str, int] = defaultdict(int)
    tables: dict[tuple[str, str], int] = defaultdict(int)
    for database, table, size in rows:
        databases[database] += size or 0  # a file that is missing has none
        tables[database, table] += size or 0
    return Files(dict(databases), dict(tables))


def _whole(table: str) -> str:
    """Return the table of a partition."""
    at = table.lower().find(_PARTITION)
    return table if at < 0 else table[:at]

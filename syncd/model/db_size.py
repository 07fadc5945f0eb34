"""The sizes of a database server as one reading found them; all in bytes, exactly."""

from dataclasses import dataclass

from syncd.errors import SyncdError


@dataclass(frozen=True, slots=True)
class DatabaseSize:
    """One database; what its engine can't tell, or was not asked for, is None.

    `system`: one of the server's own (mysql, sys, template1).
    """

    database: str
    size_bytes: int
    data_bytes: int | None = None
    index_bytes: int | None = None
    log_bytes: int | None = None
    tables: int | None = None
    system: bool = False


@dataclass(frozen=True, slots=True)
class TableSize:
    """One of the largest tables of a database; MySQL has no schemas within one: ""."""

    database: str
    schema: str
    table: str
    total_bytes: int
    heap_bytes: int
    index_bytes: int
    row_estimate: int | None


@dataclass(frozen=True, slots=True)
class SizeReading:
    """All databases of a server, and what belongs to none of them.

    `unread` are those that stand but whose size could not be asked, with the reason. `log_bytes`
    are the server's write-ahead, redo and binary logs; None where they can't be told.
    """

    engine: str
    databases: tuple[DatabaseSize, ...]
    unread: tuple[tuple[str, SyncdError], ...] = ()
    tables: tuple[TableSize, ...] = ()
    log_bytes: int | None = None

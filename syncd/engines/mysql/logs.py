"""The bytes of a server's logs that recovery and replication live on."""

from collections.abc import Mapping
from typing import Final

from syncd.engines.mysql.connection import Session
from syncd.engines.mysql.failures import code_of
from syncd.errors import BadData, Permission

_NO_BINARY_LOGS: Final = 1381

_REDO_FILES: Final = (
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN"
    " ('innodb_log_file_size', 'innodb_log_files_in_group')"
)
_REDO_NOW: Final = "SHOW GLOBAL STATUS LIKE 'Innodb_redo_log_physical_size'"


def log_bytes(session: Session) -> int | None:
    """Return the bytes of the binary logs and the redo log; None when they may not be listed."""
    binary = _binary(session)
    return None if binary is None else binary + _redo(session)


def _binary(session: Session) -> int | None:
    try:
        return sum(int(row[1]) for row in session.rows("SHOW BINARY LOGS"))
    except Permission:
        return None
    except BadData as error:
        if code_of(error.__cause__) == _NO_BINARY_LOGS:
            return 0
        raise


def _redo(session: Session) -> int:
    """Return the bytes of the redo log: MySQL 8.0.30 and later tell, before its files are fixed."""
    told: Mapping[str, str] = dict(session.rows(_REDO_NOW))
    if told:
        return sum(map(int, told.values()))
    files = {name.lower(): int(value) for name, value in session.rows(_REDO_FILES)}
    return files.get("innodb_log_file_size", 0) * files.get("innodb_log_files_in_group", 1)

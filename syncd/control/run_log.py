"""The log of a run, a piece at a time, for who may not read the file itself.

It is what one looks at when something is wrong: while the store is gone the files alone answer.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar
from uuid import UUID

from syncd.errors import Conflict, NotFound, StoreError, TimedOut
from syncd.model.run import FINAL
from syncd.store import views
from syncd.store.database import Transaction
from syncd.telemetry.run_logs import Line, RunLogs

Json = dict[str, Any]
T = TypeVar("T")


class LogReads(Protocol):
    """The question for the log of a run."""

    def log(self, run: str, offset: int) -> Json:
        """Return a piece of a run's log; the run is named by its id or the beginning of it.

        {"id", "job", "status", "owner", "kept", "lines", "next", "more", "ended"}: the log's
        `lines` from an offset in bytes on, and where the `next` piece begins, which is there
        already if `more`; with `ended` no further line will come. Not `kept` means that there is
        no log; `status` and `owner` are null when the store is gone.

        Raises NotFound, Conflict when several runs begin so, StoreError when the log can't be read.
        """


class FileLogs:
    """Answers from the files alone: when a run has ended is told by its lines."""

    def __init__(self, logs: RunLogs) -> None:
        self._logs = logs

    def last_of(self, job: str) -> UUID | None:
        """Return the youngest run of a job that has a log."""
        return _read(self._logs, lambda: self._logs.last_of(job))

    def log(self, run: str, offset: int) -> Json:
        """Return a piece of a log that there is."""
        found = _read(self._logs, lambda: self._logs.find(run)) if run else []
        if not found:
            raise NotFound(f"there is no log of a run {run!r} in {self._logs.path}")
        if len(found) > 1:
            raise Conflict(f"{run!r} begins several runs: {', '.join(map(str, found[:3]))}, …")
        row = {"id": found[0], "job": None, "status": None, "owner": None}
        piece = piece_of(self._logs, row, offset)
        return piece | {"ended": _end_is_told(piece["lines"])}


class StoreLogs:
    """Answers from the files, and from the store which run is meant and whether it has ended."""

    def __init__(
        self, transaction: Callable[[], AbstractContextManager[Transaction]], logs: RunLogs
    ) -> None:
        self._transaction, self._logs = transaction, logs

    def log(self, run: str, offset: int) -> Json:
        """Return a piece of a log."""
        try:
            with self._transaction() as tx:
                row = views.run_state(tx, views.find_run(tx, run))
        except (StoreError, TimedOut):
            return FileLogs(self._logs).log(run, offset)
        ended = row["status"] in FINAL  # asked first: what is read afterwards has the last line
        return piece_of(self._logs, row, offset) | {"ended": ended}


def piece_of(logs: RunLogs, row: Json, offset: int) -> Json:
    """Return a piece of the log of a run, of which there may be none."""
    piece = _read(logs, lambda: logs.read(row["id"], offset))
    if piece is None:
        return row | {"kept": False, "lines": [], "next": 0, "more": False}
    return row | {"kept": True, "lines": piece.lines, "next": piece.next, "more": piece.more}


def _read(logs: RunLogs, read: Callable[[], T]) -> T:
    """Return what is read; raises StoreError, the place named, when it can't be."""
    try:
        return read()
    except OSError as error:
        raise StoreError(
            f"{error.filename or logs.path}: can't be read: {error.strerror}"
        ) from error


def _end_is_told(lines: Iterable[Line]) -> bool:
    ends = [line.get("status") for line in lines if line.get("event") == "run ended"]
    return bool(ends) and ends[-1] in FINAL

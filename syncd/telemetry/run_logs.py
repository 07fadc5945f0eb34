"""The log of each run in a file of its own, `state_dir/logs/RUN.log`, a JSON object a line.

No file is kept open: each line is one write to a file that is opened for it. So neither thousands
of runs nor one that waits for hours hold a handle, several processes can write to one file
(O_APPEND in write(2)), and one that is killed, or a full disk, leaves at most its last line torn.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec

from syncd.errors import StoreError

SIZE_LIMIT: Final = 16 << 20
PIECE: Final = 256 << 10
"""Bytes that are read at once; over what a line can have."""

_NAME: Final = re.compile(r"([0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})\.log", re.ASCII)
_CAREFULLY: Final = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_APPEND: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | _CAREFULLY

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Piece:
    """Whole lines of a log; the next piece begins at `next`, and is there already if `more`."""

    lines: list[Line]
    next: int
    more: bool


class RunLogs:
    """The logs of one state directory; safe for threads and processes."""

    def __init__(self, state_dir: Path, limit: int = SIZE_LIMIT) -> None:
        self.path, self._limit = state_dir / "logs", limit

    def append(self, run: UUID, line: bytes) -> None:
        """Add a line, which has no newline; once the log is full, say so in it and drop the rest.

        Raises OSError when the line can't be written.
        """
        file = self._open(run)
        try:
            size = os.fstat(file).st_size
            if size >= self._limit:
                return
            # Another process's write that is under way looks torn as well: an empty line, no harm.
            torn = size and os.pread(file, 1, size - 1) != b"\n"
            data = b"\n" * bool(torn) + line + b"\n"
            if size + len(data) >= self._limit:
                data += self._last_line(run)
            if os.write(file, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path(run)))
        finally:
            os.close(file)

    def read(self, run: UUID, offset: int = 0) -> Piece | None:
        """Return the lines from an offset in bytes on, None where there is no log.

        An offset past the end is that of a log which was removed and begun anew: it is read from
        its beginning. Raises OSError when it can't be read.
        """
        try:
            with open(self._path(run), "rb", buffering=0, opener=_open_to_read) as file:
                size = os.fstat(file.fileno()).st_size
                start = offset if offset <= size else 0
                file.seek(start)
                data = file.read(PIECE)
        except FileNotFoundError:
            return None
        whole = data.rfind(b"\n") + 1
        if not whole and len(data) == PIECE:  # not ours: it must not stop the reader for ever
            whole = len(data)
        lines = [_parsed(line) for line in data[:whole].split(b"\n") if line.strip()]
        return Piece(lines, start + whole, more=bool(whole) and start + len(data) < size)

    def find(self, beginning: str) -> list[UUID]:
        """Return the runs that have a log and whose ids begin so, the oldest first.

        Raises OSError when the directory can't be read.
        """
        digits = beginning.replace("-", "").lower()
        with suppress(FileNotFoundError):
            runs = [run for run, _ in self._logs() if run.hex.startswith(digits)]
            return sorted(runs)
        return []

    def last_of(self, job: str) -> UUID | None:
        """Return the youngest run of a job that has a log; raises OSError as `find` does."""
        for run in reversed(self.find("")):  # ids are ordered by time
            piece = self.read(run)
            if piece and piece.lines and piece.lines[0].get("job") == job:
                return run
        return None

    def remove_older(self, moment: datetime, *, rehearse: bool = False) -> int:
        """Remove the logs that were last written before a moment; return how many.

        To rehearse is to count them only. Nothing but regular files with the name of a run's log is
        touched; a directory that is not there holds none. Raises StoreError, naming the file, when
        one can't be removed.
        """
        limit, removed = moment.timestamp(), 0
        try:
            for _, entry in self._logs():
                with suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime < limit:
                        if not rehearse:
                            Path(entry.path).unlink()
                        removed += 1
        except FileNotFoundError:
            return removed
        except OSError as error:
            where = error.filename or self.path
            raise StoreError(f"{where}: a run's log can't be removed: {error.strerror}") from error
        return removed

    def _logs(self) -> Iterator[tuple[UUID, os.DirEntry[str]]]:
        """Give the plain files that are named as the log of a run."""
        with os.scandir(self.path) as entries:
            for entry in entries:
                match = _NAME.fullmatch(entry.name)
                if match and entry.is_file(follow_symlinks=False):
                    yield UUID(match[1]), entry

    def _path(self, run: UUID) -> Path:
        return self.path / f"{run}.log"

    def _open(self, run: UUID) -> int:
        try:
            return os.open(self._path(run), _APPEND, 0o640)
        except FileNotFoundError:
            self.path.mkdir(mode=0o750, exist_ok=True)
            return os.open(self._path(run), _APPEND, 0o640)

    def _last_line(self, run: UUID) -> bytes:
        text = f"the log of this run is cut here: it has reached {self._limit:,} bytes"
        return msgspec.json.encode({"level": "warning", "event": text, "run": run}) + b"\n"


def _open_to_read(name: str, flags: int) -> int:
    """Open a log as it was written: through no link, and waiting for nobody."""
    return os.open(name, flags | _CAREFULLY)


def _parsed(line: bytes) -> Line:
    """Return a line's fields; of a torn line there is only its text."""
    with suppress(msgspec.DecodeError):
        found = msgspec.json.decode(line)
        if isinstance(found, dict):
            return found
    return {"event": line.decode(errors="replace")}

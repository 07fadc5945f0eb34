"""The folder of dumps of the embedded store, `state_dir/backups`: made, listed, removed.

A dump takes its name only when it is whole, on the disk, and was read from end to end. Whoever
makes one holds the folder's lock, so that what is unfinished there is known to be nobody's.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Final, Literal

from syncd.context import CancelToken, Deadline
from syncd.durable import PRIVATE, sync_directory
from syncd.errors import BadData, Conflict, NotFound, Permission, StoreError
from syncd.state_dir import as_owner
from syncd.store.database import Transaction
from syncd.store.embedded import tools
from syncd.store.embedded.process import lock, opened

Kind = Literal["syncd", "before-restore"]

LATEST: Final = "latest"
_NAME: Final = re.compile(r"(syncd|before-restore)-(\d{8}T\d{6}\.\d{3})Z\.dump", re.ASCII)
_STAMP: Final = "%Y%m%dT%H%M%S.%f"
_UNFINISHED: Final = "unfinished-"
_GROWTH: Final = 1.2  # that a dump may be larger than the last one
_LOOK: Final = 1 << 22  # bytes written between two looks at the disk


@dataclass(frozen=True, slots=True)
class Dump:
    """One dump: `syncd` are the regular ones, the others were made by a restore."""

    path: Path
    kind: Kind
    made_at: datetime
    bytes: int


@dataclass(frozen=True, slots=True)
class Room:
    """What the disk has to have: `needed` bytes for the dump, of which `spare` are left free."""

    needed: int
    spare: int


class Backups:
    """The dumps of one state directory."""

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / "backups"

    def dumps(self) -> list[Dump]:
        """Return all dumps, the newest first; raises Permission, StoreError."""
        with _errors_mapped(self.path):
            entries = list(self.path.iterdir()) if self.path.exists() else []
            found = [dump for entry in entries if (dump := _dump(entry))]
        return sorted(found, key=lambda dump: dump.made_at, reverse=True)

    def latest(self) -> Dump:
        """Return the newest regular dump; raises NotFound."""
        for dump in self.dumps():
            if dump.kind == "syncd":
                return dump
        raise NotFound(f"{self.path} has no dump yet")

    @contextmanager
    def opened(self, name: str) -> Iterator[IO[bytes]]:
        """Give the dump that is meant: the latest, one of the folder, or any file.

        In the folder root acts as its owner, who may have put a link there. Raises NotFound,
        Permission, BadData for what is no plain file, StoreError.
        """
        with as_owner(self.path.parent):
            file = self._opened(name)
        with file or _opened(Path(name)) as found:
            yield found

    def _opened(self, name: str) -> IO[bytes] | None:
        """Open a dump of the folder, None where the name is of none."""
        if name == LATEST:
            return _opened(self.latest().path)
        own = self.path / name
        with _errors_mapped(own):
            inside = Path(name).name == name and own.exists()
        return _opened(own) if inside else None

    def surplus(self, keep: int, now: datetime) -> list[Dump]:
        """Return the regular dumps but the newest `keep`.

        Those of a time to come, left by a clock that was wrong, count as the oldest.
        """
        regular = [dump for dump in self.dumps() if dump.kind == "syncd"]
        regular.sort(key=lambda dump: (dump.made_at <= now, dump.made_at), reverse=True)
        return regular[keep:]

    def room(self, database_bytes: int, spare: int) -> Room:
        """Return the room for another dump: a compressed one is smaller than its database."""
        regular = [dump for dump in self.dumps() if dump.kind == "syncd"]
        last = round(regular[0].bytes * _GROWTH) if regular else database_bytes
        return Room(min(last, database_bytes), spare)

    def check(self, room: Room) -> None:
        """Raise StoreError when the disk has too little room."""
        place = self.path if self.path.exists() else self.path.parent
        with _errors_mapped(place):
            free = _free(place)
        if free - room.spare < room.needed:
            raise StoreError(
                f"{self.path}: a dump takes about {_size(room.needed)}, but {_size(free)} are free,"
                f" of which {_size(room.spare)} (daemon.min_free_disk) are kept"
            )

    def make(
        self,
        dsn: str,
        kind: Kind,
        now: datetime,
        room: Room,
        deadline: Deadline,
        cancel: CancelToken,
    ) -> Dump:
        """Dump a database; whatever ends it before its end leaves nothing behind.

        Raises StoreError (no room, no server), Conflict while another dump is made, TimedOut, and
        the token's error.
        """
        path = self.path / f"{kind}-{now.astimezone(UTC).strftime(_STAMP)[:-3]}Z.dump"
        unfinished = path.with_name(_UNFINISHED + path.name)
        with self._alone(), _errors_mapped(path):
            self.check(room)
            try:
                with _created(unfinished) as file:
                    tools.dump(dsn, _Writer(file, room.spare).write, deadline, cancel)
                    os.fsync(file.fileno())
                    tools.check(file, deadline, cancel)
                if path.exists():
                    raise Conflict(f"{path} exists")  # noqa: TRY301 - handled as any other end
                unfinished.rename(path)
            except BaseException:
                unfinished.unlink(missing_ok=True)
                raise
            sync_directory(self.path)
            return Dump(path, kind, now, path.stat().st_size)

    def remove(self, dumps: list[Dump]) -> None:
        """Remove dumps; one that is gone is no error."""
        with _errors_mapped(self.path):
            for dump in dumps:
                dump.path.unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the folder, which is made if need be; remove what a killed process left there."""
        with _errors_mapped(self.path):
            self.path.mkdir(mode=0o700, exist_ok=True)
            with opened(self.path) as held:
                if not lock(held):
                    raise Conflict(f"{self.path}: another dump is being made")
                for left in self.path.glob(f"{_UNFINISHED}*"):
                    left.unlink(missing_ok=True)
                yield


class _Writer:
    """Writes a dump, and gives up before the disk is so full that the server would stop."""

    def __init__(self, file: IO[bytes], spare: int) -> None:
        self._file, self._spare = file, spare
        self._unseen = 0

    def write(self, piece: bytes) -> None:
        """Write a piece; raises StoreError when there is too little room left."""
        left = memoryview(piece)
        while left:
            left = left[self._file.write(left) :]
        self._unseen += len(piece)
        if self._unseen >= _LOOK:
            self._unseen = 0
            if _free(Path(self._file.name)) < self._spare:
                raise StoreError(
                    f"{self._file.name}: less than {_size(self._spare)} (daemon.min_free_disk) are"
                    " left on the disk: the dump was broken off"
                )


def database_bytes(tx: Transaction) -> int:
    """Return the size of the store's database."""
    row = tx.execute("select pg_database_size(current_database())").fetchone()
    return int(row[0]) if row else 0


def _dump(path: Path) -> Dump | None:
    """Return the dump that a file is by its name; None for any other, or one that is gone."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    kind: Kind = "syncd" if match[1] == "syncd" else "before-restore"
    try:
        made_at = datetime.strptime(match[2], _STAMP).replace(tzinfo=UTC)
        status = path.lstat()
    except (ValueError, FileNotFoundError):  # not a date; removed meanwhile
        return None
    return Dump(path, kind, made_at, status.st_size) if stat.S_ISREG(status.st_mode) else None


def _opened(path: Path) -> IO[bytes]:
    """Open a dump to read it; raises as `Backups.opened` does."""
    with _errors_mapped(path):
        return open(path, "rb", opener=_plain_file)


def _plain_file(name: str, flags: int) -> int:
    """Open a file that can be read again and again; for what else there is nobody waits."""
    handle = os.open(name, flags | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise BadData(f"{name} is no plain file")


@contextmanager
def _created(path: Path) -> Iterator[IO[bytes]]:
    """Give a new file, ours alone, unbuffered: what is written is in the file."""
    with open(path, "x+b", buffering=0, opener=partial(os.open, mode=PRIVATE)) as file:
        yield file


def _free(path: Path) -> int:
    """Return the bytes that can still be written at a path."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def _size(number: int) -> str:
    """Return a size for people."""
    return f"{number / (1 << 20):,.1f} MiB"


@contextmanager
def _errors_mapped(path: Path) -> Iterator[None]:
    """Turn what the system raises into ours, the place named."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"{error.filename or path}: {error.strerror}") from error
    except PermissionError as error:
        raise Permission(f"{error.filename or path}: {error.strerror}") from error
    except OSError as error:
        raise StoreError(f"{error.filename or path}: {error.strerror}") from error

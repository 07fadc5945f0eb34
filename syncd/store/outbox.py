"""Records that the store could not take: kept in a file, recorded in order when it is back.

The file's space is reserved ahead, and a record is written over zeros and fsynced, so that neither
a full disk nor a power cut can lose it. Each line is a CRC-32 (RFC 1952), a space and a JSON
document; the first zero byte, or a line whose sum is wrong (a torn write), ends the file. Recording
twice is harmless: the store refuses the second time, since records are fenced.
"""

import os
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from syncd.errors import StoreError
from syncd.model.run import Claim
from syncd.store.items import ItemEnd
from syncd.store.runs import RunEnd

RESERVED = 1 << 20


@dataclass(frozen=True, slots=True)
class Owed:
    """A record that the store is owed: the end of an item, or of an attempt of a run."""

    claim: Claim
    item: ItemEnd | None = None
    run: RunEnd | None = None


class Outbox:
    """The file of owed records; safe for threads."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "records"
        self._lock = threading.Lock()
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.posix_fallocate(self._file, 0, RESERVED)
        except OSError as error:
            raise StoreError(f"{self._path}: can't reserve space: {error.strerror}") from error
        self._owed, self._end = self._read()

    def __len__(self) -> int:
        return len(self._owed)

    def runs_owed(self) -> int:
        """Return of how many runs records wait."""
        with self._lock:
            return len({owed.claim.run_id for owed in self._owed})

    def owes(self, claim: Claim) -> bool:
        """Tell whether a record of this claim waits, so that a later one must wait behind it."""
        with self._lock:
            return any(owed.claim == claim for owed in self._owed)

    def add(self, owed: Owed) -> None:
        """Keep a record; raises StoreError when even the reserved space can't be written."""
        document = msgspec.json.encode(owed)
        line = b"%08x %s\n" % (zlib.crc32(document), document)
        with self._lock:
            self._owed.append(owed)  # kept in memory whatever the disk says
            try:
                self._write(line, self._end)
            except OSError as error:
                raise StoreError(f"{self._path}: {error.strerror}") from error
            self._end += len(line)

    def flush(self, record: Callable[[Owed], None]) -> int:
        """Hand every record to `record`, oldest first; return how many were taken.

        What `record` raises ends the flush and keeps this record and those behind it.
        """
        taken = 0
        with self._lock:
            owed = list(self._owed)
        try:
            for one in owed:
                record(one)
                taken += 1
        finally:
            self._drop(taken)
        return taken

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _drop(self, count: int) -> None:
        """Forget the oldest records; the file is emptied when none is left."""
        with self._lock:
            del self._owed[:count]
            if count and not self._owed:
                try:
                    self._write(bytes(max(self._end, 1)), 0)
                except OSError as error:
                    raise StoreError(f"{self._path}: {error.strerror}") from error
                self._end = 0

    def _write(self, content: bytes, place: int) -> None:
        """Write all of it, and wait until the disk has it; a full disk takes a part only."""
        done = 0
        while done < len(content):
            done += os.pwrite(self._file, content[done:], place + done)
        os.fsync(self._file)

    def _read(self) -> tuple[list[Owed], int]:
        """Return the records in the file and where the next one goes."""
        content = os.pread(self._file, os.fstat(self._file).st_size, 0)
        found: list[Owed] = []
        position = 0
        for line in content.split(b"\0", 1)[0].splitlines(keepends=True):
            checksum, _, document = line.rstrip(b"\n").partition(b" ")
            if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(document):
                break
            try:
                found.append(msgspec.json.decode(document, type=Owed))
            except msgspec.DecodeError as error:  # whole, but of another version of the program
                raise StoreError(f"{self._path}: a record can't be read: {error}") from error
            position += len(line)
        return found, position

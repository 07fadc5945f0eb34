"""The server's processes, recognised by what they are and never by a number alone.

Every process of a PostgreSQL server has its data directory as working directory: this tells a live
postmaster from a stale `postmaster.pid` whose number another process has now, and finds the
backends that outlive a killed postmaster for a moment.
"""

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from syncd.context import Deadline
from syncd.errors import StoreError

PORT: Final = 5432  # only a part of the socket's name
SLICE: Final = 0.01  # seconds between two looks

_GONE: Final = (FileNotFoundError, ProcessLookupError, PermissionError)


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What `postmaster.pid` tells (PostgreSQL's `src/include/utils/pidfile.h`)."""

    pid: int
    socket_directory: Path
    state: str  # starting, ready, stopping

    @property
    def socket(self) -> Path:
        """Return the socket that it listens on."""
        return self.socket_directory / f".s.PGSQL.{PORT}"


def find_postmaster(data: Path) -> Postmaster | None:
    """Return the live postmaster of a data directory; one closed to us has none that is ours.

    Never raises: whoever starts a server meets what is wrong with the directory, and names it.
    """
    with suppress(OSError, ValueError, IndexError):
        lines = os.fsdecode((data / "postmaster.pid").read_bytes()).split("\n")
        found = Postmaster(int(lines[0]), Path(lines[4]), lines[7].strip())
        return found if serves(found.pid, data) else None
    return None


def serves(pid: int, data: Path) -> bool:
    """Tell whether a process is PostgreSQL's and at work on a data directory; a zombie is not."""
    process = Path("/proc", str(pid))
    try:
        named = (process / "comm").read_text() == "postgres\n"
        return named and (process / "cwd").samefile(data)
    except _GONE:  # the permission to look at processes of other users is lacking: not ours
        return False


def send(pid: int, data: Path, number: signal.Signals) -> None:
    """Signal a process of the server, if the number still means it once it is held."""
    with suppress(ProcessLookupError):
        held = os.pidfd_open(pid)
        try:
            if serves(pid, data):
                signal.pidfd_send_signal(held, number)
        finally:
            os.close(held)


@contextmanager
def opened(directory: Path) -> Iterator[int]:
    """Give the descriptor of a directory, for a lock that ends with its last holder."""
    held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield held
    finally:
        os.close(held)


def lock(held: int) -> bool:
    """Try to lock an open directory; tell whether it is ours now."""
    with suppress(BlockingIOError):
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def end_orphans(data: Path, guard: int, deadline: Deadline) -> None:
    """Take the guard of a data directory: end what a killed postmaster or starter left.

    Every process of a server inherits the guard's lock, so no other process is left, nor about to
    begin, once it is ours. Backends that outlive their postmaster hold its shared memory, and a new
    one would refuse to start. The data are safe: the next start recovers, as after any crash.
    Raises StoreError when they stay.
    """
    while (orphans := [pid for pid in _processes() if serves(pid, data)]) or not lock(guard):
        if deadline.remaining() <= 0:
            raise StoreError(f"processes of another server are at work on {data}: {orphans}")
        for pid in orphans:
            send(pid, data, signal.SIGQUIT)
        time.sleep(SLICE)


def _processes() -> list[int]:
    """Return the numbers of all processes."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdecimal()]  # noqa: PTH208

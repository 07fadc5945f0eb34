"""PostgreSQL's own programs for dumps, run under a time limit and never left behind.

They run under our own account, which the server knows by its socket. What one writes comes through
a pipe: when we are killed, the pipe breaks, and the program ends too.
"""

import os
import select
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, cast

from syncd.context import CancelToken, Deadline
from syncd.errors import BadData, ConfigurationError, StoreError
from syncd.store.embedded.binaries import find_binaries

_PIECE: Final = 1 << 16
_TURN: Final = 0.1  # seconds between two looks at the token and the deadline
_LOCK_WAIT: Final = 60_000  # milliseconds that a dump waits for a table that somebody rebuilds
_ENVIRONMENT: Final = {
    "PATH": "/usr/bin:/bin",
    "LC_ALL": "C",
    "TZ": "UTC",
    "PGCONNECT_TIMEOUT": "10",
}
_SAID: Final = 3  # lines of a program's complaints that an error repeats


def dump(
    dsn: str, take: Callable[[bytes], object], deadline: Deadline, cancel: CancelToken
) -> None:
    """Give a compressed dump of a database piece by piece, as it was at one moment.

    Nobody who reads or writes waits for it. Raises StoreError when it fails, TimedOut, and the
    token's error.
    """
    command: list[str | Path] = [
        find_binaries().pg_dump,
        *("--format=custom", "--compress=gzip:6", "--no-unlogged-table-data", "--no-password"),
        "--no-toast-compression",  # lz4, which not every build of PostgreSQL has
        *(f"--lock-wait-timeout={_LOCK_WAIT}", f"--dbname={dsn}"),
    ]
    _run(command, None, take, deadline, cancel)


def contents(file: IO[bytes], deadline: Deadline, cancel: CancelToken) -> str:
    """Return the table of contents of a dump; raises BadData for what is none."""
    listed: list[bytes] = []
    with _broken(file):
        _run([find_binaries().pg_restore, "--list"], file, listed.append, deadline, cancel)
    return b"".join(listed).decode(errors="replace")


def check(file: IO[bytes], deadline: Deadline, cancel: CancelToken) -> None:
    """Read a dump from end to end; raises BadData when it is broken or incomplete."""
    with _broken(file):
        _run([find_binaries().pg_restore, f"--file={os.devnull}"], file, _drop, deadline, cancel)


def restore(file: IO[bytes], dsn: str, deadline: Deadline, cancel: CancelToken) -> None:
    """Fill an empty database from a dump, wholly or not at all; raises BadData when it can't be."""
    command: list[str | Path] = [
        find_binaries().pg_restore,
        *("--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges"),
        *("--no-password", f"--dbname={dsn}"),
    ]
    with _broken(file):
        _run(command, file, _drop, deadline, cancel)


def _drop(piece: bytes) -> None:
    """Keep nothing of what a program writes."""


@contextmanager
def _broken(file: IO[bytes]) -> Iterator[None]:
    """Name the dump in the error of a program that reads it."""
    try:
        yield
    except StoreError as error:
        raise BadData(f"{file.name} can't be restored: {error}") from error


def _run(
    command: list[str | Path],
    file: IO[bytes] | None,
    take: Callable[[bytes], object],
    deadline: Deadline,
    cancel: CancelToken,
) -> None:
    """Run a program that reads a file, and hand on what it writes; raises StoreError."""
    name = Path(command[0]).name
    if file is not None:
        os.lseek(file.fileno(), 0, os.SEEK_SET)  # where the program begins to read
    with os.fdopen(os.memfd_create(name), "w+b") as complaints:
        with _started(command, file, complaints) as process:
            for piece in _pieces(process, deadline, cancel):
                take(piece)
            status = process.wait()
        if status != 0:
            complaints.seek(0)
            lines = complaints.read().decode(errors="replace").strip().splitlines()
            said = "; ".join(line.strip() for line in lines[:_SAID]) or f"exit status {status}"
            raise StoreError(said if said.startswith(name) else f"{name}: {said}")


@contextmanager
def _started(
    command: list[str | Path], file: IO[bytes] | None, complaints: IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    """Give a running program, which is gone when the block is left, however that comes about."""
    try:
        process = subprocess.Popen(  # noqa: S603 - PostgreSQL's own programs
            command,
            stdin=subprocess.DEVNULL if file is None else file,
            stdout=subprocess.PIPE,
            stderr=complaints,
            cwd="/",
            env=_ENVIRONMENT,
            start_new_session=True,
        )
    except OSError as error:
        raise ConfigurationError(f"{command[0]} does not run here: {error.strerror}") from error
    with process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def _pieces(
    process: subprocess.Popen[bytes], deadline: Deadline, cancel: CancelToken
) -> Iterator[bytes]:
    """Yield what a program writes until it has ended; raises TimedOut, or the token's error."""
    source = cast(IO[bytes], process.stdout).fileno()
    poller = select.poll()
    poller.register(source, select.POLLIN)
    while True:
        cancel.check()
        deadline.check()
        if poller.poll(_TURN * 1000):
            piece = os.read(source, _PIECE)
            if not piece:
                return
            yield piece

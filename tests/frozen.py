"""A server that hangs without refusing anything: its processes are stopped, its sockets stay."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from syncd.store.embedded import EmbeddedPostgres


@contextmanager
def frozen(server: EmbeddedPostgres) -> Iterator[None]:
    """Stop a server in this block, with all its backends; they go on after it."""
    postmaster = server.pid
    assert postmaster is not None
    stopped: list[int] = []
    try:
        _stop(postmaster, stopped)
        for backend in _children(postmaster):  # no more can come
            _stop(backend, stopped)
        yield
    finally:
        for pid in reversed(stopped):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _stop(pid: int, stopped: list[int]) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        stopped.append(pid)


def _children(parent: int) -> list[int]:
    """Return the processes whose parent is this one, by proc(5)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            after_name = stat.read_text().rpartition(")")[2].split()
            if int(after_name[1]) == parent:
                found.append(int(stat.parent.name))
    return found

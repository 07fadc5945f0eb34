"""What the tests of the embedded store share."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from syncd.store.embedded import EmbeddedPostgres
from syncd.store.embedded.process import serves

SECONDS = 30.0

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as several users")

_STARTER = """
import sys, time
from pathlib import Path
from syncd.store.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start(30)
print(server.pid, flush=True)
time.sleep(60)
"""


def starter(state_dir: Path) -> subprocess.Popen[str]:
    """Start the server from another process, which tells its pid and then waits to be killed."""
    command = [sys.executable, "-c", _STARTER, str(state_dir)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def data_directory(state_dir: Path) -> Path:
    return state_dir / "postgresql" / "data"


def processes(state_dir: Path) -> list[int]:
    """Return the server's processes, orphans included."""
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [pid for pid in numbers if serves(pid, data_directory(state_dir))]


def await_true(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Wait until a condition holds; fail when it never does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.005)


def query(dsn: str, text: str) -> object:
    """Return the only value of a query."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(text).fetchone()  # type: ignore[arg-type]  # tests' own text
    assert row is not None
    return row[0]


def keep_a_row(dsn: str) -> None:
    """Commit a table `kept` with a column `n` that is 7."""
    with psycopg.connect(dsn) as connection:
        connection.execute("create table kept as select 7 as n")


def stopped_after(server: EmbeddedPostgres, state_dir: Path) -> Iterator[EmbeddedPostgres]:
    """Give a server, stop it after the test, and see that none of its processes is left."""
    try:
        yield server
    finally:
        server.stop(SECONDS)
        await_true(lambda: not processes(state_dir))

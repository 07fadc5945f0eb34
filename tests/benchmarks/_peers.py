r"""Sling and dlt, which copy the same rows as syncd, where they are installed.

Their programs, `sling` and `dlt`, are looked for on the PATH, so they need no place in the
environment of syncd (the Python of dlt has to be 3.11 or later):

    python -m venv peers
    peers/bin/pip install 'dlt[postgres,sql_database]' pyarrow connectorx pymysql sling-linux-amd64
    ln -s $PWD/peers/lib/python3*/site-packages/sling_linux_amd64/bin/sling-linux-amd64 \
        peers/bin/sling
    PATH=$PWD/peers/bin:$PATH python -m tests.benchmarks.copies

That wheel has the program itself; the `sling` of PyPI is a wrapper that fetches it at first use.

dlt copies once with each backend of its SQL source. A merge reads the whole table, as ours does,
and is asked of the faster ones only. A peer writes into a schema of its own, made anew; what it has
copied is compared with the source. One that fails is told of, and fails no benchmark. The time of
Sling is that of its process, the time of dlt begins when its modules are imported, as ours does.
"""

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from tests.benchmarks._tables import TABLE, Maria, Postgres

SCHEMA = "peer"
SECONDS = 3600
_DLT_COPY = Path(__file__).with_name("_dlt_copy.py")
# What a copy must have brought. A note that was touched is greater than one that never was, and
# than one that was touched before.
_SUMMARY = "select concat_ws(' ', count(*), sum(length(note)), max(note)) from {}"


class PeerFailed(Exception):
    """A peer did not copy the rows."""


@dataclass(frozen=True)
class Copy:
    """What a peer is to do: the whole table, or, with `touch`, a merge after 1% was changed."""

    source: Postgres | Maria
    target: Postgres
    touch: Callable[[int], object] | None = None


@dataclass(frozen=True)
class Peer:
    """A program that copies."""

    name: str
    command: Callable[[Copy], Sequence[str]]
    merges: bool
    tells_seconds: bool
    """Whether its last word is the seconds it took; else the time of its process is taken."""

    def run(self, copy: Copy, directory: Path) -> float:
        """Copy and return the seconds; raise PeerFailed, also when other rows are there then."""
        began = time.perf_counter()
        told = _output(self.command(copy), directory)
        seconds = time.perf_counter() - began
        wanted = copy.source.value(_SUMMARY.format(TABLE))
        copied = copy.target.value(_SUMMARY.format(f"{SCHEMA}.{TABLE}"))
        if copied != wanted:
            raise PeerFailed(f"rows, bytes and last of the notes are {copied}, and not {wanted}")
        return float(told.split()[-1]) if self.tells_seconds else seconds


def found() -> list[Peer]:
    """Return the peers that are installed; print their versions, and what is not installed."""
    peers: list[Peer] = []
    for name, made in (("sling", _sling), ("dlt", _dlt)):
        if program := shutil.which(name):
            print(f"{name}: {_version(program)}")
            peers += made(program)
        else:
            print(f"{name} is not on the PATH: not measured")
    return peers


def compare(
    peer: Peer, case: str, copy: Copy, pipe: Callable[[], float], rounds: int, ours: float
) -> None:
    """Do the rounds of a peer, and print its ratio to the pipe and to `ours`, our own ratio."""
    measured = _whole_tables if copy.touch is None else _merges
    try:
        ratio = statistics.median(measured(peer, copy, pipe, rounds))
    except PeerFailed as failure:
        print(f"{case}, {peer.name}: failed: {failure}", flush=True)
    else:
        print(f"{case}, {peer.name}: {ratio:.2f} of the pipe, {ratio / ours:.1f} of syncd")


def _whole_tables(
    peer: Peer, copy: Copy, pipe: Callable[[], float], rounds: int
) -> Iterator[float]:
    for _ in range(rounds):
        limit = pipe()
        with _room(copy.target) as directory:
            yield _ratio(peer, peer.run(copy, directory), limit)


def _merges(peer: Peer, copy: Copy, pipe: Callable[[], float], rounds: int) -> Iterator[float]:
    """Merge into a table that the peer itself has filled: it wants its own columns there."""
    assert copy.touch is not None
    with _room(copy.target) as directory:
        peer.run(copy, directory)
        copy.target.execute(f"analyze {SCHEMA}.{TABLE}")
        for number in range(rounds):
            limit = pipe()
            copy.touch(number)
            yield _ratio(peer, peer.run(copy, directory), limit)


def _ratio(peer: Peer, seconds: float, limit: float) -> float:
    print(f"  {peer.name}: {seconds:.2f} s, pipe {limit:.2f} s", flush=True)
    return seconds / limit


@contextmanager
def _room(target: Postgres) -> Iterator[Path]:
    """Give a peer an empty schema, and an empty directory for what it keeps."""
    target.execute(f"create schema {SCHEMA}", "checkpoint")
    try:
        with tempfile.TemporaryDirectory(prefix="syncd-peer-") as directory:
            yield Path(directory)
    finally:
        target.execute(f"drop schema if exists {SCHEMA} cascade")


def _sling(program: str) -> list[Peer]:
    def command(copy: Copy) -> list[str]:
        mode = "full-refresh" if copy.touch is None else "incremental"
        return [
            program, "run", "--src-conn", _url(copy.source), "--src-stream", _table(copy.source),
            "--tgt-conn", _url(copy.target), "--tgt-object", f"{SCHEMA}.{TABLE}",
            "--mode", mode, "--primary-key", "id",
        ]  # fmt: skip

    return [Peer("Sling", command, merges=True, tells_seconds=False)]


def _dlt(program: str) -> list[Peer]:
    python = str(Path(program).resolve().with_name("python"))

    def peer(backend: str, name: str, *, merges: bool) -> Peer:
        def command(copy: Copy) -> list[str]:
            # -P: the scripts beside it have the names of modules that dlt may want
            return [
                python, "-P", str(_DLT_COPY), _url(copy.source), _url(copy.target),
                SCHEMA, TABLE, backend, "replace" if copy.touch is None else "merge",
            ]  # fmt: skip

        return Peer(name, command, merges=merges, tells_seconds=True)

    return [
        peer("sqlalchemy", "dlt by default", merges=False),
        peer("pyarrow", "dlt with pyarrow", merges=False),
        peer("connectorx", "dlt with connectorx", merges=True),
    ]


def _url(side: Postgres | Maria) -> str:
    """Return where a side is: PostgreSQL's socket, as for the pipe and for us; MariaDB's port."""
    if isinstance(side, Maria):
        return f"mysql://root@127.0.0.1:{side.server_process.port}/{side.name}"
    told = side.server
    where = urlencode({"host": told["host"], "user": told["user"], "sslmode": "disable"})
    return f"postgresql:///{side.name}?{where}"


def _table(side: Postgres | Maria) -> str:
    return f"{side.name if isinstance(side, Maria) else 'public'}.{TABLE}"


def _output(command: Sequence[str], directory: Path) -> str:
    """Run a command in a directory of its own, its telemetry off; return what it prints."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    ways = {
        "DLT_DATA_DIR": str(directory), "RUNTIME__DLTHUB_TELEMETRY": "false",
        "SLING_DISABLE_TELEMETRY": "true", "SLING_LOGGING": "NO_COLOR",
    }  # fmt: skip
    try:
        done = subprocess.run(
            command, env=kept | ways, cwd=directory, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerFailed(str(error)) from error
    if done.returncode:
        last = (done.stdout + done.stderr).split("\n")[-6:]
        raise PeerFailed(f"status {done.returncode}: {' / '.join(filter(str.strip, last))}")
    return done.stdout


def _version(program: str) -> str:
    """Return what a program tells of its version."""
    try:
        return _output([program, "--version"], Path(tempfile.gettempdir())).strip()
    except PeerFailed as failure:
        return f"version unknown: {failure}"

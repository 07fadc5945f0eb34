"""A MariaDB of the tests' own: new files, a free port, nothing of one that the machine has.

What it shares with the tests' other servers is here too: benchmarks take this file alone.
"""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, ClassVar, TypeVar

import pymysql
import pytest

HOST = "127.0.0.1"
_TURN = 0.02

_SMALL = {
    "innodb-buffer-pool-size": "24M",
    "innodb-log-file-size": "16M",
    "innodb-flush-method": "nosync",
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-doublewrite": "0",
    "innodb-use-native-aio": "0",  # a machine has few places for it
    "key-buffer-size": "1M",
    "aria-pagecache-buffer-size": "8M",
    "sync-frm": "0",
    "debug-no-sync": "1",  # else each change of a table waits for the disk, whatever else is told
    "skip-name-resolve": "1",
    "character-set-server": "utf8mb4",
}
_OF_INSTALLING = ("innodb-buffer-pool-size", "innodb-log-file-size", "innodb-use-native-aio")


class OwnServer(ABC):
    """A process that takes connections at `port` and `socket`, in a directory of its own."""

    seconds: ClassVar[float]
    """How long a start or a stop may take."""

    def __init__(self, directory: Path, name: str) -> None:
        self.socket = str(directory / f"{name}.sock")
        self.port = 0
        self._directory, self._log = directory, directory / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def _begin(self, log: IO[bytes]) -> "subprocess.Popen[bytes]":
        """Begin the process; skips the test where its program is not installed."""

    @property
    def pid(self) -> int:
        """Return the process of the running server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it; a port that was taken is not insisted on."""
        for last in (False, False, True):
            self.port = self.port or free_port()
            with self._log.open("ab") as log:
                self._process = self._begin(log)
            if self._answers():
                return
            self.port = 0
            if last:
                raise RuntimeError(f"the server did not start:\n{self._log.read_text()[-4000:]}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it, and wait until it has."""
        if (process := self._process) is None:
            return
        self._process = None
        process.send_signal(how)
        try:
            process.wait(self.seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End it as a crash would."""
        self.stop(signal.SIGKILL)

    def _answers(self) -> bool:
        """Wait until it takes connections; tell whether it did, rather than end or say nothing."""
        assert self._process is not None
        for _ in range(int(self.seconds / _TURN)):
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_TURN)
                return False
            with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
                probe.connect(self.socket)
                return True
        self.kill()
        return False


S = TypeVar("S", bound=OwnServer)


@contextmanager
def running(make: Callable[[Path], S]) -> Iterator[S]:
    """Give a running server with new files, gone after the block."""
    directory = Path(tempfile.mkdtemp(prefix="syncd-server-"))
    server = make(directory)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


class MariaDbServer(OwnServer):
    """A private server; `root` without a password may do everything, from this machine only."""

    seconds = 60.0

    def __init__(self, directory: Path, options: Mapping[str, str] | None = None) -> None:
        super().__init__(directory, "mariadb")
        self.data = directory / "data"
        self._temporary = directory / "tmp"  # a server that starts removes what it finds there
        self._options = _SMALL | dict(options or {})

    def _begin(self, log: IO[bytes]) -> "subprocess.Popen[bytes]":
        """Begin it, with new files where there are none."""
        daemon = _program("mariadbd")
        if not self.data.exists():
            self._install()
        return subprocess.Popen(self._command(daemon), stdout=log, stderr=log)

    def connect(self, user: str = "root", password: str = "", **options: Any) -> Any:
        """Return a connection of PyMySQL over the socket, each statement committed at once."""
        return pymysql.connect(
            unix_socket=self.socket, user=user, password=password, autocommit=True, **options
        )

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Execute statements as root and return the rows of the last one."""
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def _install(self) -> None:
        self._temporary.mkdir(exist_ok=True)
        shutil.copytree(_installed(), self.data)

    def _command(self, daemon: str) -> list[str]:
        options = {
            "datadir": str(self.data),
            "tmpdir": str(self._temporary),
            "socket": self.socket,
            "pid-file": f"{self.socket}.pid",
            "bind-address": HOST,
            "port": str(self.port),
            **self._options,
        }
        told = [f"--{name}={value}" for name, value in options.items()]
        return [daemon, "--no-defaults", *_as_user(), *told]


@cache
def _installed() -> Path:
    """Return the files of a new server, made once a process: a copy of them is made much faster."""
    directory = Path(tempfile.mkdtemp(prefix="syncd-mariadb-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    command = [
        _program("mariadb-install-db"),
        "--no-defaults",
        *_as_user(),
        f"--datadir={directory / 'data'}",
        f"--tmpdir={directory}",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        "--skip-name-resolve",
        *(f"--{name}={_SMALL[name]}" for name in _OF_INSTALLING),
    ]
    made = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=MariaDbServer.seconds
    )
    if made.returncode:
        raise RuntimeError(f"no MariaDB could be made:\n{(made.stdout + made.stderr)[-4000:]}")
    return directory / "data"


@contextmanager
def private_mariadb(options: Mapping[str, str] | None = None) -> Iterator[MariaDbServer]:
    """Give a running server with new files, gone after the block; skips without MariaDB."""
    with running(lambda directory: MariaDbServer(directory, options)) as server:
        yield server


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _program(name: str) -> str:
    """Return the path of a program, which for an ordinary user may be beside his PATH."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/libexec")
    if path is None:
        pytest.skip(f"MariaDB is not installed: there is no {name}")
    return path


def _as_user() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []

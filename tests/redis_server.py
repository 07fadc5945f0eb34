"""A Redis of the tests' own: new files, a free port, nothing of one that the machine has.

The program is also found as redis-check-rdb, which is the same one under another name: the package
with the tools has it where the one with the service is not installed.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from mariadb_server import HOST, free_port

from syncd.engines.base import ServerAccess

SECONDS = 20.0
"""How long a start or a stop may take."""

_SMALL = {
    "bind": HOST,
    "save": "",
    "appendonly": "no",
    "enable-debug-command": "yes",
    "daemonize": "no",
    "databases": "4",
}


class RedisServer:
    """A private server, reached over TCP and a socket; `options` are those of redis.conf."""

    def __init__(self, directory: Path, options: Mapping[str, str] | None = None) -> None:
        self.socket = str(directory / "redis.sock")
        self.port = 0
        self._directory = directory
        self._options = _SMALL | dict(options or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return the process of the running server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it; a port that was taken is not insisted on. Skips the test without Redis."""
        program = _program()
        for last in (False, False, True):
            self.port = self.port or free_port()
            with (self._directory / "redis.log").open("ab") as log:
                self._process = subprocess.Popen(
                    ["redis-server", *self._arguments()],
                    executable=program,
                    stdout=log,
                    stderr=log,
                    cwd=self._directory,
                )
            if self._answers():
                return
            self.port = 0
            if last:
                text = (self._directory / "redis.log").read_text()
                raise RuntimeError(f"Redis did not start:\n{text[-4000:]}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it, and wait until it has."""
        if (process := self._process) is None:
            return
        self._process = None
        process.send_signal(how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS)
            return
        process.kill()
        process.wait()

    def kill(self) -> None:
        """End it as a crash would."""
        self.stop(signal.SIGKILL)

    def client(self, database: int = 0, **options: Any) -> redis.Redis:
        """Return a client of the tests' own over the socket, as the default user."""
        return redis.Redis(unix_socket_path=self.socket, db=database, protocol=2, **options)

    def access(self, **changed: Any) -> ServerAccess:
        """Return the way in over TCP, without user and password."""
        told = {
            "name": "cache", "engine": "redis", "host": HOST, "port": self.port, "user": "",
            "password": lambda: None, "commands_per_second": 1_000_000,
        }  # fmt: skip
        return ServerAccess(**told | changed)

    def _arguments(self) -> list[str]:
        options = {
            "dir": str(self._directory),
            "unixsocket": self.socket,
            "port": str(self.port),
            **self._options,
        }
        if "tls-cert-file" in options:
            options |= {"tls-port": str(self.port), "port": "0"}
        return [word for name, value in options.items() for word in (f"--{name}", value)]

    def _answers(self) -> bool:
        """Wait until it takes connections; tell whether it did, rather than end or say nothing."""
        assert self._process is not None
        for _ in range(int(SECONDS / 0.02)):
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0.02)
                return False
            with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
                probe.connect(self.socket)
                return True
        self.kill()
        return False


@contextmanager
def private_redis(options: Mapping[str, str] | None = None) -> Iterator[RedisServer]:
    """Give a running server with new files, gone after the block; skips without Redis."""
    directory = Path(tempfile.mkdtemp(prefix="syncd-redis-"))
    server = RedisServer(directory, options)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _program() -> str:
    """Return the path of the program under one of its names."""
    places = f"{os.environ.get('PATH', '')}:/usr/sbin"
    for name in ("redis-server", "redis-check-rdb"):
        if path := shutil.which(name, path=places):
            return path
    pytest.skip("Redis is not installed: there is no redis-server, nor redis-check-rdb")

"""A Redis of the tests' own: new files, a free port, nothing of one that the machine has.

The program is also found as redis-check-rdb, which is the same one under another name: the package
with the tools has it where the one with the service is not installed.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
import redis
from mariadb_server import HOST, OwnServer, running

from syncd.engines.base import ServerAccess

_SMALL = {
    "bind": HOST,
    "save": "",
    "appendonly": "no",
    "enable-debug-command": "yes",
    "daemonize": "no",
    "databases": "4",
}


class RedisServer(OwnServer):
    """A private server, reached over TCP and a socket; `options` are those of redis.conf."""

    seconds = 20.0

    def __init__(self, directory: Path, options: Mapping[str, str] | None = None) -> None:
        super().__init__(directory, "redis")
        self._options = _SMALL | dict(options or {})

    def _begin(self, log: IO[bytes]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            ["redis-server", *self._arguments()],
            executable=_program(),
            stdout=log,
            stderr=log,
            cwd=self._directory,
        )

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


@contextmanager
def private_redis(options: Mapping[str, str] | None = None) -> Iterator[RedisServer]:
    """Give a running server with new files, gone after the block; skips without Redis."""
    with running(lambda directory: RedisServer(directory, options)) as server:
        yield server


def _program() -> str:
    """Return the path of the program under one of its names."""
    places = f"{os.environ.get('PATH', '')}:/usr/sbin"
    for name in ("redis-server", "redis-check-rdb"):
        if path := shutil.which(name, path=places):
            return path
    pytest.skip("Redis is not installed: there is no redis-server, nor redis-check-rdb")

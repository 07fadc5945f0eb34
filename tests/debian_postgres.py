"""Private PostgreSQL servers to look at: Debian's 15, and the 18 of the wheel."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from databases import reachable_directory
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Composable, Identifier

from syncd.engines.base import ServerAccess
from syncd.store.embedded.account import Account, choose_account
from syncd.store.embedded.binaries import find_binaries, usable_by

DEBIAN = Path("/usr/lib/postgresql/15/bin")
VERSIONS = ("18", "15")
PASSWORD = "pass 'word'"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "dynamic_shared_memory_type": "mmap",  # in the data directory, gone with it
    "shared_buffers": "32MB",
    "max_connections": "40",
    "max_locks_per_transaction": "256",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "lc_messages": "C",
    "autovacuum": "off",  # sizes are compared
}
_HBA = "local all all trust\nlocal replication all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"


@dataclass
class PrivateServer:
    """A running server. Its superuser is `postgres`; everybody may come by its socket."""

    version: str
    directory: Path
    port: int
    log: Path
    process: subprocess.Popen[bytes]
    spawn: Callable[[], subprocess.Popen[bytes]]
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    @property
    def socket(self) -> str:
        return str(self.directory / "run")

    def dsn(self, database: str = "postgres", user: str = "postgres") -> str:
        return make_conninfo("", host=self.socket, port=self.port, dbname=database, user=user)

    def access(self, **changed: Any) -> ServerAccess:
        """Return how syncd reaches it: as its superuser by the socket, unless changed."""
        told: dict[str, Any] = {
            "name": "looked-at",
            "engine": "postgresql",
            "host": self.socket,
            "port": self.port,
            "user": "postgres",
            "password": lambda: None,
        }
        return ServerAccess(**told | changed)

    def crash(self) -> None:
        """Kill all of it at one moment, and start it again on what is left."""
        self.process.send_signal(signal.SIGSTOP)  # so that nothing is born meanwhile
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        for pid in [*map(int, children.split()), self.process.pid]:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = self.spawn()
        assert _answers(self), self.log.read_text()

    def unique(self, stem: str) -> str:
        """Return a name that nothing on this server has had."""
        return f"{stem}_{next(self._numbers)}"

    def execute(self, *queries: str | Composable, database: str = "postgres") -> None:
        with psycopg.connect(self.dsn(database), autocommit=True) as connection:
            for query in queries:
                connection.execute(cast(Any, query))

    def rows(self, query: str, database: str = "postgres", *values: object) -> list[Any]:
        with psycopg.connect(self.dsn(database), autocommit=True) as connection:
            return connection.execute(cast(Any, query), values).fetchall()

    @contextmanager
    def database(self, name: str | None = None, options: str = "") -> Iterator[str]:
        """Give a new database, dropped after the block."""
        made = name or self.unique("db")
        query = SQL("create database {} strategy file_copy " + options)  # half as long as the other
        self.execute(query.format(Identifier(made)))
        try:
            yield made
        finally:
            self.execute(SQL("drop database if exists {} with (force)").format(Identifier(made)))

    @contextmanager
    def roles(self, *names: str, options: str = "") -> Iterator[tuple[str, ...]]:
        """Give new roles, dropped after the block; of what they own nothing may be left then."""
        for name in names:
            self.execute(SQL("create role {} " + options).format(Identifier(name)))
        try:
            yield names
        finally:
            for name in names:
                role = Identifier(name)
                self.execute(SQL("drop owned by {}").format(role), SQL("drop role {}").format(role))


class PrivateServers(ExitStack):
    """Starts a server of a version when it is first asked for, and stops all in the end."""

    def __init__(self) -> None:
        super().__init__()
        self._running: dict[str, PrivateServer] = {}

    def of(self, version: str) -> PrivateServer:
        if version == "15" and not DEBIAN.is_dir():
            pytest.skip("Debian's PostgreSQL 15 is not installed")
        if version not in self._running:
            self._running[version] = self.enter_context(private_server(version))
        return self._running[version]


@contextmanager
def private_server(
    version: str, settings: Mapping[str, str] | None = None, standby_of: PrivateServer | None = None
) -> Iterator[PrivateServer]:
    """Give a new server of a version, or a hot standby of one that has that version."""
    with reachable_directory() as place, reachable_directory() as directory:
        account = choose_account(directory)
        programs = DEBIAN if version == "15" else _wheel(account, place)
        data, log = account.own(directory / "data"), directory / "log"
        account.own(directory / "run")
        with log.open("wb") as file:
            status = account.run(_making(programs, data, standby_of), file, 60)
        assert status == 0, log.read_text()
        (data / "pg_hba.conf").write_text(_HBA)
        told = _SETTINGS | dict(settings or {})
        server = _started(account, version, programs, directory, told)
        try:
            yield server
        finally:
            server.process.send_signal(signal.SIGQUIT)
            server.process.wait(30)


def _making(programs: Path, data: Path, standby_of: PrivateServer | None) -> list[str | Path]:
    """Return the command that makes the files of a server."""
    if standby_of is None:
        options = ["-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-D"]
        return [programs / "initdb", *options, data]
    options = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-d", standby_of.dsn()]
    return [programs / "pg_basebackup", *options, "-D", data]


def _wheel(account: Account, directory: Path) -> Path:
    return usable_by(find_binaries(), account, directory).root / "bin"


def _started(
    account: Account,
    version: str,
    programs: Path,
    directory: Path,
    told: Mapping[str, object],
) -> PrivateServer:
    """Start a server; another process may take its port meanwhile, so that it is tried again."""
    for _ in range(3):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        settings = {**told, "port": port, "unix_socket_directories": directory / "run"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command: list[str | Path] = [programs / "postgres", "-D", directory / "data", *options]
        spawn = partial(_spawned, account, command, directory / "log")
        server = PrivateServer(version, directory, port, directory / "log", spawn(), spawn)
        if _answers(server):
            return server
    raise AssertionError(server.log.read_text())


def _spawned(account: Account, command: list[str | Path], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as file:
        return account.spawn(command, file.fileno())


def _answers(server: PrivateServer) -> bool:
    """Wait until a server takes connections; tell whether it did, rather than end."""
    for _ in range(1200):
        with suppress(subprocess.TimeoutExpired):
            server.process.wait(0.05)
            return False
        with suppress(psycopg.OperationalError):
            psycopg.connect(server.dsn()).close()
            return True
    server.process.kill()
    return False

"""The embedded store's server, from the first start to the last stop."""

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psycopg
from psycopg.conninfo import make_conninfo

from syncd.context import Deadline
from syncd.errors import ConfigurationError, StoreError
from syncd.store.embedded.account import Account, choose_account
from syncd.store.embedded.binaries import find_binaries, usable_by
from syncd.store.embedded.cluster import (
    ROLE,
    Cluster,
    make_socket_directory,
    socket_directory,
)
from syncd.store.embedded.process import (
    PORT,
    SLICE,
    Postmaster,
    end_orphans,
    find_postmaster,
    send,
    wait_gone,
)

_RETRY: Final = 0.05  # seconds between two tries to connect
_FAST_SHARE: Final = 0.75  # of a stop's time, before the server is told not to tidy up


class EmbeddedPostgres:
    """A PostgreSQL under `state_dir/postgresql`, reached by a Unix socket and peer authentication.

    It outlives the process that started it, and is adopted by the next one. It uses no threads;
    one thread at a time may call it.
    """

    def __init__(self, state_dir: Path, runtime_dir: Path | None = None) -> None:
        self._state_dir = state_dir.absolute()
        self._cluster = Cluster(self._state_dir / "postgresql")
        self._socket_directory = socket_directory(self._cluster.home, runtime_dir)
        self._process: subprocess.Popen[bytes] | None = None
        self._version: str | None = None

    @property
    def dsn(self) -> str:
        """Return the conninfo of the database `syncd`; good once `start` has returned."""
        return self._conninfo(ROLE)

    @property
    def pid(self) -> int | None:
        """Return the postmaster's process id, None when it does not run."""
        found = self._find()
        return found.pid if found else None

    @property
    def version(self) -> str | None:
        """Return the server's version (`18.6`), None before the first start."""
        return self._version

    def is_running(self) -> bool:
        """Tell whether the postmaster is alive; it may still be starting."""
        return self._find() is not None

    def start(self, deadline_seconds: float) -> str:
        """Make sure that the server runs and has its database; return the DSN of it.

        Cheap when it runs, so it may be called whenever the store is out of reach. Raises
        ConfigurationError when the configuration or the machine must be changed first, StoreError
        when the server does not run after `deadline_seconds`; a later call goes on from there.
        """
        deadline = Deadline.after(deadline_seconds)
        with self._errors_mapped():
            self._make_home()
            with self._locked(deadline), self._connect(deadline) as connection:
                self._version = connection.info.parameter_status("server_version")
                _ensure_database(connection)
        return self.dsn

    def stop(self, timeout: float) -> None:
        """Stop the server within `timeout` seconds; do nothing when it does not run.

        At first it is asked to finish what it does (fast shutdown), near the end to leave at once.
        Raises StoreError when it still runs after that.
        """
        deadline = Deadline.after(timeout)
        found = self._find()
        if found is None:
            return
        self._stop(found.pid, deadline)

    def _find(self) -> Postmaster | None:
        if self._process is not None and self._process.poll() is not None:
            self._process = None  # reaped: as a zombie it would hold its number
        found = find_postmaster(self._cluster.data)
        if found is not None:
            self._socket_directory = found.socket_directory
        return found

    def _stop(self, pid: int, deadline: Deadline) -> None:
        data = self._cluster.data
        fast = deadline.sooner(deadline.remaining() * _FAST_SHARE)
        send(pid, data, signal.SIGINT)
        if not wait_gone(pid, data, fast):
            send(pid, data, signal.SIGQUIT)
            if not wait_gone(pid, data, deadline):
                raise StoreError(f"PostgreSQL (process {pid}, {data}) does not stop")
        if self._process is not None and self._process.pid == pid:
            self._process.wait()
            self._process = None
        with suppress(OSError):  # others may have files in it
            self._socket_directory.rmdir()

    def _make_home(self) -> None:
        """Make our directory, its owner that of `state_dir`."""
        home = self._cluster.home
        if "\n" in str(home):  # it would break the lines of postmaster.pid
            raise ConfigurationError(f"state_dir {str(self._state_dir)!r} has a line break in it")
        self._state_dir.mkdir(parents=True, exist_ok=True)
        if not home.exists():
            home.mkdir()
            home.chmod(0o711)  # its private parts have a mode of their own
            if os.geteuid() == 0:
                owner = self._state_dir.stat()
                os.chown(home, owner.st_uid, owner.st_gid)

    @contextmanager
    def _locked(self, deadline: Deadline) -> Iterator[None]:
        """Keep others from starting the same server at the same time."""
        held = os.open(self._cluster.home, os.O_RDONLY | os.O_DIRECTORY)
        try:
            while not _lock(held):
                if deadline.remaining() <= 0:
                    raise StoreError(f"{self._cluster.home} is being started by another process")
                time.sleep(SLICE)
            yield
        finally:
            os.close(held)

    def _connect(self, deadline: Deadline) -> psycopg.Connection:
        """Return a connection to the server, which is started unless it runs.

        One that calls itself ready may have been killed a moment ago, or recover from the death of
        a process of its own, and refuse: then both are tried again.
        """
        while True:
            launched = self._adoptable(deadline) is None
            if launched:
                self._launch(deadline)
            self._await_ready(deadline, launched=launched)
            seconds = max(deadline.remaining(), 1)
            try:
                return psycopg.connect(
                    self._conninfo("postgres"),
                    autocommit=True,
                    connect_timeout=round(seconds),
                    options=f"-c statement_timeout={round(seconds * 1000)}",
                )
            except psycopg.OperationalError:
                if deadline.remaining() <= 0:
                    raise
                time.sleep(_RETRY)

    def _adoptable(self, deadline: Deadline) -> Postmaster | None:
        """Return the running server if it can go on; one that stops or lost its socket can't."""
        found = self._find()
        if found is None:
            return None
        if found.state == "stopping" or (found.state == "ready" and not found.socket.exists()):
            self._stop(found.pid, deadline)
            return None
        return found

    def _launch(self, deadline: Deadline) -> None:
        """Start the server: what is in its way is put right first."""
        cluster, home = self._cluster, self._cluster.home
        account = choose_account(cluster.data, home)
        binaries = find_binaries()
        self._check_access(account)
        binaries = usable_by(binaries, account, home)
        cluster.make(binaries, account, deadline)
        end_orphans(cluster.data, deadline)
        cluster.write_configuration()
        account.own(home / "log")
        make_socket_directory(self._socket_directory, account)
        self._remove_stale()
        with cluster.create("start.log") as log:
            command = cluster.command(binaries, self._socket_directory)
            self._process = account.spawn(command, log.fileno())

    def _check_access(self, account: Account) -> None:
        """Refuse, with the way out, a `state_dir` that the server's account can't get to."""
        for place in (self._cluster.home, self._socket_directory.parent):
            closed = account.closed(place)
            if closed is not None:
                raise ConfigurationError(
                    f"PostgreSQL runs as the user {account.name}, who may not enter {closed}:"
                    f" allow it (chmod o+x {closed}), or set daemon.state_dir to another place"
                )

    def _remove_stale(self) -> None:
        """Remove the lock files of a dead server: their number may be another process's now.

        PostgreSQL would refuse to start; that no process is at work on the data is certain here.
        """
        socket = self._socket_directory / f".s.PGSQL.{PORT}"
        for path in (self._cluster.data / "postmaster.pid", Path(f"{socket}.lock"), socket):
            path.unlink(missing_ok=True)

    def _await_ready(self, deadline: Deadline, *, launched: bool) -> None:
        """Wait until the server takes connections; raise StoreError when it does not come up."""
        while True:
            found = self._find()
            if found is not None and found.state == "ready":
                return
            where = f"PostgreSQL on {self._cluster.data}"
            if found is None and self._process is None:
                if not launched:
                    return  # an adopted one has died: it is started again
                raise StoreError(f"{where} does not start: {self._cluster.log_tail()}")
            if deadline.remaining() <= 0:
                raise StoreError(f"{where} is not ready yet: {self._cluster.log_tail()}")
            time.sleep(SLICE)

    def _conninfo(self, database: str) -> str:
        host = str(self._socket_directory)
        return make_conninfo(host=host, port=PORT, user=ROLE, dbname=database)

    @contextmanager
    def _errors_mapped(self) -> Iterator[None]:
        """Turn what the system and the driver raise into ours, the place named."""
        home = self._cluster.home
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"the embedded store under {home} does not start:"
                f" {error.filename or home}: {error.strerror or error}"
            ) from error
        except (subprocess.SubprocessError, psycopg.Error) as error:
            raise StoreError(f"the embedded store under {home} does not start: {error}") from error


def _ensure_database(connection: psycopg.Connection) -> None:
    """Make our database in a new cluster."""
    known = "select from pg_database where datname = %s"
    if connection.execute(known, (ROLE,)).fetchone() is None:
        connection.execute(f"create database {ROLE}")


def _lock(held: int) -> bool:
    """Try to lock an open directory; the lock ends with its holder."""
    with suppress(BlockingIOError):
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False

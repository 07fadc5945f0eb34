"""The embedded store's server, from the first start to the last stop."""

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
    lock,
    opened,
    send,
    serves,
)

_RETRY: Final = 0.05  # seconds between two tries to connect
_TIDY_SHARE: Final = 0.75  # of a stop's time, before the server is told not to tidy up
_TIDY_SECONDS: Final = 10.0  # at most: one that recovers from a crash of its own can hang here


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
        return self.conninfo(ROLE)

    def conninfo(self, database: str) -> str:
        """Return the conninfo of one of the server's databases; good once `start` has returned."""
        host = str(self._socket_directory)
        return make_conninfo(host=host, port=PORT, user=ROLE, dbname=database)

    @property
    def socket_directory(self) -> Path:
        """Return the directory of its socket, as `conninfo` has it."""
        return self._socket_directory

    @property
    def pid(self) -> int | None:
        """Return the postmaster's process id, None when it does not run."""
        found = self._find()
        if found is not None:
            return found.pid
        return self._process.pid if self._process is not None else None

    @property
    def version(self) -> str | None:
        """Return the server's version (`18.6`), None before the first start."""
        return self._version

    def is_running(self) -> bool:
        """Tell whether the postmaster is alive; it may still be starting."""
        return self.pid is not None

    def start(self, deadline_seconds: float) -> str:
        """Make sure that the server runs and has its database; return the DSN of it.

        Cheap when it runs, so it may be called whenever the store is out of reach. Raises
        ConfigurationError when the configuration or the machine must be changed first, StoreError
        when the server does not run after `deadline_seconds`; a later call goes on from there.
        """
        deadline = Deadline.after(deadline_seconds)
        with self._errors_mapped():
            self._make_home()
            with self._alone(deadline), self._connect(deadline) as connection:
                self._version = connection.info.parameter_status("server_version")
                _ensure_database(connection)
        return self.dsn

    def trim_logs(self) -> None:
        """Keep the server's log within bounds; to be called now and then."""
        self._cluster.trim_logs()

    def stop(self, timeout: float) -> None:
        """Stop the server within `timeout` seconds; do nothing when it does not run.

        At first it is asked to finish what it does (fast shutdown), near the end to leave at once.
        Raises StoreError when it still runs after that.
        """
        deadline = Deadline.after(timeout)
        pid = self.pid
        if pid is not None:
            self._stop(pid, deadline)

    def _find(self) -> Postmaster | None:
        if self._process is not None and self._process.poll() is not None:
            self._process = None  # reaped: as a zombie it would hold its number
        found = find_postmaster(self._cluster.data)
        if found is not None:
            self._socket_directory = found.socket_directory
        return found

    def _stop(self, pid: int, deadline: Deadline) -> None:
        """Stop a postmaster, tidily while there is time for it."""
        tidily = min(deadline.remaining() * _TIDY_SHARE, _TIDY_SECONDS)
        for number, until in (
            (signal.SIGINT, deadline.sooner(tidily)),
            (signal.SIGQUIT, deadline),
        ):
            self._send(pid, number)
            if self._await_gone(pid, until):
                with suppress(OSError):  # others may have files in it
                    self._socket_directory.rmdir()
                return
        raise StoreError(f"PostgreSQL (process {pid}, {self._cluster.data}) does not stop")

    def _send(self, pid: int, number: signal.Signals) -> None:
        """Signal the postmaster; our own child may not be recognisable yet, but is surely it."""
        if self._process is not None and self._process.pid == pid:
            self._process.send_signal(number)
        else:
            send(pid, self._cluster.data, number)

    def _await_gone(self, pid: int, deadline: Deadline) -> bool:
        """Wait until the postmaster has ended; tell whether it has."""
        while self.pid == pid or serves(pid, self._cluster.data):
            if deadline.remaining() <= 0:
                return False
            time.sleep(SLICE)
        return True

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
    def _alone(self, deadline: Deadline) -> Iterator[None]:
        """Keep others from starting the same server at the same time."""
        with opened(self._cluster.home) as held:
            while not lock(held):
                if deadline.remaining() <= 0:
                    raise StoreError(f"{self._cluster.home} is being started by another process")
                time.sleep(SLICE)
            yield

    def _connect(self, deadline: Deadline) -> psycopg.Connection:
        """Return a connection to the server, which is started unless it runs.

        One that calls itself ready may have been killed a moment ago, or recover from the death of
        a process of its own, and refuse: then both are tried again.
        """
        while True:
            adopted = self._goes_on(deadline)
            if not adopted:
                self._launch(deadline)
            self._await_ready(deadline, adopted=adopted)
            seconds = max(deadline.remaining(), 1)
            try:
                return psycopg.connect(
                    self.conninfo("postgres"),
                    autocommit=True,
                    connect_timeout=round(seconds),
                    options=f"-c statement_timeout={round(seconds * 1000)}",
                )
            except psycopg.OperationalError:
                if deadline.remaining() <= 0:
                    raise
                time.sleep(_RETRY)

    def _goes_on(self, deadline: Deadline) -> bool:
        """Tell whether a server runs or starts; one that stops, or lost its socket, is ended."""
        found = self._find()
        if found is None:
            return self._process is not None
        if found.state == "stopping" or (found.state == "ready" and not found.socket.exists()):
            self._stop(found.pid, deadline)
            return False
        return True

    def _launch(self, deadline: Deadline) -> None:
        """Start the server: what is in its way is put right first."""
        cluster, home = self._cluster, self._cluster.home
        account = choose_account(cluster.data, home)
        binaries = find_binaries()
        self._check_access(account)
        binaries = usable_by(binaries, account, home)
        cluster.make(binaries, account, deadline)
        cluster.write_configuration()
        account.own(home / "log")
        cluster.trim_logs()
        make_socket_directory(self._socket_directory, account)
        command = cluster.command(binaries, self._socket_directory)
        with opened(cluster.data) as guard, cluster.create("start.log") as log:
            end_orphans(cluster.data, guard, deadline)
            self._remove_stale()
            self._process = account.spawn(command, log.fileno(), guard)

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

    def _await_ready(self, deadline: Deadline, *, adopted: bool) -> None:
        """Wait until the server takes connections; raise StoreError when it does not come up."""
        while True:
            found = self._find()
            if found is not None and found.state == "ready":
                return
            where = f"PostgreSQL on {self._cluster.data}"
            if found is None and self._process is None:
                if adopted:
                    return  # it has died, and is started again
                raise StoreError(f"{where} does not start: {self._cluster.log_tail()}")
            if deadline.remaining() <= 0:
                raise StoreError(f"{where} is not ready yet: {self._cluster.log_tail()}")
            time.sleep(SLICE)

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

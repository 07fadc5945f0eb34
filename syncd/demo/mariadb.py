"""A MariaDB for the demonstration, where the machine has one: private, small, and gone with it."""

import os
import shutil
import signal
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from syncd.config.fields import SOCKET_PATH_BYTES
from syncd.demo.sql import execute
from syncd.errors import StoreError

_TURN: Final = 0.05  # seconds between two looks
_START: Final = 60.0
_STOP: Final = 15.0
_SMALL: Final = (
    "--skip-networking", "--skip-name-resolve", "--innodb-buffer-pool-size=24M",
    "--innodb-log-file-size=16M", "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0",
    "--innodb-flush-method=nosync", "--key-buffer-size=1M", "--aria-pagecache-buffer-size=8M",
)  # fmt: skip


class MariaDb:
    """A server in a directory of its own, from `start` to the end of the `with` block."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is not None:
            _end(self._process)

    @property
    def available(self) -> bool:
        """Tell whether the programs are there, and the socket's path is not too long."""
        names = ("mariadbd", "mariadb-install-db", "mariadb")
        return all(map(_program, names)) and len(os.fsencode(self.socket)) <= SOCKET_PATH_BYTES

    @property
    def socket(self) -> Path:
        """The only way to it."""
        return self._directory / "mariadb.sock"

    def start(self, stop: threading.Event) -> bool:
        """Make its files when there are none, and start it; False when told to stop meanwhile.

        Raises StoreError, with the end of its log, when it does not come up.
        """
        self._temporary.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory.chmod(0o700)
        data = self._directory / "data"
        if not data.is_dir():
            unfinished = self._directory / "unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            if not self._made(unfinished, stop):
                return False
            unfinished.rename(data)
        options = [f"--datadir={data}", f"--socket={self.socket}",
                   f"--pid-file={self._directory / 'pid'}"]  # fmt: skip
        self._process = self._spawn("mariadbd", *options, *_SMALL)
        for _ in range(round(_START / _TURN)):
            if stop.wait(_TURN):
                return False
            if self._process.poll() is not None:
                break
            with suppress(StoreError):
                self.execute("select 1")
                return True
        raise StoreError(
            f"MariaDB did not come up:\n{self._log.read_text('utf-8', 'replace')[-800:]}"
        )

    def execute(self, script: str) -> None:
        """Execute statements as its root; raises StoreError."""
        client = [_program("mariadb"), "--no-defaults", f"--socket={self.socket}", "--user=root"]
        execute(client, script)

    def freeze(self) -> None:
        """Let it hang, as a machine does that swaps."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    @property
    def _log(self) -> Path:
        return self._directory / "log"

    @property
    def _temporary(self) -> Path:
        return self._directory / "tmp"

    def _made(self, data: Path, stop: threading.Event) -> bool:
        """Make the files of the server."""
        options = (f"--datadir={data}", "--auth-root-authentication-method=normal",
                   "--skip-test-db", "--skip-name-resolve")  # fmt: skip
        process = self._spawn("mariadb-install-db", *options)
        while process.poll() is None:
            if stop.wait(_TURN):
                _end(process)
                return False
        if process.returncode != 0:
            raise StoreError(f"mariadb-install-db ended with status {process.returncode}")
        return True

    def _spawn(self, name: str, *options: str) -> subprocess.Popen[bytes]:
        # Not /tmp: a server that starts removes there what it takes for its own of before.
        own = [f"--tmpdir={self._temporary}", *(["--user=root"] if os.geteuid() == 0 else [])]
        with self._log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - a program of the system
                [_program(name), "--no-defaults", *own, *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it has started, frozen or not."""
    if process.poll() is not None:
        return
    for number in (signal.SIGCONT, signal.SIGTERM):
        os.killpg(process.pid, number)
    try:
        process.wait(_STOP)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _program(name: str) -> str:
    """Return the path of a program, which for an ordinary user may be beside his PATH; or ""."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""

"""The daemon of the demonstration: a process of its own, started and stopped in order."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from syncd.control.client import Client
from syncd.demo.place import Place
from syncd.errors import SyncdError

_GRACE: Final = 12.0  # seconds: the runs' grace, and the store's stop
_HURRY: Final = 3.0
_LAST_LINES: Final = 12
_KEPT_OUT: Final = (
    "SYNCD_", "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "NOTIFY_", "CREDENTIALS_", "WATCHDOG_",
    "JOURNAL_",
)  # fmt: skip
"""Beginnings of environment variables that would make it another daemon than the one shown."""


class Child:
    """The daemon, from `start` (or `with`) until it has ended, its store with it.

    It has a session of its own, so that a Ctrl-C of the terminal reaches us alone.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "syncd", "--config", str(self._place.config), "run"]
        with self._place.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
                start_new_session=True,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()
        with suppress(SyncdError):  # where the daemon could not stop its store any more
            self._place.server.stop(_GRACE)

    @property
    def ended(self) -> int | None:
        """Its exit status, None while it runs."""
        return self._process.poll() if self._process else None

    def is_ready(self) -> bool:
        """Tell whether the daemon answers, and can do what it is for."""
        try:
            return bool(Client(self._place.socket, timeout=2.0).status()["ready"])
        except SyncdError:
            return False

    def last_words(self) -> str:
        """Return the end of its log."""
        lines = _tail(self._place.log).splitlines()
        return "\n".join(lines[-_LAST_LINES:])

    def _end(self) -> None:
        """Ask, ask again, and end it."""
        process = self._process
        if process is None:
            return
        steps = ((signal.SIGTERM, _GRACE), (signal.SIGTERM, _HURRY), (signal.SIGKILL, _HURRY))
        for number, seconds in steps:
            if process.poll() is not None:
                return
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)


def _environment() -> dict[str, str]:
    """Return our environment without what would change the daemon's configuration."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_KEPT_OUT)}


def _tail(path: Path) -> str:
    """Return the last few thousand characters of a file."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4_000))
        return file.read().decode(errors="replace")

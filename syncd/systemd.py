"""What the service manager is told: readiness, one status line, reloads, stopping, the watchdog.

The protocol is that of sd_notify(3), the channel is the `sdnotify` library's. That library sends
Latin-1 and hides its errors, so messages are prepared here, and errors are asked for and logged.
"""

import logging
import os
import time
from contextlib import suppress
from typing import Final

from sdnotify import SystemdNotifier

STATUS_LIMIT: Final = 500
"""Characters of a status line; the manager drops a datagram of more than 4,096 bytes whole."""

SEND_TIMEOUT: Final = 1.0
"""Seconds to wait for a manager that does not empty its socket: it must not hold up our loop."""

_VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_log = logging.getLogger("syncd.systemd")


class Notifier:
    """Tells the service manager about this process; does nothing where there is none.

    It takes over the process's environment: what would let a child (a PostgreSQL server also
    speaks this protocol) talk in our name is removed from it, so there is one Notifier a process.
    """

    watchdog_interval: float | None
    """Seconds between two calls of `watchdog`, half of what the manager allows; None: not asked."""

    managed: bool
    """Whether a service manager has started the process and asked to be told."""

    def __init__(self) -> None:
        self.watchdog_interval = _watchdog_interval()
        self.managed = bool(os.environ.get("NOTIFY_SOCKET"))
        self._channel = _connect()
        for name in _VARIABLES:
            os.environ.pop(name, None)

    def ready(self, status: str) -> None:
        """Say that the start, or a reload, is over."""
        self._send("READY=1", _status(status))

    def status(self, text: str) -> None:
        """Set the line that `systemctl status` shows."""
        self._send(_status(text))

    def reloading(self) -> None:
        """Say that a reload begins; `ready` ends it."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self, status: str) -> None:
        """Say that the process is on its way out."""
        self._send("STOPPING=1", _status(status))

    def extend(self, seconds: float) -> None:
        """Ask that a start or stop may take `seconds` more, counted from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def watchdog(self) -> None:
        """Say that the process is alive."""
        self._send("WATCHDOG=1")

    def close(self) -> None:
        """Let go of the channel; what is sent later goes nowhere."""
        if self._channel:
            self._channel.socket.close()
            self._channel = None

    def _send(self, *assignments: str) -> None:
        """Send one datagram; the library's Latin-1 becomes UTF-8 by decoding UTF-8 as Latin-1."""
        if self._channel:
            try:
                self._channel.notify("\n".join(assignments).encode().decode("latin-1"))
            except OSError as error:
                _log.warning("the service manager does not listen: %s", error)


def _connect() -> SystemdNotifier | None:
    """Return the library's notifier, None without a manager or when it can't be reached."""
    if not os.environ.get("NOTIFY_SOCKET"):
        return None
    try:
        channel = SystemdNotifier(debug=True)
    except OSError as error:
        _log.warning("the service manager can't be reached: %s", error)
        return None
    channel.socket.settimeout(SEND_TIMEOUT)
    return channel


def _watchdog_interval() -> float | None:
    """Return half of the watchdog's time in seconds, as sd_watchdog_enabled(3) advises."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    with suppress(ValueError):
        microseconds = int(os.environ.get("WATCHDOG_USEC", ""))
        return microseconds / 2_000_000 if microseconds > 0 else None
    return None


def _status(text: str) -> str:
    """Return the assignment of a status; a line break in a name must not start another one."""
    line = "".join(char if char.isprintable() else " " for char in text)
    return "STATUS=" + (line if len(line) <= STATUS_LIMIT else line[: STATUS_LIMIT - 1] + "…")

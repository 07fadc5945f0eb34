"""Shells at a terminal, typed at like a person does."""

import os
import pty
import re
import select
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

LIMIT = 30.0  # seconds


class Shell:
    """A shell in a terminal of its own; `typed` waits for what shows it has done as told."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.execvpe(command[0], list(command), dict(environ))
        self._shown = ""

    def typed(self, keys: str, expected: str) -> str:
        """Type, wait until the terminal shows something that fits, and return all it showed."""
        self._shown = ""
        os.write(self._terminal, keys.encode())
        deadline = time.monotonic() + LIMIT
        while not re.search(expected, self._shown):
            left = deadline - time.monotonic()
            assert left > 0, f"{expected!r} did not come: {self._shown!r}"
            if select.select([self._terminal], [], [], left)[0]:
                self._shown += _plain(os.read(self._terminal, 65_536).decode(errors="replace"))
        return self._shown

    def close(self) -> None:
        """End the shell."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.close(self._terminal)
        os.waitpid(self.pid, 0)


def _plain(text: str) -> str:
    """Return a text without what moves the cursor or colours."""
    return re.sub(r"\x1b(\[[0-9;?]*[a-zA-Z]|[=>]|\][^\x07]*\x07|\([A-B])", "", text).replace(
        "\r", ""
    )

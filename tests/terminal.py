"""A terminal for programs to write to."""

import os
import pty
import re
import subprocess
from collections.abc import Sequence
from threading import Timer
from typing import Literal


def on_terminal(
    command: Sequence[str], columns: int, stream: Literal["stdout", "stderr"] = "stdout"
) -> str:
    """Run a command with a terminal as one of its streams; return what it wrote there."""
    ours, theirs = pty.openpty()
    environ = os.environ | {"COLUMNS": str(columns), "TERM": "xterm-256color"}
    environ.pop("NO_COLOR", None)
    streams = {"stdout": subprocess.DEVNULL, "stderr": None} | {stream: theirs}
    with subprocess.Popen(command, env=environ, **streams) as process:
        os.close(theirs)
        limit = Timer(30, process.kill)
        limit.start()
        try:
            written = _read(ours)
        finally:
            limit.cancel()
    assert process.returncode == 0, written
    return written


def _read(terminal: int) -> str:
    """Return all that is written to a terminal, once nobody has the other end any more."""
    with os.fdopen(terminal, "rb", buffering=0) as stream:
        pieces = []
        try:
            while piece := stream.read(4096):
                pieces.append(piece)
        except OSError:  # the other end is closed
            pass
    return b"".join(pieces).decode()


def uncoloured(text: str) -> str:
    """Return a text without the sequences that colour it."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)

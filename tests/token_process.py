"""`python -m token_process DIRECTORY URL [DIES_AT]`: a process that gets a token, and prints it.

It is killed when it begins a step of writing the file, where one is named; prints the class and the
holder of an error.
"""

import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from token_helpers import TokenBench, token_of

from syncd import durable
from syncd.context import Clock
from syncd.errors import Authentication, SyncdError

STEPS = ("write_new", "fsync", "replace", "sync_directory")


def _die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _half_written(path: Path, content: bytes) -> None:
    path.write_bytes(content[: len(content) // 2])
    _die()


def _prepare(dies_at: str) -> None:
    if dies_at == "write_new":
        durable.write_new = _half_written  # type: ignore[assignment]
    elif dies_at == "fsync":
        os.fsync = _die  # type: ignore[assignment]
    elif dies_at == "replace":
        Path.replace = _die  # type: ignore[assignment]
    elif dies_at == "sync_directory":
        durable.sync_directory = _die
    elif dies_at == "full":  # as with a full disk, a file gets the first bytes alone
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))


def main() -> None:
    directory, url, *dies_at = sys.argv[1:]
    _prepare(*dies_at or [""])
    bench = TokenBench(Path(directory), Clock())
    try:
        sys.stdout.write(bench.get(token_of(url)))
    except Authentication as error:
        sys.stdout.write(f"Authentication of {error.holder}")
    except SyncdError as error:
        sys.stdout.write(type(error).__name__)
    for warning in bench.warnings:
        sys.stderr.write(f"{warning}\n")


if __name__ == "__main__":
    main()

"""Servers for the tests of the embedded store, stopped and looked after when each test ends."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from databases import reachable_directory
from embedded_helpers import SECONDS, stopped_after

from syncd.store.embedded import EmbeddedPostgres


@pytest.fixture
def server(state_dir: Path) -> Iterator[EmbeddedPostgres]:
    """Give a server that was never started."""
    yield from stopped_after(EmbeddedPostgres(state_dir), state_dir)


@pytest.fixture(scope="session")
def made() -> Iterator[Path]:
    """Give a `state_dir` with a stopped cluster, to be copied: faster than to make one a test."""
    with reachable_directory() as directory:
        server = EmbeddedPostgres(directory)
        server.start(SECONDS)
        server.stop(SECONDS)
        yield directory


@pytest.fixture
def running(server: EmbeddedPostgres, made: Path, state_dir: Path) -> EmbeddedPostgres:
    """Give a running server."""
    subprocess.run(["cp", "-a", made / "postgresql", state_dir], check=True)
    server.start(SECONDS)
    return server


@pytest.fixture
def small_disk() -> Iterator[Callable[[Path, str], None]]:
    """Give what puts a disk of some size at a directory; skip where this user may not mount."""
    mounted: list[Path] = []

    def mount(directory: Path, size: str) -> None:
        options = f"size={size},mode=0711"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", directory]
        if subprocess.run(command, check=False).returncode != 0:
            pytest.skip("this root may not mount")
        mounted.append(directory)

    yield mount
    for directory in mounted:
        subprocess.run(["umount", directory], check=True)

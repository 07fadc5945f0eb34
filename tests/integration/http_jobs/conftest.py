"""An API server, and HTTP jobs over a fresh store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_server import ApiServer
from http_runs import HttpRuns


@pytest.fixture
def api() -> Iterator[ApiServer]:
    """Give a server that is listening."""
    with ApiServer() as server:
        yield server


@pytest.fixture
def jobs(
    api: ApiServer, migrated_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HttpRuns]:
    """Give jobs that call the server; what they try again they try at once."""
    monkeypatch.setattr("syncd.calls.sending._BASE", 0.001)
    made = HttpRuns(api, migrated_dsn, tmp_path)
    made.store.open()
    yield made
    made.close()

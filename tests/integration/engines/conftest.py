"""The database servers that the tests of the engines share."""

from collections.abc import Iterator

import pytest
from mariadb_server import MariaDbServer, private_mariadb


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDbServer]:
    """Give the MariaDB of this test process, with binary logs; skips where there is none."""
    with private_mariadb({"log-bin": "binlog", "server-id": "1"}) as server:
        yield server

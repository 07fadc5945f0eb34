"""The two servers between which values are copied."""

from collections.abc import Iterator

import pytest
from databases import Databases
from exact_world import World, world
from mariadb_server import MariaDbServer


@pytest.fixture(scope="module")
def servers(databases: Databases, mariadb: MariaDbServer) -> Iterator[World]:
    """Give both servers, with places for tables."""
    dsn = databases.create()
    with world(dsn, mariadb) as made:
        yield made
    databases.drop(dsn)

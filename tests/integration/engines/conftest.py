"""What the tests of the engines share."""

from collections.abc import Iterator

import pytest
from debian_postgres import PrivateServer
from mariadb_server import MariaDbServer
from mysql_tables import Shop, fresh_shop


@pytest.fixture
def role(server: PrivateServer) -> Iterator[str]:
    """Give somebody who may log in, and nothing else."""
    with server.roles(server.unique("ordinary"), options="login") as (name,):
        yield name


@pytest.fixture
def shop(mariadb: MariaDbServer) -> Iterator[Shop]:
    """Give a database of MariaDB, and who may copy its tables."""
    with fresh_shop(mariadb) as made:
        yield made


@pytest.fixture
def large_packets(mariadb: MariaDbServer) -> Iterator[None]:
    """Let the server take packets of the largest size that there is."""
    mariadb.execute("set global max_allowed_packet = 1073741824")
    yield
    mariadb.execute("set global max_allowed_packet = default")

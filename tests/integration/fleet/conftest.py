"""The servers that the tests of a fleet share, and a fleet over a fresh store."""

import pytest
from fleet_helpers import fleet_over, fleet_postgres, watched
from mariadb_server import private_mariadb


@pytest.fixture(scope="session")
def pg():
    """Give a PostgreSQL in which nothing is but what the tests of a fleet make."""
    with fleet_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def my():
    """Give a MariaDB in which nothing is but what the tests of a fleet make."""
    with private_mariadb() as server:
        yield watched(server)


@pytest.fixture
def fleet(migrated_dsn, tmp_path):
    """Give jobs on servers that the test names, over a fresh store."""
    with fleet_over(migrated_dsn, tmp_path) as made:
        yield made

"""Databases whose tables are compared."""

from collections.abc import Callable, Iterator

import pytest
from check_helpers import MariaDb, Place, Postgres
from databases import Databases
from mariadb_server import MariaDbServer
from mysql_helpers import fresh_database

PAIRS = (
    ("postgresql", "postgresql"), ("mariadb", "mariadb"), ("postgresql", "mariadb"),
    ("mariadb", "postgresql"),
)  # fmt: skip


@pytest.fixture
def postgres_place(dsn: str) -> Postgres:
    """Give a database of PostgreSQL."""
    return Postgres(dsn)


@pytest.fixture
def mariadb_place(mariadb: MariaDbServer) -> Iterator[MariaDb]:
    """Give a database of MariaDB."""
    with fresh_database(mariadb) as name:
        yield MariaDb(mariadb, name)


@pytest.fixture
def place(
    databases: Databases, request: pytest.FixtureRequest
) -> Iterator[Callable[[str], Place]]:  # fmt: skip
    """Give what makes a database of an engine."""
    ends: list[Callable[[], object]] = []

    def make(engine: str) -> Place:
        if engine == "postgresql":
            dsn = databases.create()
            ends.append(lambda: databases.drop(dsn))
            return Postgres(dsn)
        server = request.getfixturevalue("mariadb")
        kept = fresh_database(server)
        name = kept.__enter__()
        ends.append(lambda: kept.__exit__(None, None, None))
        return MariaDb(server, name)

    yield make
    for end in ends:
        end()


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def pair(
    request: pytest.FixtureRequest, place: Callable[[str], Place]
) -> tuple[Place, Place]:  # fmt: skip
    """Give two databases, in all combinations of engines."""
    left, right = request.param
    return place(left), place(right)

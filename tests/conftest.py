"""The real PostgreSQL of the tests: one embedded server a test process, one database a test."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from databases import Databases, reachable_directory
from debian_postgres import VERSIONS, PrivateServer, PrivateServers
from hypothesis import settings
from mariadb_server import MariaDbServer, private_mariadb
from redis_server import RedisServer, private_redis
from thorough import times

from syncd.store.database import Store
from syncd.store.embedded import EmbeddedPostgres
from syncd.store.migrate import migrate

START_SECONDS = 60.0

# The random cases of a usual run are the same each time, those of a thorough one are drawn anew.
settings.register_profile("usual", derandomize=True)
settings.load_profile("usual" if times(1) == 1 else "default")


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """Give an empty `state_dir` in which the embedded store can be started, by root too."""
    with reachable_directory() as directory:
        yield directory


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """Give the server of this test process; its disk is not waited for."""
    with reachable_directory() as directory:
        server = EmbeddedPostgres(directory)
        dsn = server.start(START_SECONDS)
        try:
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("alter system set fsync = off")
                connection.execute("select pg_reload_conf()")
            yield server
        finally:
            server.stop(START_SECONDS)


@pytest.fixture(scope="session")
def databases(postgres: EmbeddedPostgres) -> Databases:
    """Give what makes databases on the server of this test process."""
    return Databases(postgres.dsn)


@pytest.fixture
def dsn(databases: Databases) -> Iterator[str]:
    """Give a fresh, empty database."""
    made = databases.create()
    yield made
    databases.drop(made)


@pytest.fixture
def migrated_dsn(databases: Databases) -> Iterator[str]:
    """Give a fresh database with syncd's own tables, empty."""
    made = databases.create(databases.template("migrated", _migrate))
    yield made
    databases.drop(made)


@pytest.fixture(scope="session")
def private_servers() -> Iterator[PrivateServers]:
    """Give what starts private PostgreSQL servers of this test process, one of each version."""
    with PrivateServers() as servers:
        yield servers


@pytest.fixture(scope="session", params=VERSIONS)
def server(request: pytest.FixtureRequest, private_servers: PrivateServers) -> PrivateServer:
    """Give a PostgreSQL server to look at, of each version that is there."""
    return private_servers.of(request.param)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDbServer]:
    """Give the MariaDB of this test process, with binary logs; skips where there is none."""
    with private_mariadb({"log-bin": "binlog", "server-id": "1"}) as started:
        yield started


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Give the Redis of this test process; skips where there is none."""
    with private_redis() as started:
        yield started


def _migrate(dsn: str) -> None:
    store = Store(dsn)
    store.open()
    try:
        migrate(store)
    finally:
        store.close()

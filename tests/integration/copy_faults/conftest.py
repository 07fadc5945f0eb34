"""The servers that copies are tried between while something goes wrong."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from copy_sides import MariaSide, PostgresSide, Side
from copy_site import CopySite, copy_site
from databases import Databases
from debian_postgres import DEBIAN, PrivateServer, PrivateServers
from mariadb_server import MariaDbServer, private_mariadb

Between = Callable[[str], CopySite]


@pytest.fixture(scope="session")
def second_server(private_servers: PrivateServers) -> PrivateServer:
    """Give a PostgreSQL besides that of the store: Debian's where it is installed."""
    return private_servers.of("15" if DEBIAN.is_dir() else "18")


@pytest.fixture(scope="session")
def maria() -> Iterator[MariaDbServer]:
    """Give the MariaDB that is copied from and into."""
    with private_mariadb({"max-allowed-packet": "256M"}) as server:
        yield server


@pytest.fixture
def side(
    databases: Databases, second_server: PrivateServer, request: pytest.FixtureRequest
) -> Iterator[Callable[[str], Side]]:
    """Give what makes a fresh database: `pg` and `other-pg` of two servers, or `maria`."""
    with ExitStack() as stack:

        def make(engine: str) -> Side:
            if engine == "other-pg":
                return PostgresSide(
                    second_server.dsn(stack.enter_context(second_server.database()))
                )
            if engine == "pg":
                dsn = databases.create()
                stack.callback(databases.drop, dsn)
                return PostgresSide(dsn)
            server = request.getfixturevalue("maria")
            name = f"copy_{uuid.uuid4().hex[:12]}"
            server.execute(f"create database {name} character set utf8mb4")
            stack.callback(server.execute, f"drop database if exists {name}")
            return MariaSide(server.socket, server.port, name)

        yield make


@pytest.fixture
def between(dsn: str, side: Callable[[str], Side]) -> Iterator[Between]:
    """Give what makes a site that copies, such as `other-pg to maria`."""
    with ExitStack() as stack:

        def make(pair: str) -> CopySite:
            source, target = (side(name) for name in pair.split(" to "))
            return stack.enter_context(copy_site(dsn, source, target))

        yield make

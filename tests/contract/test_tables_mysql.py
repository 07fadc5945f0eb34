"""The contract of the tables, held by MariaDB."""

from collections.abc import Iterator

import pytest
from mariadb_server import MariaDbServer
from page_contract import PageContract
from source_contract import SourceContract
from table_subjects import MariaDbTables
from target_contract import StateContract, TargetContract


@pytest.fixture(scope="module")
def subject(mariadb: MariaDbServer) -> Iterator[MariaDbTables]:
    """Give a database."""
    with MariaDbTables.fresh(mariadb) as made:
        yield made


class TestSource(SourceContract): ...


class TestTarget(TargetContract): ...


class TestPage(PageContract): ...


class TestState(StateContract): ...

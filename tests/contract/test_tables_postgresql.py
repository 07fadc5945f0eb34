"""The contract of the tables, held by PostgreSQL."""

from collections.abc import Iterator

import pytest
from debian_postgres import VERSIONS, PrivateServers
from page_contract import PageContract
from source_contract import SourceContract
from table_subjects import PostgresTables
from target_contract import StateContract, TargetContract


@pytest.fixture(scope="module", params=VERSIONS)
def subject(
    request: pytest.FixtureRequest, private_servers: PrivateServers
) -> Iterator[PostgresTables]:
    """Give a database on a server of each version."""
    with PostgresTables.fresh(private_servers.of(request.param)) as made:
        yield made


class TestSource(SourceContract): ...


class TestTarget(TargetContract): ...


class TestPage(PageContract): ...


class TestState(StateContract): ...

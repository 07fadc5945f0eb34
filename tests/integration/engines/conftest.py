"""What the tests of the engines share."""

from collections.abc import Iterator

import pytest
from debian_postgres import PrivateServer


@pytest.fixture
def role(server: PrivateServer) -> Iterator[str]:
    """Give somebody who may log in, and nothing else."""
    with server.roles(server.unique("ordinary"), options="login") as (name,):
        yield name

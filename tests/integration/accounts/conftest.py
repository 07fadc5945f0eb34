"""Scripted database servers over a fresh store."""

import pytest
from fleet_accounts import fleet_over


@pytest.fixture
def fleet(migrated_dsn, tmp_path):
    """Give a store for a job over the accounts of servers."""
    with fleet_over(migrated_dsn, tmp_path) as made:
        yield made


@pytest.fixture
def server(fleet):
    """Give the only server of the fleet, db1."""
    (made,) = fleet.scripted("db1")
    return made

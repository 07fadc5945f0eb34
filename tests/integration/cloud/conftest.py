"""Emulated clouds over a fresh store."""

import pytest
from cloud_helpers import HOSTS, Place, emulated_clouds

from syncd.demo.emulator import World


@pytest.fixture
def clouds(request, migrated_dsn, tmp_path):
    """Give both clouds, two regions each, of HOSTS hosts or as many as the test asks for."""
    world = World.sized(getattr(request, "param", HOSTS), 2)
    with emulated_clouds(world, migrated_dsn, tmp_path) as made:
        yield made


@pytest.fixture
def place(clouds, provider):
    """Give the first region of a provider, once all is stored."""
    made = Place(clouds, provider)
    assert clouds.run().run["status"] == "success"
    made.equals_the_cloud()
    return made

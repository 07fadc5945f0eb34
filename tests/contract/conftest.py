"""The emulator that the tests of a module share, without faults at the start of each."""

from collections.abc import Iterator

import pytest
from emulator_clients import HOSTS

from syncd.demo.emulator import Emulator, World


@pytest.fixture(scope="module")
def serving() -> Iterator[Emulator]:
    with Emulator(World.demo(hosts_per_region=HOSTS)) as emulator:
        yield emulator


@pytest.fixture
def emulator(serving: Emulator) -> Iterator[Emulator]:
    """An emulator without faults and with a fresh log."""
    serving.log.reset()
    yield serving
    serving.faults.clear()
    serving.on_page.clear()

"""The parts that run attempts, on a fresh store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from dispatch_helpers import Bench


@pytest.fixture
def bench(migrated_dsn: str, tmp_path: Path) -> Iterator[Bench]:
    """Give a store with a table `scratch`, and what runs attempts on it."""
    made = Bench(migrated_dsn, tmp_path)
    made.execute("create table scratch (run_id uuid not null)")
    yield made
    made.close()

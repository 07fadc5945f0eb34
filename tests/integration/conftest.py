"""The parts that run attempts, on a fresh store."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dispatch_desk import Desk, Open
from dispatch_helpers import SECONDS, Bench
from notice_engine import Announcing, Receivers

from syncd.dispatch.spec import JobSpec


@pytest.fixture
def bench(migrated_dsn: str, tmp_path: Path) -> Iterator[Bench]:
    """Give a store with a table `scratch`, and what runs attempts on it."""
    made = Bench(migrated_dsn, tmp_path)
    made.execute("create table scratch (run_id uuid not null)")
    yield made
    made.close()


@pytest.fixture
def desk(bench: Bench) -> Iterator[Open]:
    """Give what makes a desk, closed after the test."""
    made = []

    def open_desk(*specs: JobSpec, started: bool = True, **changes: Any) -> Desk:
        made.append(Desk(bench, *specs, **changes))
        if started:
            made[-1].start()
        return made[-1]

    yield open_desk
    for one in made:
        if one.dispatcher._thread.ident:
            one.close()
        else:
            one.pool.stop(SECONDS)


@pytest.fixture
def receivers() -> Iterator[Receivers]:
    """Give what makes receivers of notifications, which end with the test."""
    with Receivers() as made:
        yield made


@pytest.fixture
def site(bench: Bench, tmp_path: Path) -> Iterator[Announcing]:
    """Give an engine of notifications on the bench."""
    made = Announcing(bench, tmp_path)
    yield made
    made.close()

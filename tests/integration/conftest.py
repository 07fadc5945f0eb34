"""The parts that run attempts, on a fresh store."""

import os
import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from databases import Databases
from dispatch_desk import Desk, Open
from dispatch_helpers import SECONDS, Bench
from mariadb_server import MariaDbServer
from notice_engine import Announcing, Receivers
from table_runs import Maria, Postgres, Side, TableRuns

from syncd.dispatch.spec import JobSpec

DIRECTIONS = [(one, other) for one in ("postgresql", "mysql") for other in ("postgresql", "mysql")]


@pytest.fixture
def seed() -> int:
    """Give the seed of a test's random choices, which is printed when it fails."""
    chosen = int(os.environ.get("SYNCD_TEST_SEED", "0")) or random.randrange(1, 1_000_000)
    print(f"SYNCD_TEST_SEED={chosen}")
    return chosen


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


@pytest.fixture(params=DIRECTIONS, ids=lambda pair: f"{pair[0]} to {pair[1]}")
def table_copies(
    request: pytest.FixtureRequest, migrated_dsn: str, tmp_path: Path
) -> Iterator[TableRuns]:
    """Give a job that copies tables, in each direction."""
    source, target = (_side(engine, request) for engine in request.param)
    runs = TableRuns(migrated_dsn, tmp_path, source, target)
    runs.store.open()
    yield runs
    runs.close()


def _side(engine: str, request: pytest.FixtureRequest) -> Side:
    """Return an empty database of its own."""
    if engine == "postgresql":
        databases: Databases = request.getfixturevalue("databases")
        dsn = databases.create()
        request.addfinalizer(lambda: databases.drop(dsn))
        return Postgres(dsn)
    mariadb: MariaDbServer = request.getfixturevalue("mariadb")
    name = f"t{uuid.uuid4().hex}"
    mariadb.execute(f"create database {name}")
    request.addfinalizer(lambda: mariadb.execute(f"drop database {name}"))
    return Maria(mariadb, name)

"""What is remembered of copies and checks for the metrics of a new process."""

from datetime import UTC, datetime, timedelta

import pytest
from psycopg.types.json import Jsonb

from syncd.model.measures import Measures
from syncd.model.run import new_run_id
from syncd.store.database import Store
from syncd.store.measured import Remembered, last_measured

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def tx(migrated_dsn):
    store = Store(migrated_dsn, pool_min=1)
    store.open()
    try:
        with store.transaction() as transaction:
            yield transaction
    finally:
        store.close()


def add(tx, job, item, hours, **details):
    """Add a run of so many hours ago with an item."""
    at = NOW - timedelta(hours=hours)
    run_id = new_run_id(at)
    tx.execute(
        """insert into syncd.run (id, job, kind, trigger, status, max_attempts, scheduled_for,
                                  created_at, config_digest, finished_at)
           values (%s, %s, 'table_copy', 'manual', 'success', 1, %s, %s, 'd', %s)""",
        (run_id, job, at, at, at),
    )
    tx.execute(
        """insert into syncd.run_item (run_id, attempt, target, status, finished_at, details)
           values (%s, 1, %s, 'success', %s, %s)""",
        (run_id, item, at, Jsonb(details)),
    )


def test_the_newest_that_measured_counts_and_when_it_was_last_equal(tx):
    add(tx, "same", "orders", 5, equal=True)
    add(tx, "same", "orders", 4, equal=True)
    add(tx, "same", "orders", 3, equal=False, differing=9, differences=["many"])
    add(tx, "same", "orders", 2, equal=False, differing=7)
    add(tx, "same", "orders", 1)  # it failed before it compared
    add(tx, "same", "lines", 1, equal=False)
    add(tx, "copy", "orders", 2, watermark="1970-01-01 00:00:07", bytes=5)
    add(tx, "copy", "orders", 1, error="x")
    add(tx, "gone", "orders", 1, equal=True)
    asked = [("same", "orders"), ("same", "lines"), ("copy", "orders"), ("copy", "lines")]
    found = {(each.job, each.item): each for each in last_measured(tx, asked)}
    assert found == {
        ("same", "orders"): Remembered(
            "same", "orders", Measures(differences=7), NOW - timedelta(hours=4)
        ),
        ("same", "lines"): Remembered("same", "lines", Measures(differences=1), None),
        ("copy", "orders"): Remembered("copy", "orders", Measures(5, 7.0), None),
    }


def test_nothing_is_asked_where_no_job_has_tables(tx):
    assert list(last_measured(tx, [])) == []

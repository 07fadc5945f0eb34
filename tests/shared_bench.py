"""One store for the tests of a module that are many and small, emptied before each of them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from databases import Databases
from dispatch_helpers import NOON, Bench, HandClock

from syncd.store.database import Transaction
from syncd.store.migrate import migrate

_TABLES = (
    "run", "db_catalog", "db_size", "server_size", "db_table_size", "size_horizon",
    "db_size_stat", "server_size_stat",
)  # fmt: skip


@contextmanager
def shared_bench(databases: Databases, directory: Path) -> Iterator[Bench]:
    """Give a bench on a database of its own."""
    dsn = databases.create()
    bench = Bench(dsn, directory)
    try:
        migrate(bench.store)
        yield bench
    finally:
        bench.close()
        databases.drop(dsn)


def emptied(bench: Bench) -> Bench:
    """Return a bench without runs and sizes, its clock as it was; partitions stay."""
    with bench.store.transaction() as tx:
        for table in _TABLES:
            tx.execute(f"delete from syncd.{table}".encode())
    assert isinstance(bench.clock, HandClock)
    bench.clock.set(NOON)
    return bench


def wait_for_lock(tx: Transaction) -> None:
    """Wait until somebody waits for a lock in the database of a transaction."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        waiting = tx.execute(
            """select count(*) from pg_stat_activity
               where datname = current_database() and wait_event_type = 'Lock'"""
        ).fetchone()
        if waiting != (0,):
            return
        tx.execute("select pg_sleep(0.01), pg_stat_clear_snapshot()")
    raise AssertionError("nobody waits")

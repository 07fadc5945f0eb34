"""The bound on a server whose transactions others look at all the time, so that none is new."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from daemon_helpers import until
from mariadb_server import MariaDbServer
from mysql_tables import Shop

SHOWN = "select trx_mysql_thread_id from information_schema.innodb_trx"


@contextmanager
def watched(server: MariaDbServer, pause: float) -> Iterator[None]:
    """Have somebody look at the transactions again and again in the block."""
    begun, over = threading.Event(), threading.Event()

    def look() -> None:
        with server.connect() as connection, connection.cursor() as cursor:
            while not over.wait(pause):
                cursor.execute(SHOWN)
                begun.set()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        assert begun.wait(10)
        yield
    finally:
        over.set()
        thread.join()


def utcnow() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


@pytest.mark.parametrize("pause", [0.001, 0.02, 0.09, 0.12, 0.3])
def test_no_bound_is_above_a_writer_whom_the_server_does_not_show(shop: Shop, pause: float) -> None:
    shop.execute(
        "create table t (id int primary key, ts timestamp(6) null)",
        "insert into t values (1, null)",
    )
    with (
        shop.server.connect(database=shop.database) as writer,
        shop.source("t") as source,
        watched(shop.server, pause),
    ):
        source.bound("ts", "")
        with writer.cursor() as cursor:
            cursor.execute("start transaction")
            cursor.execute("update t set ts = now(6)")
        began = utcnow()
        until(lambda: utcnow() > began + timedelta(seconds=3.2), 9, "more than what is taken off")
        asked = time.monotonic()
        found = source.bound("ts", "")
        assert time.monotonic() - asked < 10
        assert found is None or datetime.fromisoformat(found.decode()) <= began
        assert found is not None or pause < 0.15
        writer.rollback()


def test_a_bound_is_had_once_nobody_looks_any_more(shop: Shop) -> None:
    shop.execute("create table t (id int primary key, ts timestamp null)")
    with shop.source("t") as source:
        with watched(shop.server, 0.001):
            assert source.bound("ts", "") is None
        assert source.bound("ts", "") is not None


def test_asking_for_the_bound_leaves_a_snapshot_alone(shop: Shop) -> None:
    shop.execute("create table t (id int primary key, ts timestamp null)")
    with shop.source("t", snapshot=True) as source:
        shop.execute("insert into t values (1, null)")
        assert source.bound("ts", "") is not None
        assert source.count() == 0


def test_many_who_ask_at_once_do_not_keep_each_other_waiting(shop: Shop) -> None:
    shop.execute("create table t (id int primary key, ts timestamp null)")
    found: list[bytes | None] = []

    def ask() -> None:
        with shop.source("t") as source:
            found.append(source.bound("ts", ""))

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12
    assert None not in found

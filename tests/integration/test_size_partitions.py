"""The months of the tables of sizes: made by whoever comes first, dropped when they are over."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from shared_bench import wait_for_lock

from syncd.errors import StoreError
from syncd.store import size_partitions
from syncd.store.database import Store
from syncd.store.retention import START
from syncd.store.size_partitions import OldMonths

TABLES = ("db_size", "db_table_size", "server_size")


@pytest.fixture
def store(migrated_dsn):
    opened = Store(migrated_dsn)
    opened.open()
    yield opened
    opened.close()


def months(store, table="db_size"):
    """Return the months that a table has room for, by the bounds in the catalogue."""
    with store.transaction() as tx:
        rows = tx.execute(
            """select pg_get_expr(c.relpartbound, c.oid) from pg_class c
               where c.oid in (select inhrelid from pg_inherits where inhparent = %s::regclass)""",
            (f"syncd.{table}",),
        ).fetchall()
    return sorted(row[0].split("'")[1][:7] for row in rows)


def make(store, first, last):
    with store.transaction() as tx:
        return size_partitions.make(tx, date.fromisoformat(first), date.fromisoformat(last))


def add(store, day, database="db", server="s"):
    with store.transaction() as tx:
        tx.execute(
            """insert into syncd.db_size (server, database, collected_on, collected_at, size_bytes)
               values (%s, %s, %s, now(), 1)""",
            (server, database, day),
        )


def remove(store, before):
    """Drop the months that are over; return how many samples each had."""
    gone, rows = None, []
    while True:
        with store.transaction() as tx:
            gone = OldMonths(date.fromisoformat(before)).remove(tx, START)
        if gone is None:
            return rows
        rows.append(gone.rows)


def horizon(store):
    with store.transaction() as tx:
        return tx.execute("select kept_from from syncd.size_horizon").fetchone()


def test_a_new_store_has_room_for_yesterday_and_the_months_to_come(store):
    today = datetime.now(UTC).date()
    for table in TABLES:
        found = months(store, table)
        assert {f"{today - timedelta(1):%Y-%m}", f"{today:%Y-%m}"} <= set(found)
        assert 4 <= len(found) <= 5


def test_which_months_are_made(store):
    before = set(months(store))
    for first, last, expected in (
        ("2020-02-29", "2020-02-29", ["2020-02"]),
        ("2019-12-31", "2020-01-01", ["2019-12", "2020-01"]),
        ("2018-01-31", "2018-03-01", ["2018-01", "2018-02", "2018-03"]),
        ("2017-01-02", "2017-01-01", ["2017-01"]),
        ("2017-03-01", "2017-02-28", []),
    ):
        assert make(store, first, last) == 3 * len(expected)
        assert make(store, first, last) == 0
        for table in TABLES:
            assert sorted(set(months(store, table)) - before) == expected
        before.update(expected)


def test_each_month_takes_its_days_and_no_others(store):
    make(store, "2020-02-01", "2020-02-01")
    for day in ("2020-02-01", "2020-02-29"):
        add(store, day)
    for day in ("2020-01-31", "2020-03-01"):
        with pytest.raises(StoreError, match="no partition"):
            add(store, day)
    with store.transaction() as tx:
        assert tx.execute("select count(*) from syncd.db_size_2020_02").fetchone() == (2,)


def test_a_month_that_somebody_made_under_another_name_is_room_enough(store):
    with store.transaction() as tx:
        tx.execute(
            """create table syncd.mine partition of syncd.db_size
               for values from ('2019-01-01') to ('2020-01-01')"""
        )
    assert make(store, "2019-12-01", "2020-01-01") == 5
    assert remove(store, "2020-01-31") == [0]
    assert "2019-01" not in months(store)


def test_two_that_make_the_same_months_at_once_make_them_once(store):
    def many(_):
        return make(store, "2015-01-01", "2016-12-31")

    with ThreadPoolExecutor(4) as four:
        made = list(four.map(many, range(4)))
    assert sum(made) == 24 * 3
    assert len([month for month in months(store) if month.startswith(("2015", "2016"))]) == 24


def test_the_second_one_waits_for_the_first_one_to_commit(store):
    with ThreadPoolExecutor(1) as other:
        with store.transaction() as tx:
            assert size_partitions.make(tx, date(2015, 1, 1), date(2015, 1, 1)) == 3
            second = other.submit(make, store, "2015-01-01", "2015-01-01")
            wait_for_lock(tx)
        assert second.result(20) == 0


def test_readers_and_writers_are_not_in_the_way_of_making_one_nor_it_in_theirs(store, migrated_dsn):
    """As a dump, which holds every table for as long as it runs."""
    add(store, datetime.now(UTC).date())
    with (
        psycopg.connect(migrated_dsn, options="-c lock_timeout=200") as dump,
        store.transaction() as tx,
    ):
        dump.execute("lock table syncd.db_size, syncd.server_size, syncd.db_table_size"
                     " in access share mode")  # fmt: skip
        dump.execute("insert into syncd.db_size values ('x', 'y', current_date, now(), 1)")
        assert size_partitions.make(tx, date(2015, 1, 1), date(2015, 1, 1)) == 3
        assert dump.execute("select count(*) from syncd.db_size").fetchone() == (2,)
        dump.execute("insert into syncd.db_size values ('x', 'z', current_date, now(), 1)")


def test_whole_months_go_the_oldest_first_and_statistics_count_from_there(store):
    make(store, "2020-01-01", "2020-04-01")
    for day in ("2020-01-31", "2020-02-01", "2020-02-29", "2020-03-01", "2020-03-31"):
        add(store, day)
    with store.transaction() as tx:
        assert OldMonths(date(2020, 3, 31)).count(tx) == 3
    assert horizon(store) is None
    assert remove(store, "2020-03-31") == [1, 2]
    assert horizon(store) == (date(2020, 3, 1),)
    for table in TABLES:
        assert months(store, table)[:2] == ["2020-03", "2020-04"]
    with store.transaction() as tx:
        days = [row[0] for row in tx.execute("select collected_on from syncd.db_size order by 1")]
    assert days == [date(2020, 3, 1), date(2020, 3, 31)]
    assert remove(store, "2020-04-01") == [2]
    assert horizon(store) == (date(2020, 4, 1),)


def test_a_month_that_came_back_and_goes_again_does_not_move_the_horizon_back(store):
    make(store, "2020-03-01", "2020-03-01")
    assert remove(store, "2020-04-01") == [0]
    make(store, "2019-06-01", "2019-06-01")
    add(store, "2019-06-15")
    assert remove(store, "2020-04-01") == [1]
    assert horizon(store) == (date(2020, 4, 1),)


def test_the_horizon_stays_when_the_drop_is_rolled_back(store):
    make(store, "2020-03-01", "2020-03-01")
    with store.transaction(rehearse=True) as tx:
        assert OldMonths(date(2020, 4, 1)).remove(tx, START)
    assert horizon(store) is None
    assert months(store)[0] == "2020-03"


def test_a_month_that_somebody_reads_is_not_waited_for_long_and_goes_the_next_time(
    store, migrated_dsn
):
    make(store, "2020-01-01", "2020-01-01")
    add(store, "2020-01-31")
    with psycopg.connect(migrated_dsn) as reader:
        assert reader.execute("select count(*) from syncd.db_size").fetchone() == (1,)
        began = time.monotonic()
        with pytest.raises(StoreError, match="lock timeout"):
            remove(store, "2020-02-01")
        assert time.monotonic() - began < 10
        assert reader.execute("select count(*) from syncd.db_size").fetchone() == (1,)
    assert horizon(store) is None
    assert remove(store, "2020-02-01") == [1]


def test_two_that_drop_the_same_months_at_once_drop_them_once(store):
    make(store, "2015-01-01", "2015-12-31")
    for month in range(1, 13):
        add(store, f"2015-{month:02}-10")
    with ThreadPoolExecutor(2) as both:
        gone = list(both.map(lambda _: remove(store, "2016-01-01"), range(2)))
    assert sorted(gone[0] + gone[1]) == [1] * 12

"""Copies between real servers that are cut off at any step, and go on."""

from datetime import timedelta

import pytest
from table_runs import ALL, ORDERS, Postgres, TableRuns, counts
from table_steps import SteppingTables, Steps

from syncd import assembly

AT_ONCE = [timedelta(milliseconds=1)]


@pytest.fixture
def copies(table_copies: TableRuns) -> TableRuns:
    return table_copies


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    made, tables = Steps(), assembly.engines.tables
    monkeypatch.setattr(
        assembly.engines, "tables", lambda access: SteppingTables(tables(access), made)
    )
    return made


def change(copies: TableRuns, n: int) -> None:
    copies.source.execute(
        f"update orders set name = 'changed {n}' where id = {100 + n}",
        f"delete from orders where id = {n}",
        f"insert into orders values ({1000 + n}, null, 'new', 1)",
    )


def test_a_copy_that_is_cut_off_at_any_step_goes_on(copies, steps):
    copies.configure(delete="hard", page_rows=70, retries=AT_ONCE)
    copies.fill(1, 300)
    steps.begin(14)
    first = copies.run()
    assert first.run["status"] == "pending", first.run
    steps.begin()
    done = copies.attempt(first.run["id"])
    assert done.run["status"] == "success", done.run["error"]
    assert done.counts == counts(total=300, added=300)
    copies.assert_same()
    change(copies, 1)
    copies.copied()
    for n in range(2, 60):
        at = 7 * (n - 2) + n % 7
        change(copies, n)
        steps.begin(at)
        cut = copies.run()
        if cut.run["status"] == "success":  # it has no step of this number any more
            break
        steps.begin()
        done = copies.attempt(cut.run["id"])
        assert done.run["status"] == "success", done.run["error"]
        assert done.counts == counts(total=300, added=1, updated=1, deleted=1, unchanged=298), at
        copies.assert_same()
    assert n > 6


def test_a_page_whose_commit_nobody_answered_counts_once(copies, steps):
    copies.configure(page_rows=100, retries=AT_ONCE)
    copies.fill(1, 250)

    def lost(name: str) -> None:
        if name == "committed" and steps.seen.count(name) == 3:
            steps.break_at = len(steps.seen) - 1

    steps.then = lost
    first = copies.run()
    assert first.run["error_class"] == "network"
    stood = copies.target.rows("select count(*) from orders")
    steps.then = lambda _name: None
    steps.begin()
    done = copies.attempt(first.run["id"])
    assert done.counts == counts(total=250, added=250)
    assert done.items["orders"]["details"]["resumed"] == 1
    assert 0 < stood[0][0] < 250
    copies.assert_same()


def test_a_key_that_the_target_spells_otherwise_is_looked_up_in_the_source(copies, steps):
    """It is a number with digits after the point there, and a whole one in the source."""
    time = "timestamp(6)" if isinstance(copies.target, Postgres) else "datetime(6)"
    copies.target.execute(ORDERS.format(time=time).replace("bigint", "decimal(21, 2)"))
    copies.configure(delete="hard")
    copies.fill(1, 20)
    copies.copied()
    copies.source.execute("delete from orders where id <= 3")
    copies.target.execute(
        "insert into orders values (30.5, null, 'no row of the source', 1)",
        f"insert into orders values ({2**63}, null, 'no number of the source', 1)",
    )

    def comes_back(name: str) -> None:
        if name == "existing" and steps.seen.count(name) == 1:
            copies.fill(2, 2)

    steps.begin()
    steps.then = comes_back
    result = copies.copied()
    assert result.counts == counts(total=17, unchanged=17, deleted=4)
    copies.assert_same()


def test_a_target_that_is_dropped_under_the_copy_is_made_again(copies, steps):
    copies.configure(page_rows=100, retries=AT_ONCE)
    copies.fill(1, 250)

    def drop(name: str) -> None:
        if name == "committed" and steps.seen.count(name) == 2:
            copies.target.execute("drop table orders")

    steps.then = drop
    first = copies.run()
    assert (first.run["status"], first.run["error_class"]) == ("pending", "bad_data")
    assert "orders" in first.run["error"]
    done = copies.attempt(first.run["id"])
    assert done.counts == counts(total=250, added=250)
    copies.assert_same()


def test_a_source_that_is_dropped_under_the_copy_fails_it(copies, steps):
    copies.configure(
        mode="incremental", watermark="changed", page_rows=100, delete="hard", retries=AT_ONCE
    )
    copies.fill(1, 250)
    copies.copied()
    copies.source.execute("update orders set changed = '2026-01-02 00:00:00'")
    copies.configure(
        mode="incremental", watermark="changed", page_rows=100, delete="hard", retries=AT_ONCE,
        lookback="3650d",
    )  # fmt: skip

    def drop(name: str) -> None:
        if name == "committed" and steps.seen.count(name) == 2:
            copies.source.execute("drop table orders")

    steps.begin()
    steps.then = drop
    first = copies.run()
    assert (first.run["status"], first.run["error_class"]) == ("pending", "bad_data")
    second = copies.attempt(first.run["id"])
    assert (second.run["status"], second.run["error_class"]) == ("failed", "bad_data")
    assert "orders" in second.run["error"]
    assert copies.target.rows("select count(*) from orders") == [(250,)]


def test_writers_that_commit_while_a_copy_reads(copies, steps):
    """An incremental copy misses nothing of what is written between any two of its steps."""
    copies.configure(
        mode="incremental", watermark="changed", watermark_zone="UTC", page_rows=20,
        lookback="1h", delete="hard",
    )  # fmt: skip
    copies.fill(1, 100)
    moment = (
        "now() at time zone 'UTC'" if isinstance(copies.source, Postgres) else "utc_timestamp(6)"
    )
    written = []

    def write(_name: str) -> None:
        n = len(written) + 1
        if n <= 25:
            written.append(n)
            copies.source.execute(
                f"insert into orders values ({2000 + n}, {moment}, 'late', 1)",
                f"update orders set name = 'late {n}', changed = {moment} where id = {n}",
                f"delete from orders where id = {60 + n}",
            )

    steps.then = write
    copies.copied()
    copies.copied()
    assert len(written) == 25
    steps.then = lambda _name: None
    copies.source.execute(f"update orders set changed = {moment} where id = 2025")
    copies.source.rows("select 1")
    for _ in range(20):  # what is of this very moment is not safe to read yet
        copies.copied()
        if copies.source.rows(ALL) == copies.target.rows(ALL):
            break
    copies.assert_same()

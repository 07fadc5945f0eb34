"""What others do to a copy under way: cut its connections, lock, change and drop its tables."""

import random
import threading
from contextlib import contextmanager

import pytest
from copy_holds import await_waiting, row_held, through_proxy
from copy_writers import COLUMNS, await_now, make_table
from daemon_helpers import until
from thorough import times

from syncd.model.run import Selection

THREADS: list[threading.Thread] = []
PAIRS = ["other-pg to pg", "maria to pg", "other-pg to maria", "maria to maria"]
TOUCH = "update orders set note = concat(note, ' again'), updated_at = now()"


def copied(copy, rows=2000, **keys):
    """Have a table copied once, by pages of a hundred rows."""
    make_table(copy.source, "orders", rows)
    copy.copies("orders", "orders", **{"page_rows": 100, **keys})
    copy.configure()
    process = copy.up()
    copy.succeed("orders")
    assert copy.equal("orders")
    return process


def begun(copy):
    return copy.place.client.trigger("orders", Selection(), "me")


def ended(copy, number):
    until(lambda: copy.place.client.wait(number, 5), 60, "the end of the run")
    (row,) = copy.place.runs("id = %s", number)
    return row


@pytest.mark.parametrize("which", ["source", "target"])
@pytest.mark.parametrize("pair", PAIRS)
def test_a_connection_cut_in_the_middle_of_a_page_costs_an_attempt_and_no_row(
    between, pair, which, seed
):
    rng = random.Random(seed)
    copy = between(pair)
    with through_proxy(getattr(copy, which)) as (proxy, table):
        copy.servers[which] = table
        process = copied(copy, retries=["1s"] * 9)
        for _ in range(times(2)):
            copy.source.execute(TOUCH)
            proxy.allow(rng.randrange(2_000, 60_000 if which == "source" else 8_000))
            number = begun(copy)
            copy.place.client.wait(number, 2)
            proxy.heal()
            row = ended(copy, number)
            assert row["status"] == "success", copy.items(row)[0]["error"]
            assert copy.equal("orders")
            assert row["total"] == 2000, "counts go on over attempts"
        assert "Traceback" not in process.text


@pytest.mark.parametrize("pair", ["other-pg to pg", "other-pg to maria"])
def test_a_page_that_is_the_victim_of_a_deadlock_is_written_again(between, pair):
    copy = between(pair)
    process = copied(copy, rows=300)
    copy.source.execute(TOUCH)
    copy.target.execute(
        "create table other (id int primary key)",
        "insert into other " + {
            "postgresql": "select * from generate_series(1, 5000)",
            "mysql": "select seq from seq_1_to_5000",
        }[copy.target.engine],
    )  # fmt: skip
    with row_held(copy.target, "orders", -250) as other, other.cursor() as cursor:
        cursor.execute("delete from other")  # of two, the one that has done less is the victim
        if copy.target.engine == "postgresql":
            cursor.execute("set local deadlock_timeout = '1min'")
        number = begun(copy)
        await_waiting(copy.target)
        cursor.execute("update orders set amount = 0")
    row = ended(copy, number)
    assert row["status"] == "success", copy.items(row)[0]["error"]
    assert row["attempt"] == 1, "the page is tried again, not the run"
    assert copy.equal("orders")
    assert "Traceback" not in process.text


@pytest.mark.parametrize(
    ("pair", "options"),
    [
        ("other-pg to pg", {"lock_timeout": "300ms"}),
        ("other-pg to maria", {"innodb_lock_wait_timeout": "1"}),
    ],
)
def test_a_lock_that_is_not_got_in_time_fails_the_run_and_the_next_one_goes_on(
    between, pair, options
):
    copy = between(pair)
    copy.servers["target"] = copy.target.table(options=options)
    process = copied(copy, rows=300)
    copy.source.execute(TOUCH)
    with row_held(copy.target, "orders", -150):
        row = copy.run("orders")
        assert row["status"] == "failed", copy.items(row)
        (item,) = copy.items(row)
        assert item["error_class"] == "conflict", item
    assert copy.succeed("orders")["total"] == 300
    assert copy.equal("orders")
    assert "Traceback" not in process.text


@pytest.mark.parametrize("pair", ["other-pg to pg", "other-pg to maria"])
def test_a_column_that_is_dropped_from_the_target_in_a_run_fails_it_and_is_told(between, pair):
    copy = between(pair)
    process = copied(copy, rows=300)
    copy.source.execute(TOUCH)
    with row_held(copy.target, "orders", -250):
        number = begun(copy)
        await_waiting(copy.target)
        with executing(copy.target, "alter table orders drop column amount"):
            await_waiting(copy.target, 2)  # it comes between this page and the next one
    row = ended(copy, number)
    assert row["status"] == "failed", copy.items(row)
    (item,) = copy.items(row)
    assert item["error_class"] == "bad_data"
    assert "amount" in item["error"]
    copy.succeed("orders")
    columns = {name: kind for name, kind in COLUMNS.items() if name != "amount"}
    assert copy.difference("orders", columns=columns) == ([], [])
    assert "Traceback" not in process.text


@pytest.mark.parametrize("pair", ["other-pg to pg", "maria to pg"])
@pytest.mark.parametrize("mode", ["full", "incremental"])
def test_a_source_table_that_is_dropped_fails_the_run_and_leaves_the_target(between, pair, mode):
    copy = between(pair)
    more = {} if mode == "full" else {"mode": mode, "watermark": "updated_at"}
    process = copied(copy, rows=300, delete="hard", **more)
    copy.source.execute(TOUCH)
    await_now(copy.source, "orders")
    with row_held(copy.target, "orders", -250):
        number = begun(copy)
        await_waiting(copy.target)
        with executing(copy.source, "drop table orders"):
            pass
    row = ended(copy, number)
    late = copy.run("orders")
    for one in (row, late) if row["status"] == "failed" else (late,):
        (item,) = copy.items(one)
        assert (item["status"], item["error_class"]) == ("failed", "bad_data"), item
        assert "orders" in item["error"]
    assert copy.count("orders") == 300
    assert "Traceback" not in process.text


@contextmanager
def executing(side, statement):
    """Have a statement executed by another thread, which begins before the block and ends later.

    It is waited for after the block; what it waits for may be let go once the block has ended.
    """
    thread = threading.Thread(target=side.execute, args=(statement,), daemon=True)
    thread.start()
    yield
    THREADS.append(thread)


@pytest.fixture(autouse=True)
def _threads_end():
    yield
    while THREADS:
        thread = THREADS.pop()
        thread.join(30)
        assert not thread.is_alive()

"""Checks between real servers, through the real dispatch: what they tell, and repair."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from check_runs import CheckRuns
from databases import Databases
from mariadb_server import MariaDbServer
from mysql_helpers import fresh_database
from table_runs import Maria, Postgres

DIRECTIONS = [("postgresql", "mysql"), ("mysql", "postgresql")]
ORDERS = """create table orders (
    id bigint primary key, changed {time}, name varchar(100),
    price decimal(10, 2), rate {double})"""


@pytest.fixture(params=DIRECTIONS, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def runs(
    request: pytest.FixtureRequest, databases: Databases, mariadb: MariaDbServer,
    migrated_dsn: str, tmp_path: Path,
) -> Iterator[CheckRuns]:  # fmt: skip
    """Give a copy of 200 orders, already made, and its check."""
    dsns = [databases.create(), databases.create()]
    with fresh_database(mariadb) as one, fresh_database(mariadb) as other:
        of = {
            "postgresql": list(map(Postgres, dsns)),
            "mysql": [Maria(mariadb, n) for n in (one, other)],
        }
        left, right = request.param
        made = CheckRuns(migrated_dsn, tmp_path, of[left][0], of[right][1])
        made.store.open()
        for side, engine in (made.source, left), (made.target, right):
            time = "timestamp(6)" if engine == "postgresql" else "datetime(6)"
            double = "double precision" if engine == "postgresql" else "double"
            side.execute(ORDERS.format(time=time, double=double))
            values = ", ".join(
                f"({n}, '2026-01-01 00:00:{n % 60:02}.5', 'it''s % 😀 {n}', {n}.25, {n}.1)"
                for n in range(200)
            )
            side.execute(f"insert into orders values {values}")
        made.check_with()
        yield made
        made.close()
    for dsn in dsns:
        databases.drop(dsn)


def _break(runs: CheckRuns) -> None:
    runs.target.execute(
        "update orders set name = 'changed', price = 0 where id = 7",
        "delete from orders where id in (8, 9)",
        "insert into orders values (1000, null, 'new', 1, null)",
    )


def test_equal_sides(runs: CheckRuns) -> None:
    result, details = runs.checked()
    assert (result.run["total"], result.run["unchanged"], result.run["errors"]) == (200, 200, 0)
    assert details["equal"] is True
    assert details["exact"] is True
    assert details["left_rows"] == details["right_rows"] == 200
    assert details["differing"] == 0
    assert details["transferred_bytes"] < 1000


def test_differences_fail_the_item(runs: CheckRuns) -> None:
    _break(runs)
    result, details = runs.checked("failed")
    assert result.of("orders") == ("failed", "bad_data")
    assert result.items["orders"]["error"] == "4 rows differ: 2 only left, 1 only right, 1 differ"
    assert (details["only_left"], details["only_right"], details["differ"]) == (2, 1, 1)
    assert details["differences"][-1] == {
        "key": {"id": "7"},
        "columns": {"name": ["it's % 😀 7", "changed"], "price": ["7.25", "0.00"]},
    }
    assert {"key": {"id": "1000"}, "only": "right"} in details["differences"]
    assert (result.run["total"], result.run["errors"]) == (200, 4)


def test_differences_can_be_reported_alone_and_masked(runs: CheckRuns) -> None:
    _break(runs)
    runs.check_with(on_difference="report", mask=["name"], report_limit=4)
    _, details = runs.checked()
    told = details["differences"][-1]["columns"]
    assert told == {"name": ["***", "***"], "price": ["7.25", "0.00"]}
    runs.check_with(on_difference="report", report_limit=2)
    _, details = runs.checked()
    assert len(details["differences"]) == 2
    assert details["cut"] is True
    assert details["differing"] == 4


def test_a_plan_tells_the_rows_and_repairs_nothing(runs: CheckRuns) -> None:
    _break(runs)
    runs.check_with(repair="copy")
    (planned,) = runs.plan("check")
    assert {change.change for change in planned.changes} == {"only left", "only right", "differs"}
    assert planned.error is not None
    assert runs.target.rows("select count(*) from orders") == [(199,)]


def test_repair_copies_what_differs(runs: CheckRuns) -> None:
    _break(runs)
    runs.check_with(repair="copy")
    result, details = runs.checked("failed")
    assert details["repaired"] == 3
    assert result.items["orders"]["error"] == "1 row differs: 1 only right"
    runs.check_with({"delete": "hard"}, repair="copy")
    result, details = runs.checked()
    assert details["repaired"] == 1
    assert details["equal"] is True
    everything = "select * from orders order by id"
    assert runs.source.rows(everything) == runs.target.rows(everything)


def test_repair_goes_by_no_other_key_than_the_copy(runs: CheckRuns) -> None:
    """The number of one row may be the id of another."""
    for side in runs.source, runs.target:
        side.execute("alter table orders add number bigint", "update orders set number = 199 - id")
    runs.target.execute("update orders set number = 1000 where id = 7")
    runs.check_with({"delete": "hard"}, repair="copy", key=["number"])
    before = runs.target.rows("select * from orders order by id")
    result, _ = runs.checked("failed")
    assert "goes by the copy's key (id)" in result.items["orders"]["error"]
    assert runs.target.rows("select * from orders order by id") == before
    runs.check_with({"delete": "hard"}, key=["number"])
    assert runs.checked("failed")[1]["only_left"] == 1


def test_repair_does_not_delete_too_much(runs: CheckRuns) -> None:
    runs.source.execute("delete from orders")
    runs.check_with({"delete": "hard"}, repair="copy")
    _, details = runs.checked("failed")
    assert details["only_right"] == 200
    assert runs.target.rows("select count(*) from orders") == [(200,)]


def test_rows_marked_as_deleted_are_no_rows(runs: CheckRuns) -> None:
    runs.target.execute(
        "alter table orders add deleted_at timestamp null",
        "update orders set deleted_at = '2026-01-01 00:00:00' where id = 5",
    )
    runs.source.execute("delete from orders where id = 5")
    runs.check_with({"delete": "soft"})
    assert runs.checked()[1]["equal"] is True
    runs.target.execute("update orders set deleted_at = null where id = 5")
    assert runs.checked("failed")[1]["only_right"] == 1


def test_tolerance_is_for_numbers_alone(runs: CheckRuns) -> None:
    runs.target.execute("update orders set rate = rate * 1.0005")
    runs.check_with(tolerance={"rate": "0.1%"})
    assert runs.checked()[1]["equal"] is True
    runs.target.execute("update orders set rate = rate * 1.01 where id = 3")
    _, details = runs.checked("failed")
    assert [list(each["columns"]) for each in details["differences"]] == [["rate"]]
    assert details["differing"] == 1


def test_counts_and_aggregates(runs: CheckRuns) -> None:
    runs.check_with(compare=["count", "aggregate"])
    assert runs.checked()[1]["equal"] is True
    runs.target.execute("update orders set price = price + 1, name = null where id = 7")
    result, details = runs.checked("failed")
    assert set(details["aggregates"]) == {"price", "name"}
    assert set(details["aggregates"]["price"]) == {"sum", "avg"}
    assert details["aggregates"]["name"] == {"nulls": ["0", "1"]}
    runs.target.execute("delete from orders where id = 8")
    result, _ = runs.checked("failed")
    assert "200 rows on the left, 199 on the right" in result.items["orders"]["error"]


def test_young_rows_are_left_out_on_both_sides(runs: CheckRuns) -> None:
    runs.source.execute(
        "update orders set name = 'moving', changed = '2099-01-01' where id = 7",
        "insert into orders values (1000, '2099-01-01', 'new', 1, 1)",
    )
    runs.target.execute("delete from orders where id = 9")
    runs.source.execute("update orders set changed = '2099-01-01' where id = 9")
    runs.target.execute("update orders set name = 'new', changed = '2099-01-01' where id = 13")
    runs.check_with(age_column="changed", min_age="1m")
    assert runs.checked()[1]["equal"] is True
    runs.target.execute("update orders set name = 'old' where id = 11")
    assert runs.checked("failed")[1]["differing"] == 1


def test_rows_that_come_meanwhile_are_no_difference(runs: CheckRuns) -> None:
    """Rows come to the left side, and a moment later to the right, for as long as checks last."""
    stop = threading.Event()

    def write() -> None:
        for number in range(1000, 1_000_000):
            if stop.is_set():
                return
            for side in runs.source, runs.target:
                side.execute(f"insert into orders values ({number}, null, 'new', 1, 1)")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        runs.check_with(recheck="1s")
        for _ in range(3):
            assert runs.checked()[1]["equal"] is True
    finally:
        stop.set()
        writer.join()


def test_tables_that_can_not_be_compared(runs: CheckRuns) -> None:
    runs.target.execute("drop table orders")
    result, _ = runs.checked("failed")
    assert result.of("orders") == ("failed", "bad_data")
    assert re.search("no.*table", result.items["orders"]["error"])

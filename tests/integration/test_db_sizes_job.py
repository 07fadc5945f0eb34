"""What becomes of the sizes that servers tell, day after day, and of those that they can't tell."""

import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from dispatch_helpers import SECONDS, Bench, spec
from shared_bench import emptied, shared_bench
from sized_servers import Fleet, ScriptedEngine, reading

from syncd.context import Clock
from syncd.dispatch.planner import plan
from syncd.dispatch.progress import ItemReport, RunProgress
from syncd.dispatch.service import rehearsal
from syncd.errors import Network, Permission
from syncd.model.db_size import DatabaseSize
from syncd.model.run import Selection, Target

DENIED = Permission("not allowed")
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def shared(databases, tmp_path_factory):
    with shared_bench(databases, tmp_path_factory.mktemp("bench")) as made:
        yield made


@pytest.fixture
def bench(shared):
    return emptied(shared)


@pytest.fixture
def fleet(bench):
    return Fleet(bench)


def sizes(bench: Bench, day: str = "2026-03-01", server: str = "a"):
    """Return the sizes of a day by database, and the server's own as that of None."""
    rows = bench.execute(
        """select database, size_bytes from syncd.db_size
           where server = %s and collected_on = %s
           union all
           select null, size_bytes from syncd.server_size
           where server = %s and collected_on = %s""",
        server, day, server, day,
    )  # fmt: skip
    return dict(rows)


def standing(bench, server="a"):
    rows = bench.execute(
        "select database, gone_at is null from syncd.db_catalog where server = %s", server
    )
    return dict(rows)


def test_the_first_reading_of_a_server(bench, fleet):
    whole = DatabaseSize("", 30, 20, 10, 5, 7)
    done = fleet.run(a=reading({"x": whole, "y": DatabaseSize("", 2**62, system=True)}))
    assert done == {"a": ("success", None, (2, 2, 0, 0, 0, 0))}
    run = bench.one("select id from syncd.run")
    moment = datetime(2026, 3, 1, 12, 0, 1, tzinfo=UTC)
    assert bench.execute("select * from syncd.db_size order by database") == [
        ("a", "x", date(2026, 3, 1), moment, 30, 20, 10, 5, 7, run),
        ("a", "y", date(2026, 3, 1), moment, 2**62, None, None, None, None, run),
    ]
    assert bench.execute("select * from syncd.server_size") == [
        ("a", date(2026, 3, 1), moment, 2**62 + 30, None, None, None, None, 2, run)
    ]
    assert bench.execute("select * from syncd.db_catalog order by database") == [
        ("a", "x", "postgresql", False, 30, moment, moment, None),
        ("a", "y", "postgresql", True, 2**62, moment, moment, None),
    ]


def test_a_server_has_what_its_databases_have_together_where_all_tell(bench, fleet):
    fleet.run(a=reading(
        {"x": DatabaseSize("", 30, 20, 10, 5, 7), "y": DatabaseSize("", 3, 2, 1, None, 4)},
        log_bytes=999,
    ))  # fmt: skip
    row = bench.one(
        """select size_bytes, data_bytes, index_bytes, log_bytes, tables, database_count
           from syncd.server_size"""
    )
    assert row == (33, 22, 11, 999, 11, 2)


def test_a_later_reading_of_a_day_takes_the_place_of_the_earlier_one(bench, fleet):
    fleet.run(a=reading({"x": 10, "y": 20, "z": 5}), b=reading({"x": 1}))
    done = fleet.run(a=reading({"x": 11, "y": 20, "new": 3}), b=reading({"x": 1}))
    assert done == {
        "a": ("success", None, (3, 1, 1, 1, 1, 0)),
        "b": ("success", None, (1, 0, 0, 0, 1, 0)),
    }
    assert sizes(bench) == {"x": 11, "y": 20, "new": 3, "z": 5, None: 34}
    assert sizes(bench, server="b") == {"x": 1, None: 1}


def test_each_day_has_a_row_and_is_compared_with_the_last_reading(bench, fleet):
    fleet.run(a=reading({"x": 10, "y": 20}))
    fleet.clock.wall += 40 * DAY
    assert fleet.run(a=reading({"x": 10, "y": 21}))["a"][2] == (2, 0, 1, 0, 1, 0)
    assert sizes(bench) == {"x": 10, "y": 20, None: 30}
    assert sizes(bench, "2026-04-10") == {"x": 10, "y": 21, None: 31}


def test_a_database_that_goes_and_comes_back(bench, fleet):
    fleet.run(a=reading({"x": 10, "y": 20}))
    began = bench.one("select first_seen_at from syncd.db_catalog where database = 'y'")
    fleet.clock.wall += DAY
    assert fleet.run(a=reading({"x": 10}))["a"][2] == (1, 0, 0, 1, 1, 0)
    assert standing(bench) == {"x": True, "y": False}
    assert bench.one("select last_seen_at, gone_at from syncd.db_catalog where database = 'y'") == (
        began,
        began + DAY + timedelta(seconds=1),
    )
    fleet.clock.wall += DAY
    assert fleet.run(a=reading({"x": 10}))["a"][2] == (1, 0, 0, 0, 1, 0)
    fleet.clock.wall += DAY
    assert fleet.run(a=reading({"x": 10, "y": 20}))["a"][2] == (2, 1, 0, 0, 1, 0)
    assert standing(bench) == {"x": True, "y": True}
    assert bench.one("select first_seen_at from syncd.db_catalog where database = 'y'") == began


def test_one_that_can_not_be_read_stands_and_leaves_the_day_without_a_total(bench, fleet):
    fleet.run(a=reading({"x": 10, "y": 20}))
    fleet.clock.wall += DAY
    done = fleet.run(a=reading({"x": 11, "y": DENIED, "new": DENIED}))
    assert done == {"a": ("success", None, (3, 0, 1, 0, 0, 2))}
    assert sizes(bench, "2026-03-02") == {"x": 11}
    details = bench.one("select details from syncd.run_item order by id desc limit 1")
    assert details == {"collected_on": "2026-03-02", "incomplete": "2 databases without a size"}
    assert standing(bench) == {"x": True, "y": True, "new": True}
    assert bench.execute("select resource_id, error_class, error from syncd.run_error") == [
        ("y", "permission", "not allowed"), ("new", "permission", "not allowed")
    ]  # fmt: skip
    fleet.clock.wall += DAY
    assert fleet.run(a=reading({"x": 11, "y": 20, "new": 1}))["a"][2] == (3, 0, 1, 0, 2, 0)
    assert sizes(bench, "2026-03-03") == {"x": 11, "y": 20, "new": 1, None: 32}
    fleet.run(a=reading({"x": 11, "y": 20, "new": DENIED}))
    details = bench.one("select details from syncd.run_item order by id desc limit 1")
    assert details["incomplete"] == "1 database without a size"


def test_one_of_the_system_stays_that_when_it_can_not_be_read(bench, fleet):
    for size in (DatabaseSize("", 20, system=True), DENIED):
        fleet.run(a=reading({"x": 10, "y": size}))
        rows = bench.execute("select database, system from syncd.db_catalog order by 1")
        assert rows == [("x", False), ("y", True)]


def test_one_whose_tables_alone_can_not_be_read_has_its_size_and_an_error(bench, fleet):
    fleet.largest_tables = 2
    fleet.run(a=reading({"x": 10, "y": 20}, {("x", "t"): 1, ("y", "t"): 2}))
    fleet.clock.wall += DAY
    found = reading({"x": 11, "y": DatabaseSize("", 21)}, {("x", "t"): 3})
    found = replace(found, unread=(("y", DENIED),))
    assert fleet.run(a=found) == {"a": ("success", None, (2, 0, 1, 0, 0, 1))}
    assert sizes(bench, "2026-03-02") == {"x": 11, "y": 21, None: 32}
    assert bench.execute(
        "select database from syncd.db_table_size where collected_on = '2026-03-02'"
    ) == [("x",)]
    assert bench.one("select resource_id from syncd.run_error") == "y"


def test_a_total_of_earlier_on_the_day_stays_when_a_later_reading_has_none(bench, fleet):
    fleet.run(a=reading({"x": 10, "y": 20}))
    fleet.run(a=reading({"x": 11, "y": DENIED}))
    assert sizes(bench) == {"x": 11, "y": 20, None: 30}


def test_where_nothing_could_be_read_the_item_fails_and_all_of_them_stand(bench, fleet):
    fleet.run(a=reading({"x": 10, "y": 20}))
    done = fleet.run(a=reading({"x": DENIED, "y": DENIED}))
    assert done == {"a": ("failed", "permission", (2, 0, 0, 0, 0, 2))}
    assert standing(bench) == {"x": True, "y": True}


def test_a_server_that_names_no_database_or_does_not_answer_loses_none(bench, fleet):
    fleet.run(a=reading({"x": 10}), b=reading({"x": 10}), c=reading({"x": 10}))
    done = fleet.run(a=reading({}), b=Network("gone"), c=reading({"x": 11}))
    assert done == {
        "a": ("failed", "bad_data", (0,) * 6),
        "b": ("failed", "network", (0,) * 6),
        "c": ("success", None, (1, 0, 1, 0, 0, 0)),
    }
    assert standing(bench, "a") == standing(bench, "b") == {"x": True}
    assert sizes(bench) == {"x": 10, None: 10}


def test_one_that_the_configuration_leaves_out_is_not_gone(bench, fleet):
    fleet.run(a=reading({"x": 10, "y": 20, "z": 30}))
    fleet.excluded = ("y",)
    assert fleet.run(a=reading({"x": 10}))["a"][2] == (1, 0, 0, 1, 1, 0)
    assert standing(bench) == {"x": True, "y": True, "z": False}


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
def test_a_name_that_no_text_can_hold_is_bad_data_of_that_one(bench, fleet, name):
    done = fleet.run(a=reading({"x": 10, name: 20}))
    assert done == {"a": ("success", None, (2, 1, 0, 0, 0, 1))}
    assert sizes(bench) == {"x": 10}
    assert standing(bench) == {"x": True}
    assert bench.one("select resource_id, error_class from syncd.run_error")[1] == "bad_data"


@pytest.mark.parametrize("size", [-1, 2**63])
def test_a_size_that_can_not_be_is_bad_data_of_that_one(bench, fleet, size):
    done = fleet.run(a=reading({"x": 10, "y": size}))
    assert done == {"a": ("success", None, (2, 1, 0, 0, 0, 1))}
    assert sizes(bench) == {"x": 10}
    assert standing(bench) == {"x": True, "y": True}


def test_tables_of_a_database_that_is_bad_data_are_not_kept(bench, fleet):
    fleet.largest_tables = 2
    fleet.run(a=reading({"x": 10, "y": -1}, {("x", "t"): 1, ("y", "t"): 2}))
    assert bench.execute("select database, table_name from syncd.db_table_size") == [("x", "t")]


def test_names_are_kept_as_the_server_writes_them(bench, fleet):
    names = ["Shop", "shop", "shop ", 'a"b', "a'b\\", "ümlaut", "数据库", "%s", "😀" * 60]
    fleet.run(a=reading({name: n for n, name in enumerate(names)}))
    assert sizes(bench) == {name: n for n, name in enumerate(names)} | {None: 36}


def test_the_largest_tables_of_a_day_are_those_of_its_last_reading(bench, fleet):
    fleet.largest_tables = 2
    fleet.run(a=reading({"x": 10, "y": 10}, {("x", "t1"): 1, ("x", "t2"): 2, ("y", "t1"): 3}))
    assert fleet.engines["a"].asked == 2
    second = {("x", "t2"): 4, ("x", "t3"): 5, ("x", "t\0"): 6}
    fleet.run(a=reading({"x": 10, "y": DatabaseSize("", 10)}, second))
    rows = bench.execute(
        "select database, table_name, total_bytes, collected_on from syncd.db_table_size"
    )
    day = date(2026, 3, 1)
    assert sorted(rows) == [("x", "t2", 4, day), ("x", "t3", 5, day), ("y", "t1", 3, day)]
    fleet.largest_tables = 0
    fleet.run(a=reading({"x": 10, "y": 10}))
    assert bench.one("select count(*) from syncd.db_table_size") == 3


@pytest.mark.parametrize(
    ("moment", "zone", "day"),
    [
        ("2026-03-01 15:59:59", "Asia/Shanghai", "2026-03-01"),
        ("2026-03-01 16:00:00", "Asia/Shanghai", "2026-03-02"),
        ("2026-01-01 04:59:59", "America/New_York", "2025-12-31"),
        ("2026-01-01 05:00:00", "America/New_York", "2026-01-01"),
        ("2025-12-31 10:00:00", "Pacific/Kiritimati", "2026-01-01"),
    ],
)
def test_the_day_is_that_of_the_configured_zone(bench, fleet, moment, zone, day):
    fleet.zone = zone
    fleet.clock.wall = datetime.fromisoformat(moment).replace(tzinfo=UTC) - timedelta(seconds=1)
    fleet.run(a=reading({"x": 10}))
    assert sizes(bench, day) == {"x": 10, None: 10}


def test_the_day_is_that_on_which_the_reading_began(bench, fleet):
    fleet.clock.wall = datetime(2026, 3, 1, 23, 59, 58, tzinfo=UTC)
    fleet.engines = {"a": ScriptedEngine(reading({"x": 1}), lambda: fleet.clock.pass_(3600))}
    fleet.again()
    assert sizes(bench, "2026-03-01") == {"x": 1, None: 1}


def test_room_is_made_for_days_that_nobody_thought_of(bench, fleet):
    fleet.clock.wall = datetime(2031, 8, 31, 12, tzinfo=UTC)
    fleet.run(a=reading({"x": 10}))
    assert bench.one("select collected_on from syncd.db_size_2031_08") == date(2031, 8, 31)


def test_two_readings_of_a_server_at_once_are_never_mixed(bench, fleet):
    """Both have read before one of them writes; the later one has its numbers everywhere."""
    both = threading.Barrier(2, timeout=SECONDS)
    count = 300

    def run(number):
        one = Fleet(bench)
        one.clock.wall += timedelta(minutes=number)
        one.engines = {
            "a": ScriptedEngine(reading({f"d{n}": number for n in range(count)}), both.wait)
        }
        one.again(f"j{number}")

    threads = [threading.Thread(target=run, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    found = sizes(bench)
    total = found.pop(None)
    assert set(found.values()) == {2}
    assert total == sum(found.values())
    assert bench.execute("select distinct size_bytes from syncd.db_catalog") == [(2,)]
    items = bench.execute("select status, error_class, added, updated from syncd.run_item")
    assert sorted(items, key=str) in (
        [("success", None, 0, count), ("success", None, count, 0)],
        [("failed", "conflict", 0, 0), ("success", None, count, 0)],
    )


def test_a_reading_that_comes_late_does_not_undo_a_later_one(bench, fleet):
    """A slow run began first, and does not know the database that was made meanwhile."""
    other = Fleet(bench)
    other.clock.wall += timedelta(minutes=10)
    other.engines = {"a": ScriptedEngine(reading({"x": 11, "new": 5}))}
    slow = ScriptedEngine(reading({"x": 10}), lambda: other.again("quick"))
    fleet.engines = {"a": slow}
    assert fleet.again("slow")["a"][:2] == ("failed", "conflict")
    assert standing(bench) == {"x": True, "new": True}
    assert sizes(bench) == {"x": 11, "new": 5, None: 16}


def test_a_clock_that_was_ahead_keeps_no_reading_out(bench, fleet):
    fleet.clock.wall = datetime(2126, 3, 1, 12, tzinfo=UTC)
    fleet.run(a=reading({"x": 10, "y": 1}))
    fleet.clock.wall = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert fleet.run(a=reading({"x": 20}))["a"][0] == "success"
    assert standing(bench) == {"x": True, "y": False}
    assert sizes(bench) == {"x": 20, None: 20}


def test_a_plan_names_what_would_change_and_changes_nothing(bench, fleet):
    fleet.run(a=reading({"x": 10, "y": 20, "z": 30}))
    fleet.clock.wall = datetime(2032, 8, 31, 12, tzinfo=UTC)
    fleet.engines = {"a": ScriptedEngine(reading({"x": 10, "y": 21, "new": 1}))}
    of = spec("j", fleet.job())
    done = plan(bench.store, of, rehearsal(of, Selection(), Clock(), bench.log), RunProgress())
    changes = [
        (each.change, each.resource_id, each.fields["size_bytes"]) for each in done[0].changes
    ]
    assert changes == [
        ("added", "new", [None, 1]), ("updated", "y", [20, 21]), ("deleted", "z", [30, None])
    ]  # fmt: skip
    assert {each.thing for each in done[0].changes} == {"database"}, "the log says so"
    assert standing(bench) == {"x": True, "y": True, "z": True}
    assert bench.one("select count(*) from syncd.db_size") == 3
    assert bench.one("select to_regclass('syncd.db_size_2032_08')") is None


def test_a_plan_names_no_more_than_it_is_asked_for(bench, fleet):
    fleet.engines = {"a": ScriptedEngine(reading(dict.fromkeys("abc", 1)))}
    job = fleet.job()
    with bench.store.transaction(rehearse=True) as tx:
        ctx = rehearsal(spec("j", job), Selection(), Clock(), bench.log)(
            ItemReport(RunProgress(), "a")
        )
        staged = job.read(ctx, Target("a", server="a"))
        job.apply(tx, ctx, staged)
        told = [job.changes(tx, ctx, staged, limit) for limit in (2, None)]
    assert [[each.resource_id for each in some] for some in told] == [["a", "b"], ["a", "b", "c"]]


def test_a_run_for_one_server_asks_no_other(bench, fleet):
    fleet.engines = {name: ScriptedEngine(reading({"x": 1})) for name in ("a", "b")}
    of, only = spec("j", fleet.job(), servers=("a", "b")), Selection(servers=frozenset({"b"}))
    bench.runner.run(bench.attempt(of, bench.begun(), selection=only))
    assert bench.execute("select distinct server from syncd.db_size") == [("b",)]


def test_ten_thousand_databases_are_a_few_statements(bench, fleet):
    many = {f"database {n}": n for n in range(10_000)}
    assert fleet.run(a=reading(many))["a"][2] == (10_000, 10_000, 0, 0, 0, 0)
    fewer = {name: size + size % 2 for name, size in many.items() if size < 9_000}
    assert fleet.run(a=reading(fewer))["a"][2] == (9_000, 0, 4_500, 1_000, 4_500, 0)
    assert bench.one("select size_bytes, database_count from syncd.server_size") == (
        sum(fewer.values()), 9_000
    )  # fmt: skip

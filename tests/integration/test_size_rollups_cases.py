"""Statistics of sizes whose numbers can be checked by hand, and what happens to them meanwhile."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import psycopg
import pytest
from dispatch_helpers import Bench, HandClock, spec
from shared_bench import emptied, shared_bench, wait_for_lock

from syncd.context import Clock
from syncd.dispatch.planner import plan
from syncd.dispatch.progress import RunProgress
from syncd.dispatch.service import rehearsal
from syncd.errors import StoreError
from syncd.jobs.size_rollups import SizeRollupsJob, SizeRollupsSettings
from syncd.model.run import Counts, Selection
from syncd.store import size_rollups
from syncd.store.retention import START
from syncd.store.size_partitions import OldMonths

MONDAY = date(2025, 12, 29)  # of week 1 of 2026
TODAY = date(2026, 3, 10)


@pytest.fixture(scope="module")
def shared(databases, tmp_path_factory):
    with shared_bench(databases, tmp_path_factory.mktemp("bench")) as made:
        yield made


@pytest.fixture
def bench(shared):
    return emptied(shared)


def put(bench: Bench, sizes: dict[str, int], database: str = "db") -> None:
    """Store sizes by day, in place of those that stand."""
    days = sorted(sizes)
    bench.execute("select syncd.make_size_partitions(%s, %s)", days[0], days[-1])
    bench.execute(
        """insert into syncd.db_size (server, database, collected_on, collected_at, size_bytes)
           select 's', %s, day, now(), size from unnest(%s::date[], %s::bigint[]) as t (day, size)
           on conflict (server, database, collected_on) do update
           set size_bytes = excluded.size_bytes""",
        database, list(sizes), list(sizes.values()),
    )  # fmt: skip


def compute(bench, period, today=TODAY, room=None):
    with bench.store.transaction() as tx:
        return size_rollups.compute(tx, period, today, {} if room is None else {"s": room})


def row(bench, period, start, columns):
    return bench.one(
        f"""select {columns} from syncd.db_size_stat
            where (server, database, period, period_start) = ('s', 'db', %s, %s)""",
        period, start,
    )  # fmt: skip


def starts(bench, period):
    rows = bench.execute(
        "select period_start::text from syncd.db_size_stat where period = %s order by 1", period
    )
    return [each[0] for each in rows]


def test_a_week_across_the_end_of_a_year(bench):
    put(bench, {"2025-12-29": 100, "2025-12-31": 120, "2026-01-04": 160, "2026-01-05": 9})
    assert compute(bench, "week", date(2026, 1, 5), 1000) == Counts(total=1, added=1)
    assert row(
        bench, "week", MONDAY,
        "samples, gaps, min_bytes, max_bytes, first_bytes, last_bytes, growth_per_day",
    ) == (3, 4, 100, 160, 100, 160, 10.0)  # fmt: skip
    assert row(bench, "week", MONDAY, "round(avg_bytes, 6)::text") == "126.666667"
    assert row(bench, "week", MONDAY, "change_bytes, change_percent, trend") == (None,) * 3


@pytest.mark.parametrize(
    ("room", "forecast"),
    [
        (1000, date(2026, 1, 4) + timedelta(days=84)),
        (1001, date(2026, 1, 4) + timedelta(days=85)),
        (161, date(2026, 1, 5)),
        (160, date(2026, 1, 4)),
        (150, date(2026, 1, 4)),
        (160 + 10 * 36_525, date(2026, 1, 4) + timedelta(days=36_525)),
        (161 + 10 * 36_525, None),
        (2**63 - 1, None),
        (999_999_999 * 2**40, None),  # the most that a configuration can say
        (None, None),
    ],
)
def test_when_the_capacity_is_reached(bench, room, forecast):
    """From 160 bytes on a Sunday, with ten more each day."""
    put(bench, {"2025-12-29": 100, "2025-12-31": 120, "2026-01-04": 160})
    compute(bench, "week", TODAY, room)
    assert row(bench, "week", MONDAY, "forecast_on") == forecast


def test_another_capacity_changes_the_forecast_alone(bench):
    put(bench, {"2025-12-29": 100, "2026-01-04": 160})
    compute(bench, "week", TODAY, 1000)
    assert compute(bench, "week", TODAY, 170) == Counts(total=1, updated=1)
    assert row(bench, "week", MONDAY, "forecast_on") == date(2026, 1, 5)
    assert compute(bench, "week", TODAY, 170) == Counts(total=1, unchanged=1)
    assert compute(bench, "week", TODAY) == Counts(total=1, updated=1)
    assert row(bench, "week", MONDAY, "forecast_on") is None


@pytest.mark.parametrize("sizes", [[100, 100], [100, 90], [100]])
def test_what_does_not_grow_is_never_full(bench, sizes):
    put(bench, {f"2026-01-{1 + n:02}": size for n, size in enumerate(sizes)})
    compute(bench, "month", TODAY, 1000)
    assert row(bench, "month", "2026-01-01", "forecast_on") is None
    compute(bench, "month", TODAY, sizes[-1])  # it is full already
    assert row(bench, "month", "2026-01-01", "forecast_on") == date(2026, 1, len(sizes))


@pytest.mark.parametrize(
    ("before", "after", "percent", "trend"),
    [
        (1000, 1050, 5.0, "stable"),
        (1000, 1051, 5.1, "growing"),
        (1000, 950, -5.0, "stable"),
        (1000, 949, -5.1, "shrinking"),
        (1000, 1000, 0.0, "stable"),
        (0, 0, None, "stable"),
        (0, 1, None, "growing"),
        (1, 0, -100.0, "shrinking"),
        (1, 2**63 - 1, 2**63 * 100.0, "growing"),
    ],
)
def test_the_trend_is_that_of_the_change_in_percent(bench, before, after, percent, trend):
    put(bench, {"2026-01-31": before, "2026-02-01": 77, "2026-02-28": after})
    compute(bench, "month")
    found = row(bench, "month", "2026-02-01", "change_bytes, change_percent, trend")
    assert found == (after - before, pytest.approx(percent), trend)


def test_a_period_after_one_without_samples_has_no_change(bench):
    put(bench, {"2025-12-31": 10, "2026-02-01": 20})
    compute(bench, "month")
    found = row(bench, "month", "2026-02-01", "change_bytes, change_percent, trend")
    assert found == (None, None, None)
    assert starts(bench, "month") == ["2025-12-01", "2026-02-01"]


@pytest.mark.parametrize(
    ("period", "last_day", "expected"),
    [
        ("day", "2024-02-29", (1, 0)),
        ("week", "2021-01-03", (1, 6)),
        ("month", "2024-02-29", (1, 28)),
        ("month", "2023-02-28", (1, 27)),
        ("quarter", "2024-03-31", (1, 90)),
        ("quarter", "2023-03-31", (1, 89)),
        ("quarter", "2025-12-31", (1, 91)),
    ],
)
def test_a_period_is_over_the_day_after_its_last_one(bench, period, last_day, expected):
    put(bench, {last_day: 1})
    last = date.fromisoformat(last_day)
    assert compute(bench, period, last).total == 0
    assert compute(bench, period, last + timedelta(days=1)) == Counts(total=1, added=1)
    assert bench.one("select samples, gaps from syncd.db_size_stat") == expected


def test_what_was_computed_too_early_goes(bench):
    """A clock that was ahead is right again: the month is not over."""
    put(bench, {"2026-02-01": 1})
    assert compute(bench, "month", date(2026, 3, 1)).added == 1
    assert compute(bench, "month", date(2026, 2, 28)) == Counts(deleted=1)
    assert starts(bench, "month") == []


def test_a_late_sample_changes_its_period_and_the_one_after_it(bench):
    put(bench, {f"2026-0{month}-01": month for month in (1, 2, 3)})
    compute(bench, "day")
    put(bench, {"2026-01-31": 10})
    assert compute(bench, "day") == Counts(total=4, added=1, updated=1, unchanged=2)
    assert compute(bench, "month") == Counts(total=2, added=2)
    put(bench, {"2026-01-31": 11})
    assert compute(bench, "month") == Counts(total=2, updated=2)
    bench.execute("delete from syncd.db_size where collected_on < '2026-02-01'")
    assert compute(bench, "month") == Counts(total=1, updated=1, deleted=1)


def test_the_same_samples_in_another_order_give_the_same_rows(bench):
    """Sums of fractions would depend on it."""
    rng = Random(5)
    days = [date(2025, 10, 1) + timedelta(n) for n in range(92)]
    sizes = {day.isoformat(): rng.randrange(2**62) for day in days}
    put(bench, sizes)
    before = [compute(bench, period) for period in size_rollups.PERIODS]
    for _ in range(3):
        bench.execute("delete from syncd.db_size")
        put(bench, {day: sizes[day] for day in rng.sample(sorted(sizes), len(sizes))})
        again = [compute(bench, period) for period in size_rollups.PERIODS]
        assert again == [Counts(total=each.total, unchanged=each.total) for each in before]


def drop(bench, before):
    with bench.store.transaction() as tx:
        while OldMonths(date.fromisoformat(before)).remove(tx, START):
            pass


def test_periods_that_began_before_what_retention_left_stay_as_they_are(bench):
    """A change against one of them is still told."""
    put(bench, {f"2025-{month:02}-15": month for month in range(7, 13)} | {"2026-01-15": 20})
    for period in size_rollups.PERIODS:
        compute(bench, period)
    quarter = row(bench, "quarter", "2025-10-01", "db_size_stat::text")
    drop(bench, "2025-12-01")
    put(bench, {"2025-12-15": 30})
    assert compute(bench, "quarter") == Counts()
    assert row(bench, "quarter", "2025-10-01", "db_size_stat::text") == quarter
    assert compute(bench, "month") == Counts(total=2, updated=2)
    assert row(bench, "month", "2025-12-01", "change_bytes, samples") == (30 - 11, 1)
    assert starts(bench, "month")[0] == "2025-07-01"
    bench.execute("delete from syncd.db_size where collected_on < '2026-01-01'")
    assert compute(bench, "month") == Counts(total=1, updated=1, deleted=1)
    assert starts(bench, "month") == [
        "2025-07-01", "2025-08-01", "2025-09-01", "2025-10-01", "2025-11-01", "2026-01-01"
    ]  # fmt: skip


def test_months_that_retention_drops_just_now_keep_their_statistics(bench):
    """The statement that reads what is left waits, and sees the horizon that goes with it."""
    put(bench, {"2025-11-15": 11, "2025-12-15": 12, "2026-01-15": 13})
    compute(bench, "month")
    with ThreadPoolExecutor(1) as other:
        with bench.store.transaction() as tx:
            assert OldMonths(date(2025, 12, 1)).remove(tx, START)
            later = other.submit(compute, bench, "month")
            wait_for_lock(tx)
        assert later.result(20) == Counts(total=2, unchanged=2)
    assert starts(bench, "month") == ["2025-11-01", "2025-12-01", "2026-01-01"]


def test_no_month_is_dropped_while_statistics_are_computed(bench):
    put(bench, {"2025-11-15": 11})
    with bench.store.transaction() as tx:
        size_rollups.compute(tx, "month", TODAY, {})
        with pytest.raises(StoreError, match="lock timeout"):
            drop(bench, "2025-12-01")
    drop(bench, "2025-12-01")


def test_two_that_compute_the_same_at_once_write_it_once(bench):
    put(bench, {f"2026-01-{day:02}": day for day in range(1, 32)})
    with ThreadPoolExecutor(3) as three:
        counts = list(three.map(lambda _: compute(bench, "day"), range(3)))
    assert sorted(each.added for each in counts) == [0, 0, 31]
    assert sorted(each.unchanged for each in counts) == [0, 31, 31]


def test_a_sample_that_is_committed_meanwhile_is_in_the_next_ones(bench):
    put(bench, {"2026-01-01": 1, "2026-01-02": 2})
    with psycopg.connect(bench.store.dsn) as late:
        late.execute("insert into syncd.db_size values ('s', 'db', '2026-01-03', now(), 3)")
        assert compute(bench, "month").added == 1
        assert row(bench, "month", "2026-01-01", "samples") == 2
    assert compute(bench, "month").updated == 1
    assert row(bench, "month", "2026-01-01", "samples, last_bytes") == (3, 3)


def test_a_plan_counts_and_writes_nothing(bench):
    put(bench, {"2026-01-01": 1, "2026-01-02": 2})
    job = SizeRollupsJob(
        SizeRollupsSettings(ZoneInfo("UTC"), {}), HandClock(datetime(2026, 4, 1, tzinfo=UTC))
    )
    of = spec("j", job)
    done = plan(bench.store, of, rehearsal(of, Selection(), Clock(), bench.log), RunProgress())
    assert {one.target: one.counts.added for one in done} == {
        "day": 2, "week": 1, "month": 1, "quarter": 1
    }  # fmt: skip
    assert bench.one("select count(*) from syncd.db_size_stat") == 0

"""Statistics of sizes against the same in plain Python, whatever becomes of the samples."""

from datetime import UTC, date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from dispatch_helpers import Bench, HandClock
from shared_bench import emptied, shared_bench
from size_oracle import PERIODS, World, differences, store_samples, stored
from thorough import times

from syncd.jobs.size_rollups import SizeRollupsJob, SizeRollupsSettings
from syncd.store.retention import START
from syncd.store.size_partitions import OldMonths

ROUNDS = 4


@pytest.fixture(scope="module")
def shared(databases, tmp_path_factory):
    with shared_bench(databases, tmp_path_factory.mktemp("bench")) as made:
        yield made


@pytest.fixture
def bench(shared):
    return emptied(shared)


def roll(bench: Bench, world: World, today: date) -> dict[str, tuple[int, ...]]:
    """Run the job on a day; return the counts of each kind of periods."""
    return roll_at(bench, world, datetime.combine(today, datetime.min.time(), UTC), "UTC")


def roll_at(bench, world, moment, zone):
    bench.clock.pass_(60)  # each run has a due time of its own
    settings = SizeRollupsSettings(ZoneInfo(zone), world.rooms)
    end = bench.run(SizeRollupsJob(settings, HandClock(moment)))
    assert (end.outcome.status, end.outcome.error) == ("success", None)
    rows = bench.execute(
        """select target, total, added, updated, deleted, unchanged from syncd.run_item
           where run_id = (select id from syncd.run order by created_at desc limit 1)"""
    )
    return {target: tuple(counts) for target, *counts in rows}


def check(bench, world, today):
    """Roll up and compare; the second time nothing is written. Return the first counts."""
    before = stored(bench)
    world.expect(today)
    counts = roll(bench, world, today)
    assert differences(stored(bench), world.expected) == []
    check_counts(world, counts, before)
    times = written_at(bench)
    again = roll(bench, world, today)
    assert {p: (n[0], 0, 0, 0, n[0]) for p, n in counts.items()} == again
    assert written_at(bench) == times
    return counts


def check_counts(world, counts, before):
    computed = {at: row for at, row in world.expected.items() if at[2] >= world.horizon}
    for period in PERIODS:
        new = {at for at in computed if at[0] == period}
        old = {at for at in before if at[0] == period and at[2] >= world.horizon}
        total, added, updated, deleted, unchanged = counts[period]
        assert (total, added, deleted) == (len(new), len(new - old), len(old - new))
        assert updated + unchanged == len(new & old)


def written_at(bench):
    return bench.execute(
        """select server, database, period, period_start, computed_at, ctid from syncd.db_size_stat
           union all
           select server, '', period, period_start, computed_at, ctid from syncd.server_size_stat
           order by 1, 2, 3, 4"""
    )


def random_world(rng: Random, first: date, days: int) -> World:
    """Make databases that grow, shrink, jump, stand still, come and go, with gaps."""
    world = World(rooms={"a": 10**12, "b": 5 * 10**9})
    for server in ("a", "b", "c"):
        for number in range(3):
            begin = first + timedelta(rng.choice([0, 0, rng.randrange(days)]))
            size, daily = rng.choice([0, 10**9, 2**62]), rng.choice([-(10**7), 0, 10**7, 10**9])
            for n in range((first + timedelta(days) - begin).days):
                size = min(max(size + daily + rng.randrange(-(10**6), 10**6), 0), 2**63 - 1)
                if rng.random() < 0.8:
                    world.put((server, f"db{number}"), begin + timedelta(n), size)
        for n in range(days):
            if rng.random() < 0.9:
                world.put((server, None), first + timedelta(n), rng.randrange(4 * 10**9, 6 * 10**9))
    return world


def disturb(rng: Random, world: World, first: date, today: date) -> None:
    """Let samples come late, be corrected, and go."""
    days = (today - first).days
    for key in list(world.samples):
        for _ in range(rng.randrange(4)):
            day = first + timedelta(rng.randrange(days))
            if day >= world.horizon:
                world.put(key, day, rng.randrange(10**10))
        if world.samples[key] and rng.random() < 0.4:
            world.forget(key, rng.choice(sorted(world.samples[key])))
    if rng.random() < 0.3:
        gone = rng.choice(sorted(world.samples, key=str))
        world.samples[gone] = {}


def drop_months(bench: Bench, world: World, before: date) -> None:
    """Do as retention does, in the store and in the world."""
    with bench.store.transaction() as tx:
        while OldMonths(before).remove(tx, START):
            pass
    world.horizon = max(world.horizon, before.replace(day=1))
    for of_key in world.samples.values():
        for day in [day for day in of_key if day < world.horizon]:
            del of_key[day]


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(date(2020, 11, 20), id="ISO week 53"),
        pytest.param(date(2023, 12, 10), id="leap day"),
        pytest.param(date(2024, 12, 1), id="week 1 begins in December"),
    ],
)
@pytest.mark.parametrize("seed", range(1, 1 + times(1)))
def test_they_are_what_plain_python_says_whatever_happens_to_the_samples(bench, first, seed):
    rng = Random(seed * 1000 + first.toordinal())
    world = random_world(rng, first, 160)
    today = first + timedelta(days=100)
    for turn in range(ROUNDS):
        store_samples(bench, world)
        check(bench, world, today)
        disturb(rng, world, first, today)
        if turn % 2:
            store_samples(bench, world)
            check(bench, world, today)
            drop_months(bench, world, first + timedelta(rng.randrange(30, 90)))
        today += timedelta(rng.choice([0, 1, 7, 31]))


@pytest.mark.parametrize(
    ("moment", "zone", "complete"),
    [
        ("2026-01-01 09:59", "Pacific/Kiritimati", ["2025-12-30", "2025-12-31"]),
        ("2025-12-31 09:59", "Pacific/Kiritimati", ["2025-12-30"]),
        ("2026-01-01 10:59", "Pacific/Pago_Pago", ["2025-12-30"]),
        ("2026-01-01 11:00", "Pacific/Pago_Pago", ["2025-12-30", "2025-12-31"]),
        ("2025-12-31 15:59", "Asia/Shanghai", ["2025-12-30"]),
        ("2025-12-31 16:00", "Asia/Shanghai", ["2025-12-30", "2025-12-31"]),
        ("2025-12-31 23:59", "UTC", ["2025-12-30"]),
    ],
)
def test_a_period_is_over_when_its_last_day_is_over_in_the_configured_zone(
    bench, moment, zone, complete
):
    world = World()
    for day in range(29, 32):
        world.put(("a", "db"), date(2025, 12, day), 10)
    del world.samples["a", "db"][date(2025, 12, 29)]
    store_samples(bench, world)
    roll_at(bench, world, datetime.fromisoformat(moment).replace(tzinfo=UTC), zone)
    rows = bench.execute(
        "select period_start::text from syncd.db_size_stat where period = 'day' order by 1"
    )
    assert [row[0] for row in rows] == complete
    month = bench.one("select count(*) from syncd.db_size_stat where period <> 'day'")
    assert month == (2 if len(complete) == 2 else 0)  # the month and the quarter; no week

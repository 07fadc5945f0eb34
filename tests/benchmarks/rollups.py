"""How long the statistics of sizes take, against the bare aggregation of the same samples.

    python -m tests.benchmarks.rollups [--databases 1000] [--days 800] [--rounds 3]

They are made from nothing, and made again when nothing has changed. The bare aggregation reads the
same samples and groups them by the same periods, and writes nothing; what counts is the ratio.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta

from syncd.model.run import Counts
from syncd.store import size_partitions, size_rollups
from syncd.store.database import Store, Transaction
from syncd.store.size_rollups import PERIODS
from tests.benchmarks._store import store

GOALS = {"from nothing": 10.0, "unchanged": 5.0}  # every row is compared with the one that stands
SERVERS = 50
TODAY = date(2026, 3, 1)
FILL = """
insert into syncd.db_size (server, database, collected_on, collected_at, size_bytes)
select 'server-' || n %% %(servers)s, 'database-' || n, day, now(),
       n::bigint * 1000000 + (day - %(first)s::date) * 100000 + (random() * 1e7)::bigint
from generate_series(1, %(databases)s) n,
     lateral (select %(first)s::date + i as day from generate_series(0, %(days)s - 1) i) d
where random() < 0.97
order by day, n"""
FILL_SERVERS = """
insert into syncd.server_size (server, collected_on, collected_at, size_bytes, database_count)
select server, collected_on, now(), sum(size_bytes), count(*) from syncd.db_size group by 1, 2"""
BARE = """
with grouped as materialized (
select server, database, date_trunc(%s, collected_on::timestamp), count(*), avg(size_bytes),
       min(size_bytes), max(size_bytes),
       regr_slope(size_bytes, collected_on - date '2000-01-01')
from syncd.db_size where collected_on < %s group by 1, 2, 3)
select count(*) from grouped"""


def fill(opened: Store, databases: int, days: int) -> None:
    """Store samples of so many days before today."""
    first = TODAY - timedelta(days=days)
    values = {"servers": SERVERS, "first": first, "databases": databases, "days": days}
    with opened.transaction(limit=600) as tx:
        size_partitions.make(tx, first, TODAY)
        tx.execute(FILL, values)
        tx.execute(FILL_SERVERS)
    with opened.transaction(limit=600) as tx:
        tx.execute("analyze")


def timed(opened: Store, work: Callable[[Transaction, str], Counts]) -> tuple[float, Counts]:
    """Do a work for each kind of periods, each in a transaction; return the seconds."""
    began, counts = time.perf_counter(), Counts()
    for period in PERIODS:
        with opened.transaction(limit=600) as tx:
            counts += work(tx, period)
    return time.perf_counter() - began, counts


def bare(tx: Transaction, period: str) -> Counts:
    """Group the samples; the rows are counted where they are made."""
    tx.execute("set local work_mem = '128MB'")
    tx.execute(BARE, (period, TODAY))
    return Counts()


def compute(tx: Transaction, period: size_rollups.Period) -> Counts:
    """Make the statistics; one server in two has a capacity."""
    room = {f"server-{n}": 10**12 for n in range(0, SERVERS, 2)}
    return size_rollups.compute(tx, period, TODAY, room)


def main() -> int:
    """Run the rounds and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--databases", type=int, default=1_000)
    parser.add_argument("--days", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    ratios: dict[str, list[float]] = {name: [] for name in GOALS}
    with store() as opened:
        fill(opened, options.databases, options.days)
        for _ in range(options.rounds):
            with opened.transaction() as tx:
                tx.execute("truncate syncd.db_size_stat, syncd.server_size_stat")
            plain, _ = timed(opened, bare)
            for name in GOALS:
                took, counts = timed(opened, compute)
                ratios[name].append(took / plain)
                print(f"  {name}: {took:.2f} s, {counts}; bare {plain:.2f} s")
    missed = False
    for name, goal in GOALS.items():
        ratio = statistics.median(ratios[name])
        missed |= ratio > goal
        verdict = "reached" if ratio <= goal else "MISSED"
        print(f"{name}, of the bare aggregation: {ratio:.2f}, goal {goal}: {verdict}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

"""How long the batches of retention take, against one bare DELETE of the same rows.

    python -m tests.benchmarks.retention [--rows 200000] [--rounds 3]

Both are done on the same table in the same process, in turns; what counts is the ratio. A bare
DELETE holds its locks and its transaction all the while: batches may take a little longer.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from syncd.store import retention
from syncd.store.database import Store, Transaction
from syncd.store.retention import Expired
from tests.benchmarks._store import store

GOAL = 3.0  # each batch commits: with few rows that shows
CHANGES = """
insert into syncd.resource_change
    (run_id, account, region, type, resource_id, change, changed_at, fields)
select gen_random_uuid(), 'prod', 'cn-a', 'host', 'i-' || n %% 10000, 'updated',
       now() - make_interval(days => case when n %% 2 = 0 then 500 else 1 end, secs => n),
       '{"status": ["Running", "Stopped"]}'
from generate_series(1, %s) n"""
RUNS = """
with new as (
    insert into syncd.run (id, job, kind, trigger, status, max_attempts, scheduled_for, created_at,
                           finished_at, items_total, config_digest)
    select gen_random_uuid(), 'hosts', 'cloud', 'manual', 'success', 1, at, at, at, 9, 'd'
    from (select now() - make_interval(days => case when n %% 2 = 0 then 500 else 1 end,
                                       secs => n) as at
          from generate_series(1, %s / 10) n) t
    returning id
)
insert into syncd.run_item (run_id, target, status, attempt)
select id, 'prod/cn-' || n || '/host', 'success', 1 from new, generate_series(1, 9) n"""


def fill(store: Store, statement: str, rows: int) -> None:
    """Empty the tables and fill one again; half of its rows are old."""
    with store.transaction() as tx:
        tx.execute("truncate syncd.run, syncd.run_item, syncd.run_error, syncd.resource_change")
        tx.execute(statement.encode(), (rows,))
    with store.transaction() as tx:
        tx.execute("analyze")


def in_batches(store: Store, expired: Callable[[Transaction], Expired]) -> tuple[float, int, float]:
    """Remove what is old; return the seconds, the number of batches, and the longest one."""
    began, times, start = time.perf_counter(), [], retention.START
    with store.transaction() as tx:
        old = expired(tx)
    while True:
        turn = time.perf_counter()
        with store.transaction() as tx:
            gone = old.remove(tx, start)
        times.append(time.perf_counter() - turn)
        if gone is None:
            return time.perf_counter() - began, len(times) - 1, max(times)
        start = gone.last


def bare(store: Store, statement: str) -> float:
    """Remove what is old with one statement; return the seconds."""
    began = time.perf_counter()
    with store.transaction() as tx:
        tx.execute(statement.encode())
    return time.perf_counter() - began


def main() -> int:
    """Run the rounds and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    before = datetime.now(UTC) - timedelta(days=400)
    cases = {
        "changes": (CHANGES, lambda _: retention.old_changes(before),
                    "delete from syncd.resource_change where changed_at < now() - interval '400d'"),
        "runs with 9 items": (RUNS, lambda tx: retention.old_runs(tx, before, ()),
                              "delete from syncd.run where created_at < now() - interval '400d'"),
    }  # fmt: skip
    worst = 0.0
    with store() as opened:
        for name, (made, expired, statement) in cases.items():
            ratios = []
            for _ in range(options.rounds):
                fill(opened, made, options.rows)
                plain = bare(opened, statement)
                fill(opened, made, options.rows)
                took, batches, longest = in_batches(opened, expired)
                ratios.append(took / plain)
                print(f"  {name}: {took:.2f} s in {batches} batches, the longest {longest:.3f} s;"
                      f" one DELETE {plain:.2f} s")  # fmt: skip
            ratio = statistics.median(ratios)
            worst = max(worst, ratio)
            print(f"{name}, of one bare DELETE: {ratio:.2f}")
    verdict = "reached" if worst <= GOAL else "MISSED"
    print(f"goal {GOAL}: {verdict}")
    return 0 if worst <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())

"""How long the ends of many runs take to be taken up for notifications, against one bare UPDATE.

    python -m tests.benchmarks.notices [--runs 20000] [--jobs 200] [--rounds 3]

Both mark the same runs as told in the same process, in turns; the product does so in batches, each
a transaction, decides what is told of each job, and queues the messages. What counts is the ratio.
"""

import argparse
import statistics
import sys
import time
from datetime import timedelta

from syncd.context import Clock
from syncd.model.notice import Wants
from syncd.notices.derive import Deriver, Watched
from syncd.store.database import Store
from tests.benchmarks._store import store

GOAL = 40.0  # the bare statement decides nothing and commits once; 6,000 ends a second are plenty
RUNS = """
insert into syncd.run (id, job, kind, trigger, status, max_attempts, scheduled_for, created_at,
                       started_at, finished_at, error_class, error, config_digest)
select gen_random_uuid(), 'job-' || n %% %s, 'http', 'manual',
       case when n / %s %% 2 = 0 then 'failed' else 'success' end, 1, at, at, at, at,
       case when n / %s %% 2 = 0 then 'network' end, 'reset by peer', 'd'
from (select n, now() - make_interval(secs => (%s - n) / 100.0) as at
      from generate_series(1, %s) n) t"""


def fill(opened: Store, runs: int, jobs: int) -> None:
    """Make runs of which nobody was told: each job fails and recovers in turns."""
    with opened.transaction() as tx:
        tx.execute("truncate syncd.run, syncd.run_item, syncd.run_error, syncd.http_call")
        tx.execute("truncate syncd.alert, syncd.notification")
        tx.execute(RUNS.encode(), (jobs, jobs, jobs, runs, runs))
    with opened.transaction() as tx:
        tx.execute("analyze")


def taken(opened: Store, jobs: int) -> tuple[float, int]:
    """Take all ends up; return the seconds, and how many looks that took."""
    clock = Clock()
    deriver = Deriver("bench", dict, dict, clock)
    watched = Watched(timedelta(minutes=30), None, pinged=False)
    wants = [Wants("oncall", frozenset({"failed", "recovered"}), timedelta(hours=1), ())]
    deriver.use(wants, {f"job-{n}": watched for n in range(jobs)})
    began, looks, more = time.perf_counter(), 0, True
    while more:
        deriver.prepare()
        with opened.transaction() as tx:
            more = deriver.look(tx).more
        deriver.looked()
        looks += 1
    return time.perf_counter() - began, looks


def bare(opened: Store) -> float:
    """Mark all ends as told with one statement; return the seconds."""
    began = time.perf_counter()
    with opened.transaction() as tx:
        tx.execute(
            """update syncd.run set told_at = now()
               where told_at is null and status in ('success', 'failed', 'cancelled')"""
        )
    return time.perf_counter() - began


def main() -> int:
    """Run the rounds and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    ours, theirs = [], []
    with store() as opened:
        for _ in range(options.rounds):
            fill(opened, options.runs, options.jobs)
            seconds, looks = taken(opened, options.jobs)
            ours.append(seconds)
            fill(opened, options.runs, options.jobs)
            theirs.append(bare(opened))
            print(f"taken up {seconds:6.2f} s in {looks} looks   bare {theirs[-1]:6.2f} s")
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(f"ratio {ratio:.2f} (goal {GOAL})")
    return 0 if ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())

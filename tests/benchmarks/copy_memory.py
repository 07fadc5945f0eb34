"""Peak memory of copies over what their process held before, whatever the tables' and rows' sizes.

    python -m tests.benchmarks.copy_memory [--sizes 10000 5000000] [--large 3 12] [--only pg-pg]

Each size is copied by a process of its own, into an empty target and then, 1% changed, once more;
the peak is the kernel's (VmHWM of proc(5), reset before each run). Tables with a value of 50 MB in
each row are copied with few rows and with many: what they take is bounded by the largest row.
"""

import argparse
import sys
from itertools import product

from tests.benchmarks._tables import TABLE, Servers, servers
from tests.benchmarks._worker import worker
from tests.benchmarks.copies import Bench

GOAL = 60 << 20
LARGE = 50_000_000
LARGE_GOALS = {"pg": 3 * LARGE + (20 << 20), "maria": GOAL}
"""By where rows come from.

libpq takes a row of PostgreSQL from the socket as a whole and gives a copy of it, of which psycopg
makes bytes: it is there three times for a moment, as COPY has it (bytea that go as text twice as
long). Nothing is done about that without another driver; all that is done later takes less, since
only what libpq read into and the values are left. A row of MariaDB goes to PostgreSQL in pieces,
while it is read; to MariaDB from its values, which are there once.
"""
_LINE = b"It's a line of 50 bytes, with a \\ and\ta tab here.\n".hex()
_WORD = f"repeat('0123456789', {LARGE // 10})"
VALUES = {
    "of one word": {"postgresql": _WORD, "mysql": _WORD},
    "of lines": {
        "postgresql": f"repeat(convert_from(decode('{_LINE}', 'hex'), 'UTF8'), {LARGE // 50})",
        "mysql": f"repeat(convert(unhex('{_LINE}') using utf8mb4), {LARGE // 50})",
    },
}
"""What has nothing to be escaped on its way, and what has."""
LARGE_ROWS = {
    "postgresql": f"insert into {TABLE} select n, 1, 'x', 1, true, {{}}, null, now()"
    " from generate_series(1, {}) n",
    "mysql": f"insert into {TABLE} select seq, 1, 'x', 1, true, {{}}, null, now()"
    " from seq_1_to_{}",
}


def small_rows(made: Servers, bench: Bench, size: int, pair: str) -> int:
    """Return the peak of copying rows of 230 bytes, the larger one of a first and a second run."""
    source, target = bench.sides(pair)
    source.make(size)
    target.make()
    with worker(made.directory, made.store, bench.configuration()) as runs:
        first = runs.run(pair)
        source.execute(f"update {TABLE} set customer = customer + 1 where id % 100 = 0")
        second = runs.run(pair)
    for what, cost in ("first run", first), ("1% changed", second):
        told = f"{cost.seconds:.1f} s ({cost.counts})"
        print(f"  {pair}, {size} rows, {what}: {cost.peak >> 20} MiB, {told}", flush=True)
    return max(first.peak, second.peak)


def large_rows(made: Servers, bench: Bench, size: int, pair: str, what: str) -> int:
    """Return the peak of copying rows with one of the large values."""
    source, target = bench.sides(pair)
    source.make()
    source.execute(LARGE_ROWS[source.engine].format(VALUES[what][source.engine], size))
    target.make()
    with worker(made.directory, made.store, bench.configuration()) as runs:
        cost = runs.run(pair)
    told = f"{cost.peak >> 20} MiB, {cost.seconds:.1f} s"
    print(f"  {pair}, {size} rows of 50 MB {what}: {told}", flush=True)
    return cost.peak


def flat(name: str, peaks: list[int], goal: int) -> bool:
    """Print the peaks of the sizes against their goal, and tell whether it was reached."""
    reached = max(peaks) <= goal
    told = ", ".join(f"{peak >> 20}" for peak in peaks)
    print(
        f"{name}: {told} MiB  goal {goal >> 20}: {'reached' if reached else 'MISSED'}", flush=True
    )
    return reached


def main() -> int:
    """Measure every size and print the peaks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=(10_000, 300_000, 5_000_000))
    parser.add_argument("--large", type=int, nargs="*", default=(3, 12))
    parser.add_argument("--only", nargs="*", default=("pg-pg", "maria-pg", "pg-maria"))
    options = parser.parse_args()
    reached = True
    with servers() as made:
        bench = Bench(made, 0)
        for pair in options.only if options.sizes else ():
            peaks = [small_rows(made, bench, size, pair) for size in options.sizes]
            reached &= flat(f"{pair}, rows of 230 bytes", peaks, GOAL)
        for pair, what in product(options.only if options.large else (), VALUES):
            peaks = [large_rows(made, bench, size, pair, what) for size in options.large]
            goal = LARGE_GOALS[pair.split("-")[0]]
            reached &= flat(f"{pair}, rows of 50 MB {what}", peaks, goal)
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())

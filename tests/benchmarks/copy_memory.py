"""Peak memory of copies over what their process held before, whatever the tables' and rows' sizes.

    python -m tests.benchmarks.copy_memory [--sizes 10000 5000000] [--large 3 12] [--only pg-pg]

Each size is copied by a process of its own, into an empty target and then, 1% changed, once more;
the peak is the kernel's (VmHWM of proc(5), reset before each run). Tables with a value of 50 MB in
each row are copied with few rows and with many: what one row takes is bounded by the row.
"""

import argparse
import sys
from collections.abc import Callable

from tests.benchmarks._tables import TABLE, Servers, servers
from tests.benchmarks._worker import worker
from tests.benchmarks.copies import Bench

GOAL = 60 << 20
LARGE = 50_000_000
LARGE_GOAL = GOAL + 5 * LARGE
"""A row is held by the driver, as a row, and as what is sent; growing buffers double."""
_WIDE = f"substr(repeat('0123456789abcdef', {LARGE // 16 + 1}), 1, {LARGE})"
LARGE_ROWS = {
    "postgresql": f"insert into {TABLE} select n, 1, 'x', 1, true, {_WIDE}, null, now()"
    " from generate_series(1, %d) n",
    "mysql": f"insert into {TABLE} select seq, 1, 'x', 1, true, {_WIDE}, null, now()"
    " from seq_1_to_%d",
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


def large_rows(made: Servers, bench: Bench, size: int, pair: str) -> int:
    """Return the peak of copying rows of 50 MB."""
    source, target = bench.sides(pair)
    source.make()
    source.execute(LARGE_ROWS[source.engine] % size)
    target.make()
    with worker(made.directory, made.store, bench.configuration()) as runs:
        cost = runs.run(pair)
    print(
        f"  {pair}, {size} rows of 50 MB: {cost.peak >> 20} MiB, {cost.seconds:.1f} s", flush=True
    )
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
    measures: list[tuple[str, Callable[[Servers, Bench, int, str], int], list[int], int]] = [
        ("rows of 230 bytes", small_rows, list(options.sizes), GOAL),
        ("rows of 50 MB", large_rows, list(options.large), LARGE_GOAL),
    ]
    with servers() as made:
        bench = Bench(made, 0)
        for name, measure, sizes, goal in measures:
            for pair in options.only:
                if sizes:
                    peaks = [measure(made, bench, size, pair) for size in sizes]
                    reached &= flat(f"{pair}, {name}", peaks, goal)
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())

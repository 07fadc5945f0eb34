"""Copies of a table against pipelines of the servers' own command line tools, in the same rounds.

    python -m tests.benchmarks.copies [--rows 1000000] [--rounds 3] [--only pg-pg maria-pg]

Each round empties the target, times the pipe, empties it again and times a run of ours, from being
triggered until its record says that it ended. A ratio is the median over the rounds; the goals are
those of a table of eight columns and 230 bytes a row. Where the limit is the binary pipe between
two PostgreSQL, it stays the limit for targets of other types and for merges, which do more.

After the rounds of ours those of Sling and dlt follow, each after a pipe of its own, where these
are installed: `_peers.py` tells how. No goal depends on them.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from tests.benchmarks import _peers
from tests.benchmarks._peers import Copy, Peer
from tests.benchmarks._tables import (
    TABLE,
    Maria,
    Postgres,
    Servers,
    maria_to_maria,
    maria_to_pg,
    pg_to_maria,
    pg_to_pg,
    servers,
)
from tests.benchmarks._worker import Worker, worker

MEMORY_GOAL = 60 << 20
PAIRS = ("pg-pg", "maria-pg", "pg-maria", "maria-maria")
_TOUCH = f"""
update {TABLE} set note = 'touched ' || clock_timestamp(), updated_at = clock_timestamp()
where id % 100 = """


@dataclass(frozen=True)
class Case:
    """What is measured: a job of ours, what comes before it, the pipe, the goal, what peers do."""

    name: str
    job: str
    before: Callable[[int], object]
    pipe: Callable[[], float]
    goal: float | None = None
    peers: Copy | None = None


class Bench:
    """The cases between the servers' databases."""

    def __init__(self, made: Servers, rows: int) -> None:
        self.rows = rows
        self.pg, self.pg_to = made.pg
        self.maria, self.maria_to = made.maria
        self.of: dict[str, tuple[Postgres, Postgres] | tuple[Maria, Maria]] = {
            "pg": made.pg, "maria": made.maria
        }  # fmt: skip

    def configuration(self) -> dict[str, Any]:
        """Return servers and jobs, called as their cases."""
        jobs = {pair: self._job(*pair.split("-")) for pair in PAIRS}
        jobs["increment"] = {
            **jobs["pg-pg"], "mode": "incremental", "watermark": "updated_at", "lookback": "0s"
        }  # fmt: skip
        ways = {
            f"{name}_{way}": sides[way].server for name, sides in self.of.items() for way in (0, 1)
        }
        return {"servers": ways, "jobs": jobs}

    def sides(self, pair: str) -> tuple[Postgres | Maria, Postgres | Maria]:
        """Return source and target of a pair such as `maria-pg`."""
        source, target = pair.split("-")
        return self.of[source][0], self.of[target][1]

    def _job(self, source: str, target: str) -> dict[str, Any]:
        return {
            "kind": "table_copy",
            "source": {"server": f"{source}_0", "tables": [TABLE], **self.of[source][0].place},
            "target": {"server": f"{target}_1", **self.of[target][1].place},
        }

    def groups(self) -> dict[str, Callable[[], Sequence[Case]]]:
        """Return what makes the cases, by the name that `--only` takes; the tables come with it."""
        return {
            "pg-pg": self._between_postgres,
            "maria-pg": self._from_maria,
            "pg-maria": self._into_maria,
            "maria-maria": self._between_maria,
        }

    def _between_postgres(self) -> Sequence[Case]:
        self.pg.make(self.rows)
        self.pg.execute(f"create index on {TABLE} (updated_at, id)")
        self.pg_to.make()
        between = Copy(self.pg, self.pg_to)
        merge = Copy(self.pg, self.pg_to, lambda number: self._touch(20 + number))
        return [
            Case("whole table", "pg-pg", self._emptied, self._binary, 1.15, between),
            Case("whole table, other types", "pg-pg", self._of_other_types, self._binary, 1.5),
            Case("merge, 1% changed", "pg-pg", self._filled_and_touched, self._binary, 1.7, merge),
            Case("increment of 1% by watermark", "increment", self._touched, self._binary),
        ]

    def _from_maria(self) -> Sequence[Case]:
        self.maria.make(self.rows)
        return [
            Case(
                "MariaDB to PostgreSQL, of mariadb | psql", "maria-pg", self._emptied,
                lambda: self._fresh(lambda: maria_to_pg(self.maria, self.pg_to)), 1.35,
                Copy(self.maria, self.pg_to),
            )
        ]  # fmt: skip

    def _into_maria(self) -> Sequence[Case]:
        self.pg.make(self.rows)
        return [
            Case(
                "PostgreSQL to MariaDB, of psql | LOAD DATA", "pg-maria",
                lambda _: self.maria_to.make(),
                lambda: self._fresh_maria(lambda: pg_to_maria(self.pg, self.maria_to)),
            )
        ]  # fmt: skip

    def _between_maria(self) -> Sequence[Case]:
        self.maria.make(self.rows)
        return [
            Case(
                "MariaDB to MariaDB, of mariadb-dump | mariadb", "maria-maria",
                lambda _: self.maria_to.make(),
                lambda: self._fresh_maria(lambda: maria_to_maria(self.maria, self.maria_to)),
            )
        ]  # fmt: skip

    def _binary(self) -> float:
        """Time the pipe into a table of its own, so that what stands in the target stays."""
        self.pg_to.execute(
            f"drop table if exists kept_{TABLE}",
            f"alter table if exists {TABLE} rename to kept_{TABLE}",
        )
        return self._fresh(
            lambda: pg_to_pg(self.pg, self.pg_to),
            f"drop table {TABLE}",
            f"alter table kept_{TABLE} rename to {TABLE}",
        )

    def _fresh(self, run: Callable[[], float], *after: str) -> float:
        self.pg_to.make()
        seconds = run()
        self.pg_to.execute(*after)
        return seconds

    def _fresh_maria(self, run: Callable[[], float]) -> float:
        self.maria_to.make()
        return run()

    def _emptied(self, _number: int) -> None:
        self.pg_to.make()
        self.pg_to.execute("checkpoint")

    def _of_other_types(self, _number: int) -> None:
        self.pg_to.make(other=True)
        self.pg_to.execute("checkpoint")

    def _filled_and_touched(self, number: int) -> None:
        """Have the target equal the source, but for 1% of the rows."""
        self.pg_to.make()
        pg_to_pg(self.pg, self.pg_to)
        self.pg_to.execute(f"analyze {TABLE}", "checkpoint")
        self._touch(number)

    def _touched(self, number: int) -> None:
        self._touch(50 + number)

    def _touch(self, number: int) -> None:
        """Change 1% of the source's rows: the hundredth that the number names."""
        self.pg.execute(f"{_TOUCH}{number}")


def measure(case: Case, runs: Worker, rounds: int, peers: Sequence[Peer]) -> bool:
    """Do the rounds of a case; print them, tell whether the goals were reached."""
    ratios, peaks = [], []
    if case.job == "increment":
        runs.run(case.job)
    for number in range(rounds):
        limit = case.pipe()
        case.before(number)
        cost = runs.run(case.job)
        ratios.append(cost.seconds / limit)
        peaks.append(cost.peak)
        print(
            f"  {case.name}: {cost.seconds:.2f} s ({cost.counts}), pipe {limit:.2f} s,"
            f" peak over rest {cost.peak >> 20} MiB",
            flush=True,
        )
    ratio, peak = statistics.median(ratios), statistics.median(peaks)
    good = (case.goal is None or ratio <= case.goal) and peak <= MEMORY_GOAL
    told = f"goal {case.goal}: {_verdict(ratio <= case.goal)}" if case.goal else "no goal"
    print(f"{case.name}, of the pipe: {ratio:.2f}  {told}; memory {_verdict(peak <= MEMORY_GOAL)}")
    if copy := case.peers:
        for peer in peers:
            if peer.merges or copy.touch is None:
                _peers.compare(peer, case.name, copy, case.pipe, rounds, ratio)
    return good


def _verdict(reached: bool) -> str:
    return "reached" if reached else "MISSED"


def main() -> int:
    """Run the rounds and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=())
    options = parser.parse_args()
    reached, peers = True, _peers.found()
    with ExitStack() as stack:
        made = stack.enter_context(servers())
        bench = Bench(made, options.rows)
        runs = stack.enter_context(worker(made.directory, made.store, bench.configuration()))
        for name, cases in bench.groups().items():
            if not options.only or name in options.only:
                for case in cases():
                    reached &= measure(case, runs, options.rounds, peers)
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())

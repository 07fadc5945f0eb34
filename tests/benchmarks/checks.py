"""A check that looks for one changed byte in millions of rows: what it transfers, and how long.

    python -m tests.benchmarks.checks [--rows 5000000] [--rounds 2] [--only maria-json]

Both servers are reached through proxies that count what passes, in both directions. The time is
compared with one full scan of each side by its own command line, one after the other, which hashes
each row as text; a check has to do as much.

JSON is a text on both sides of `maria-pg`. In `maria-json`, which has no goal, it is a jsonb on the
right, which spells it in its own way: all of it has to be read, and judged.
"""

import argparse
import statistics
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.benchmarks._tables import TABLE, Maria, Postgres, Servers, maria_to_pg, pg_to_pg, pipe
from tests.benchmarks._tables import servers as started
from tests.benchmarks._worker import worker
from tests.proxy import Connect, Proxy, to_socket

GOAL = 0.01
_SCAN = {
    "postgresql": f"select sum(hashtextextended({TABLE}::text, 0)) from {TABLE}",
    "mysql": f"select bit_xor(conv(left(md5(concat_ws('|', id, customer, name, amount, paid, note,"
    f" detail, updated_at)), 16), 16, 10)) from {TABLE}",
}


_CHANGE = f"update {TABLE} set note = 'x' || substr(note, 2) where id = {{}}"


class Counting:
    """A proxy in front of a server's socket that counts bytes."""

    def __init__(self, connect: Connect) -> None:
        self.bytes = 0
        self.proxy = Proxy(connect, rewrite=self._counted)

    def _counted(self, data: bytes) -> bytes:
        self.bytes += len(data)
        return data


@contextmanager
def counted(side: Postgres | Maria) -> Iterator[tuple[Counting, dict[str, Any]]]:
    """Give the proxy, and the server as `[servers.NAME]` behind it."""
    told = side.server
    if side.engine == "postgresql":
        made = Counting(to_socket(f"{told['host']}/.s.PGSQL.{told['port']}"))
    else:
        made = Counting(to_socket(told["host"]))
    try:
        yield made, {**told, "host": "127.0.0.1", "port": made.proxy.port, "tls": "disable"}
    finally:
        made.proxy.close()


def scan(side: Postgres | Maria) -> float:
    """Return the seconds of a full scan that hashes each row."""
    query = _SCAN[side.engine]
    if isinstance(side, Postgres):
        return pipe(side.command(query))
    return pipe(side.command("--execute", query))


def size(side: Postgres) -> int:
    """Return the bytes of all rows as text, which is what a full transfer would be."""
    return int(side.value(f"select sum(octet_length({TABLE}::text)) from {TABLE}"))


def fill(source: Postgres | Maria, target: Postgres, rows: int, *, json: bool) -> None:
    """Make both tables equal."""
    source.make(rows)
    target.make()
    if not json:
        target.execute(f"alter table {TABLE} alter detail type text")
    if isinstance(source, Postgres):
        pg_to_pg(source, target)
    else:
        maria_to_pg(source, target)
    target.execute(f"vacuum analyze {TABLE}")


def measure(made: Servers, pair: str, rows: int, rounds: int) -> bool:
    """Do the rounds between two sides; print them, tell whether the goal was reached."""
    source, target = made.pg[0] if pair == "pg-pg" else made.maria[0], made.pg[1]
    fill(source, target, rows, json=pair != "maria-pg")
    whole, shares, ratios = size(target), [], []
    with ExitStack() as stack:
        left, left_table = stack.enter_context(counted(source))
        right, right_table = stack.enter_context(counted(target))
        servers = {"left": left_table, "right": right_table}
        tables = {"servers": servers, "jobs": {"check": _job(source, target)}}
        runs = stack.enter_context(worker(made.directory, made.store, tables))
        for number in range(rounds):
            target.execute(_CHANGE.format(rows * (number + 1) // (rounds + 1)))
            before = left.bytes + right.bytes
            cost = runs.run("check")
            if cost.errors != number + 1:
                raise SystemExit(f"{number + 1} rows differ, and {cost.errors} were found")
            passed, scans = left.bytes + right.bytes - before, scan(source) + scan(target)
            shares.append(passed / whole)
            ratios.append(cost.seconds / scans)
            print(
                f"  {pair}: {cost.seconds:.2f} s ({cost.counts}), {passed:,} bytes of {whole:,},"
                f" scans {scans:.2f} s, peak over rest {cost.peak >> 20} MiB",
                flush=True,
            )
    share = statistics.median(shares)
    wanted, good = pair != "maria-json", share <= GOAL
    verdict = f"goal {GOAL:.0%}: {'reached' if good else 'MISSED'}" if wanted else "no goal"
    print(f"{pair}, transferred: {share:.4%}  {verdict}")
    print(f"{pair}, time, of one full scan of each side: {statistics.median(ratios):.2f}  no goal")
    return good or not wanted


def _job(source: Postgres | Maria, target: Postgres) -> dict[str, Any]:
    return {
        "kind": "consistency_check",
        "on_difference": "report",
        "recheck": "0s",
        "left": {"server": "left", "table": TABLE, **source.place},
        "right": {"server": "right", "table": TABLE, **target.place},
    }


def main() -> int:
    """Run the rounds and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=("pg-pg", "maria-pg"))
    options = parser.parse_args()
    with started() as made:
        reached = [measure(made, pair, options.rows, options.rounds) for pair in options.only]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())

"""How long the fleet takes: many servers at once, and the accounts of a large one.

    python -m tests.benchmarks.fleet [--servers 50] [--accounts 10000] [--delay 0.2] [--rounds 3]

Servers at once: proxies in front of one PostgreSQL hold up each connect for `--delay` seconds. For
the accounts of each it takes as many connections as there are databases, and one more; for their
sizes a single one. Accounts of one server: each with privileges of its own; all new, unchanged, and
with 1% changed.

Both against a bare program that asks the servers the same and lets the answers go, in turns, in the
same process; what counts is the ratio.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the helpers of the tests know each other

import psycopg
from fleet_helpers import (
    PASSWORD,
    WATCHER,
    Fleet,
    FleetMariaDb,
    FleetPostgres,
    fleet_over,
    fleet_postgres,
    watched,
)
from job_runs import Result
from mariadb_server import private_mariadb
from proxy import Proxy

from tests.benchmarks._store import store

GOAL_AT_ONCE = 3.0
GOALS = {"all new": 12.0, "unchanged": 7.0, "1% changed": 8.0}
"""Times the bare program, which writes nothing."""


@contextmanager
def fleet() -> Iterator[Fleet]:
    """Give jobs over a store of its own."""
    with (
        store() as opened,
        TemporaryDirectory() as directory,
        fleet_over(opened.dsn, Path(directory)) as made,
    ):
        yield made


def timed(run: Callable[[], Result]) -> tuple[float, Result]:
    """Return the seconds of a run, which has to succeed."""
    began = time.perf_counter()
    result = run()
    assert result.run["status"] == "success", result.run
    return time.perf_counter() - began, result


def at_once(servers: int, delay: float, rounds: int) -> list[float]:
    """Look at many servers; return the medians of the ratios to the bare program."""
    medians = []
    with fleet() as jobs, fleet_postgres() as pg, ExitStack() as stack:
        ports = [stack.enter_context(proxy(pg, delay)).port for _ in range(servers)]
        tables = {f"on-{port}": pg.table(host="127.0.0.1", port=port) for port in ports}
        jobs.configure(tables, max_concurrent_items=servers)
        databases = [name for (name,) in pg.rows("select datname from pg_database")]
        databases.remove("template0")
        queries = {
            "accounts": [("postgres", "select * from pg_roles")]
            + [(database, _GRANTED) for database in databases],
            "sizes": [("postgres", "select datname, pg_database_size(datname) from pg_database")],
        }
        for job, asked in queries.items():
            ratios = []
            for _ in range(rounds):
                limit = bare_at_once(ports, asked)
                seconds, _ = timed(partial(jobs.run, job))
                ratios.append(seconds / limit)
                waits = len(asked) * delay
                print(f"  {job} of {servers} servers: {seconds:.2f} s, bare {limit:.2f} s; waits"
                      f" of one {waits:.1f} s, of all {servers * waits:.0f} s")  # fmt: skip
            medians.append(statistics.median(ratios))
            print(f"{job} of {servers} servers, of the bare program: {medians[-1]:.2f}")
    return medians


def bare_at_once(ports: Sequence[int], asked: Sequence[tuple[str, str]]) -> float:
    """Ask all servers at once, each over a connection after the other; return the seconds."""

    def ask(port: int) -> None:
        for database, query in asked:
            with psycopg.connect(
                host="127.0.0.1", port=port, user=WATCHER, password=PASSWORD, dbname=database
            ) as connection:
                connection.execute(query.encode()).fetchall()

    began = time.perf_counter()
    with ThreadPoolExecutor(len(ports)) as threads:
        list(threads.map(ask, ports))
    return time.perf_counter() - began


@contextmanager
def proxy(pg: FleetPostgres, delay: float) -> Iterator[Proxy]:
    made = Proxy(pg.connect, delay=delay)
    try:
        yield made
    finally:
        made.close()


def of_postgresql(pg: FleetPostgres, count: int) -> tuple[Callable[[int], None], Callable[[], int]]:
    """Make the accounts; return what changes each hundredth, and the bare program."""
    pg.execute(
        "create database shop",
        f"do $$ begin for n in 1..{count} loop execute format('create role %I', 'app-' || n);"
        " end loop; end $$",
    )
    pg.execute(
        f"""do $$ begin for n in 0..{count // 500} loop
                execute format('create table orders%s (price integer, item text)', n);
            end loop; end $$""",
        f"""do $$ begin for n in 1..{count} loop
                execute format('grant select, update (price) on orders%s to %I', n / 500,
                               'app-' || n);
            end loop; end $$""",
        database="shop",
    )

    def change(number: int) -> None:
        verb, word = ("grant", "to") if number % 2 else ("revoke", "from")
        pg.execute(
            f"""do $$ begin for n in 1..{count} by 100 loop
                    execute format('{verb} insert on orders%s {word} %I', n / 500, 'app-' || n);
                end loop; end $$""",
            database="shop",
        )

    def bare() -> int:
        rows = len(pg.rows("select * from pg_roles")) + len(
            pg.rows("select * from pg_auth_members")
        )
        for (database,) in pg.rows("select datname from pg_database where datallowconn"):
            rows += len(pg.rows(_GRANTED, database=database))
        return rows

    return change, bare


_GRANTED = """
select 'table', oid::regclass::text, a.grantee::regrole::text, a.privilege_type, a.is_grantable
from pg_class, aclexplode(relacl) a
union all
select 'column', attrelid::regclass || '.' || attname, a.grantee::regrole::text, a.privilege_type,
       a.is_grantable
from pg_attribute, aclexplode(attacl) a
union all
select 'function', oid::regprocedure::text, a.grantee::regrole::text, a.privilege_type,
       a.is_grantable
from pg_proc, aclexplode(proacl) a
union all
select 'schema', nspname, a.grantee::regrole::text, a.privilege_type, a.is_grantable
from pg_namespace, aclexplode(nspacl) a"""


def of_mariadb(my: FleetMariaDb, count: int) -> tuple[Callable[[int], None], Callable[[], int]]:
    """Make the accounts; return what changes each hundredth, and the bare program."""
    my.execute("create database shop", "create table shop.orders (price integer, item text)")
    names = [f"`app-{number}`@localhost" for number in range(count)]
    my.execute(
        *(f"create user {name}" for name in names),
        *(f"grant select, update (price) on shop.orders to {name}" for name in names),
    )

    def change(number: int) -> None:
        verb, word = ("grant", "to") if number % 2 else ("revoke", "from")
        my.execute(*(f"{verb} insert on shop.orders {word} {name}" for name in names[::100]))

    def bare() -> int:
        connection = my.server.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute("select User, Host from mysql.global_priv")
                accounts = cursor.fetchall()
                rows = len(accounts)
                for user, host in accounts:
                    if (user, host) != ("root", "vm") and user != "PUBLIC":
                        rows += cursor.execute(f"show grants for `{user}`@`{host}`")
            return rows
        finally:
            connection.close()

    return change, bare


def accounts(
    jobs: Fleet, name: str, table: Mapping[str, Any], change: Callable[[int], None],
    bare: Callable[[], int], rounds: int,
) -> bool:  # fmt: skip
    """Read and reconcile the accounts of one server; tell whether the goals are reached."""
    jobs.configure({name: table})
    ratios: dict[str, list[float]] = {"all new": [], "unchanged": [], "1% changed": []}
    for number in range(1, rounds + 1):
        jobs.execute("truncate syncd.db_account, syncd.db_account_change, syncd.db_object")
        for kind, told in ratios.items():
            if kind == "1% changed":
                change(number)
            began = time.perf_counter()
            rows = bare()
            limit = time.perf_counter() - began
            seconds, result = timed(partial(jobs.run, "accounts"))
            told.append(seconds / limit)
            counts = {each: n for each, n in result.counts.items() if n and each != "total"}
            print(f"  {name}, {kind}: {seconds:.2f} s {counts}, bare {limit:.2f} s ({rows} rows)")
    reached = True
    for kind, told in ratios.items():
        ratio, goal = statistics.median(told), GOALS[kind]
        verdict = "reached" if ratio <= goal else "MISSED"
        reached = reached and ratio <= goal
        print(f"accounts of {name}, {kind}, of the bare program: {ratio:.2f}"
              f"  goal {goal}: {verdict}")  # fmt: skip
    return reached


def main() -> int:
    """Run all and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=50)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--delay", type=float, default=0.2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"started {datetime.now(UTC):%F %T} UTC")
    worst = max(at_once(options.servers, options.delay, options.rounds))
    reached = worst <= GOAL_AT_ONCE
    print(f"goal {GOAL_AT_ONCE}: {'reached' if reached else 'MISSED'}")
    with fleet() as jobs:
        with fleet_postgres() as pg:
            made = of_postgresql(pg, options.accounts)
            reached &= accounts(jobs, "postgresql", pg.table(), *made, options.rounds)
        with private_mariadb() as server:
            my = watched(server)
            made = of_mariadb(my, options.accounts)
            reached &= accounts(jobs, "mariadb", my.table(), *made, options.rounds)
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())

"""Servers of very many databases and tables: what a reading costs does not run away."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from fleet_helpers import Fleet, watched
from job_runs import Result
from mariadb_server import private_mariadb

DATABASES = 1500
TABLES = 3000
SECONDS = 15.0  # of one run, though the machine is busy: it takes less than one
STATEMENTS = 40  # of the store, in one run


@contextmanager
def counted(fleet: Fleet) -> Iterator[list[str]]:
    """Count the statements of the store, which are bounded whatever the number of databases."""
    told: list[str] = []
    before = fleet.store.observe
    fleet.store.observe = lambda operation, seconds: told.append(operation)
    try:
        yield told
    finally:
        fleet.store.observe = before


def quick(fleet: Fleet, job: str) -> Result:
    """Run a job, which has to succeed soon and without many statements."""
    with counted(fleet) as statements:
        began = time.monotonic()
        result = fleet.run(job)
        assert time.monotonic() - began < SECONDS
    assert result.run["status"] == "success"
    assert len(statements) < STATEMENTS
    return result


def test_thousands_of_databases_of_mariadb(fleet):
    with private_mariadb() as server:
        my = watched(server)
        names = [f"db{number}" for number in range(DATABASES)]
        my.execute(*(f"create database {name}" for name in names))
        fleet.configure({"my": my.table()})
        first = quick(fleet, "sizes")
        assert first.counts["added"] == len(my.rows("show databases"))
        assert set(names) <= fleet.sizes("my").keys()
        my.execute(*(f"drop database {name}" for name in names[::2]))
        gone = quick(fleet, "sizes")
        assert gone.counts["deleted"] == DATABASES // 2
        standing = fleet.rows("select database from syncd.db_catalog where gone_at is null")
        assert {row["database"] for row in standing} == {
            name for (name,) in my.rows("show databases")
        }


def test_thousands_of_tables_of_postgresql(fleet, pg):
    pg.execute("create database many", "create role half")
    try:
        pg.execute(
            f"""do $$ begin for n in 1..{TABLES} loop
                    execute format('create table t%s (a integer)', n);
                    if n % 2 = 0 then execute format('grant select on t%s to half', n); end if;
                end loop; end $$""",
            database="many",
        )
        fleet.configure({"pg": pg.table()})
        quick(fleet, "accounts")
        half = fleet.accounts("pg")["half"]["privileges"]
        assert {tuple(each["name"][2:]) for each in half if each["on"] == "table"} == {
            (f"t{number}",) for number in range(2, TABLES + 1, 2)
        }
        again = quick(fleet, "accounts")
        assert again.counts["unchanged"] == again.counts["total"]
        quick(fleet, "sizes")
        pg.execute("grant select on all tables in schema public to half", database="many")
        changed = quick(fleet, "accounts")
        half = fleet.accounts("pg")["half"]["privileges"]
        (whole,) = [each for each in half if each["on"] == "all_tables"]
        assert whole["name"] == ["many", "public"]
        told = fleet.changes(changed.run["id"])["pg", "half"]
        assert (len(told["granted"]), told["revoked"]) == (TABLES // 2, [])
    finally:
        pg.execute("drop database many", "drop role half")

"""Table copies and checks under the unit: Debian's PostgreSQL and MariaDB, and a Redis."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from daemon_helpers import until
from machine import Machine
from machine_databases import Maria, Postgres, debian_mariadb, debian_postgresql
from redis_server import RedisServer, private_redis
from service import Row, Service

PASSWORD = "what syncd says to the databases"
SECRET = {"credential": "tables"}
SHOP = {"engine": "postgresql", "host": "127.0.0.1", "user": "syncd_tables", "password": SECRET,
        "database": "shop", "tls": "require"}  # fmt: skip
SERVERS: dict[str, Row] = {"shop": SHOP, "house": SHOP | {"database": "house"}}
MARIA: Row = {"engine": "mysql", "host": "127.0.0.1", "user": "syncd_tables", "password": SECRET}
ROWS = 20_000
PAGE = 500
PAGES = ROWS // PAGE
ORDERS = "id bigint primary key, changed timestamptz, name text, price numeric(12, 2)"
FILL = f"""insert into orders select n, now() - interval '1 hour' + n * interval '0.1 s',
    'order ''😀'' % ' || n, n / 4.0 from generate_series(1, {ROWS}) n"""
SLOW = """create function slowly() returns trigger language plpgsql as
    $$ begin perform pg_sleep({seconds}); return null; end $$;
create trigger slow after insert or update on orders for each statement execute function slowly();
alter table orders enable always trigger slow"""
WRITER = """do $$ declare n bigint := 100000; begin
    while not exists (select from pg_class where relname = 'stopped') loop
        n := n + 1;
        insert into orders values (n, clock_timestamp(), 'new', 1);
        update orders set price = price + 1, changed = clock_timestamp() where id = 1 + n * 7 % 900;
        commit;
        perform pg_sleep(0.01);
    end loop;
end $$"""
DIGEST = "select count(*), md5(string_agg(o::text, '|' order by id)) from orders o"
WAY_OUT = 25.0
"""Seconds for a stop: the grace of 5, and what the store and a busy machine take."""
COPY = {
    "kind": "table_copy",
    "source": {"server": "shop", "tables": ["orders"]},
    "target": {"server": "house"},
    "page_rows": PAGE,
    "retries": [],
}
INCREMENTAL = COPY | {
    "mode": "incremental", "watermark": "changed", "lookback": "1m", "retries": ["1s"]
}  # fmt: skip
CHECK = {"kind": "consistency_check", "copy": "copy", "recheck": "0s", "retries": []}
MEMORY = 250_000
"""KiB that the daemon may have at most; of a million rows of 100 bytes it sees pages alone."""


@pytest.fixture(scope="module")
def postgresql(machine: Machine) -> Iterator[Postgres]:
    """Give the machine's PostgreSQL, with a role of our own."""
    with debian_postgresql(machine) as server:
        server.ask(
            f"create role syncd_tables login password '{PASSWORD}' in role pg_read_all_stats"
        )
        yield server


@pytest.fixture
def tables(service: Service, postgresql: Postgres) -> Postgres:
    """Give the server with a shop that is full, and a house that is empty."""
    service.drop_in({"tables": PASSWORD})
    for name in ("shop", "house"):
        postgresql.ask(f"drop database if exists {name} with (force)")
        postgresql.ask(f"create database {name} owner syncd_tables")
    postgresql.ask(f"set role syncd_tables; create table orders ({ORDERS}); {FILL}", "shop")
    return postgresql


def configure(service: Service, servers: dict[str, Row] = SERVERS, **jobs: Row) -> None:
    """Write a configuration whose accounts have no job."""
    service.configure(jobs, servers=servers)


def slow_house(tables: Postgres, seconds: float) -> None:
    """Make the table of the house, in which each page takes a while."""
    tables.ask(f"set role syncd_tables; create table orders ({ORDERS})", "house")
    tables.ask(SLOW.format(seconds=seconds), "house")


def copied(tables: Postgres) -> int:
    """Return how many rows are committed in the house."""
    return int(tables.ask("select count(*) from orders", "house"))


@contextmanager
def writer(tables: Postgres) -> Iterator[None]:
    """Write into the shop all the time."""
    machine = tables.machine
    process = subprocess.Popen(machine.enter(*tables.command(WRITER, "shop")))
    try:
        yield
    finally:
        tables.ask("create table stopped ()", "shop")
        assert process.wait(30) == 0


def detail(service: Service, job: str) -> dict[str, Any]:
    """Return the details of the one item of a job's newest run."""
    (item,) = service.ask("show", service.runs("--job", job)[0]["id"])["items"]
    told: dict[str, Any] = item["details"]
    return told


def begin(service: Service, tables: Postgres) -> None:
    """Trigger the copy, and see that pages of it stand, but not all."""
    service.syncd("trigger", "copy")
    until(lambda: copied(tables) >= PAGE, 30, "pages stand")
    assert copied(tables) < ROWS


def await_the_end(service: Service, tables: Postgres) -> None:
    """See the one run go on where it was, and succeed."""
    tables.ask("drop trigger slow on orders", "house")
    ended = ("success", "failed", "cancelled")
    until(lambda: service.runs("--job", "copy")[0]["status"] in ended, 60, "the run goes on")
    (run,) = service.runs("--job", "copy")
    assert run["status"] == "success", service.ask("show", run["id"])
    assert len(service.runs("--job", "copy")) == 1
    assert detail(service, "copy")["resumed"] == 1


def assert_equal(tables: Postgres) -> None:
    shop = tables.ask(DIGEST, "shop")
    assert tables.ask(DIGEST, "house") == shop
    assert int(shop.partition("|")[0]) >= ROWS


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_copy_that_is_killed_goes_on_and_ends_equal(
    service: Service, tables: Postgres, isolation: str
) -> None:
    configure(service, copy=INCREMENTAL | {"isolation": isolation})
    slow_house(tables, 0.1)
    service.start()
    with writer(tables):
        begin(service, tables)
        before = copied(tables)
        service.machine.run("systemctl", "kill", "-s", "KILL", "syncd")
        until(lambda: service.restarts == 1, 30, "the service is started again")
        service.await_active()
        assert copied(tables) >= before
        await_the_end(service, tables)
        assert service.sync("copy")["status"] == "success"
        assert detail(service, "copy")["pass"] == "incremental"
    last = service.sync("copy")
    assert (last["status"], last["added"] > 0) == ("success", True)
    assert last["total"] < ROWS
    assert_equal(tables)


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_stop_in_a_long_copy_ends_in_time_and_the_next_start_goes_on(
    service: Service, tables: Postgres, isolation: str
) -> None:
    configure(service, copy=COPY | {"isolation": isolation})
    slow_house(tables, 1.0)
    service.start()
    begin(service, tables)
    began = time.monotonic()
    service.stop()
    assert time.monotonic() - began < WAY_OUT
    assert service.machine.show("syncd", "Result")["Result"] == "success"
    assert PAGE <= copied(tables) < ROWS
    service.start()
    await_the_end(service, tables)
    assert_equal(tables)


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_check_finds_one_changed_row_and_repairs_it(
    service: Service, tables: Postgres, isolation: str
) -> None:
    how = {"isolation": isolation}
    mend = CHECK | {"repair": "copy", "on_difference": "report"}
    configure(service, copy=COPY | how, look=CHECK | how, mend=mend | how)
    service.start()
    assert service.sync("copy")["added"] == ROWS
    assert service.sync("look")["status"] == "success"
    tables.ask("update orders set name = 'by hand' where id = 777", "house")
    found = service.machine.run("syncd", "sync", "look", "--json", check=False)
    assert found.returncode == 1
    told = detail(service, "look")
    assert (told["equal"], told["differ"], told["differing"]) == (False, 1, 1)
    assert {"777", "by hand"} <= set(re.findall(r"777|by hand", str(told["differences"])))
    metrics = service.machine.get("http://127.0.0.1:9464/metrics")
    assert re.search(r'^syncd_check_differences{.*"look".*} 1\.0$', metrics, re.MULTILINE), metrics
    assert service.sync("mend")["status"] == "success"
    assert detail(service, "mend")["repaired"] == 1
    assert service.sync("look")["status"] == "success"
    assert_equal(tables)


def test_mariadb_is_copied_to_and_from_and_compared(service: Service, tables: Postgres) -> None:
    with debian_mariadb(service.machine) as mariadb:
        fill_mariadb(mariadb)
        there = {"server": "maria", "database": "copies"}
        configure(
            service,
            SERVERS | {"maria": MARIA},
            copy=COPY | {"source": there | {"tables": ["orders", "odd ` %s"]}},
            back=COPY | {"source": {"server": "house", "tables": ["orders"]},
                         "target": there | {"table": "orders_again"}},
            look=CHECK,
            again=CHECK | {"copy": "back"},
        )  # fmt: skip
        service.start()
        for job in ("copy", "look", "back", "again"):
            run = service.sync(job)
            assert (run["status"], run["errors"]) == ("success", 0), run
        assert tables.ask('select t from "odd ` %s"', "house") == "NUL 😀"
        rows = "concat_ws('|', id, {time}, name, price)"
        time = "to_char(changed, 'YYYY-MM-DD HH24:MI:SS.US')"
        here = tables.ask(f"select {rows.format(time=time)} from orders order by id", "house")
        for table in ("orders", "orders_again"):
            assert (
                mariadb.ask(f"select {rows.format(time='changed')} from copies.{table} order by id")
                == here
            )
        mariadb.ask("update copies.orders set price = price + 0.01 where id = 3")
        assert service.machine.run("syncd", "sync", "look", check=False).returncode == 1


def fill_mariadb(mariadb: Maria) -> None:
    """Make a database with two tables, and the user that may read and write it."""
    for statement in (
        "create database copies character set utf8mb4",
        f"create user syncd_tables@127.0.0.1 identified by '{PASSWORD}'",
        "grant all on copies.* to syncd_tables@127.0.0.1",
        "grant process on *.* to syncd_tables@127.0.0.1",
        "create table copies.orders (id bigint unsigned primary key, changed datetime(6), "
        "name varchar(80), price decimal(12, 2))",
        "insert into copies.orders select seq, '2026-01-01' + interval seq second, "
        f"concat('order 😀 ', seq), seq / 4 from copies.seq_1_to_{ROWS}",
        "create table copies.`odd `` %s` (id int primary key, t text)",
        "insert into copies.`odd `` %s` values (1, 'NUL 😀')",
    ):
        mariadb.ask(statement)


@pytest.fixture
def redis(machine: Machine) -> Iterator[RedisServer]:
    """Give a Redis of this host in the machine's network."""
    with ExitStack() as stack:
        yield machine.in_network(lambda: stack.enter_context(private_redis()))


def test_redis_is_compared_with_a_table(
    service: Service, tables: Postgres, redis: RedisServer
) -> None:
    with redis.client() as client:
        client.mset({f"price:{n}": f"{n / 4:.2f}" for n in range(1, ROWS + 1)})
        client.set("price:9", "1000")
        client.delete("price:10")
    keys = {"server": "cache", "pattern": "price:{id}", "as": "price"}
    cache = {"engine": "redis", "host": "127.0.0.1", "port": redis.port, "tls": "disable",
             "commands_per_second": 100_000}  # fmt: skip
    look = {"kind": "consistency_check", "left": keys, "columns": ["price"], "recheck": "0s",
            "right": {"server": "shop", "table": "orders"}, "on_difference": "report"}  # fmt: skip
    configure(service, SERVERS | {"cache": cache}, look=look)
    service.start()
    assert service.sync("look")["status"] == "success"
    told = detail(service, "look")
    assert (told["left_rows"], told["right_rows"]) == (ROWS - 1, ROWS)
    assert (told["differ"], told["only_right"], told["equal"]) == (1, 1, False)


def test_a_million_rows_take_the_memory_of_a_page(service: Service, tables: Postgres) -> None:
    tables.ask(
        "insert into orders select n, now(), repeat('x', 100), n from "
        f"generate_series({ROWS + 1}, 1000000) n",
        "shop",
    )
    decoded = {"mask": {"name": "hash"}, "page_rows": 10_000}  # a mask is of decoded rows
    configure(service, copy=COPY | decoded, look=CHECK)
    service.start()
    assert service.sync("copy")["added"] == 1_000_000
    assert service.sync("look")["status"] == "success"
    peak = service.machine.shell(f"grep VmHWM /proc/{service.pid}/status")
    assert int(peak.split()[1]) < MEMORY, peak
    assert service.restarts == 0

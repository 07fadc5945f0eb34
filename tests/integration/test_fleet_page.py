"""What docs/fleet.md says holds on real servers: its statements, its shape and its questions."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from daemon_helpers import Site, site, until
from debian_postgres import PrivateServer, private_server
from dispatch_helpers import Bench
from doctor_report import doctor, found
from mariadb_server import MariaDbServer, private_mariadb
from psycopg.rows import dict_row
from token_helpers import no_tokens
from toml_text import toml

from syncd import assembly
from syncd.config.load import load
from syncd.context import Clock
from syncd.doctor import servers
from syncd.engines.registry import build
from syncd.model.run import Selection

PAGE = (Path(__file__).parents[2] / "docs" / "fleet.md").read_text()
QUESTIONS = dict(
    re.findall(r"^###? ([^#\n]+)$[^#]*?```sql\n(.+?)```", PAGE, re.MULTILINE | re.DOTALL)
)
NAMES = [
    "What is not read, and what is gone", "When each server was read last", "Who may drop what",
    "Who is a superuser, and can log in", "What was granted and revoked in the last week",
    "Who may read one table", "How large everything is now", "What grew most last month",
    "Which servers will be full, and when", "How a database went over the last months",
]  # fmt: skip
LONG = "a long one"
JOBS = {
    "db-accounts": {"kind": "db_accounts"},
    "db-sizes": {"kind": "db_sizes", "retries": []},
    "size-rollups": {"kind": "size_rollups"},
    "retention": {"enabled": False},
}
SHOP = (
    "create table orders (id bigint, price numeric, note text)",
    "create table customers (id bigint)",
    "insert into orders select n, n, repeat('x', 100) from generate_series(1, 5000) n",
    "alter table orders owner to shop_owner",
    "grant select (id, price) on orders to reporting",
    "grant select on customers to reporting",
)


def statements(language: str) -> list[str]:
    """Return the statements of the one block in this dialect."""
    (block,) = re.findall(rf"```{language}\n(.+?)```", PAGE, re.DOTALL)
    return [each.strip() for each in block.split(";") if each.strip()]


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateServer]:
    """Give a PostgreSQL with the shop of the page, into which not everybody may look."""
    with private_server("18") as made:
        made.execute(
            "create role shop_owner",
            "create role reporting login",
            "create database shop",
            "revoke connect on database shop from public",
        )
        made.execute(*SHOP, database="shop")
        yield made


@pytest.fixture
def user(server: PrivateServer) -> Iterator[str]:
    """Let only the name of the page's user be there; its rights go after the test."""
    create, *_ = statements("postgresql")
    server.execute(create)
    yield "syncd"
    server.execute("drop owned by syncd", "drop role syncd")


def table(server: PrivateServer, **keys: Any) -> dict[str, Any]:
    """Return the table of the configuration: as the page's user, over the network."""
    return {
        "engine": "postgresql", "host": "127.0.0.1", "port": server.port, "user": "syncd",
        "password": LONG, "capacity": "1GiB",
    } | keys  # fmt: skip


def configure(place: Site, **tables: dict[str, Any]) -> None:
    """Write a configuration of servers and the jobs of the page."""
    whole = place.tables({}) | {"accounts": {}, "servers": tables}
    place.write(toml(whole | {"jobs": whole["jobs"] | JOBS}))


def test_the_rights_of_the_page_are_enough_and_needed(server, user, mariadb, migrated_dsn) -> None:
    with site(migrated_dsn) as place:
        login = table(server, engine="mysql", port=mariadb.port)
        configure(place, **{"orders-db": table(server, tls="disable"), "stock-db": login})
        both = ("--server", "orders-db", "--server", "stock-db")
        report = doctor(place, *both, status=1)
        assert_named(report, "orders-db", "PostgreSQL 18.")
        assert_named(report, "stock-db", "MariaDB 10.")
        assert "does not leave this machine" in found(report, "servers.tls", "orders-db")["found"]
        for name in ("servers.accounts", "servers.sizes"):
            unread = found(report, name, "orders-db")
            assert (unread["state"], "database shop" in unread["found"]) == ("warning", True)
            assert found(report, name, "stock-db")["state"] == "failed"
        lacking = {each["server"]: each["statements"] for each in report["grants"]}
        granted = [here(each) for each in statements("mysql")[1:]]
        assert lacking.pop("orders-db") == [
            'GRANT CONNECT ON DATABASE "shop" TO "syncd";', 'GRANT pg_monitor TO "syncd";'
        ]  # fmt: skip
        assert sorted(lacking.pop("stock-db")) == sorted(f"{each};" for each in granted)
        assert lacking == {}

        server.execute('grant connect on database "shop" to "syncd"', 'grant pg_monitor to "syncd"')
        mariadb.execute(*granted)
        report = doctor(place, *both, status=0)
        for name in ("orders-db", "stock-db"):
            assert found(report, "servers.accounts", name)["state"] == "ok"
            assert "logs" not in found(report, "servers.sizes", name)["found"]
        count = mariadb.execute("select count(*) from information_schema.schemata")[0][0]
        sizes = found(report, "servers.sizes", "stock-db")
        assert (sizes["state"], sizes["found"].split(" of ")[0]) == ("ok", f"{count} databases")
        assert report["grants"] == []
        assert LONG not in json.dumps(report)


def assert_named(report: dict[str, Any], server: str, name: str) -> None:
    reachable = found(report, "servers.reachable", server)
    assert (reachable["state"], name in reachable["found"]) == ("ok", True)


def test_the_statements_of_the_page_grant_it_all(server, user) -> None:
    server.execute(*statements("postgresql")[1:])
    access = server.access(host="127.0.0.1", user=user, password=lambda: LONG)
    engine = build(access)
    reading, sizes = engine.accounts(servers.context()), engine.sizes(servers.context(), 5)
    assert (reading.unread, sizes.unread) == ((), ())
    assert sizes.log_bytes
    assert {each.database for each in sizes.databases} >= {"shop", "postgres", "template1"}
    assert {each.table for each in sizes.tables if each.database == "shop"} == {
        "orders", "customers",
    }  # fmt: skip


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDbServer]:
    """Give a MariaDB with the page's user, who may do nothing yet, and tables of two kinds."""
    with private_mariadb() as made:
        made.execute(
            "create database shop",
            "create table shop.orders (id int)",
            "create table shop.old (id int) engine=MyISAM",
            here(statements("mysql")[0]),
        )
        yield made


def here(statement: str) -> str:
    """Return a statement for a user of this machine, whose server has no certificate."""
    return statement.replace("10.0.0.9", "127.0.0.1").replace("REQUIRE SSL ", "")


def test_a_server_that_does_not_let_us_in_is_told_once(server, mariadb, migrated_dsn) -> None:
    with site(migrated_dsn) as place:
        refusing = table(server, user="nobody")
        closed = table(server, host="127.0.0.2", port=1)
        bare = {
            "bare": table(server, tls="require"),
            "bare-mariadb": table(server, engine="mysql", port=mariadb.port, tls="require"),
        }
        configure(place, refusing=refusing, closed=closed, off=table(server, enabled=False), **bare)
        report = doctor(place, status=1)
        states = {
            (row["name"].partition(".")[2], row["subject"]): row["state"]
            for row in report["checks"] if row["name"].startswith("servers.")
        }  # fmt: skip
        assert states == {
            (check, name): "failed" if check == "reachable" else "skipped"
            for check in ("reachable", "tls", "accounts", "sizes", "sources", "targets")
            for name in ("refusing", "closed", "bare", "bare-mariadb")
        }
        assert "see user and password" in found(report, "servers.reachable", "refusing")["advice"]
        assert "see host and port" in found(report, "servers.reachable", "closed")["advice"]
        for name in ("bare", "bare-mariadb"):
            assert "see tls" in found(report, "servers.reachable", name)["advice"]


def test_a_server_that_changes_is_used_by_the_next_run_of_a_job_that_did_not(
    server, user, migrated_dsn
) -> None:
    with site(migrated_dsn) as place:
        configure(place, db=table(server, host="127.0.0.2", port=1))
        place.up()
        for outcome in ("failed", "success"):
            run = place.client.trigger("db-sizes", Selection(), "me")
            until(lambda run=run: place.client.wait(run, 5), 30, "the run's end")
            assert [row["status"] for row in place.runs("id = %s", run)] == [outcome]
            configure(place, db=table(server, exclude_databases=["shop"]))
            assert place.client.reload("me") == []


def test_an_unknown_server_is_refused(server, dsn) -> None:
    with site(dsn) as place:
        configure(place, off=table(server, enabled=False))
        command = [sys.executable, "-m", "syncd", "--config", str(place.config), "doctor"]
        result = subprocess.run(
            [*command, "--server", "off"], capture_output=True, text=True, check=False
        )
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr == "syncd: there is no enabled server 'off'\n"


@pytest.fixture
def bench(migrated_dsn, tmp_path) -> Iterator[Bench]:
    made = Bench(migrated_dsn, tmp_path, Clock())
    yield made
    made.close()


def syncing(server: PrivateServer, bench: Bench, directory: Path) -> Callable[[str], None]:
    """Return what runs a job over the page's server, here in this process."""
    file = directory / "syncd.toml"
    file.write_text(toml({"servers": {"orders-db": table(server)}, "jobs": JOBS}))
    file.chmod(0o600)
    accounts = assembly.Accounts(bench.store, lambda *_: None, b"key")
    specs = assembly.job_specs(load(file, {}), bench.store, accounts, no_tokens())

    def sync(job: str) -> None:
        end = bench.runner.run(bench.attempt(specs[job], bench.begun(job)))
        assert end is not None
        assert (end.outcome.status, end.outcome.error) == ("success", None)

    return sync


@pytest.fixture
def asked(server, user, bench, tmp_path) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """Give what asks the page's questions, after a week in the shop."""
    server.execute("create role app superuser login", "grant pg_monitor to syncd")
    sync = syncing(server, bench, tmp_path)

    def ask(question: str) -> list[dict[str, Any]]:
        with psycopg.connect(bench.store.dsn, row_factory=dict_row) as connection:
            return connection.execute(QUESTIONS[question].encode()).fetchall()

    sync("db-accounts")
    assert {(row["part"], row["error_class"]) for row in ask(NAMES[0])} == {
        ("database shop", "permission")
    }
    server.execute("grant connect on database shop to syncd")
    sync("db-accounts")
    server.execute("revoke select (price) on orders from reporting", database="shop")
    sync("db-accounts")
    sync("db-sizes")
    record_months(bench.store.dsn)
    sync("size-rollups")
    yield ask
    server.execute("grant select (price) on orders to reporting", database="shop")
    server.execute("drop role app")


def record_months(dsn: str) -> None:
    """Store two months of sizes: shop grows by 1 MB a day, and the server with it."""
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        connection.execute("select syncd.make_size_partitions(current_date - 100, current_date)")
        connection.execute("""
            insert into syncd.db_size (server, database, collected_on, collected_at, size_bytes)
            select 'orders-db', 'shop', d, d, 500000000 + 1000000 * (d::date - current_date)
            from generate_series(current_date - 100, current_date - 1, interval '1 day') d""")
        connection.execute("""
            insert into syncd.server_size
                (server, collected_on, collected_at, size_bytes, database_count)
            select server, collected_on, collected_at, size_bytes, 1 from syncd.db_size
            where collected_on < current_date""")


def today() -> date:
    """Return the day in the zone of the configuration."""
    return datetime.now(UTC).date()


def last_month() -> tuple[date, int]:
    """Return the first day of the last whole month, and how many it has."""
    first = today().replace(day=1)
    before = (first - timedelta(days=1)).replace(day=1)
    return before, (first - before).days


def test_the_questions_of_the_page_have_the_answers(asked, server) -> None:
    assert list(QUESTIONS) == NAMES
    answers = map(asked, NAMES)
    unread, read, drop, superusers, changes, readers, now, grew, full, months = answers

    assert unread == []
    (row,) = read
    assert (row["server"], row["jobs"]) == ("orders-db", None)  # no daemon, and no jobs of it
    assert row["accounts"] == len(server.rows("select from pg_roles")) + 1  # public
    assert row["last_complete_at"] is not None
    owned = {row["name"] for row in drop if row["account"] == "shop_owner"}
    assert owned == {"shop.public.orders"}
    catalogue = server.rows("select rolname from pg_roles where rolsuper and rolcanlogin")
    assert {row["account"] for row in superusers} == {name for (name,) in catalogue}
    of_reporting = [row for row in changes if row["account"] == "reporting"]
    assert [(row["what"], row["privilege"], row["on"], row["name"])
            for row in of_reporting if row["what"] == "revoked"] == [
        ("revoked", "SELECT", "column", "shop.public.orders.price"),
    ]  # fmt: skip
    assert {row["account"] for row in readers} == {"shop_owner"}

    sizes = server.rows("select datname, pg_database_size(oid) from pg_database where datallowconn")
    assert {row["database"] for row in now} == {name for name, _ in sizes}
    (shop,) = [row for row in now if row["database"] == "shop"]
    assert shop["size"].split()[1] in ("kB", "MB")
    first, days = last_month()
    (row,) = grew
    assert (row["database"], row["trend"], row["gaps"]) == ("shop", "growing", 0)
    assert row["change"] == f"{round(days * 1_000_000 / 2**20)} MB"
    (row,) = full
    assert (row["server"], row["period_start"]) == ("orders-db", first)
    whole = next(row for row in months if row["month"] == first)
    assert (whole["samples"], whole["gaps"], whole["trend"]) == (days, 0, "growing")
    rate, left = 1_000_000, 1024**3 - 500_000_000
    expected = today() + timedelta(days=-(-left // rate))
    assert abs((row["forecast_on"] - expected).days) <= 1

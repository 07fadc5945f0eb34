"""The questions about database servers, against the real store and the real schema."""

import random
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from psycopg.types.json import Jsonb

from syncd.control.store_reads import StoreReads
from syncd.model.queries import (
    DbAccountChangeQuery,
    DbAccountQuery,
    SizeQuery,
    SizeStatQuery,
)
from syncd.store import fleet_views
from syncd.store.database import Store

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
TODAY = date(2026, 3, 1)
DAY = timedelta(days=1)
SELECT = {"on": "table", "name": ["shop", "orders"], "privilege": "SELECT", "grantable": False}


@pytest.fixture
def store(migrated_dsn):
    opened = Store(migrated_dsn, pool_min=1)
    opened.open()
    try:
        with opened.transaction() as tx:
            for table in ("db_size", "server_size"):
                tx.execute(
                    f"create table syncd.{table}_rest partition of syncd.{table} default".encode()
                )
        yield opened
    finally:
        opened.close()


@pytest.fixture
def tx(store):
    with store.transaction() as transaction:
        yield transaction


def add(tx, table, **values):
    names, places = ", ".join(values), ", ".join(["%s"] * len(values))
    statement = f"insert into syncd.{table} ({names}) values ({places})"
    tx.execute(statement.encode(), list(values.values()))


def add_account(tx, account, server="orders-db", capabilities=(), privileges=(), **columns):
    values = {
        "engine": "mysql", "kind": "user", "active": True, "attributes": Jsonb({"plugin": "x"}),
        "read_errors": Jsonb([]), "first_seen_at": NOW, "changed_at": NOW, "run_id": UUID(int=1),
        "digest": b"",
    } | columns  # fmt: skip
    add(
        tx, "db_account", server=server, account=account, capabilities=list(capabilities),
        privileges=Jsonb(list(privileges)), **values,
    )  # fmt: skip


def add_db_change(tx, account, server="orders-db", at=NOW, granted=(), revoked=(), **attributes):
    add(
        tx, "db_account_change", run_id=UUID(int=1), server=server, account=account,
        change="updated", granted=Jsonb(list(granted)), revoked=Jsonb(list(revoked)),
        attributes_changed=Jsonb(attributes), changed_at=at,
    )  # fmt: skip


def add_size(tx, database, day, size, server="orders-db", **columns):
    add(
        tx, "db_size", server=server, database=database, collected_on=day, collected_at=NOW,
        size_bytes=size, **columns,
    )  # fmt: skip


def add_database(tx, database, server="orders-db", gone_at=None, sizes=()):
    add(
        tx, "db_catalog", server=server, database=database, engine="mysql", system=False,
        first_seen_at=NOW, last_seen_at=NOW, gone_at=gone_at,
    )  # fmt: skip
    for day, size in sizes:
        add_size(tx, database, day, size, server)


def statistic(start, last, period="month", **columns):
    return {
        "period": period, "period_start": start, "samples": 28, "gaps": 2, "avg_bytes": last / 2,
        "min_bytes": 1, "max_bytes": last, "first_bytes": 1, "last_bytes": last,
        "change_bytes": None, "change_percent": None, "growth_per_day": 1.5, "trend": None,
        "forecast_on": None, "computed_at": NOW,
    } | columns  # fmt: skip


@pytest.mark.parametrize(
    ("table", "columns", "left_out"),
    [
        ("db_account", fleet_views.DB_ACCOUNT_COLUMNS, {"digest", "privileges"}),
        ("db_account_change", fleet_views.DB_ACCOUNT_CHANGE_COLUMNS, set()),
    ],
)
def test_rows_of_the_fleet_have_the_columns_of_their_table(tx, table, columns, left_out):
    rows = tx.execute(
        "select column_name from information_schema.columns"
        " where table_schema = 'syncd' and table_name = %s",
        (table,),
    ).fetchall()
    assert {row[0] for row in rows} == set(columns) | left_out


def test_living_accounts_are_listed_and_filtered(tx):
    add_account(tx, "app@%", capabilities=["grant"], privileges=[SELECT, SELECT])
    add_account(tx, "root@localhost", capabilities=["grant", "superuser"])
    add_account(tx, "app@%", server="stock-db", capabilities=["superuser"])
    add_account(tx, "gone@%", deleted_at=NOW, capabilities=["superuser"])

    def found(**query):
        rows = fleet_views.db_accounts(tx, DbAccountQuery(**query))
        return [(row["server"], row["account"]) for row in rows]

    orders_app, root, stock_app = (
        ("orders-db", "app@%"), ("orders-db", "root@localhost"), ("stock-db", "app@%"),
    )  # fmt: skip
    assert found() == [orders_app, root, stock_app]
    assert found(server="stock-db") == [stock_app]
    assert found(account="app@%") == [orders_app, stock_app]
    assert found(capabilities=("superuser",)) == [root, stock_app]
    assert found(capabilities=("superuser", "grant")) == [root]
    assert found(server="'; drop table syncd.run; --") == []
    row, *_ = fleet_views.db_accounts(tx, DbAccountQuery())
    assert row["privilege_count"] == 2
    assert not row.keys() & {"privileges", "digest"}
    whole, *_ = fleet_views.db_accounts(tx, DbAccountQuery(privileges=True))
    assert whole["privileges"] == [SELECT, SELECT]


def manage(tx, kind, *servers):
    for server in servers:
        add(tx, "managed", job=f"{kind}-job", account=server, type=kind)


def lead(tx):
    add(tx, "leader", holder="h", epoch=1, acquired_at=NOW, expires_at=NOW)


def test_accounts_tell_when_their_server_was_read_and_whether_a_job_has_it(tx):
    for server in ("orders-db", "old-db", "sizes-db"):
        add_account(tx, "app@%", server)
    for server, kind in (("orders-db", "db_account"), ("old-db", "db_account"), ("old-db", "host")):
        seen = NOW if kind == "db_account" else NOW + HOUR
        add(tx, "scope", account=server, region="", type=kind, last_complete_at=seen)
    manage(tx, "db_account", "orders-db")
    manage(tx, "db_size", "orders-db", "sizes-db")

    def found():
        rows = fleet_views.db_accounts(tx, DbAccountQuery())
        return {row["server"]: (row["last_seen_at"], row["unmanaged"]) for row in rows}

    assert not any(unmanaged for _, unmanaged in found().values()), "no daemon ever led"
    lead(tx)
    assert found() == {
        "orders-db": (NOW, False), "old-db": (NOW, True), "sizes-db": (None, True),
    }  # fmt: skip
    view = tx.execute("select server, last_seen_at, unmanaged from syncd.db_accounts").fetchall()
    assert {(server, *rest) for server, *rest in view} == {(k, *v) for k, v in found().items()}


def test_sizes_tell_whether_a_job_has_their_server(tx):
    for server in ("orders-db", "old-db"):
        add_database(tx, "shop", server, sizes=[(TODAY, 10)])
    manage(tx, "db_account", "orders-db", "old-db")
    manage(tx, "db_size", "orders-db")
    for led in (False, True):
        if led:
            lead(tx)
        for rows in fleet_views.sizes(tx, SizeQuery()).values():
            assert {row["server"]: row["unmanaged"] for row in rows} == {
                "orders-db": False, "old-db": led,
            }  # fmt: skip


def test_pages_of_accounts_follow_each_other_without_gap(tx):
    keys = [(f"s{n % 3}", f"{name}@%") for n, name in enumerate(["a", "B", "é", "_", "z", "10"])]
    for server, account in keys:
        add_account(tx, account, server)
    after, seen = None, []
    while page := fleet_views.db_accounts(tx, DbAccountQuery(after=after, limit=2)):
        seen += [(row["server"], row["account"]) for row in page]
        after = seen[-1]
    assert len(seen) == len(keys)
    assert set(seen) == set(keys)


def test_changes_of_accounts_come_newest_first_and_are_filtered(tx):
    add_account(tx, "app@%", capabilities=["superuser"])
    add_account(tx, "old@%", capabilities=["superuser"], deleted_at=NOW)
    add_account(tx, "web@%")
    add_db_change(tx, "app@%", at=NOW - 2 * HOUR, granted=[SELECT], locked=[True, False])
    add_db_change(tx, "web@%", at=NOW, revoked=[SELECT])
    add_db_change(tx, "old@%", at=NOW - HOUR)
    add_db_change(tx, "app@%", server="stock-db", at=NOW - 3 * HOUR)

    def found(**query):
        rows = fleet_views.db_account_changes(tx, DbAccountChangeQuery(**query))
        return [(row["server"][:-3], row["account"][:-2]) for row in rows]

    assert found() == [("orders", "web"), ("orders", "old"), ("orders", "app"), ("stock", "app")]
    assert found(since=NOW - HOUR) == [("orders", "web"), ("orders", "old")]
    assert found(server="orders-db", account="app@%") == [("orders", "app")]
    assert found(capabilities=("superuser",)) == [("orders", "old"), ("orders", "app")]
    assert found(limit=1) == [("orders", "web")]
    change = fleet_views.db_account_changes(tx, DbAccountChangeQuery(account="app@%"))[0]
    assert change["granted"] == [SELECT]
    assert change["attributes_changed"] == {"locked": [True, False]}


def test_the_newest_sizes_of_what_stands_come_the_largest_first(tx):
    rng = random.Random(5)
    expected = {}
    for number in range(12):
        server, database = f"s{number % 3}", f"d{number}"
        days = sorted(rng.sample(range(30), rng.randint(1, 12)))
        sizes = [(TODAY - back * DAY, rng.randint(1, 1 << 50)) for back in days]
        add_database(tx, database, server, sizes=sizes)
        (newest, size), by_day = sizes[0], dict(sizes)
        expected[server, database] = (newest, size, by_day.get(newest - 7 * DAY))
    add_database(tx, "gone", "s0", gone_at=NOW, sizes=[(TODAY, 1 << 60)])
    rows = fleet_views.sizes(tx, SizeQuery())["databases"]
    assert {
        (row["server"], row["database"]): (
            row["collected_on"], row["size_bytes"], row["week_before_bytes"],
        )
        for row in rows
    } == expected  # fmt: skip
    shown = [row["size_bytes"] for row in rows]
    assert shown == sorted(shown, reverse=True)
    for row in rows:
        days = [day for (server, _), (day, _, _) in expected.items() if server == row["server"]]
        assert row["newest_on"] == max(days)
    top = fleet_views.sizes(tx, SizeQuery(server="s1", limit=2))["databases"]
    assert [row["size_bytes"] for row in top] == [
        row["size_bytes"] for row in rows if row["server"] == "s1"
    ][:2]


def test_a_database_that_is_late_or_was_never_read_shows_it(tx):
    add_database(tx, "shop", sizes=[(TODAY, 10)])
    add_database(tx, "late", sizes=[(TODAY - DAY, 20)])
    add_database(tx, "never")
    rows = {row["database"]: row for row in fleet_views.sizes(tx, SizeQuery())["databases"]}
    assert list(rows) == ["late", "shop", "never"]
    assert {row["newest_on"] for row in rows.values()} == {TODAY}
    assert rows["late"]["collected_on"] == TODAY - DAY
    assert rows["never"]["collected_on"] is rows["never"]["size_bytes"] is None
    (late,) = fleet_views.sizes(tx, SizeQuery(database="late"))["databases"]
    assert late["newest_on"] == TODAY, "of the whole server"


def test_servers_have_their_sums_unless_a_database_is_asked_for(tx):
    add_database(tx, "shop", sizes=[(TODAY, 10)])
    add_database(tx, "stock", "stock-db", sizes=[(TODAY, 30)])
    add_database(tx, "lost", "lost-db", gone_at=NOW, sizes=[(TODAY, 5)])
    for server, day, size in (
        ("orders-db", TODAY - DAY, 8), ("orders-db", TODAY - 8 * DAY, 6), ("lost-db", TODAY, 5),
    ):  # fmt: skip
        add(
            tx, "server_size", server=server, collected_on=day, collected_at=NOW, size_bytes=size,
            database_count=1,
        )  # fmt: skip
    orders, stock = fleet_views.sizes(tx, SizeQuery())["servers"]
    assert (orders["server"], orders["size_bytes"], orders["week_before_bytes"]) == (
        "orders-db", 8, 6,
    )  # fmt: skip
    assert (orders["collected_on"], orders["newest_on"]) == (TODAY - DAY, TODAY)
    assert (stock["server"], stock["size_bytes"], stock["newest_on"]) == ("stock-db", None, TODAY)
    assert len(fleet_views.sizes(tx, SizeQuery(server="orders-db"))["servers"]) == 1
    assert fleet_views.sizes(tx, SizeQuery(database="shop"))["servers"] == []


def test_the_sizes_that_are_measured_are_of_what_stands_on_some_servers(tx):
    add_database(tx, "shop", sizes=[(TODAY, 10), (TODAY - DAY, 99)])
    add_database(tx, "stock", "stock-db", sizes=[(TODAY - DAY, 30)])
    add_database(tx, "never", "stock-db")
    add_database(tx, "lost", "lost-db", sizes=[(TODAY, 5)])
    add_database(tx, "gone", gone_at=NOW, sizes=[(TODAY, 5)])
    assert fleet_views.newest_sizes(tx, ["orders-db", "stock-db", "new-db"]) == {
        ("orders-db", "shop"): 10, ("stock-db", "stock"): 30,
    }  # fmt: skip
    assert fleet_views.newest_sizes(tx, []) == {}


def test_statistics_are_those_of_the_last_period(tx):
    january, february = date(2026, 1, 1), date(2026, 2, 1)
    for database in ("shop", "late", "young"):
        add_database(tx, database)
    add_database(tx, "gone", gone_at=NOW)
    for database, start, last in (
        ("shop", january, 10), ("shop", february, 21), ("late", january, 30),
        ("gone", february, 99),
    ):  # fmt: skip
        add(tx, "db_size_stat", server="orders-db", database=database, **statistic(start, last))
    add(
        tx, "db_size_stat", server="orders-db", database="shop",
        **statistic(date(2026, 2, 28), 7, "day"),
    )  # fmt: skip
    for start, last in ((january, 40), (february, 21)):
        add(tx, "server_size_stat", server="orders-db", **statistic(start, last))
    found = fleet_views.size_stats(tx, SizeStatQuery("month"))
    names = ("database", "period_start", "last_bytes")
    assert [tuple(row[name] for name in names) for row in found["databases"]] == [
        ("late", january, 30), ("shop", february, 21),
    ]  # fmt: skip
    assert {row["newest_start"] for row in found["databases"]} == {february}
    assert found["databases"][1]["avg_bytes"] == 10.5
    assert [(row["server"], row["last_bytes"]) for row in found["servers"]] == [("orders-db", 21)]
    daily = fleet_views.size_stats(tx, SizeStatQuery("day", database="shop"))
    assert [row["last_bytes"] for row in daily["databases"]] == [7]
    assert daily["servers"] == []
    assert fleet_views.size_stats(tx, SizeStatQuery("quarter")) == {"databases": [], "servers": []}


def test_bytes_travel_exactly_and_averages_as_numbers(store):
    exact = (1 << 62) + 1
    with store.transaction() as tx:
        add_database(tx, "shop", sizes=[(TODAY, exact)])
        add(tx, "db_size_stat", server="orders-db", database="shop", **statistic(TODAY, exact))
    reads = StoreReads(store.transaction)
    sent = msgspec.json.decode(msgspec.json.encode(reads.sizes(SizeQuery())))
    assert sent["databases"][0]["size_bytes"] == exact
    assert sent["databases"][0]["collected_on"] == "2026-03-01"
    sent = msgspec.json.decode(msgspec.json.encode(reads.size_stats(SizeStatQuery("month"))))
    assert sent["databases"][0]["max_bytes"] == exact
    assert sent["databases"][0]["avg_bytes"] == pytest.approx(exact / 2)

"""Copies and checks of tables as a person sees them: configured, planned, run and shown."""

import json
import re

import psycopg
import pytest
from copy_house import opened
from psycopg.conninfo import conninfo_to_dict

TABLES = """
create schema shop;
create schema house;
create table shop.orders (id int primary key, note text, qty int, updated_at timestamptz);
insert into shop.orders
select n, 'order ' || n, n % 7, '2026-01-01'::timestamptz + n * interval '1 minute'
from generate_series(1, 1000) n;
create table shop."odd ""name"" %s" (id int primary key, t text);
insert into shop."odd ""name"" %s" values (1, 'x'), (2, null);
"""
ODD = 'odd "name" %s'


class Shop:
    """The database of the shop and of its copies."""

    def __init__(self, house, dsn):
        self.dsn, self.servers = dsn, house.servers
        self.configure, self.syncd, self.sync = house.configure, house.syncd, house.sync

    def execute(self, statement):
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def house(migrated_dsn, dsn):
    server = conninfo_to_dict(dsn)
    with opened(migrated_dsn) as made:
        made.servers["own"] = {
            "engine": "postgresql", "host": str(server["host"]), "port": int(server["port"]),
            "user": str(server["user"]), "database": str(server["dbname"]),
        }  # fmt: skip
        shop = Shop(made, dsn)
        shop.execute(TABLES)
        yield shop


def copy(**more):
    source = {"server": "own", "schema": "shop", "tables": ["orders", ODD]}
    target = {"server": "own", "schema": "house"}
    return {"kind": "table_copy", "source": source, "target": target} | more


def figures(lines):
    """Return the lines of a table of figures as mappings, by the first column."""
    names = re.split(r"  +", lines[0].strip())
    rows = [dict(zip(names, re.split(r"  +", line.strip()), strict=True)) for line in lines[1:]]
    return {row[names[0]]: row for row in rows}


def test_a_copy_is_planned_run_and_shown(house):
    house.configure(copy=copy())
    planned = house.syncd("sync", "copy", "--plan")
    assert planned[0].startswith("orders: 1,000 listed, 1,000 to add")
    assert planned[1].strip() == "+ house.orders  columns id, note, qty, updated_at"
    assert house.execute("select count(*) from pg_tables where schemaname = 'house'") == [(0,)]
    lines = figures(house.syncd("sync", "copy"))
    assert set(lines) == {"orders", ODD}
    orders = lines["orders"]
    assert (orders["status"], orders["pass"]) == ("success", "full")
    assert (orders["read"], orders["added"], orders["rejected"]) == ("1,000", "1,000", "0")
    assert "the table was made" in orders["remarks"]
    (run,) = json.loads("\n".join(house.syncd("runs", "--json")))
    shown = house.syncd("show", run["id"])
    at = shown.index("") + 1
    assert figures(shown[at:])["orders"] == orders
    assert house.execute("select count(*), sum(qty) from house.orders") == house.execute(
        "select count(*), sum(qty) from shop.orders"
    )


def test_one_table_of_a_copy_is_copied_alone(house):
    house.configure(copy=copy())
    run = house.sync("copy", "--table", ODD)
    assert [item["target"] for item in run["items"]] == [ODD]
    assert run["selection"] == {"tables": [ODD]}
    made = house.execute("select tablename from pg_tables where schemaname = 'house' order by 1")
    assert made == [(ODD,), ("syncd_watermark",)]
    failed = house.syncd("sync", "copy", "--table", "ordesr", fails=True)
    assert any("no target in what was asked for: tables ordesr" in line for line in failed)
    planned = house.syncd("sync", "copy", "--plan", "--table", "orders")
    (table,) = [line for line in planned if "listed" in line]
    assert table.startswith("orders: 1,000 listed")


def test_what_is_new_is_planned_with_its_keys_and_copied(house):
    house.configure(copy=copy(
        mode="incremental", watermark="updated_at", on_conflict="update",
        per_table={"orders": {"page_rows": 300}},
    ) | {"source": {"server": "own", "schema": "shop", "tables": ["orders"]}})  # fmt: skip
    house.sync("copy")
    house.execute(
        "update shop.orders set qty = 99, updated_at = now() - interval '1 s' where id = 7;"
        "insert into shop.orders values (1001, 'new', 1, now() - interval '1 s')"
    )
    planned = [line.strip() for line in house.syncd("sync", "copy", "--plan")]
    assert "1 to add, 1 to update, 0 to delete" in planned[0]
    assert {line.split("  ")[0] for line in planned[1:]} == {"+ 1001", "~ 7"}
    line = figures(house.syncd("sync", "copy"))["orders"]
    assert (line["pass"], line["added"], line["updated"]) == ("incremental", "1", "1")
    assert line["watermark"].startswith("20")
    assert house.execute("select * from house.orders order by id") == house.execute(
        "select * from shop.orders order by id"
    )


def test_rejected_rows_are_shown_with_where_they_are(house):
    house.execute(
        "create table house.orders (id int primary key, note text check (note <> 'order 13'),"
        " qty int, updated_at timestamptz)"
    )
    jobs = copy(max_rejected=3, source={"server": "own", "schema": "shop", "tables": ["orders"]})
    house.configure(copy=jobs)
    run = house.sync("copy")
    assert (run["items"][0]["errors"], run["items"][0]["details"]["rejected"]) == (1, 1)
    (row,) = run["rejected_rows"]
    assert (row["item"], json.loads(row["row"])["note"]) == ("orders", "order 13")
    shown = house.syncd("show", run["id"])
    at = next(n for n, line in enumerate(shown) if line.startswith("table   rejected key"))
    assert '["13"]' in shown[at + 1]
    house.configure(copy=jobs | {"max_rejected": 0, "retries": []})
    failed = house.sync("copy", fails=True)
    assert failed["items"][0]["error_class"] == "bad_data"
    assert house.execute("select count(*) from house.orders") == [(999,)]


def test_a_copy_that_fails_tells_what_stands_and_a_plan_what_is_left_out(house):
    house.execute(
        "create table house.orders (id int primary key, note text check (note <> 'order 900'),"
        " updated_at timestamptz)"
    )
    source = {"server": "own", "schema": "shop", "tables": ["orders"]}
    house.configure(copy=copy(page_rows=100, retries=[], source=source))
    planned = house.syncd("sync", "copy", "--plan", fails=True)
    assert [line.strip() for line in planned if "left out" in line] == []
    failed = house.sync("copy", fails=True)["items"][0]
    stands = house.execute("select count(*) from house.orders")[0][0]
    assert (failed["status"], failed["details"]["committed"]["added"]) == ("failed", stands)
    assert 100 < stands < 900
    shown = house.syncd("show", json.loads("\n".join(house.syncd("runs", "--json")))[0]["id"])
    at = shown.index("") + 1
    assert figures(shown[at : at + 2])["orders"]["added"] == str(stands)
    house.configure(copy=copy(max_rejected=1, source=source))
    planned = [line.strip() for line in house.syncd("sync", "copy", "--plan")]
    assert planned[0].endswith("1 errors")
    assert planned[1] == "left out: qty"
    assert any(line.startswith('! ["900"]  house.orders  ') for line in planned)
    assert "committed" not in house.sync("copy")["items"][0]["details"]


def test_a_copy_whose_server_is_disabled_copies_nothing(house):
    house.servers["off"] = house.servers["own"] | {"enabled": False}
    house.configure(copy=copy() | {"target": {"server": "off", "schema": "house"}})
    assert house.sync("copy")["items"] == []


def check(**more):
    return {"kind": "consistency_check", "copy": "copy", "recheck": "0s", "retries": []} | more


@pytest.fixture
def copied(house):
    """Give the house once both tables are copied, and a row of each differs."""
    house.configure(copy=copy(), check=check())
    house.sync("copy")
    house.execute(
        "update house.orders set qty = 99 where id = 7; delete from house.orders where id = 9;"
        "insert into house.orders values (2000, 'x', 1, now())"
    )
    return house


def test_a_check_tells_the_keys_that_differ_and_fails(copied):
    lines = copied.syncd("sync", "check", fails=True)
    at = next(n for n, line in enumerate(lines) if line.startswith("table "))
    tables = figures(lines[at : at + 3])
    orders, odd = tables["orders"], tables[ODD]
    assert (odd["status"], odd["equal"]) == ("success", "yes")
    assert (orders["equal"], orders["only left"], orders["only right"]) == ("no", "1", "1")
    assert (orders["status"], orders["left rows"], orders["differ"]) == ("failed", "1,000", "1")
    told = {tuple(re.split(r"  +", line)) for line in lines[at + 5 : at + 8]}
    assert told == {
        ("id 9", "only left"), ("id 2000", "only right"), ("id 7", "qty: 0 ≠ 99"),
    }  # fmt: skip
    (run,) = json.loads("\n".join(copied.syncd("runs", "--job", "check", "--json")))
    assert (run["status"], run["error_class"]) == ("failed", "bad_data")
    assert set(lines[at + 5 : at + 8]) <= set(copied.syncd("show", run["id"]))


def test_a_check_of_one_table_reports_and_succeeds(copied):
    copied.configure(copy=copy(), check=check(on_difference="report", mask=["qty"]))
    run = copied.sync("check", "--table", "orders")
    (item,) = run["items"]
    assert (item["status"], item["details"]["equal"]) == ("success", False)
    differences = item["details"]["differences"]
    assert {"key": {"id": "7"}, "columns": {"qty": ["***", "***"]}} in differences
    assert len(differences) == 3
    planned = [line.strip() for line in copied.syncd("sync", "check", "--plan")]
    assert {line for line in planned if line[0] in "<>≠"} == {
        "< 9", "> 2000", "≠ 7  qty: *** ≠ ***",
    }  # fmt: skip


def test_a_check_repairs_by_its_copy(copied):
    copied.configure(copy=copy(delete="hard"), check=check(repair="copy"))
    run = copied.sync("check")
    details = {item["target"]: item["details"] for item in run["items"]}
    assert (details["orders"]["equal"], details["orders"]["repaired"]) == (True, 3)
    assert copied.execute("select * from house.orders order by id") == copied.execute(
        "select * from shop.orders order by id"
    )


def test_queries_are_compared_as_tables_are(house):
    sides = {
        "left": {"server": "own", "query": "select id, qty from shop.orders where id < 100"},
        "right": {"server": "own", "query": "select id as nr, qty from shop.orders where id < 99"},
    }
    compared = check(**sides, key=["id"], rename={"id": "nr"}) | {"compare": ["count", "checksum"]}
    compared.pop("copy")
    house.configure(check=compared)
    (item,) = house.sync("check", fails=True)["items"]
    assert item["target"] == "query"
    assert item["details"]["differences"] == [{"key": {"id": "99"}, "only": "left"}]

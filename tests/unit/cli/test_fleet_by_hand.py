"""Runs and plans of database servers, asked for by hand."""

import json

from fake_daemon import RUN, item_row, run_row, syncd

from syncd.model.run import Selection

PLANNED = {
    "target": "orders-db",
    "counts": {"total": 4, "added": 1, "updated": 2, "deleted": 1, "unchanged": 0, "errors": 0},
    "changes": [
        {"change": "added", "resource_id": "new@%", "name": "",
         "fields": {"granted": ["USAGE on the server"], "revoked": []}},
        {"change": "updated", "resource_id": "app@%", "name": "",
         "fields": {"granted": ["SELECT on table shop.orders", "SELECT on table shop.items"],
                    "revoked": ["INSERT on table shop.orders"], "locked": [True, False]}},
        {"change": "updated", "resource_id": "web@%", "name": "",
         "fields": {"granted": [], "revoked": [], "ssl_type": ["", "ANY"]}},
        {"change": "deleted", "resource_id": "old@%", "name": "",
         "fields": {"granted": [], "revoked": ["\x1b[2J on database shop"]}},
    ],
    "error_class": None, "error": None,
}  # fmt: skip
SERVERS = Selection(servers=frozenset({"orders-db", "stock-db"}))
BOTH = ["--server", "orders-db", "--server", "stock-db"]


def test_a_plan_tells_each_privilege_that_comes_or_goes(served):
    served.commands.planned = [PLANNED]
    result = syncd(served, "sync", "hosts", "--plan", *BOTH)
    assert result.exit_code == 0, result.output
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert lines[0].startswith("orders-db: 4 listed, 1 to add, 2 to update, 1 to delete")
    assert lines[1:] == [
        "  + new@%",
        "    + USAGE on the server",
        "  ~ app@%  locked: yes → no",
        "    + SELECT on table shop.orders",
        "    + SELECT on table shop.items",
        "    - INSERT on table shop.orders",
        "  ~ web@%  ssl_type: - → ANY",
        "  - old@%",
        "    - \\x1b[2J on database shop",
    ]
    assert served.commands.asked[0][:3] == ("plan", "hosts", SERVERS)
    as_json = syncd(served, "sync", "hosts", "--plan", "--json").stdout
    assert json.loads(as_json) == [PLANNED]


def test_runs_are_asked_for_by_server(served):
    served.commands.ended.set()
    assert syncd(served, "sync", "hosts", *BOTH).exit_code == 0
    assert syncd(served, "trigger", "hosts", *BOTH).exit_code == 0
    assert [asked[:3] for asked in served.commands.asked] == [("trigger", "hosts", SERVERS)] * 2


def test_runs_and_plans_are_asked_for_by_table(served):
    served.commands.ended.set()
    tables = Selection(tables=frozenset({"orders", "order lines"}))
    both = ["--table", "orders", "--table", "order lines"]
    assert syncd(served, "sync", "hosts", *both).exit_code == 0
    assert syncd(served, "trigger", "hosts", *both).exit_code == 0
    assert syncd(served, "sync", "hosts", "--plan", *both).exit_code == 0
    assert [asked[2] for asked in served.commands.asked] == [tables] * 3


def test_a_run_tells_which_servers_it_is_for(served):
    chosen = {"servers": ["orders-db", "stock-db"]}
    row = run_row(kind="db_accounts", selection=chosen)
    served.reads.runs = lambda _: [row]
    failed = item_row(
        target="orders-db", status="failed", error_class="network", error="refused"
    )  # fmt: skip
    served.reads.run = lambda _: row | {
        "items": [failed, item_row(target="stock-db")], "errors": [], "error_count": 0,
    }  # fmt: skip
    assert "manual (orders-db, stock-db)" in syncd(served, "runs").stdout
    shown = syncd(served, "show", str(RUN)).stdout.splitlines()
    assert "of servers  orders-db, stock-db" in shown
    (line,) = [line for line in shown if line.startswith("orders-db ")]
    assert "network: refused" in line
    assert json.loads(syncd(served, "runs", "--json").stdout)[0]["selection"] == chosen


def test_of_many_servers_the_first_are_named(served):
    chosen = {"servers": [f"db{number}" for number in range(50)]}
    served.reads.runs = lambda _: [run_row(selection=chosen)]
    assert "manual (db0, db1, db2 and 47 more)" in syncd(served, "runs").stdout


def test_deletions_of_accounts_that_are_held_back_are_told_by_their_server(served):
    held = {
        "job": "db-accounts", "account": "orders-db", "region": "", "type": "db_account",
        "count": 12, "guarded_at": "2026-03-01T12:00:00Z", "approved": False,
    }  # fmt: skip
    served.reads.overview = lambda: {"outcomes": [], "resources": [], "guarded": [held]}
    told = "! 12 deletions of orders-db/db_account are held back for"
    assert told in syncd(served, "status").stdout

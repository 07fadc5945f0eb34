"""The accounts of database servers on the command line."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from fake_daemon import MOMENT, RUN, syncd

from syncd.model.queries import DbAccountChangeQuery, DbAccountQuery

SELECT = {
    "on": "column", "name": ["shop", "public", "orders", "price"], "privilege": "SELECT",
    "grantable": True,
}  # fmt: skip
INSERT = {"on": "all_tables", "name": ["shop", "public"], "privilege": "INSERT", "grantable": False}
SELECT_TEXT = "SELECT on column shop.public.orders.price, grantable"


def account_row(account="app@%", **changed):
    return {
        "server": "orders-db", "engine": "mysql", "account": account, "kind": "user",
        "active": True, "attributes": {"plugin": "x"}, "capabilities": ["grant", "superuser"],
        "read_errors": [], "first_seen_at": MOMENT, "changed_at": MOMENT, "missing_since": None,
        "missing_runs": 0, "deleted_at": None, "run_id": RUN, "privilege_count": 1_234,
        "privileges": [SELECT, INSERT], "last_seen_at": datetime.now(UTC), "unmanaged": False,
    } | changed  # fmt: skip


def unread(part):
    return {"part": part, "error_class": "permission", "error": "not \x1b[2J allowed"}


def change_row(change="updated", granted=(), revoked=(), **attributes):
    return {
        "id": 1, "run_id": RUN, "server": "orders-db", "account": "app@%", "change": change,
        "granted": list(granted), "revoked": list(revoked), "attributes_changed": attributes,
        "changed_at": MOMENT,
    }  # fmt: skip


def test_accounts_are_a_line_each(served):
    served.reads.db_account_rows = [account_row(), account_row("web@%", active=False)]
    result = syncd(served, "db-accounts")
    assert result.exit_code == 0, result.output
    header, first, second = result.stdout.splitlines()
    assert header.split() == [
        "server", "account", "kind", "active", "capabilities", "privileges", "changed",
    ]  # fmt: skip
    assert first.split("  ")[0] == "orders-db"
    assert "grant, superuser" in first
    assert "1,234" in first
    assert "2026-03-01 20:00:00+08:00" in first
    assert " no " in second
    assert served.reads.asked == [DbAccountQuery()]


def test_the_options_are_passed_on(served):
    served.reads.db_account_rows = [account_row()]
    syncd(
        served, "db-accounts", "--server", "orders-db", "--account", "app@%", "--with", "superuser",
        "--with", "grant", "--limit", "5",
    )  # fmt: skip
    query = DbAccountQuery("orders-db", "app@%", ("superuser", "grant"), limit=5)
    assert served.reads.asked == [query]


def test_accounts_are_read_page_by_page_to_the_end(served, monkeypatch):
    monkeypatch.setattr("syncd.cli.db_accounts.PAGE", 2)
    monkeypatch.setattr("syncd.cli.db_accounts.LARGE_PAGE", 3)
    served.reads.db_account_rows = [account_row(f"a{number}@%") for number in range(5)]
    lines = syncd(served, "db-accounts").stdout.splitlines()
    assert [line.split()[1] for line in lines[1:]] == [f"a{number}@%" for number in range(5)]
    assert len(served.reads.asked) == 3
    rows = json.loads(syncd(served, "db-accounts", "--json").stdout)
    assert [row["account"] for row in rows] == [f"a{number}@%" for number in range(5)]
    assert rows[0]["privileges"] == [SELECT, INSERT]
    assert len(served.reads.asked) == 5
    assert len(syncd(served, "db-accounts", "--limit", "3").stdout.splitlines()) == 4


def test_privileges_are_a_line_each_when_they_are_asked_for(served):
    served.reads.db_account_rows = [
        account_row(kind="role", active=False, privilege_count=2),
        account_row("b@%", capabilities=[], privilege_count=1, privileges=[INSERT]),
    ]
    lines = syncd(served, "db-accounts", "--account", "app@%", "--grants").stdout.splitlines()
    assert lines == [
        "orders-db app@%: role, not active, grant, superuser, 2 privileges",
        f"    {SELECT_TEXT}",
        "    INSERT on all tables of shop.public",
        "orders-db b@%: user, active, 1 privilege",
        "    INSERT on all tables of shop.public",
    ]
    assert served.reads.asked[0].privileges


@pytest.mark.parametrize("options", [[], ["--grants"], ["--json"]])
def test_what_could_not_be_read_is_said(served, options):
    served.reads.db_account_rows = [
        account_row("a@%", read_errors=[unread("database shop")]),
        account_row(
            "b@%", read_errors=[unread(part) for part in ("database shop", "p2", "p3", "p4")]
        ),
        account_row("c@%"),
    ]
    result = syncd(served, "db-accounts", *options)
    told = "orders-db: 4 parts could not be read, and what was known stays: database shop"
    (line,) = result.stderr.splitlines()
    assert told in line
    assert "(permission: not \\x1b[2J allowed)" in line
    assert line.endswith("; and 1 more")
    if "--json" in options:
        assert len(json.loads(result.stdout)[0]["read_errors"]) == 1
    else:
        assert result.stdout.count("! 1,234") == 2


@pytest.mark.parametrize("options", [[], ["--grants"], ["--json"]])
def test_servers_that_are_not_read_any_more_are_marked(served, options):
    served.reads.db_account_rows = [
        account_row(server="down-db", last_seen_at=MOMENT),
        account_row("web@%", server="down-db", last_seen_at=MOMENT),
        account_row(server="late-db", last_seen_at=datetime.now(UTC) - timedelta(hours=24)),
        account_row(server="never-db", last_seen_at=None, unmanaged=True),
        account_row(server="old-db", last_seen_at=MOMENT, unmanaged=True),
    ]
    result = syncd(served, "db-accounts", *options)
    assert result.stderr.splitlines() == [
        "syncd: down-db: not read since 2026-03-01 20:00",
        "syncd: never-db: no job looks at it any more",
        "syncd: old-db: no job looks at it any more; its accounts are as of 2026-03-01 20:00",
    ]
    if "--json" in options:
        assert [row["unmanaged"] for row in json.loads(result.stdout)] == [False] * 3 + [True] * 2
    else:
        lines = [line for line in result.stdout.splitlines() if "-db" in line]
        marked = [line.removeprefix("! ").split()[0] for line in lines if line.startswith("! ")]
        assert marked == ["down-db", "down-db", "never-db", "old-db"]
        assert len(lines) == 5


def test_an_empty_list_says_so(served):
    for options in ([], ["--grants"]):
        assert syncd(served, "db-accounts", *options).stderr == "no accounts\n"
    assert syncd(served, "db-accounts", "--changed-since", "1d").stderr == "no changes\n"
    assert json.loads(syncd(served, "db-accounts", "--json").stdout) == []


def test_the_history_tells_what_was_granted_and_revoked(served):
    served.reads.db_change_rows = [
        change_row(granted=[SELECT], revoked=[INSERT], locked=[True, False]),
        change_row("deleted", revoked=[INSERT], locked=[False, None]),
    ]
    since = ["--changed-since", "2026-03-01T20:00"]
    result = syncd(served, "db-accounts", *since, "--server", "orders-db", "--with", "superuser")
    assert result.exit_code == 0, result.output
    assert [line.rstrip() for line in result.stdout.splitlines()] == [
        "2026-03-01 20:00:00+08:00  ~ orders-db app@%  updated  locked: yes → no",
        f"    + {SELECT_TEXT}",
        "    - INSERT on all tables of shop.public",
        "2026-03-01 20:00:00+08:00  - orders-db app@%  deleted",
        "    - INSERT on all tables of shop.public",
    ]
    query = DbAccountChangeQuery(MOMENT, "orders-db", None, ("superuser",), 100)
    assert served.reads.asked == [query]
    rows = json.loads(syncd(served, "db-accounts", *since, "--json").stdout)
    assert rows[0]["granted"] == [SELECT]


def test_a_history_that_is_cut_says_so(served):
    served.reads.db_change_rows = [change_row()] * 3
    result = syncd(served, "db-accounts", "--changed-since", "1d", "--limit", "2")
    assert "the newest 2 changes; there may be more: --limit" in result.stderr
    syncd(served, "db-accounts", "--changed-since", "1d", "--limit", "20000")
    assert served.reads.asked[-1].limit == 10_000


@pytest.mark.parametrize(
    "arguments",
    [
        ["--with", "superman"], ["--server", ""], ["--account", ""], ["--limit", "0"],
        ["--changed-since", "yesterday"], ["--changed-since", "1d", "--grants"], ["app@%"],
    ],
)  # fmt: skip
def test_wrong_usage_of_db_accounts_exits_with_2(served, arguments):
    assert syncd(served, "db-accounts", *arguments).exit_code == 2
    assert served.reads.asked == []


def test_hostile_accounts_do_not_reach_the_terminal_raw(served):
    name = "[red]a\nb\x1b[2J\x9b2J\u202e"
    hostile = SELECT | {"name": [name]}
    served.reads.db_account_rows = [account_row(name, privileges=[hostile])]
    served.reads.db_change_rows = [change_row(granted=[hostile]) | {"account": name}]
    for options in ([], ["--grants"], ["--changed-since", "1d"], ["--json"]):
        result = syncd(served, "db-accounts", *options)
        assert result.exit_code == 0, result.output
        assert "[red]a\\nb" in result.stdout
        assert not set(result.stdout) & set("\x1b\x9b\u202e")

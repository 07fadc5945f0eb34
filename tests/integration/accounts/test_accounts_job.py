"""The accounts of servers in the store: what is added, changes, goes and comes back."""

from dataclasses import replace

import pytest
from fleet_accounts import Scripted, account, named, table, tables

from syncd import assembly
from syncd.errors import ConfigurationError, Network
from syncd.model.privilege import Privilege
from syncd.model.run import Selection
from syncd.store import resources
from syncd.store.reconcile import clear_stages
from syncd.store.shapes import RECONCILED

LOGIN = Privilege("database", ("shop",), "CONNECT", grantable=True)
WHOLE = {
    "account.active": True,
    "account.kind": "user",
    "account.capabilities": [],
    "connection_limit": -1,
}


def test_a_new_account_is_added_with_all_that_it_may_do(fleet, server):
    server.accounts_now = [account("app", LOGIN, table("orders"), capabilities=("superuser",))]
    run = fleet.run()
    assert (run["status"], run["added"], run["total"]) == ("success", 1, 1)
    row = fleet.living()["app"]
    privileges = [
        {"on": "database", "name": ["shop"], "privilege": "CONNECT", "grantable": True},
        {
            "on": "table",
            "name": ["shop", "public", "orders"],
            "privilege": "SELECT",
            "grantable": False,
        },
    ]
    assert row["privileges"] == privileges
    assert (row["engine"], row["kind"], row["active"]) == ("postgresql", "user", True)
    assert (row["capabilities"], row["attributes"]) == (["superuser"], {"connection_limit": -1})
    assert (row["read_errors"], row["unmanaged"]) == ([], True)
    assert row["last_seen_at"] == row["changed_at"] == row["first_seen_at"]
    change = fleet.changes(run)["app"]
    assert (change["change"], change["server"]) == ("added", "db1")
    assert (change["granted"], change["revoked"]) == (privileges, [])
    assert change["attributes_changed"] == {
        name: [None, value]
        for name, value in (WHOLE | {"account.capabilities": ["superuser"]}).items()
    }
    assert fleet.rows("select run_id from syncd.db_account") == [{"run_id": run["id"]}]


def test_what_is_unchanged_is_not_written(fleet, server):
    server.accounts_now = [account(f"u{n}", LOGIN, tables()) for n in range(20)]
    server.objects = named("a", "b")
    fleet.run()
    tables_of_kind = ("db_account", "db_account_change", "db_object")
    before = fleet.versions(*tables_of_kind)
    server.accounts_now.reverse()
    run = fleet.run()
    assert (run["unchanged"], run["updated"], run["total"]) == (20, 0, 20)
    assert fleet.versions(*tables_of_kind) == before
    assert {row["last_seen_at"] > row["changed_at"] for row in fleet.living().values()} == {True}


def test_an_update_tells_what_was_granted_and_revoked_and_nothing_else(fleet, server):
    server.accounts_now = [account("app", LOGIN, table("orders")), account("other")]
    first = fleet.run()
    server.accounts_now[0] = account(
        "app", replace(LOGIN, grantable=False), table("items"),
        attributes={"connection_limit": 5, "valid_until": "2027-01-01"}, active=False,
    )  # fmt: skip
    run = fleet.run()
    change = fleet.changes(run)["app"]
    assert change["change"] == "updated"
    assert change["granted"] == [table("items").document()]
    option = replace(LOGIN, only_options=True)
    assert change["revoked"] == [option.document(), table("orders").document()]
    assert change["attributes_changed"] == {
        "connection_limit": [-1, 5],
        "valid_until": [None, "2027-01-01"],
        "account.active": [True, False],
    }
    runs = {r["account"]: r["run_id"] for r in fleet.rows("select * from syncd.db_account")}
    assert runs == {"app": run["id"], "other": first["id"]}
    server.accounts_now[0] = replace(server.accounts_now[0], attributes={"connection_limit": 5})
    change = fleet.changes(fleet.run())["app"]
    assert (change["granted"], change["revoked"]) == ([], [])
    assert change["attributes_changed"] == {"valid_until": ["2027-01-01", None]}


def test_a_set_that_breaks_up_is_written_but_is_no_change(fleet, server):
    server.accounts_now, server.objects = [account("app", tables())], named("a", "b")
    first = fleet.run()
    changed_at = fleet.living()["app"]["changed_at"]
    server.accounts_now = [account("app", table("a"), table("b"))]
    server.objects = named("a", "b", "new")
    run = fleet.run()
    assert (run["updated"], run["unchanged"], fleet.changes(run)) == (0, 1, {})
    row = fleet.living()["app"]
    assert len(row["privileges"]) == 2
    assert row["changed_at"] == changed_at
    assert fleet.rows("select run_id from syncd.db_account") == [{"run_id": first["id"]}]
    server.accounts_now = [account("app", table("b"))]
    run = fleet.run()
    assert fleet.changes(run)["app"]["revoked"] == [table("a").document()]


def test_one_table_of_500_is_one_revocation(fleet, server):
    names = [f"t{n:03}" for n in range(500)]
    server.accounts_now, server.objects = [account("app", tables())], named(*names)
    fleet.run()
    server.accounts_now = [account("app", *map(table, names[1:]))]
    change = fleet.changes(fleet.run())["app"]
    assert (change["granted"], change["revoked"]) == ([], [table("t000").document()])


def test_a_dropped_account_is_deleted_with_all_that_it_lost(fleet, server):
    server.accounts_now = [account("app", LOGIN), account("rest")]
    fleet.run()
    server.accounts_now.pop(0)
    run = fleet.run()
    change = fleet.changes(run)["app"]
    assert (run["deleted"], change["change"]) == (1, "deleted")
    assert (change["granted"], change["revoked"]) == ([], [LOGIN.document()])
    assert change["attributes_changed"] == {name: [value, None] for name, value in WHOLE.items()}
    assert set(fleet.living()) == {"rest"}
    query = "select run_id from syncd.db_account where deleted_at is not null"
    assert fleet.rows(query) == [{"run_id": run["id"]}]


def test_an_account_that_comes_back_is_granted_all_that_it_has(fleet, server):
    server.accounts_now = [account("app", LOGIN), account("rest")]
    fleet.run()
    server.accounts_now.pop(0)
    fleet.run()
    server.accounts_now.append(account("app", table("orders")))
    run = fleet.run()
    change = fleet.changes(run)["app"]
    assert (run["added"], change["change"]) == (1, "restored")
    assert (change["granted"], change["revoked"]) == ([table("orders").document()], [])
    assert change["attributes_changed"] == {name: [None, value] for name, value in WHOLE.items()}
    assert fleet.living()["app"]["privileges"] == [table("orders").document()]


def test_a_server_that_turns_into_another_engine_is_told_in_every_row(fleet, server):
    server.accounts_now, server.engine = [account("a"), account("b")], "mysql"
    fleet.run()
    server.engine = "mariadb"
    run = fleet.run()
    assert (run["unchanged"], fleet.changes(run)) == (2, {})
    assert {row["engine"] for row in fleet.living().values()} == {"mariadb"}


def test_each_server_has_its_own_accounts_and_one_that_is_down_keeps_its_own(fleet):
    one, two = fleet.scripted("db1", "db2")
    one.accounts_now, two.accounts_now = [account("app")], [account("app", LOGIN)]
    assert fleet.run()["added"] == 2

    def down():
        raise Network("connection refused")

    one.before_answer = down
    two.accounts_now = [account("app")]
    run = fleet.run()
    ends = {name: (i["status"], i["error_class"]) for name, i in run["items"].items()}
    assert ends == {"db1": ("failed", "network"), "db2": ("success", None)}
    assert (run["deleted"], run["updated"]) == (0, 1)
    assert set(fleet.living("db1")) == {"app"}
    assert fleet.living("db2")["app"]["privileges"] == []


def test_a_run_can_be_for_one_server(fleet):
    one, two = fleet.scripted("db1", "db2")
    one.accounts_now, two.accounts_now = [account("a")], [account("b")]
    run = fleet.run(selection=Selection(servers=frozenset({"db2"})))
    assert set(run["items"]) == {"db2"}
    assert (fleet.living("db1"), set(fleet.living("db2"))) == ({}, {"b"})


@pytest.mark.parametrize(
    ("problem", "error_class"),
    [(ConfigurationError("no"), "configuration"), (KeyError(), "internal")],
)
def test_a_server_whose_engine_cant_be_made_fails_alone(fleet, problem, error_class):
    def engine(name):
        if name == "db2":
            raise problem
        return Scripted([account("a")])

    servers = {n: {"engine": "mysql", "host": "h", "user": "u"} for n in ("db1", "db2")}
    fleet.configure(servers, engine)
    run = fleet.run()
    ends = {name: (i["status"], i["error_class"]) for name, i in run["items"].items()}
    assert ends == {"db1": ("success", None), "db2": ("failed", error_class)}


def test_an_empty_list_is_an_error_and_deletes_nothing(fleet, server):
    server.accounts_now = [account("app")]
    fleet.run()
    server.accounts_now = []
    run = fleet.run()
    assert (run["status"], run["error_class"], run["deleted"]) == ("failed", "bad_data", 0)
    assert set(fleet.living()) == {"app"}


@pytest.mark.parametrize("name", ["nul\0", "half \ud800", "x" * 513])
def test_an_account_that_cant_be_kept_does_not_take_others_with_it(fleet, server, name):
    server.accounts_now = [account("a"), account(name), account("b")]
    run = fleet.run()
    assert (run["status"], run["added"], run["errors"]) == ("success", 2, 1)
    assert [e["error_class"] for e in run["errors_of"]] == ["bad_data"]
    assert set(fleet.living()) == {"a", "b"}


@pytest.mark.parametrize("text", ["nul\0", "half \ud800"])
def test_an_account_that_turns_bad_stays_as_it_was(fleet, server, text):
    server.accounts_now = [account("a", LOGIN), account("b")]
    fleet.run()
    server.accounts_now[0] = account("a", table(text))
    run = fleet.run()
    assert (run["errors"], run["deleted"], fleet.changes(run)) == (1, 0, {})
    assert fleet.living()["a"]["privileges"] == [LOGIN.document()]


@pytest.mark.parametrize("first", [account("a"), account("a", LOGIN)], ids=["new", "as before"])
def test_two_accounts_of_one_name_are_an_error_of_that_name_alone(fleet, server, first):
    server.accounts_now = [account("a", LOGIN), account("b")]
    fleet.run()
    server.accounts_now = [first, account("a", table("t")), account("b", LOGIN)]
    run = fleet.run()
    assert (run["errors"], run["updated"], run["deleted"], run["total"]) == (1, 1, 0, 2)
    assert fleet.living()["a"]["privileges"] == [LOGIN.document()]
    assert run["errors_of"][0]["resource_id"] == "a"


def test_a_plan_tells_grants_and_revocations_in_words_and_keeps_nothing(fleet, server):
    server.accounts_now = [account("app", LOGIN)]
    fleet.run()
    kept = ("db_account", "db_account_change", "db_object", "scope", "run", "db_account_stage")
    before = fleet.versions(*kept)
    server.accounts_now = [account("app", tables("INSERT"), active=False), account("new")]
    server.objects = named("a", "b")
    (planned,) = fleet.plan()
    assert (planned.target, planned.counts.added, planned.counts.updated) == ("db1", 1, 1)
    changes = {change.resource_id: change for change in planned.changes}
    assert changes["app"].fields == {
        "granted": ["INSERT on all tables of shop.public"],
        "revoked": ["CONNECT on database shop, grantable"],
        "account.active": [True, False],
    }
    assert changes["new"].change == "added"
    assert fleet.versions(*kept) == before


def test_accounts_of_a_server_that_no_job_has_are_unmanaged(fleet, server):
    server.accounts_now = [account("app")]
    fleet.run()

    def manage():
        with fleet.store.transaction() as tx:
            resources.replace_managed(tx, assembly.managed(fleet.config))
        return fleet.living()["app"]["unmanaged"]

    assert manage() is False
    fleet.scripted("db2")
    assert manage() is True


def test_more_accounts_than_are_compared_at_once(fleet, server):
    own, many = [table(f"t{n:02}") for n in range(5)], 2_500
    server.accounts_now = [account(f"user-{n:05}", LOGIN, tables(), *own) for n in range(many)]
    server.objects = named(*(f"t{n:03}" for n in range(500)))
    assert fleet.run()["added"] == many
    before = fleet.versions("db_account", "db_account_change", "db_object")
    assert fleet.run()["unchanged"] == many
    assert fleet.versions("db_account", "db_account_change", "db_object") == before
    server.accounts_now[::100] = [account(f"user-{n:05}", *own) for n in range(0, many, 100)]
    run = fleet.run()
    assert (run["updated"], run["unchanged"]) == (25, many - 25)
    lost = [tables().document(), LOGIN.document()]
    assert all(change["revoked"] == lost for change in fleet.changes(run).values())


def test_every_stage_is_cleared_of_what_killed_processes_left(fleet):
    query = "select tablename from pg_tables where schemaname = 'syncd' and tablename ~ '_stage$'"
    stages = {row["tablename"] for row in fleet.rows(query)}
    assert stages == {shape.stage for shape in RECONCILED}
    fleet.rows(
        """insert into syncd.db_account_stage (stage, account, digest)
           values (gen_random_uuid(), 'app', '') returning 1"""
    )
    with fleet.store.transaction() as tx:
        clear_stages(tx, RECONCILED)
    assert fleet.rows("select 1 from syncd.db_account_stage") == []

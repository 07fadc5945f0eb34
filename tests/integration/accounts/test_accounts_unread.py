"""What could not be read stays as it was: a failed read never looks like a revocation."""

from dataclasses import replace

import pytest
from fleet_accounts import account, named, table, tables

from syncd.errors import Network, Permission
from syncd.model.db_account import Unread
from syncd.model.privilege import Privilege

SHOP, BOOKS = tables(), tables(database="books")
CONNECT = Privilege("database", ("shop",), "CONNECT")
LOST = Unread("database shop", Network("connection reset"), database="shop")
TOLD = {"part": "database shop", "error_class": "network", "error": "connection reset"}


@pytest.fixture
def known(fleet, server):
    """Give the server once two accounts of it are known, with sets in two databases."""
    server.objects = named("a", "b") | named("x", "y", database="books")
    server.accounts_now = [account("app", CONNECT, SHOP, BOOKS), account("rest", SHOP)]
    fleet.run()
    return server


def told(fleet, name="app"):
    """Return the privileges of an account, as (on, database, privilege)."""
    privileges = fleet.living()[name]["privileges"]
    return {(p["on"], p["name"][0], p["privilege"]) for p in privileges}


def lose(server, unread=LOST):
    """Have a database not be read: what it holds is not in the reading."""
    server.unread = [unread]
    server.accounts_now = [account("app", CONNECT, BOOKS), account("rest")]
    server.objects = named("x", "y", database="books")


def test_what_a_database_hides_stays_and_is_named(fleet, known):
    lose(known)
    run = fleet.run()
    assert (run["status"], run["total"], run["errors"], run["updated"]) == ("success", 3, 1, 0)
    assert fleet.changes(run) == {}
    assert ("all_tables", "shop", "SELECT") in told(fleet)
    assert told(fleet, "rest") == {("all_tables", "shop", "SELECT")}
    assert [row["read_errors"] for row in fleet.living().values()] == [[TOLD], [TOLD]]
    (error,) = run["errors_of"]
    assert (error["resource_id"], error["error_class"]) == ("database shop", "network")
    kept = {"shop": ["a", "b"], "books": ["x", "y"]}
    assert {o["database"]: o["names"] for o in fleet.rows("select * from syncd.db_object")} == kept


def test_the_same_gap_again_writes_nothing(fleet, known):
    lose(known)
    fleet.run()
    before = fleet.versions("db_account", "db_account_change", "db_object")
    run = fleet.run()
    assert (run["unchanged"], run["errors"]) == (2, 1)
    assert fleet.versions("db_account", "db_account_change", "db_object") == before


def test_once_it_is_read_again_only_what_really_changed_is_told(fleet, known):
    lose(known)
    fleet.run()
    known.unread = ()
    known.objects = named("a", "b", "c") | named("x", "y", database="books")
    known.accounts_now = [account("app", CONNECT, table("a"), BOOKS), account("rest", SHOP)]
    run = fleet.run()
    changes = fleet.changes(run)
    assert (changes["app"]["granted"], set(changes)) == ([], {"app"})
    assert changes["app"]["revoked"] == [table("b").document()]
    assert [row["read_errors"] for row in fleet.living().values()] == [[], []]


def test_what_is_read_beside_the_gap_is_taken(fleet, known):
    lose(known)
    known.accounts_now[0] = account("app", attributes={"connection_limit": 3})
    change = fleet.changes(fleet.run())["app"]
    revoked = {(p["on"], p["name"][0]) for p in change["revoked"]}
    assert revoked == {("database", "shop"), ("all_tables", "books")}
    assert change["attributes_changed"] == {"connection_limit": [-1, 3]}
    assert told(fleet) == {("all_tables", "shop", "SELECT")}


def test_one_kind_of_object_can_be_hidden_sets_of_it_too(fleet, known):
    lose(known, Unread("tables of shop", Permission("no"), database="shop", on="table"))
    run = fleet.run()
    assert fleet.changes(run) == {}
    assert told(fleet, "rest") == {("all_tables", "shop", "SELECT")}
    assert len(fleet.rows("select * from syncd.db_object where database = 'shop'")) == 1


def test_a_gap_of_one_account_concerns_no_other(fleet, known):
    known.unread = [Unread("grants of app", Permission("no"), account="app")]
    known.accounts_now = [account("app"), account("rest")]
    run = fleet.run()
    assert set(fleet.changes(run)) == {"rest"}
    assert len(told(fleet)) == 3
    errors = {name: len(row["read_errors"]) for name, row in fleet.living().items()}
    assert errors == {"app": 1, "rest": 0}


def test_hidden_attributes_stay_and_privileges_are_taken(fleet, server):
    server.accounts_now = [account("app", CONNECT, attributes={"plugin": "x", "tls": "ANY"})]
    fleet.run()
    server.unread = [Unread("limits", Permission("no"), attributes=("tls", "never_known"))]
    server.accounts_now = [account("app", attributes={"plugin": "y"})]
    change = fleet.changes(fleet.run())["app"]
    assert change["attributes_changed"] == {"plugin": ["x", "y"]}
    assert change["revoked"] == [CONNECT.document()]
    assert fleet.living()["app"]["attributes"] == {"plugin": "y", "tls": "ANY"}


def test_capabilities_that_come_of_what_is_unread_stay_and_others_go(fleet, server):
    every = Privilege("server", (), "SUPER", grantable=True)
    server.accounts_now = [account("app", every, capabilities=("grant", "locked", "superuser"))]
    fleet.run()
    server.unread = [Unread("grants of app", Permission("no"), account="app")]
    server.accounts_now = [account("app")]
    change = fleet.changes(fleet.run())["app"]
    assert fleet.living()["app"]["capabilities"] == ["grant", "superuser"]
    assert change["attributes_changed"] == {
        "account.capabilities": [["grant", "locked", "superuser"], ["grant", "superuser"]]
    }


def test_what_is_known_of_a_membership_stays_when_only_its_options_are_unread(fleet, server):
    member = Privilege("role", ("dev",), "MEMBER", options=("default",))
    server.accounts_now = [account("app", member)]
    fleet.run()
    server.unread = [
        Unread("default roles", Permission("no"), on="role"),
        Unread("default roles", Permission("no"), attributes=("default_roles",)),
    ]
    server.accounts_now = [account("app", replace(member, options=()))]
    run = fleet.run()
    assert (fleet.changes(run), run["unchanged"], run["errors"]) == ({}, 1, 1)
    row = fleet.living()["app"]
    assert row["privileges"] == [member.document()]
    assert [e["part"] for e in row["read_errors"]] == ["default roles"]


def test_a_new_account_is_added_with_what_is_known(fleet, known):
    lose(known)
    known.accounts_now.append(account("new", CONNECT))
    run = fleet.run()
    assert set(fleet.changes(run)) == {"new"}
    assert fleet.living()["new"]["read_errors"] == [TOLD]
    known.unread, known.objects = (), named("a", "b") | named("x", "y", database="books")
    known.accounts_now = [
        account("app", CONNECT, SHOP, BOOKS), account("rest", SHOP), account("new", CONNECT, SHOP)
    ]  # fmt: skip
    change = fleet.changes(fleet.run())
    assert (set(change), change["new"]["granted"]) == ({"new"}, [SHOP.document()])


def test_an_account_that_is_gone_is_deleted_whatever_could_not_be_read(fleet, known):
    lose(known)
    known.accounts_now.pop()
    run = fleet.run()
    assert (run["deleted"], fleet.changes(run)["rest"]["revoked"]) == (1, [SHOP.document()])


def test_objects_of_a_database_that_is_gone_are_removed(fleet, known):
    known.objects = named("a", "b", "c")
    known.accounts_now = [account("app", CONNECT, SHOP), account("rest", SHOP)]
    run = fleet.run()
    assert (fleet.changes(run), run["unchanged"]) == ({}, 2)
    (only,) = fleet.rows("select * from syncd.db_object")
    assert (only["database"], only["names"]) == ("shop", ["a", "b", "c"])


def test_a_database_that_is_excluded_from_now_on_was_not_revoked(fleet, known):
    known.accounts_now.append(account("one", table("a", "INSERT")))
    fleet.run()
    server = {"engine": "postgresql", "host": "h", "user": "u", "exclude_databases": ["shop"]}
    fleet.configure({"db1": server}, lambda _: known)
    lose(known)
    known.unread, known.accounts_now = (), [*known.accounts_now, account("one")]
    run = fleet.run()
    assert (fleet.changes(run), run["updated"], run["unchanged"]) == ({}, 0, 3)
    assert fleet.living()["one"]["privileges"] == []
    assert told(fleet) == {("database", "shop", "CONNECT"), ("all_tables", "books", "SELECT")}
    known.accounts_now = [account("app", CONNECT), account("rest"), account("one")]
    assert fleet.changes(fleet.run())["app"]["revoked"] == [BOOKS.document()]


@pytest.mark.parametrize("elsewhere", [(), (table("x", database="books", grantable=True),)])
def test_the_right_to_grant_in_an_excluded_database_was_not_revoked(fleet, server, elsewhere):
    passed_on = table("orders", grantable=True)
    server.accounts_now = [account("app", passed_on, *elsewhere, capabilities=("grant",))]
    fleet.run()
    access = {"engine": "postgresql", "host": "h", "user": "u", "exclude_databases": ["shop"]}
    fleet.configure({"db1": access}, lambda _: server)
    words = ("grant",) if elsewhere else ()
    server.accounts_now = [account("app", *elsewhere, capabilities=words)]
    run = fleet.run()
    assert (fleet.changes(run), run["updated"], run["unchanged"]) == ({}, 0, 1)
    server.accounts_now = [account("app")]
    changed = fleet.changes(fleet.run())
    assert [change["revoked"] for change in changed.values()] == [
        [each.document()] for each in elsewhere
    ]

"""Users of real servers that may not read everything: what they can't see was not revoked."""

from uuid import uuid4

import pytest
from fleet_accounts import fleet_over


@pytest.fixture
def fleet(migrated_dsn, tmp_path):
    with fleet_over(migrated_dsn, tmp_path) as made:
        yield made


def granted(rows, name, database):
    """Return the privileges of an account inside of a database, server-wide ones left out."""
    held = rows[name]["privileges"]
    return sorted((p["on"], p["privilege"]) for p in held if p["name"][:1] == [database])


@pytest.fixture
def closed(server, fleet):
    """Give two databases of a PostgreSQL server, an account in both, and who can enter one."""
    stem = uuid4().hex[:8]
    watcher, app = f"watcher-{stem}", f"app-{stem}"
    with (
        server.roles(watcher, options="login"),
        server.roles(app),
        server.database() as shop,
        server.database() as books,
    ):
        for database in (shop, books):
            server.execute(
                "create table a (id int)", "create table b (id int)",
                f'grant select on a, b to "{app}"', database=database,
            )  # fmt: skip
        reached = {"engine": "postgresql", "host": server.socket, "port": server.port}
        fleet.configure({"db1": reached | {"user": watcher}}, None)
        assert fleet.run()["status"] == "success"
        server.execute(f'revoke connect on database "{shop}" from public')
        try:
            yield server, app, shop, books, watcher
        finally:
            server.execute(f'drop owned by "{app}"', database=shop)
            server.execute(f'drop owned by "{app}"', database=books)


def test_a_database_that_can_not_be_entered_keeps_what_was_known(fleet, closed):
    server, app, shop, books, watcher = closed
    server.execute(f'revoke select on a from "{app}"', database=books)
    server.execute(f'revoke select on b from "{app}"', database=shop)
    run = fleet.run()
    changes = fleet.changes(run)
    (gone,) = changes.pop(app)["revoked"]
    assert (gone["on"], gone["name"]) == ("table", [books, "public", "a"])
    (gone,) = changes.pop("public")["revoked"]
    assert (gone["on"], gone["name"], gone["privilege"]) == ("database", [shop], "CONNECT")
    assert changes == {}
    rows = fleet.living()
    assert granted(rows, app, shop) == [("all_tables", "SELECT")]
    assert [e["part"] for e in rows[app]["read_errors"]] == [f"database {shop}"]
    assert {e["error_class"] for e in run["errors_of"]} == {"permission"}

    server.execute(f'grant connect on database "{shop}" to "{watcher}"')
    changes = fleet.changes(fleet.run())
    (gone,) = changes[app]["revoked"]
    assert (gone["on"], gone["name"]) == ("table", [shop, "public", "b"])
    assert set(changes) == {app, watcher}
    assert fleet.living()[app]["read_errors"] == []


def test_a_dropped_database_takes_what_was_granted_in_it(fleet, closed):
    server, app, shop, _, _ = closed
    fleet.run()
    server.execute(f'drop database "{shop}"', f'create database "{shop}"')
    server.execute(f'revoke connect on database "{shop}" from public')
    fleet.run()
    assert granted(fleet.living(), app, shop) == [("all_tables", "SELECT")]
    server.execute(f'grant connect on database "{shop}" to public')
    run = fleet.run()
    assert app not in fleet.changes(run)  # a set whose tables are gone: nothing was revoked
    assert granted(fleet.living(), app, shop) == []


def test_grants_that_may_not_be_read_any_more_stay(fleet, mariadb):
    stem = uuid4().hex[:8]
    app, watcher = f"app_{stem}", f"watch_{stem}"
    mariadb.execute(
        f"create database {app}", f"create user '{app}'@'%'", f"create user '{watcher}'@'%'",
        f"grant select, insert on {app}.* to '{app}'@'%' with grant option",
        f"grant select on mysql.* to '{watcher}'@'%'",
    )  # fmt: skip
    try:
        reached = {"engine": "mysql", "host": "127.0.0.1", "port": mariadb.port, "user": watcher}
        fleet.configure({"db1": reached}, None)
        assert fleet.run()["errors"] == 0
        before = fleet.living()[f"{app}@%"]
        assert {p["privilege"] for p in before["privileges"]} == {"SELECT", "INSERT"}
        mariadb.execute(
            f"revoke select on mysql.* from '{watcher}'@'%'",
            *(
                f"grant select on mysql.{t} to '{watcher}'@'%'"
                for t in ("global_priv", "roles_mapping")
            ),
            f"grant select on mysql.user to '{watcher}'@'%'",
            f"revoke insert on {app}.* from '{app}'@'%'",
        )
        run = fleet.run()
        assert run["errors"] == 1
        assert f"{app}@%" not in fleet.changes(run)
        now = fleet.living()[f"{app}@%"]
        assert (now["privileges"], now["capabilities"]) == (before["privileges"], ["grant"])
        assert [e["error_class"] for e in now["read_errors"]] == ["permission"]
        mariadb.execute(f"grant select on mysql.* to '{watcher}'@'%'")
        (gone,) = fleet.changes(fleet.run())[f"{app}@%"]["revoked"]
        assert (gone["privilege"], gone["name"]) == ("INSERT", [app])
    finally:
        mariadb.execute(
            f"drop user '{app}'@'%', '{watcher}'@'%'", f"drop database {app}",
        )  # fmt: skip

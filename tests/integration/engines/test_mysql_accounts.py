"""The privileges of a real MariaDB, against what its own views say of them."""

from collections.abc import Iterator

import pytest
from mariadb_server import MariaDbServer
from mysql_helpers import fresh_database, fresh_user, ident, unique
from mysql_readings import account, read

from syncd.model.privilege import Privilege


@pytest.fixture
def user(mariadb: MariaDbServer) -> Iterator[str]:
    with fresh_user(mariadb) as name:
        yield name


def test_privileges_of_every_level_are_read(mariadb: MariaDbServer, user: str) -> None:
    with fresh_database(mariadb) as name:
        mariadb.execute(
            f"create table {name}.Orders (id int, `Pri``ce` int)",
            f"grant select, create view on {name}.* to {user} with grant option",
            rf"grant insert on `sh\_p%`.* to {user}",
            f"grant update, trigger on {name}.Orders to {user}",
            f"grant select (id, `Pri``ce`), references (id) on {name}.Orders to {user}",
            f"grant process, reload on *.* to {user}",
        )
        privileges = account(mariadb, f"{user}@%").privileges
    assert set(privileges) == {
        Privilege("database", (name,), "SELECT", grantable=True),
        Privilege("database", (name,), "CREATE VIEW", grantable=True),
        Privilege("database", (r"sh\_p%",), "INSERT"),
        Privilege("table", (name, "Orders"), "UPDATE"),
        Privilege("table", (name, "Orders"), "TRIGGER"),
        Privilege("column", (name, "Orders", "id"), "SELECT"),
        Privilege("column", (name, "Orders", "Pri`ce"), "SELECT"),
        Privilege("column", (name, "Orders", "id"), "REFERENCES"),
        Privilege("server", (), "PROCESS"),
        Privilege("server", (), "RELOAD"),
    }


def test_the_privileges_of_all_are_those_of_the_servers_views(mariadb: MariaDbServer) -> None:
    """The views spell ALL PRIVILEGES out, and call nothing at all USAGE."""
    views = {
        "server": ("USER_PRIVILEGES", ""),
        "database": ("SCHEMA_PRIVILEGES", "TABLE_SCHEMA"),
        "table": ("TABLE_PRIVILEGES", "TABLE_SCHEMA, TABLE_NAME"),
        "column": ("COLUMN_PRIVILEGES", "TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME"),
    }
    reading = read(mariadb)
    users = {f"'{a.account.replace('@', chr(39) + '@' + chr(39))}'": a for a in reading.accounts}
    told = 0
    for on, (view, columns) in views.items():
        names = f"{columns}," if columns else ""
        rows = mariadb.execute(
            f"select GRANTEE, {names} PRIVILEGE_TYPE, IS_GRANTABLE from information_schema.{view}"
            " where PRIVILEGE_TYPE <> 'USAGE'"
        )
        for grantee, *name, word, grantable in rows:
            held = [p for p in users[grantee].privileges if (p.on, list(p.name)) == (on, name)]
            words = {p.privilege for p in held}
            assert word in words or "ALL PRIVILEGES" in words
            assert {p.grantable for p in held} == {grantable == "YES"}
            told += 1
    assert told > 50


def test_accounts_of_one_user_are_kept_apart(mariadb: MariaDbServer) -> None:
    name = f"O'Br\"ien ☃`{unique('')}".replace("`", "")
    hosts = ["%", "10.0.0.%", "localhost"]
    users = [f"`{name}`@`{host}`" for host in hosts]
    mariadb.execute(
        f"create user {', '.join(users)}",
        f"grant reload on *.* to {users[1]} with grant option",
        f"grant proxy on {users[0]} to {users[2]}",
    )
    accounts = [account(mariadb, f"{name}@{host}") for host in hosts]
    mariadb.execute(f"drop user {', '.join(users)}")
    assert [each.privileges for each in accounts] == [
        (),
        (Privilege("server", (), "RELOAD", grantable=True),),
        (Privilege("proxy", (f"{name}@%",), "PROXY"),),
    ]
    assert [each.capabilities for each in accounts] == [(), ("grant",), ()]


def test_an_account_of_any_name_is_asked_for(mariadb: MariaDbServer) -> None:
    name = unique("o'dd`n\"ame\\ ")
    mariadb.execute(f"create user {ident(name)}@'%'", f"grant drop on *.* to {ident(name)}@'%'")
    found = account(mariadb, f"{name}@%")
    mariadb.execute(f"drop user {ident(name)}@'%'")
    assert found.privileges == (Privilege("server", (), "DROP"),)


def test_the_anonymous_user_is_an_account(mariadb: MariaDbServer) -> None:
    mariadb.execute("create user ''@'10.9.9.9'", "grant process on *.* to ''@'10.9.9.9'")
    found = account(mariadb, "@10.9.9.9")
    mariadb.execute("drop user ''@'10.9.9.9'")
    assert found.privileges == (Privilege("server", (), "PROCESS"),)


@pytest.mark.parametrize(
    ("granted", "capabilities"),
    [
        ("ALL PRIVILEGES", ("create_database", "create_user", "replication", "superuser")),
        ("SUPER", ("superuser",)),
        ("CREATE USER", ("create_user",)),
        ("CREATE", ("create_database",)),
        ("REPLICATION SLAVE", ("replication",)),
        ("CREATE ON shop.*", ()),
    ],
)
def test_capabilities(mariadb: MariaDbServer, granted: str, capabilities: tuple[str, ...]) -> None:
    with fresh_user(mariadb, granted) as name:
        assert account(mariadb, f"{name}@%").capabilities == capabilities

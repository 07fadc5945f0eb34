"""What is told of accounts that may not be read, that the server ignores, or that are many."""

import pytest
from mariadb_server import MariaDbServer
from mysql_helpers import fresh_user, unique
from mysql_readings import account, read

from syncd.errors import Permission
from syncd.model.privilege import Privilege


def test_accounts_that_the_server_ignores_have_no_privilege(mariadb: MariaDbServer) -> None:
    """It resolves no names (skip_name_resolve), so nobody can come from a host with one."""
    name = unique("ignored")
    mariadb.execute(
        f"create user {name}@'db.example.com'",
        f"grant select on *.* to {name}@'db.example.com'",
        "flush privileges",
    )
    found = account(mariadb, f"{name}@db.example.com")
    mariadb.execute(f"delete from mysql.global_priv where User = '{name}'", "flush privileges")
    assert (found.active, found.privileges) == (False, ())
    assert found.attributes["ignored"] is True


def test_who_may_not_read_the_tables_is_told_what_is_missing(mariadb: MariaDbServer) -> None:
    with fresh_user(mariadb, "PROCESS") as name, pytest.raises(Permission) as caught:
        read(mariadb, name)
    assert str(caught.value).startswith("GRANT SELECT ON mysql.* is missing: SELECT command denied")


def test_who_may_only_list_accounts_reads_no_privilege(mariadb: MariaDbServer) -> None:
    with fresh_user(mariadb, "SELECT ON mysql.global_priv") as name:
        reading = read(mariadb, name)
    assert {each.account for each in reading.accounts} >= {"root@localhost", f"{name}@%"}
    assert all(each.privileges == () for each in reading.accounts)
    hidden = Privilege("server", (), "ALL PRIVILEGES")
    assert any(part.hides("root@localhost", hidden) for part in reading.unread)
    assert [(part.part, part.attributes) for part in reading.unread] == [
        ("roles", ("effective_roles",)),
        ("grants", ()),
        ("grants", ("ignored", "account.active")),
    ]
    assert all(isinstance(part.error, Permission) for part in reading.unread)


def test_thousands_of_accounts(mariadb: MariaDbServer) -> None:
    name = unique("many")
    mariadb.execute(
        "use mysql",
        f"insert into global_priv select '%', concat('{name}_', seq), '{{}}' from seq_1_to_3000",
        "insert into db (Host, Db, User, Select_priv) select '%', concat('db', seq % 9),"
        f" concat('{name}_', seq), 'Y' from seq_1_to_3000",
        "flush privileges",
    )
    reading = read(mariadb)
    mariadb.execute(
        f"delete from mysql.global_priv where User like '{name}%'",
        f"delete from mysql.db where User like '{name}%'",
        "flush privileges",
    )
    many = [each for each in reading.accounts if each.account.startswith(name)]
    assert len(many) == 3000
    assert reading.unread == ()
    for each in many:
        number = int(each.account.removesuffix("@%").rpartition("_")[2])
        assert each.privileges == (Privilege("database", (f"db{number % 9}",), "SELECT"),)

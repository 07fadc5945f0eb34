"""What is told of the users of a real MariaDB beside their privileges, against its own view."""

from collections.abc import Iterator

import msgspec
import pytest
from mariadb_server import MariaDbServer
from mysql_helpers import fresh_user
from mysql_readings import account, read


@pytest.fixture
def user(mariadb: MariaDbServer) -> Iterator[str]:
    with fresh_user(mariadb) as name:
        yield name


def test_attributes_are_those_of_mysql_user(mariadb: MariaDbServer, user: str) -> None:
    mariadb.execute(
        f"alter user {user} require subject '/CN=a\"b''c' issuer 'I' cipher 'C'"
        " with max_queries_per_hour 5 max_connections_per_hour 7 max_user_connections 3"
        " max_statement_time 1.5 password expire interval 30 day account lock"
    )
    found = account(mariadb, f"{user}@%")
    [(changed,)] = mariadb.execute(
        "set time_zone = '+00:00'",
        "select date_format(from_unixtime(json_value(Priv, '$.password_last_changed')),"
        f" '%Y-%m-%dT%H:%i:%s+00:00') from mysql.global_priv where User = '{user}'",
    )
    assert found.attributes == {
        "locked": True,
        "max_connections": 7,
        "max_questions": 5,
        "max_statement_time": 1.5,
        "max_user_connections": 3,
        "password_expired": False,
        "password_last_changed": changed,
        "password_lifetime": 30,
        "plugin": "mysql_native_password",
        "tls": "specified",
        "tls_cipher": "C",
        "tls_issuer": "I",
        "tls_subject": "/CN=a\"b'c",
    }
    assert (found.kind, found.active) == ("user", False)
    assert found.capabilities == ("locked",)


def test_a_password_that_never_ends_has_a_life_of_no_days(
    mariadb: MariaDbServer, user: str
) -> None:
    assert "password_lifetime" not in account(mariadb, f"{user}@%").attributes
    mariadb.execute(f"alter user {user} password expire never")
    assert account(mariadb, f"{user}@%").attributes["password_lifetime"] == 0
    mariadb.execute(f"ALTER USER {user} PASSWORD EXPIRE DEFAULT")
    assert "password_lifetime" not in account(mariadb, f"{user}@%").attributes


def test_flags_are_those_of_the_view_for_everybody(mariadb: MariaDbServer, user: str) -> None:
    mariadb.execute(f"alter user {user} password expire", f"alter user {user} require ssl")
    rows = mariadb.execute(
        "select User, Host, is_role, password_expired, plugin, ssl_type, max_questions,"
        " default_role from mysql.user where User <> 'PUBLIC'"
    )
    accounts = {each.account: each for each in read(mariadb).accounts}
    for name, host, role, expired, plugin, ssl, questions, default in rows:
        found = accounts[name if role == "Y" else f"{name}@{host}"]
        assert found.kind == ("role" if role == "Y" else "user")
        assert ("password_expired" in found.capabilities) == (expired == "Y")
        if role == "N":
            assert found.attributes.get("plugin", "") == plugin
            assert found.attributes["tls"] == (ssl.lower() or "none")
            assert found.attributes.get("max_questions", 0) == questions
            assert found.attributes.get("default_roles", []) == ([default] if default else [])
    assert accounts[f"{user}@%"].capabilities == ("password_expired",)
    assert accounts[f"{user}@%"].active


def test_all_ways_to_log_in_are_told(mariadb: MariaDbServer, user: str) -> None:
    mariadb.execute(
        f"alter user {user} identified via unix_socket or mysql_native_password using password('x')"
    )
    attributes = account(mariadb, f"{user}@%").attributes
    assert (attributes["plugin"], attributes["other_plugins"]) == (
        "mysql_native_password",
        ["unix_socket"],
    )


def test_no_hash_of_a_password_is_read(mariadb: MariaDbServer, user: str) -> None:
    mariadb.execute(
        f"alter user {user} identified via mysql_native_password using password('one')"
        " or unix_socket or mysql_native_password using password('two')"
    )
    hashes = mariadb.execute("select password('one'), password('two')")[0]
    reading = read(mariadb)
    assert f"{user}@%" in {each.account for each in reading.accounts}
    everything = msgspec.json.encode(reading.accounts).decode() + repr(reading)
    assert [hash_ for hash_ in hashes if hash_[1:] in everything] == []
    [(stored,)] = mariadb.execute(f"select Priv from mysql.global_priv where User = '{user}'")
    assert all(hash_ in stored for hash_ in hashes)

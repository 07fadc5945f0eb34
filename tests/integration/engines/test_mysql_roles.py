"""The roles of a real MariaDB, against its own table of who has them."""

from collections.abc import Iterator

import pytest
from mariadb_server import MariaDbServer
from mysql_helpers import fresh_database, fresh_user, unique
from mysql_readings import account, member, read

from syncd.model.privilege import Privilege

LONG = "r" * 128


@pytest.fixture
def user(mariadb: MariaDbServer) -> Iterator[str]:
    with fresh_user(mariadb) as name:
        yield name


@pytest.fixture(scope="module")
def roles(mariadb: MariaDbServer) -> Iterator[tuple[str, str, str]]:
    """Give a role that is in a role that is in a role, the outermost first."""
    outer, middle, inner = unique("Outer"), f"mid`dle {unique('')}", LONG
    mariadb.execute(
        f"create role {outer}",
        f"create role `{middle.replace('`', '``')}`",
        f"create role {inner}",
        f"grant `{middle.replace('`', '``')}` to {outer}",
        f"grant {inner} to `{middle.replace('`', '``')}` with admin option",
        f"grant reload on *.* to {inner}",
    )
    yield outer, middle, inner
    mariadb.execute(f"drop role {outer}, `{middle.replace('`', '``')}`, {inner}")


def test_roles_in_roles(mariadb: MariaDbServer, user: str, roles: tuple[str, str, str]) -> None:
    outer, middle, inner = roles
    mariadb.execute(f"grant {outer} to {user}", f"set default role {outer} for {user}")
    found = account(mariadb, f"{user}@%")
    assert found.privileges == (member(outer, "default"),)
    assert found.attributes["effective_roles"] == sorted(roles)
    assert found.attributes["default_roles"] == [outer]
    assert account(mariadb, outer).privileges == (member(middle),)
    assert account(mariadb, middle).privileges == (member(inner, grantable=True),)
    held = account(mariadb, inner)
    assert held.privileges == (Privilege("server", (), "RELOAD"),)
    assert (held.kind, held.active, held.attributes) == ("role", False, {})


def test_memberships_are_those_of_the_table(
    mariadb: MariaDbServer, roles: tuple[str, str, str]
) -> None:
    rows = mariadb.execute("select Host, User, Role, Admin_option from mysql.roles_mapping")
    table = {(f"{u}@{h}" if h else u, role, admin == "Y") for h, u, role, admin in rows}
    read_ = {
        (each.account, p.name[0], p.grantable)
        for each in read(mariadb).accounts
        for p in each.privileges
        if p.on == "role"
    }
    assert read_ == table
    assert len(table) >= 5


def test_everybody_is_the_role_public(mariadb: MariaDbServer, roles: tuple[str, str, str]) -> None:
    outer = roles[0]
    with fresh_database(mariadb) as name:
        mariadb.execute(f"grant select on {name}.* to public", f"grant {outer} to public")
        found = account(mariadb, "PUBLIC")
        mariadb.execute(f"revoke select on {name}.* from public", f"revoke {outer} from public")
    assert set(found.privileges) == {Privilege("database", (name,), "SELECT"), member(outer)}
    assert (found.kind, found.active, found.capabilities) == ("role", False, ("system",))
    assert account(mariadb, "PUBLIC").privileges == ()


def test_a_role_may_be_called_like_a_user(mariadb: MariaDbServer) -> None:
    name = unique("x")
    mariadb.execute(
        f"create user {name}@h", f"create role `{name}@h`", f"grant `{name}@h` to {name}@h"
    )
    privileges = account(mariadb, f"{name}@h").privileges
    role = account(mariadb, f"`{name}@h`")
    mariadb.execute(f"drop role `{name}@h`", f"drop user {name}@h")
    assert privileges == (member(f"`{name}@h`"),)
    assert role.kind == "role"

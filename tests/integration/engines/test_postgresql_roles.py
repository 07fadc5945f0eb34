"""Roles: their attributes, their memberships, and what they are capable of."""

import psycopg
import pytest
from debian_postgres import PrivateServer, PrivateServers
from postgresql_grants import account, read
from psycopg.sql import SQL, Identifier

from syncd.engines.postgresql.roles import effective
from syncd.model.privilege import MEMBER, Privilege


def test_the_attributes_are_those_of_the_catalogue(server: PrivateServer) -> None:
    options = "createdb createrole bypassrls login noinherit connection limit 7"
    with server.roles(server.unique("full"), options=options) as (name,):
        server.execute(
            SQL("alter role {} valid until '2099-12-31 23:00+01'").format(Identifier(name)),
            SQL("alter role {} set work_mem = '1MB'").format(Identifier(name)),
            SQL("alter role {} set search_path = 'a=b', c").format(Identifier(name)),
            SQL("alter role {} set timezone = 'UTC'").format(Identifier(name)),
            SQL("alter role {} set app.jwt_secret = 'a=secret'").format(Identifier(name)),
        )
        found = account(read(server), name)
    assert found.attributes == {
        "superuser": False,
        "createrole": True,
        "createdb": True,
        "replication": False,
        "bypassrls": True,
        "login": True,
        "inherit": False,
        "connection_limit": 7,
        "valid_until": "2099-12-31T22:00:00+00:00",
        "settings": {
            "work_mem": "1MB", "search_path": '"a=b", c', "TimeZone": "UTC",
            "app.jwt_secret": "******",
        },
        "effective_roles": [],
    }  # fmt: skip
    assert (found.kind, found.active) == ("user", True)
    assert found.capabilities == ("bypass_rls", "create_database", "create_user")


@pytest.mark.parametrize(
    ("options", "kind", "active", "capabilities"),
    [
        ("login", "user", True, ()),
        ("nologin", "role", False, ()),
        ("login valid until 'infinity'", "user", True, ()),
        ("login valid until '1999-01-01'", "user", False, ("password_expired",)),
        ("login valid until '-infinity'", "user", False, ("password_expired",)),
        ("login valid until '0044-03-15 BC'", "user", False, ("password_expired",)),
        ("login valid until '294276-01-01'", "user", True, ()),
        ("nologin valid until '1999-01-01'", "role", False, ()),
        ("login connection limit 0", "user", False, ("locked",)),
        ("login replication", "user", True, ("replication",)),
        ("superuser", "role", False, ("bypass_rls", "create_database", "create_user", "grant",
                                      "replication", "superuser")),
    ],
)  # fmt: skip
def test_what_a_role_is_capable_of(
    server: PrivateServer, options: str, kind: str, active: bool, capabilities: tuple[str, ...]
) -> None:
    with server.roles(server.unique("able"), options=options) as (name,):
        found = account(read(server, "postgres"), name)
    assert (found.kind, found.active, found.capabilities) == (kind, active, capabilities)


def test_those_that_initdb_made_are_of_the_system(server: PrivateServer) -> None:
    reading = read(server)
    system = {one.account for one in reading.accounts if "system" in one.capabilities}
    made = server.rows("select rolname from pg_roles where starts_with(rolname, 'pg_')")
    assert system == {name for (name,) in made} | {"public"}
    assert "superuser" in account(reading, "postgres").capabilities
    assert account(reading, "public").kind == "role"
    assert not account(reading, "public").active


def test_members_of_members_are_resolved(server: PrivateServer) -> None:
    names = [server.unique(stem) for stem in ("top", "left", "right", "bottom")]
    with server.roles(*names) as (top, left, right, bottom):
        for role, member, admin in [
            (top, left, True), (top, right, False), (left, bottom, False), (right, bottom, True),
        ]:  # fmt: skip
            query = "grant {} to {}" + (" with admin option" if admin else "")
            server.execute(SQL(query).format(Identifier(role), Identifier(member)))
        reading = read(server, "postgres")
    options = ("inherit", "set") if server.version == "18" else ()
    assert account(reading, bottom).attributes["effective_roles"] == sorted([top, left, right])
    assert account(reading, left).attributes["effective_roles"] == [top]
    assert account(reading, top).attributes["effective_roles"] == []
    assert set(account(reading, bottom).privileges) == {
        Privilege("role", (left,), MEMBER, False, options),
        Privilege("role", (right,), MEMBER, True, options),
    }
    assert "grant" in account(reading, left).capabilities
    assert "grant" not in account(reading, right).capabilities


def test_a_circle_of_memberships_would_have_an_end() -> None:
    assert effective({1: {2}, 2: {3}, 3: {1}, 4: {1}}) == {
        1: {1, 2, 3}, 2: {1, 2, 3}, 3: {1, 2, 3}, 4: {1, 2, 3},
    }  # fmt: skip


def test_the_options_of_a_membership_are_told(private_servers: PrivateServers) -> None:
    server = private_servers.of("18")
    with server.roles(server.unique("group"), server.unique("member")) as (group, member):
        names = Identifier(group), Identifier(member)
        for option, told in [
            ("inherit true, set false", ("inherit",)),
            ("inherit false, set true", ("set",)),
            ("inherit false, set false", ()),
        ]:
            server.execute(SQL("grant {} to {} with " + option).format(*names))
            [privilege] = account(read(server, "postgres"), member).privileges
            assert privilege == Privilege("role", (group,), MEMBER, options=told)


def test_a_membership_of_two_grantors_counts_once(private_servers: PrivateServers) -> None:
    server = private_servers.of("18")
    names = [server.unique(stem) for stem in ("group", "grantor", "member")]
    with server.roles(*names) as (group, _, member):
        group_, grantor_, member_ = map(Identifier, names)
        server.execute(
            SQL("grant {} to {} with admin option").format(group_, grantor_),
            SQL("grant {} to {} with inherit false, set true").format(group_, member_),
            SQL("grant {} to {} with admin true, inherit true, set false granted by {}").format(
                group_, member_, grantor_
            ),
        )
        [privilege] = account(read(server, "postgres"), member).privileges
        assert privilege == Privilege("role", (group,), MEMBER, True, ("inherit", "set"))
        server.execute(SQL("revoke {} from {} cascade").format(group_, grantor_))


def test_thousands_of_roles_are_read(private_servers: PrivateServers) -> None:
    server = private_servers.of("18")
    each = "do $$ begin for n in 1..3000 loop execute format('{}', n); end loop; end $$"
    server.execute(each.format("create role many_%s login in role pg_monitor"))
    try:
        reading = read(server, "postgres")
    finally:
        server.execute(each.format("drop role many_%s"))
    many = [one for one in reading.accounts if one.account.startswith("many_")]
    assert len(many) == 3000
    assert {one.attributes["effective_roles"][0] for one in many} == {"pg_monitor"}
    assert {one.privileges[0].name for one in many} == {("pg_monitor",)}


def test_no_password_is_ever_read(server: PrivateServer) -> None:
    with server.roles(server.unique("secret"), options="login password 'hush-hush'") as (name,):
        [(stored,)] = server.rows(
            "select rolpassword from pg_authid where rolname = %s", "postgres", name
        )
        told = repr(read(server))
    assert stored.startswith("SCRAM-SHA-256$")
    assert "hush" not in told
    assert "SCRAM" not in told


def test_names_that_are_no_utf8_are_told_apart(server: PrivateServer) -> None:
    options = "encoding 'LATIN1' locale 'C' template template0"
    with server.database(options=options) as latin, server.database() as database:
        server.execute('create role "caf\u00e9"', database=latin)
        try:
            server.execute('grant pg_monitor to "caf\u00e9"', database=latin)
            server.execute(
                'create table "tabl\u00e9" (a int)',
                'grant select on "tabl\u00e9" to "caf\u00e9"',
                database=latin,
            )
            found = account(read(server), "caf\\xe9")
        finally:
            server.execute('drop owned by "caf\u00e9"', 'drop role "caf\u00e9"', database=latin)
    assert found.attributes["effective_roles"] != []
    assert Privilege("table", (latin, "public", "tabl\u00e9"), "SELECT") in found.privileges
    assert database


@pytest.mark.parametrize(
    ("encoding", "raw", "told"),
    [
        ("SQL_ASCII", b"caf\xe9", "caf\\xe9"),
        ("LATIN1", b"caf\xe9", "café"),
        ("EUC_JP", b"\xc5\xc4", "田"),
        ("WIN1252", b"\x80", "€"),
    ],
)
def test_databases_of_every_encoding_are_read(
    server: PrivateServer, encoding: str, raw: bytes, told: str
) -> None:
    options = f"encoding '{encoding}' locale 'C' template template0"
    with (
        server.roles(server.unique("rôle")) as (role,),
        server.database(options=options) as name,
    ):
        oid = server.rows("select oid from pg_roles where rolname = %s", "postgres", role)[0][0]
        with psycopg.connect(server.dsn(name), client_encoding=encoding) as connection:
            connection.execute(b'create table "%b" (a int)' % raw)
            connection.execute(  # by number: the role has another name here
                f"update pg_class set relacl = array[makeaclitem({oid}, 10, 'SELECT', false)]"
                " where oid >= 16384 and relkind = 'r'"
            )
        reading = read(server, name)
        [privilege] = [p for p in account(reading, role).privileges if p.on == "table"]
    assert privilege == Privilege("table", (name, "public", told), "SELECT")
    assert reading.unread == ()

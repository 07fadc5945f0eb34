"""Privileges of every kind, granted by SQL and read back from a server."""

from collections.abc import Iterator
from typing import cast

import pytest
from debian_postgres import PrivateServer
from postgresql_grants import account, read, within
from psycopg.sql import SQL, Identifier

from syncd.model.db_account import AccountReading
from syncd.model.privilege import On, Privilege

RUN = ["EXECUTE"]
NAMES = ["Ärger", 'quo"ted', "with space", "😀", "UPPER", "back\\slash", "p%c_t", "ä" * 31 + "x"]


@pytest.fixture
def role(server: PrivateServer) -> Iterator[str]:
    with server.roles(server.unique("Role"), options="login") as (name,):
        yield name


@pytest.fixture
def database(server: PrivateServer, role: str) -> Iterator[str]:
    with server.database() as name:
        yield name


GRANTS: list[tuple[str, On, tuple[str, ...], list[str]]] = [
    ("create, usage on schema app", "schema", ("app",), ["CREATE", "USAGE"]),
    ("select, insert on app.orders", "table", ("app", "orders"), ["INSERT", "SELECT"]),
    ("select on app.view", "table", ("app", "view"), ["SELECT"]),
    ("truncate on app.parted", "table", ("app", "parted"), ["TRUNCATE"]),
    ("select on app.made", "table", ("app", "made"), ["SELECT"]),
    ("update on sequence app.seq", "sequence", ("app", "seq"), ["UPDATE"]),
    ("execute on function app.f(int, text)", "function", ("app", "f(integer, text)"), RUN),
    ("execute on function app.f(app.mood[])", "function", ("app", "f(app.mood[])"), RUN),
    ("execute on function app.total(int)", "function", ("app", "total(integer)"), RUN),
    ("execute on procedure app.run(int)", "procedure", ("app", "run(integer)"), RUN),
    ("usage on type app.mood", "type", ("app", "mood"), ["USAGE"]),
    ("usage on type app.pair", "type", ("app", "pair"), ["USAGE"]),
    ("usage on domain app.word", "type", ("app", "word"), ["USAGE"]),
    ("usage on language plpgsql", "language", ("plpgsql",), ["USAGE"]),
    ("usage on foreign data wrapper w", "foreign_data_wrapper", ("w",), ["USAGE"]),
    ("usage on foreign server far", "foreign_server", ("far",), ["USAGE"]),
    ("select on large object 4711", "large_object", ("4711",), ["SELECT"]),
    ("select (price) on app.orders", "column", ("app", "orders", "price"), ["SELECT"]),
    ("update (id) on app.other", "column", ("app", "other", "id"), ["UPDATE"]),
    ("execute on function pg_read_file(text)", "function", ("pg_catalog", "pg_read_file(text)"),
     RUN),
    ("select on pg_catalog.pg_authid", "table", ("pg_catalog", "pg_authid"), ["SELECT"]),
    ("select (rolname) on pg_authid", "column", ("pg_catalog", "pg_authid", "rolname"), ["SELECT"]),
    ("usage on schema pg_catalog", "schema", ("pg_catalog",), ["USAGE"]),
    ("select on information_schema.tables", "table", ("information_schema", "tables"), ["SELECT"]),
]  # fmt: skip


@pytest.mark.parametrize("grantable", [False, True])
def test_grants_are_read_as_they_were_made(
    server: PrivateServer, database: str, role: str, grantable: bool
) -> None:
    server.execute(*OBJECTS, database=database)
    before = read(server, database)
    assert within(before, role, database) == set()
    to = Identifier(role) + SQL(" with grant option" if grantable else "")
    for grant, *_ in GRANTS:
        server.execute(SQL("grant {} to {}").format(SQL(grant), to), database=database)
    reading = read(server, database)
    assert within(reading, role, database) == {
        Privilege(on, (database, *name), privilege, grantable)
        for _, on, name, privileges in GRANTS
        for privilege in privileges
    }
    assert ("grant" in account(reading, role).capabilities) is grantable
    for grant, *_ in GRANTS:
        query = SQL("revoke {} from {}").format(SQL(grant), Identifier(role))
        server.execute(query, database=database)
    assert read(server, database) == before


OBJECTS = (
    "create schema app",
    "create type app.mood as enum ('sad')",
    "create type app.pair as (a int, b text)",
    "create domain app.word as text",
    "create table app.orders (id int, price int)",
    "create table app.other (id int)",
    "create view app.view as select 1 as one",
    "create materialized view app.made as select 1 as one",
    "create table app.parted (id int) partition by range (id)",
    "create sequence app.seq",
    "create function app.f(int, text) returns int language sql as 'select 1'",
    "create function app.f(many app.mood[], out one int) returns int language sql as 'select 1'",
    "create aggregate app.total(int) (sfunc = int4pl, stype = int)",
    "create function app.lonely() returns int language sql as 'select 1'",
    "create procedure app.run(int) language sql as 'select 1'",
    "create foreign data wrapper w",
    "create server far foreign data wrapper w",
    "select lo_create(4711)",
)


def test_the_owner_has_what_owners_have(server: PrivateServer, database: str, role: str) -> None:
    server.execute(
        SQL("create schema app authorization {}").format(Identifier(role)),
        SQL("create table app.t (a int)"),
        SQL("alter table app.t owner to {}").format(Identifier(role)),
        database=database,
    )
    told = within(read(server, database), role, database)
    query = """
        select 'table', array['app', 't'], privilege_type
        from pg_class, aclexplode(acldefault('r', relowner)) where relname = 't'
    """
    table = {
        Privilege(on, (database, *path), word) for on, path, word in server.rows(query, database)
    }
    schema = {Privilege("schema", (database, "app"), word) for word in ("CREATE", "USAGE", "OWNER")}
    assert told == table | schema | {Privilege("table", (database, "app", "t"), "OWNER")}


def test_what_everybody_may_do_is_told_of_public(server: PrivateServer, database: str) -> None:
    server.execute(
        "create schema app",
        "create function app.f() returns int language sql as 'select 1'",
        "create type app.mood as enum ()",
        "grant create on schema app to public",
        database=database,
    )
    told = within(read(server, database), "public", database)
    assert told == {
        Privilege("function", (database, "app", "f()"), "EXECUTE"),
        Privilege("type", (database, "app", "mood"), "USAGE"),
        Privilege("schema", (database, "app"), "CREATE"),
        Privilege("schema", (database, "public"), "USAGE"),
    }
    shared = account(read(server), "public").privileges
    assert {p.privilege for p in shared if p.name == (database,)} == {"CONNECT", "TEMPORARY"}


def test_databases_tablespaces_and_parameters(
    server: PrivateServer, database: str, role: str
) -> None:
    to = Identifier(role)
    server.execute(
        SQL("grant create on database {} to {} with grant option").format(Identifier(database), to),
        SQL("grant create on tablespace pg_default to {}").format(to),
        SQL("grant set on parameter work_mem to {}").format(to),
    )
    reading = read(server)
    assert {p for p in account(reading, "postgres").privileges if p.on == "tablespace"} == {
        Privilege("tablespace", (name,), word)
        for name in ("pg_default", "pg_global")
        for word in ("CREATE", "OWNER")
    }
    assert {p.on for p in account(reading, "public").privileges} >= {"database"}
    assert "tablespace" not in {p.on for p in account(reading, "public").privileges}
    assert set(account(reading, role).privileges) == {
        Privilege("database", (database,), "CREATE", grantable=True),
        Privilege("tablespace", ("pg_default",), "CREATE"),
        Privilege("parameter", ("work_mem",), "SET"),
    }


def test_default_privileges(server: PrivateServer, database: str, role: str) -> None:
    server.execute(
        "create schema app",
        SQL("alter default privileges for role {} grant select on tables to public").format(
            Identifier(role)
        ),
        SQL("alter default privileges in schema app grant usage on sequences to {}").format(
            Identifier(role)
        ),
        SQL("alter default privileges revoke execute on functions from public"),
        database=database,
    )
    reading = read(server, database)
    ours = (database, "postgres", "")
    assert within(reading, role, database) == {
        Privilege("default_sequences", (database, "postgres", "app"), "USAGE")
    }
    assert defaults(reading, "public", database) == {
        Privilege("default_tables", (database, role, ""), "SELECT"),
        Privilege("default_functions", ours, "EXECUTE", restricts=True),
    }
    assert defaults(reading, "postgres", database) == set()


def defaults(reading: AccountReading, name: str, database: str) -> set[Privilege]:
    """Return what an account will have on objects to come."""
    return {p for p in within(reading, name, database) if p.on.startswith("default_")}


@pytest.mark.parametrize("kind", ["tables", "sequences", "functions", "types", "schemas"])
def test_default_privileges_of_which_nothing_is_left(
    server: PrivateServer, database: str, role: str, kind: str
) -> None:
    creator = Identifier(role)
    for grantee in (creator, SQL("public")):
        query = SQL("alter default privileges for role {} revoke all on {} from {}")
        server.execute(query.format(creator, SQL(kind), grantee), database=database)
    assert server.rows("select cardinality(defaclacl) from pg_default_acl", database) == [(0,)]
    reading = read(server, database)
    builtin = """
        select grantee, privilege_type
        from aclexplode(acldefault(%s::"char", %s::regrole)) order by 1, 2
    """
    letter = {"tables": "r", "sequences": "s", "functions": "f", "types": "T", "schemas": "n"}[kind]
    first = server.rows(builtin, database, letter, f'"{role}"')
    on = cast(On, f"default_{kind}")
    for name, of_all in ((role, False), ("public", True)):
        assert defaults(reading, name, database) == {
            Privilege(on, (database, role, ""), word, restricts=True)
            for grantee, word in first
            if (grantee == 0) is of_all
        }


def test_what_was_granted_on_a_column_goes_with_it(
    server: PrivateServer, database: str, role: str
) -> None:
    server.execute(
        "create table t (a int, b int)",
        SQL("grant select (a, b) on t to {}").format(Identifier(role)),
        "alter table t drop column a",
        database=database,
    )
    assert within(read(server, database), role, database) == {
        Privilege("column", (database, "public", "t", "b"), "SELECT")
    }


def test_what_two_have_granted_counts_once(server: PrivateServer) -> None:
    names = server.unique("between"), server.unique("granted")
    with server.roles(*names) as (between, role), server.database() as database:
        server.execute(
            "create table t (a int)",
            SQL("grant select on t to {} with grant option").format(Identifier(between)),
            SQL("grant select on t to {}").format(Identifier(role)),
            SQL("set role {}").format(Identifier(between)),
            SQL("grant select on t to {} with grant option").format(Identifier(role)),
            database=database,
        )
        query = """
            select count(*) from pg_class, aclexplode(relacl) a
            where relname = 't' and grantee = %s::regrole
        """
        assert server.rows(query, database, role) == [(2,)]
        assert within(read(server, database), role, database) == {
            Privilege("table", (database, "public", "t"), "SELECT", grantable=True)
        }


@pytest.mark.parametrize("outer", ['Quo"ted 😀 %s \\ ', "ä" * 31 + "x"])
def test_names_come_as_they_are(server: PrivateServer, outer: str) -> None:
    with server.roles(outer) as (role,), server.database(outer) as database:
        expected = set()
        for name in NAMES:
            named = {"n": Identifier(name), "role": Identifier(role)}
            for query in NAMED:
                server.execute(SQL(query).format(**named), database=database)
            spelt = server.rows(
                "select proname || '(' || oidvectortypes(proargtypes) || ')' from pg_proc"
                " where proname = %s",
                database,
                name,
            )[0][0]
            expected |= {
                Privilege("schema", (database, name), "USAGE"),
                Privilege("column", (database, name, name, name), "SELECT"),
                Privilege("function", (database, name, spelt), "EXECUTE"),
            }
        reading = read(server, database)
    assert within(reading, role, database) == expected
    for name in NAMES:
        assert reading.objects[database, name, "table"] == tuple(sorted([name, "other"]))


NAMED = (
    "create schema {n}",
    "create table {n}.{n} ({n} int)",
    "create table {n}.other ()",
    "create function {n}.{n}({n}.{n}) returns int language sql as 'select 1'",
    "grant select ({n}) on {n}.{n} to {role}",
    "grant execute on all functions in schema {n} to {role}",
    "grant usage on schema {n} to {role}",
)


def test_a_revoked_column_is_all_that_changes(
    server: PrivateServer, database: str, role: str
) -> None:
    server.execute(
        "create table t (a int, b int)",
        SQL("grant select (a, b), update (b) on t to {}").format(Identifier(role)),
        database=database,
    )
    before = within(read(server, database), role, database)
    server.execute(
        SQL("revoke select (b) on t from {}").format(Identifier(role)), database=database
    )
    after = within(read(server, database), role, database)
    assert after < before
    assert before - after == {Privilege("column", (database, "public", "t", "b"), "SELECT")}

"""Schemas of which all objects are alike, and what the system and extensions made."""

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from debian_postgres import PrivateServer, PrivateServers
from postgresql_grants import account, read, within
from psycopg.sql import SQL, Identifier

from syncd.model.db_account import AccountReading
from syncd.model.privilege import On, Privilege
from syncd.model.privilege_diff import difference

MANY = """
    do $$ begin
        for n in 1..1000 loop execute format('create table many.t%s (a int)', n); end loop;
    end $$
"""


@pytest.fixture
def role(server: PrivateServer) -> Iterator[str]:
    with server.roles(server.unique("reader")) as (name,):
        yield name


@pytest.fixture
def database(server: PrivateServer, role: str) -> Iterator[str]:
    with server.database() as name:
        yield name


def granted(server: PrivateServer, database: str, role: str, *queries: str) -> set[Privilege]:
    """Execute statements about a role and return what it may do in the database then."""
    for query in queries:
        server.execute(SQL(query).format(role=Identifier(role)), database=database)
    return within(read(server, database), role, database)


@pytest.mark.parametrize(
    ("kind", "first", "second", "privilege"),
    [
        ("table", "create table s.a (x int)", "create view s.b as select 1 as one", "SELECT"),
        ("sequence", "create sequence s.a", "create sequence s.b", "USAGE"),
        ("function", "create function s.a() returns int language sql as 'select 1'",
         "create function s.b(int) returns int language sql as 'select 1'", "EXECUTE"),
    ],
)  # fmt: skip
def test_what_holds_for_all_of_a_schema_is_told_once(
    server: PrivateServer, database: str, role: str, kind, first, second, privilege
) -> None:
    grant = f"grant {privilege} on all {kind}s in schema s to {{role}}"
    names = ("a()", "b(integer)") if kind == "function" else ("a", "b")
    alone = granted(server, database, role, "create schema s", first, grant)
    assert alone == {Privilege(kind, (database, "s", names[0]), privilege)}
    apart = granted(server, database, role, second)
    assert apart == alone
    whole = granted(server, database, role, grant)
    assert whole == {Privilege(f"all_{kind}s", (database, "s"), privilege)}
    assert read(server, database).objects == {(database, "s", kind): names}


def test_a_grant_option_is_a_difference(server: PrivateServer, database: str, role: str) -> None:
    told = granted(
        server, database, role,
        "create table a (x int)", "create table b (x int)",
        "grant select, insert on a, b to {role}", "grant select on a to {role} with grant option",
    )  # fmt: skip
    assert told == {
        Privilege("all_tables", (database, "public"), "INSERT"),
        Privilege("table", (database, "public", "a"), "SELECT", grantable=True),
        Privilege("table", (database, "public", "b"), "SELECT"),
    }


def test_owners_are_told_once_too(server: PrivateServer, database: str, role: str) -> None:
    told = granted(
        server, database, role,
        "create table a (x int)", "create table b (x int)", "grant select on a to pg_monitor",
        "alter table a owner to {role}", "alter table b owner to {role}",
    )  # fmt: skip
    assert {p.on for p in told} == {"all_tables"}
    assert Privilege("all_tables", (database, "public"), "OWNER") in told


def test_a_thousand_tables_are_a_few_rows(private_servers: PrivateServers) -> None:
    server = private_servers.of("18")
    with server.roles(server.unique("reader")) as (role,), server.database() as database:
        server.execute("create schema many", MANY, database=database)
        told = granted(
            server, database, role, "grant select, update on all tables in schema many to {role}"
        )
        assert told == {
            Privilege("all_tables", (database, "many"), "SELECT"),
            Privilege("all_tables", (database, "many"), "UPDATE"),
        }
        reading = read(server, database)
        assert len(reading.objects[database, "many", "table"]) == 1000
        assert len(account(reading, "postgres").privileges) < 100


def test_what_the_system_made_is_not_told(server: PrivateServer, database: str, role: str) -> None:
    reading = read(server, database)
    told = {(p.on, p.name) for one in reading.accounts for p in one.privileges if p.database}
    assert told == {("schema", (database, "public"))}
    assert reading.objects == {}


Change = tuple[set[tuple[str, Privilege]], set[tuple[str, Privilege]]]
"""What accounts were granted, and what they lost."""


def between(before: AccountReading, after: AccountReading) -> Change:
    """Return what changed from one reading to another."""
    granted, revoked = set(), set()
    for one in after.accounts:
        had = account(before, one.account).privileges
        gained, lost = difference(had, one.privileges, before.objects, after.objects)
        granted |= {(one.account, each) for each in gained}
        revoked |= {(one.account, each) for each in lost}
    return granted, revoked


def changes(server: PrivateServer, database: str, query: str) -> Change:
    """Execute a statement and return what it changed."""
    before = read(server, database)
    server.execute(query, database=database)
    return between(before, read(server, database))


SYSTEM: list[tuple[str, On, tuple[str, ...], str]] = [
    ("select on pg_class", "table", ("pg_catalog", "pg_class"), "SELECT"),
    ("execute on function pg_sleep", "function", ("pg_catalog", "pg_sleep(double precision)"),
     "EXECUTE"),
    ("select (subname) on pg_subscription", "column", ("pg_catalog", "pg_subscription", "subname"),
     "SELECT"),
    ("usage on schema information_schema", "schema", ("information_schema",), "USAGE"),
    ("select on information_schema.tables", "table", ("information_schema", "tables"), "SELECT"),
    ("usage on language plpgsql", "language", ("plpgsql",), "USAGE"),
    ("execute on function hstore_in", "function", ("public", "hstore_in(cstring)"), "EXECUTE"),
    ("select on pg_stat_statements", "table", ("public", "pg_stat_statements"), "SELECT"),
]  # fmt: skip


def test_just_what_was_changed_of_the_system_and_of_extensions_is_told(
    server: PrivateServer, database: str, role: str
) -> None:
    extensions = ("create extension hstore", "create extension pg_stat_statements")
    server.execute(*extensions, database=database)
    before = read(server, database)
    for what, on, path, word in SYSTEM:
        had = Privilege(on, (database, *path), word)
        lack = replace(had, restricts=True)
        option = replace(had, grantable=True)
        for query, granted, revoked in (
            (f"grant {what} to {role}", {(role, had)}, set()),
            (f"revoke {what} from public", set(), {("public", lack)}),
            (f"grant {what} to public", {("public", lack)}, set()),
            (f"grant {what} to {role} with grant option",
             {(role, replace(option, only_options=True))}, set()),
            (f"revoke {what} from {role}", set(), {(role, option)}),
        ):  # fmt: skip
            server.execute(query, database=database)
            after = read(server, database)
            assert between(before, after) == (granted, revoked), query
            before = after


@pytest.mark.parametrize("name", ["transforms", "sql_parts", "_pg_user_mappings"])
def test_what_initdb_kept_from_all_is_told_where_it_was_granted(
    server: PrivateServer, database: str, role: str, name: str
) -> None:
    place = f"information_schema.{name}"
    query = "select has_table_privilege(%s, %s, 'select')"
    assert server.rows(query, database, role, place) == [(False,)]
    had = Privilege("table", (database, "information_schema", name), "SELECT")
    found = changes(server, database, f"grant select on {place} to {role}")
    assert found == ({(role, had)}, set())
    found = changes(server, database, f"grant select on {place} to public")
    assert found == ({("public", had)}, set())


def test_a_new_owner_of_a_table_of_an_extension_is_all_that_is_told_of_it(
    server: PrivateServer, database: str, role: str
) -> None:
    view = "pg_stat_statements"
    server.execute(f"create extension {view}", database=database)
    found = changes(server, database, f"alter view {view} owner to {role}")
    owned = Privilege("table", (database, "public", view), "OWNER")
    assert found == ({(role, owned)}, set())


def test_a_change_of_default_privileges_is_told_as_one(
    server: PrivateServer, database: str, role: str
) -> None:
    alter = f"alter default privileges for role {role}"
    selects = Privilege("default_tables", (database, role, ""), "SELECT")
    lack = Privilege("default_functions", (database, role, ""), "EXECUTE", restricts=True)
    for query, granted, revoked in (
        ("grant select on tables to public", {("public", selects)}, set()),
        ("revoke execute on functions from public", set(), {("public", lack)}),
        ("grant execute on functions to public", {("public", lack)}, set()),
        ("revoke select on tables from public", set(), {("public", selects)}),
    ):
        assert changes(server, database, f"{alter} {query}") == (granted, revoked), query


def test_system_objects_are_never_told_as_a_whole(
    server: PrivateServer, database: str, role: str
) -> None:
    told = granted(
        server, database, role, "grant select on all tables in schema information_schema to {role}"
    )
    query = """
        select count(*) from pg_class
        where relkind in ('r', 'v') and relnamespace = 'information_schema'::regnamespace
    """
    count = server.rows(query, database)
    assert {p.on for p in told} == {"table"}
    assert [(len(told),)] == count


def test_an_extension_is_told_where_it_was_changed(
    server: PrivateServer, database: str, role: str
) -> None:
    server.execute("create extension dblink", "create extension hstore", database=database)
    assert {p.on for one in read(server, database).accounts for p in one.privileges if p.database
            } == {"schema"}  # fmt: skip
    told = granted(
        server, database, role, "grant execute on function dblink_connect_u(text) to {role}"
    )
    name = (database, "public", "dblink_connect_u(text)")
    assert told == {Privilege("function", name, "EXECUTE")}


def test_a_new_owner_of_what_an_extension_made_is_told(
    server: PrivateServer, database: str, role: str
) -> None:
    told = granted(
        server, database, role, "create extension hstore", "alter type hstore owner to {role}"
    )
    assert told == {Privilege("type", (database, "public", "hstore"), "OWNER")}


def test_whoever_made_an_extension_is_not_told_as_the_owner_of_what_is_in_it(
    server: PrivateServer, database: str, role: str
) -> None:
    server.execute(SQL("alter role {} superuser").format(Identifier(role)))
    server.execute(
        SQL("set role {}").format(Identifier(role)), "create extension hstore", database=database
    )
    owned = server.rows("select count(*) from pg_proc where proowner = %s::regrole", database, role)
    assert owned > [(0,)]
    assert within(read(server, database), role, database) == set()


def test_nothing_at_all_may_be_granted(server: PrivateServer, database: str, role: str) -> None:
    told = granted(
        server, database, role,
        "create table t (a int)", "alter table t owner to {role}", "revoke all on t from {role}",
    )  # fmt: skip
    assert told == {Privilege("table", (database, "public", "t"), "OWNER")}


def test_the_objects_of_an_extension_keep_no_schema_from_being_alike(
    server: PrivateServer, database: str, role: str
) -> None:
    told = granted(
        server, database, role,
        "create table a (x int)", "create table b (x int)",
        "grant select on a, b to {role}", "create extension pg_stat_statements",
    )  # fmt: skip
    assert told == {Privilege("all_tables", (database, "public"), "SELECT")}


def test_temporary_tables_are_left_out(server: PrivateServer, database: str) -> None:
    with psycopg.connect(server.dsn(database), autocommit=True) as connection:
        connection.execute("create temp table passing (a int)")
        connection.execute("grant select on passing to public")
        connection.execute("grant update (a) on passing to public")
        reading = read(server, database)
    assert reading.objects == {}
    assert within(reading, "public", database) == {
        Privilege("schema", (database, "public"), "USAGE")
    }

"""Schemas of which all objects are alike, and what the system and extensions made."""

from collections.abc import Iterator

import psycopg
import pytest
from debian_postgres import PrivateServer, PrivateServers
from postgresql_grants import account, read, within
from psycopg.sql import SQL, Identifier

from syncd.model.privilege import Privilege

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


def test_what_was_changed_of_the_system_is_told(
    server: PrivateServer, database: str, role: str
) -> None:
    sleep = ("function", (database, "pg_catalog", "pg_sleep(double precision)"))
    server.execute("revoke execute on function pg_sleep from public", database=database)
    reading = read(server, database)
    told = {(p.on, p.name) for p in account(reading, "postgres").privileges if p.database}
    assert told == {sleep}
    server.execute("grant execute on function pg_sleep to public", database=database)
    assert Privilege(*sleep, "EXECUTE") not in account(read(server, database), "public").privileges


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

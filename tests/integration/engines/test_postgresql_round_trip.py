"""What was read, turned into statements again and applied elsewhere, reads the same."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pytest
from debian_postgres import PrivateServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from postgresql_grants import DEFAULTS, each, read, revoking, statements
from psycopg.sql import SQL, Composed, Identifier
from thorough import times

from syncd.model.db_account import AccountReading
from syncd.model.privilege import OWNER, On, Privilege

OBJECTS = """
    create schema "One"; create schema two;
    create table "One"."T 1" (a int, "B b" int); create table "One".t2 (a int);
    create table "One".t3 (a int); create table two.t (a int); create view two.v as select 1 as a;
    create sequence "One".s1; create sequence "One".s2; create sequence two.s;
    create type two.mood as enum (); create domain two.word as text;
    create function "One".f(int, text[]) returns int language sql as 'select 1';
    create function "One".g(two.mood) returns int language sql as 'select 1';
    create procedure two.p(int) language sql as 'select 1';
    create foreign data wrapper w; create server far foreign data wrapper w;
    select lo_create(77);
"""
EMPTIED = """
    drop server if exists far; drop foreign data wrapper if exists w;
    drop schema if exists "One", two cascade; select lo_unlink(oid) from pg_largeobject_metadata;
    revoke all on schema public from public; grant usage on schema public to public;
    alter schema public owner to pg_database_owner; revoke all on language plpgsql from public;
    grant usage on language plpgsql to public;
"""
TABLES = ["MAINTAIN", "SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]
COLUMNS = ["SELECT", "INSERT", "UPDATE", "REFERENCES"]
Places = Mapping[On, tuple[list[tuple[str, ...]], list[str]]]
"""Names of objects of each kind, and what may be granted on them."""
PLACES: Places = {
    "schema": ([("One",), ("two",), ("public",)], ["USAGE", "CREATE"]),
    "table": ([("One", "T 1"), ("One", "t2"), ("One", "t3"), ("two", "t"), ("two", "v")], TABLES),
    "all_tables": ([("One",), ("two",)], TABLES),
    "column": ([("One", "T 1", "a"), ("One", "T 1", "B b"), ("two", "v", "a")], COLUMNS),
    "sequence": ([("One", "s1"), ("One", "s2"), ("two", "s")], ["USAGE", "SELECT", "UPDATE"]),
    "all_sequences": ([("One",)], ["USAGE", "SELECT", "UPDATE"]),
    "function": ([("One", "f(integer, text[])"), ("One", "g(two.mood)")], ["EXECUTE"]),
    "all_functions": ([("One",)], ["EXECUTE"]),
    "procedure": ([("two", "p(integer)")], ["EXECUTE"]),
    "type": ([("two", "mood"), ("two", "word")], ["USAGE"]),
    "language": ([("plpgsql",)], ["USAGE"]),
    "foreign_data_wrapper": ([("w",)], ["USAGE"]),
    "foreign_server": ([("far",)], ["USAGE"]),
    "large_object": ([("77",)], ["SELECT", "UPDATE"]),
}
OWNED: list[On] = ["schema", "table", "sequence", "function", "procedure", "type", "foreign_server"]
DEFAULT_PRIVILEGES: dict[On, list[str]] = {
    "default_tables": TABLES[1:],
    "default_sequences": ["USAGE", "SELECT", "UPDATE"],
    "default_functions": ["EXECUTE"],
    "default_types": ["USAGE"],
    "default_schemas": ["USAGE", "CREATE"],
}
UNASKED: list[On] = ["language", "default_functions", "default_types", "default_tables"]
"""What has privileges without a grant, whose lack is told."""


@dataclass(frozen=True)
class Pair:
    """Two databases with the same objects; the roles are of both."""

    server: PrivateServer
    first: str
    second: str
    roles: Sequence[str]


@pytest.fixture(scope="module")
def pair(server: PrivateServer) -> Iterator[Pair]:
    names = [server.unique(stem) for stem in ("Ann", "bob", "c'd\"e")]
    with server.roles(*names) as roles, server.database() as first, server.database() as second:
        yield Pair(server, first, second, roles)


def privileges(version: str) -> st.SearchStrategy[Privilege]:
    """Return privileges in a database that is called ""; "Creator" stands for a role."""
    places = {
        on: (names, [word for word in words if word != "MAINTAIN" or version == "18"])
        for on, (names, words) in PLACES.items()
    }
    owned = {on: (PLACES[on][0][:2], [OWNER]) for on in OWNED}
    defaults = {
        on: ([("Creator", ""), ("Creator", "two")][: 1 if on == "default_schemas" else 2], words)
        for on, words in DEFAULT_PRIVILEGES.items()
    }
    plain = _drawn(places)
    taken = _drawn({on: whole for on, whole in (defaults | places).items() if on in UNASKED})
    restricting = taken.map(lambda one: replace(one, grantable=False, restricts=True))
    return st.one_of(plain, plain, plain, _drawn(owned), _drawn(defaults), restricting)


def _drawn(places: Places) -> st.SearchStrategy[Privilege]:
    def on(kind: On) -> st.SearchStrategy[Privilege]:
        names, words = places[kind]
        named = st.sampled_from(names).map(lambda path: ("", *path))
        option = st.just(False) if words == [OWNER] else st.booleans()
        return st.builds(Privilege, st.just(kind), named, st.sampled_from(words), option)

    return st.sampled_from(sorted(places)).flatmap(on)


@settings(max_examples=times(6), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_privileges_make_the_privileges_that_they_are(pair: Pair, data: st.DataObject) -> None:
    made = st.lists(st.tuples(st.integers(0, 3), privileges(pair.server.version)), max_size=25)
    accounts = [*pair.roles, "public"]
    drawn = [
        (accounts[number], _placed(privilege, pair))
        for number, privilege in data.draw(made)
        if number < 3 or (privilege.privilege != OWNER and not privilege.grantable)
    ]
    _fill(pair, pair.first, statements(drawn))
    reading = read(pair.server, pair.first)
    _fill(pair, pair.second, _again(pair, reading))
    again = read(pair.server, pair.second)
    assert _told(again, pair.second) == _told(reading, pair.first)
    for name, privilege in drawn:
        if privilege.privilege != OWNER:
            _assert_told(reading, name, privilege)


def _placed(privilege: Privilege, pair: Pair) -> Privilege:
    """Return a drawn privilege as one in the first database."""
    _, *path = privilege.name
    names = [pair.roles[0] if part == "Creator" else part for part in path]
    return replace(privilege, name=(pair.first, *names))


def _assert_told(reading: AccountReading, name: str, privilege: Privilege) -> None:
    """Check that what was granted is told, of each object by itself."""
    [account] = [one for one in reading.accounts if one.account == name]
    told = {part for one in account.privileges if one.database for part in each(one, reading)}
    if privilege.on not in (*DEFAULTS, "language"):  # as it is by itself, nothing is told
        for part in each(privilege, reading):
            assert {part, replace(part, grantable=True)} & told


def _fill(pair: Pair, database: str, queries: Iterator[Composed]) -> None:
    """Make the objects of a database anew, and execute statements there."""
    owned = [SQL("drop owned by {} cascade").format(Identifier(role)) for role in pair.roles]
    pair.server.execute(*owned, EMPTIED, OBJECTS, *queries, database=database)


def _again(pair: Pair, reading: AccountReading) -> Iterator[Composed]:
    """Yield what makes the other database's privileges those of a reading, and no others."""
    grants = [
        (account.account, replace(part, name=(pair.second, *part.name[1:])))
        for account in reading.accounts
        for privilege in account.privileges
        if privilege.database
        for part in each(privilege, reading)
    ]
    yield from statements(one for one in grants if one[1].privilege == OWNER)
    for name, privilege in grants:
        if privilege.privilege == OWNER:
            yield from revoking(privilege, name)
    yield from statements(one for one in grants if one[1].privilege != OWNER)


def _told(reading: AccountReading, database: str) -> dict[str, set[Privilege]]:
    """Return what each account may do in a database, which is called "" here."""
    return {
        account.account: {
            replace(privilege, name=("", *privilege.name[1:]))
            for privilege in account.privileges
            if privilege.database == database
        }
        for account in reading.accounts
    }

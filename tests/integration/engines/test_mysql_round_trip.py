"""Privileges that are written as GRANT statements, and read again: nothing is lost or added."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mariadb_server import MariaDbServer
from mysql_grants_writer import statements
from mysql_helpers import fresh_database, ident, unique
from mysql_readings import account
from thorough import times

from syncd.model.privilege import Privilege

ROLES = ["trip one", "Trip`Two", "trip@three"]
TABLES = {"orders": ["id", "Price", "od`d, co'l)"], "We`ird ☃": ["id", "é"]}
ROUTINES = [("function", "f"), ("procedure", "p p"), ("package", "pk")]
_WORDS = {
    "server": ["SELECT", "INSERT", "RELOAD", "PROCESS", "CREATE USER", "BINLOG MONITOR",
               "SHOW DATABASES", "CREATE TEMPORARY TABLES", "REPLICATION SLAVE", "SET USER"],
    "database": ["SELECT", "DELETE", "CREATE TEMPORARY TABLES", "LOCK TABLES", "EVENT",
                 "DELETE HISTORY", "CREATE ROUTINE", "SHOW VIEW"],
    "table": ["SELECT", "INSERT", "DROP", "TRIGGER", "CREATE VIEW", "DELETE HISTORY"],
    "column": ["SELECT", "INSERT", "UPDATE", "REFERENCES"],
}  # fmt: skip


@pytest.fixture(scope="module")
def place(mariadb: MariaDbServer) -> Iterator[str]:
    """Give a database with tables and routines, on a server with roles."""
    with fresh_database(mariadb) as name:
        tables = [
            f"create table {ident(table)} ({', '.join(f'{ident(c)} int' for c in columns)})"
            for table, columns in TABLES.items()
        ]
        mariadb.execute(
            "set global log_bin_trust_function_creators = on",
            f"use {name}",
            *tables,
            "create function f() returns int return 1",
            "create procedure `p p`() select 1",
            "set sql_mode = oracle",
            "create package pk as function g return int; end",
            "create package body pk as function g return int as begin return 1; end; end",
            *(f"create role {ident(role)}" for role in ROLES),
        )
        yield name
        mariadb.execute(*(f"drop role {ident(role)}" for role in ROLES))


def _levels(place: str) -> st.SearchStrategy[list[tuple[str, tuple[str, ...]]]]:
    """Give different places to have privileges on; a database's name may be a pattern."""
    bits = [
        "shop",
        "Shop",
        "_",
        "%",
        r"\_",
        r"\%",
        "`",
        "``",
        "'",
        '"',
        "é",
        "☃",
        ".",
        "@",
        "$",
        "(",
    ]
    patterns = st.lists(st.sampled_from(bits), min_size=1, max_size=6).map("".join)
    databases = st.one_of(patterns, st.just(place), st.just("x" * 64))
    tables = st.sampled_from([(place, table) for table in TABLES])
    level = st.one_of(
        st.just(("server", ())),
        st.tuples(st.just("database"), databases.map(lambda name: (name,))),
        st.tuples(st.just("table"), tables),
        st.sampled_from([(kind, (place, name)) for kind, name in ROUTINES]),
    )
    return st.lists(level, unique=True, max_size=6)


@st.composite
def privileges(draw: st.DrawFn, place: str) -> set[Privilege]:
    """Give what an account may have. To grant on goes with a level, and with all that is on it."""
    made: set[Privilege] = set()
    for on, name in draw(_levels(place)):
        made |= draw(_on_level(on, name))
    for role in draw(st.sets(st.sampled_from(ROLES))):
        name = f"`{role}`" if "@" in role else role
        made.add(Privilege("role", (name,), "MEMBER", draw(st.booleans())))
    if not draw(st.booleans()):
        return made
    grantable = draw(st.booleans())
    proxy = Privilege("proxy", ("o'ther@10.%",), "PROXY", grantable)
    return {proxy} | (_grantable_everywhere(made) if grantable else made)


def _grantable_everywhere(made: set[Privilege]) -> set[Privilege]:
    """Return privileges with the right to grant on *.*: MariaDB gives it with that on a proxy."""
    everywhere = {p for p in made if p.on == "server"} or {Privilege("server", (), "USAGE")}
    return (made - everywhere) | {replace(p, grantable=True) for p in everywhere}


@st.composite
def _on_level(draw: st.DrawFn, on: str, name: tuple[str, ...]) -> set[Privilege]:
    grantable = draw(st.booleans())
    if on == "package":
        bodies = draw(st.sets(st.sampled_from([(), ("body",)]), min_size=1))
        return {Privilege("package", name, "EXECUTE", grantable, body) for body in bodies}
    if on in ("function", "procedure"):
        words = draw(st.sets(st.sampled_from(["EXECUTE", "ALTER ROUTINE"]), min_size=1))
    elif draw(st.integers(0, 5)) == 0:
        words = {"ALL PRIVILEGES"}
    else:
        words = draw(st.sets(st.sampled_from(_WORDS[on])))
    made = {Privilege(on, name, word, grantable) for word in words}
    if on == "table":
        pairs = st.tuples(st.sampled_from(TABLES[name[1]]), st.sampled_from(_WORDS["column"]))
        columns = draw(st.sets(pairs)) if "ALL PRIVILEGES" not in words else set()
        made |= {Privilege("column", (*name, c), w, grantable) for c, w in columns}
    if not made and grantable:
        return {Privilege(on, name, "USAGE", grantable=True)}
    return made


def test_what_is_granted_is_read(mariadb: MariaDbServer, place: str) -> None:
    name = f"trav'eller{unique('')}@10.0.0.%"

    @settings(max_examples=times(15), deadline=None, suppress_health_check=list(HealthCheck))
    @given(privileges(place))
    def round_trip(given_: set[Privilege]) -> None:
        quoted = name.replace("@", "`@`")
        mariadb.execute(f"create or replace user `{quoted}`", *statements(name, given_))
        assert set(account(mariadb, name).privileges) == given_

    round_trip()
    mariadb.execute("drop user `{}`".format(name.replace("@", "`@`")))


def test_a_copy_made_of_a_reading_reads_the_same(mariadb: MariaDbServer, place: str) -> None:
    first, second = unique("first"), unique("second")
    mariadb.execute(
        f"create user {first}, {second}",
        rf"grant select, insert on `sh\_op%`.* to {first} with grant option",
        f"grant select (id, `od``d, co'l)`), drop on {place}.orders to {first} with grant option",
        f"grant execute on function {place}.f to {first}",
        f"grant `trip one` to {first} with admin option",
        f"grant `trip@three` to {first}",
        f"set default role `trip@three` for {first}",
        f"grant proxy on root@localhost to {first}",
        f"grant reload on *.* to {first}",
    )
    original = account(mariadb, f"{first}@%")
    mariadb.execute(*statements(f"{second}@%", original.privileges))
    assert len(original.privileges) == 10
    assert account(mariadb, f"{second}@%").privileges == original.privileges
    mariadb.execute(f"drop user {first}, {second}")

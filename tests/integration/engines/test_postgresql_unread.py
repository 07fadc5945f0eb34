"""What can't be read is told and costs the others nothing; what is gone is no error."""

import signal
import threading
from collections.abc import Iterator

import psycopg
import pytest
from debian_postgres import PrivateServer, private_server
from engine_run import context
from postgresql_grants import account, read, within
from psycopg.sql import SQL, Identifier

from syncd.engines.postgresql import privileges
from syncd.engines.postgresql.connection import Session, connected
from syncd.engines.postgresql.databases import Database, visit
from syncd.engines.registry import build
from syncd.errors import (
    Authentication,
    BadData,
    ConfigurationError,
    Conflict,
    Network,
    Permission,
    Throttled,
    TimedOut,
)
from syncd.model.db_account import Unread

GRANTS = (
    "create schema app",
    "create table app.t (a int, b int)",
    "create function app.f() returns int language sql as 'select 1'",
    "select lo_create(1)",
    "grant select (a) on app.t to {role}",
    "grant execute on function app.f() to {role}",
    "grant select on large object 1 to {role}",
    "alter default privileges grant select on tables to {role}",
)


@pytest.fixture
def database(server: PrivateServer, role: str) -> Iterator[str]:
    with server.database() as name:
        yield name


def ordinary_reading(server: PrivateServer, role: str, database: str) -> list[Unread]:
    """Return what an ordinary role can't read."""
    return list(read(server, database, user=role).unread)


def close_to_all(server: PrivateServer, database: str) -> None:
    server.execute(SQL("revoke connect on database {} from public").format(Identifier(database)))


def test_whoever_may_connect_reads_all(server: PrivateServer, role: str, database: str) -> None:
    for query in GRANTS:
        server.execute(SQL(query).format(role=Identifier(role)), database=database)
    reading = read(server, database)
    assert read(server, database, user=role) == reading
    assert {p.on for p in within(reading, role, database)} == {
        "column", "function", "large_object", "default_tables",
    }  # fmt: skip


def test_a_database_that_is_closed_to_us_is_unread(
    server: PrivateServer, role: str, database: str
) -> None:
    close_to_all(server, database)
    reading = build(server.access(user=role)).accounts(context())
    [unread] = reading.unread
    assert (unread.part, unread.database) == (f"database {database}", database)
    assert isinstance(unread.error, Permission)
    told = {p.database for p in account(reading, "public").privileges}
    assert told >= {"postgres", "template1"}
    assert database not in told


def test_a_database_without_a_free_connection_is_unread(
    server: PrivateServer, role: str, database: str
) -> None:
    server.execute(SQL("alter database {} connection limit 0").format(Identifier(database)))
    [unread] = ordinary_reading(server, role, database)
    assert isinstance(unread.error, Throttled)


def test_a_database_that_is_locked_is_unread(
    server: PrivateServer, role: str, database: str
) -> None:
    with psycopg.connect(server.dsn(database)) as connection:
        connection.execute("lock table pg_default_acl in access exclusive mode")
        [unread] = read(server, database, options={"lock_timeout": "100ms"}).unread
    assert isinstance(unread.error, TimedOut)
    assert unread.database == database


def test_too_many_large_objects_are_unread(
    server: PrivateServer, role: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.execute(
        "select lo_create(n) from generate_series(1, 4) n",
        *(f"grant select on large object {n} to public" for n in (1, 2, 3)),
        database=database,
    )
    monkeypatch.setattr(privileges, "LARGE_OBJECTS", 3)
    reading = read(server, database)
    assert reading.unread == ()
    names = {p.name[1] for p in within(reading, "public", database) if p.on == "large_object"}
    assert names == {"1", "2", "3"}
    monkeypatch.setattr(privileges, "LARGE_OBJECTS", 2)
    reading = read(server, database)
    [unread] = reading.unread
    assert (unread.database, unread.on) == (database, "large_object")
    assert {p.on for p in within(reading, "public", database)} == {"schema"}


def test_more_privileges_than_memory_should_hold_leave_the_database_unread(
    server: PrivateServer, role: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for query in GRANTS:
        server.execute(SQL(query).format(role=Identifier(role)), database=database)
    monkeypatch.setattr(privileges, "MOST", 5)
    [unread] = (each for each in read(server, database).unread if each.database == database)
    assert isinstance(unread.error, BadData)
    assert "more than 5 privileges" in str(unread.error)


def oid_of(server: PrivateServer, database: str) -> int:
    query = "select oid from pg_database where datname = %s"
    return int(server.rows(query, "postgres", database)[0][0])


def look(connection: Session, database: Database) -> object:
    return connection.execute("select current_database()").fetchall()[0][0]


def test_a_database_that_is_gone_is_left_out(server: PrivateServer) -> None:
    gone = Database(4_000_000_000, "gone", open=True, ours=True)
    stays = Database(oid_of(server, "postgres"), "postgres", open=True, ours=True)
    seen = list(visit(server.access(), context(), [gone, stays], look))
    assert seen == [(stays, "postgres")]


def test_a_database_that_goes_while_it_is_read_is_left_out(server: PrivateServer) -> None:
    def drop(connection: Session, database: Database) -> object:
        server.execute(SQL("drop database {} with (force)").format(Identifier(database.name)))
        return look(connection, database)

    with server.database() as name:
        going = Database(oid_of(server, name), name, open=True, ours=True)
        assert list(visit(server.access(), context(), [going], drop)) == []


def test_a_connection_that_breaks_once_is_made_again(server: PrivateServer) -> None:
    broken: list[int] = []

    def break_once(connection: Session, database: Database) -> object:
        if not broken:
            broken.append(connection.info.backend_pid)
            server.rows("select pg_terminate_backend(%s, 20000)", "postgres", *broken)
        return look(connection, database)

    stays = Database(oid_of(server, "postgres"), "postgres", open=True, ours=True)
    assert list(visit(server.access(), context(), [stays], break_once)) == [(stays, "postgres")]
    assert broken


def test_what_an_interrupted_drop_leaves_behind_is_no_database(
    server: PrivateServer, database: str
) -> None:
    server.execute(
        SQL("update pg_database set datconnlimit = -2 where datname = {}").format(database)
    )
    engine = build(server.access())
    reading, sizes = engine.accounts(context()), engine.sizes(context(), 1)
    assert (reading.unread, sizes.unread) == ((), ())
    assert database not in {each.database for each in sizes.databases}


def test_a_password_that_can_not_be_read_any_more_ends_it_all(server: PrivateServer) -> None:
    answers = iter(["known"])

    def password() -> str:
        for answer in answers:
            return answer
        raise ConfigurationError("the file is gone")

    with pytest.raises(ConfigurationError, match="the file is gone"):
        build(server.access(password=password)).accounts(context())


def test_a_database_whose_name_can_not_be_said_is_unread(server: PrivateServer) -> None:
    misnamed = Database(oid_of(server, "postgres"), "postgr\\xe9s", open=True, ours=True)
    [(_, error)] = visit(server.access(), context(), [misnamed], look)
    assert isinstance(error, BadData)


def test_a_server_that_dies_meanwhile_is_no_unread_database() -> None:
    with private_server("18") as server:

        def die(connection: Session, database: Database) -> object:
            server.process.send_signal(signal.SIGQUIT)
            server.process.wait(30)
            return look(connection, database)

        database = Database(oid_of(server, "postgres"), "postgres", open=True, ours=True)
        with pytest.raises(Network):
            list(visit(server.access(), context(), [database, database], die))


def test_who_came_after_the_roles_were_read_is_left_to_the_next_reading(
    server: PrivateServer, role: str, database: str
) -> None:
    server.execute(
        SQL("alter default privileges for role {} grant select on tables to public").format(
            Identifier(role)
        ),
        database=database,
    )
    oid = server.rows("select oid from pg_roles where rolname = %s", "postgres", role)[0][0]
    with connected(server.access(), context(), database) as session:
        known, unknown = (
            {p.on for _, p in privileges.read_database(session, database, roles).privileges}
            for roles in ({oid: role}, {})
        )
    assert known - unknown == {"default_tables"}


def test_what_changes_meanwhile_does_no_harm(server: PrivateServer) -> None:
    over = threading.Event()

    def churn() -> None:
        while not over.is_set():
            with server.roles(server.unique("passing")) as (role,), server.database() as name:
                server.execute(
                    "create table t (a int)",
                    SQL("grant select on t to {}").format(Identifier(role)),
                    database=name,
                )

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        readings = [read(server) for _ in range(3)]
        sizes = [build(server.access()).sizes(context(), 1) for _ in range(3)]
    finally:
        over.set()
        thread.join()
    assert [unread for reading in readings for unread in reading.unread] == []
    assert [unread for reading in sizes for unread in reading.unread] == []


def test_who_may_not_log_in_is_refused(server: PrivateServer) -> None:
    with (
        server.roles(server.unique("closed"), options="nologin") as (role,),
        pytest.raises(Authentication, match="not permitted to log in"),
    ):
        read(server, user=role)
    with pytest.raises(Authentication, match="does not exist"):
        read(server, user="nobody such")


def test_a_server_full_of_us_asks_for_patience(server: PrivateServer) -> None:
    options = "login connection limit 1"
    with (
        server.roles(server.unique("single"), options=options) as (role,),
        psycopg.connect(server.dsn(user=role)),
        pytest.raises(Throttled, match="too many connections"),
    ):
        read(server, user=role)


def test_a_first_database_that_is_not_there_is_told(server: PrivateServer) -> None:
    with pytest.raises(BadData, match=r'^database "lost" does not exist$'):
        build(server.access(database="lost")).identify(context())


def test_a_first_database_that_is_closed_to_us_is_told(
    server: PrivateServer, role: str, database: str
) -> None:
    close_to_all(server, database)
    with pytest.raises(Permission):
        build(server.access(database=database, user=role)).sizes(context(), 0)


def test_a_database_that_is_closed_for_a_while_is_unread_and_has_its_size(
    server: PrivateServer, role: str, database: str
) -> None:
    closed = SQL("alter database {} allow_connections false").format(Identifier(database))
    server.execute(closed)
    [unread] = read(server, database, user=role).unread
    assert (unread.part, unread.database) == (f"database {database}", database)
    assert isinstance(unread.error, Conflict)  # which no grant mends
    sizes = build(server.access()).sizes(context(), 0)
    assert database in {each.database for each in sizes.databases}
    assert "template0" not in {each.database for each in sizes.databases}

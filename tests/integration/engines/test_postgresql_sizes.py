"""Sizes of databases and tables, against the server's own functions."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from debian_postgres import PrivateServer
from engine_run import context
from psycopg.sql import SQL, Identifier

from syncd.engines.postgresql import sizes
from syncd.engines.registry import build
from syncd.errors import BadData, Permission, TimedOut
from syncd.model.db_size import DatabaseSize, SizeReading

FILLED = (
    "create schema app",
    "create table app.plain (id int primary key, text text)",
    "insert into app.plain select n, n from generate_series(1, 1000) n",
    "create table app.wide (text text)",
    "alter table app.wide alter text set storage external",
    "insert into app.wide select repeat('x', 100000) from generate_series(1, 20)",
    "create table app.empty (id int)",
    "create table app.parted (id int) partition by range (id)",
    "create table app.part partition of app.parted for values from (0) to (1000)",
    "insert into app.parted select n from generate_series(0, 999) n",
    "create materialized view app.made as select * from app.plain",
    "create view app.view as select 1 as one",
    "analyze app.plain",
    "checkpoint",
)


@pytest.fixture
def database(server: PrivateServer, role: str) -> Iterator[str]:
    with server.database() as name:
        server.execute(*FILLED, database=name)
        yield name


def read(server: PrivateServer, tables: int = 0, **changed: Any) -> SizeReading:
    return build(server.access(**changed)).sizes(context(), tables)


def of(reading: SizeReading, database: str) -> DatabaseSize | None:
    return next((one for one in reading.databases if one.database == database), None)


def test_tables_are_as_large_as_the_server_says(server: PrivateServer, database: str) -> None:
    reading = read(server, 100)
    told = [
        (one.schema, one.table, one.total_bytes, one.heap_bytes, one.index_bytes)
        for one in reading.tables
        if one.database == database
    ]
    query = """
        select 'app', name, pg_total_relation_size(name::regclass), pg_table_size(name::regclass),
               pg_indexes_size(name::regclass)
        from unnest(array['app.wide', 'app.plain', 'app.made', 'app.part', 'app.empty']) name
        order by 3 desc, 2
    """
    expected = [(schema, name.split(".")[1], *rest)
                for schema, name, *rest in server.rows(query, database)]  # fmt: skip
    assert told == expected
    assert told[0][1] == "wide"
    assert told[0][2] > 2_000_000
    [whole] = [one for one in reading.databases if one.database == database]
    assert whole.tables == 5
    assert whole.data_bytes is not None
    assert whole.index_bytes is not None
    inside = whole.data_bytes + whole.index_bytes
    assert inside <= whole.size_bytes
    assert whole.size_bytes - inside < 1_000_000


def test_temporary_tables_are_nobodys(server: PrivateServer, database: str) -> None:
    with psycopg.connect(server.dsn(database), autocommit=True) as connection:
        connection.execute("create temp table passing as select generate_series(1, 100000)")
        tables = [one.table for one in read(server, 2).tables if one.database == database]
    assert tables == ["wide", "plain"]


def test_rows_are_estimated_where_they_were_counted(server: PrivateServer, database: str) -> None:
    tables = {one.table: one for one in read(server, 100).tables if one.database == database}
    assert tables["plain"].row_estimate == 1000
    assert tables["wide"].row_estimate is None


def test_nothing_is_known_of_the_inside_unless_asked(server: PrivateServer, database: str) -> None:
    reading = read(server)
    size = server.rows("select pg_database_size(%s)", "postgres", database)[0][0]
    assert of(reading, database) == DatabaseSize(database, size)
    assert reading.tables == ()


def test_templates_are_of_the_system(server: PrivateServer) -> None:
    reading = read(server)
    assert {one.database for one in reading.databases if one.system} == {"template1"}


def test_the_log_is_told_to_who_may_see_it(server: PrivateServer, role: str) -> None:
    query = "select sum(size) from pg_ls_waldir()"
    before = server.rows(query)[0][0]
    told = read(server).log_bytes
    assert told is not None
    assert before <= told <= server.rows(query)[0][0]
    assert read(server, user=role).log_bytes is None
    server.execute(SQL("grant pg_monitor to {}").format(Identifier(role)))
    assert read(server, user=role).log_bytes is not None


def test_a_size_needs_the_right_to_connect_or_to_all_statistics(
    server: PrivateServer, role: str, database: str
) -> None:
    server.execute(SQL("revoke connect on database {} from public").format(Identifier(database)))
    reading = read(server, user=role)
    assert of(reading, database) is None
    [(name, error)] = reading.unread
    assert name == database
    assert isinstance(error, Permission)
    server.execute(SQL("grant pg_read_all_stats to {}").format(Identifier(role)))
    reading = read(server, user=role)
    assert of(reading, database) == of(read(server), database)
    assert reading.unread == ()


def test_a_size_is_known_though_the_tables_are_not(
    server: PrivateServer, role: str, database: str
) -> None:
    server.execute(
        SQL("revoke connect on database {} from public").format(Identifier(database)),
        SQL("grant pg_read_all_stats to {}").format(Identifier(role)),
    )
    reading = read(server, 5, user=role)
    whole = of(reading, database)
    assert whole is not None
    assert (whole.data_bytes, whole.index_bytes, whole.tables) == (None, None, None)
    assert [(name, type(error)) for name, error in reading.unread] == [(database, Permission)]
    assert database not in {table.database for table in reading.tables}


def test_databases_that_go_while_they_are_asked_for_are_left_out(
    server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server says then can't be brought about at will."""
    monkeypatch.setattr(sizes, "_SIZES", "select 1 / 0, %s::text[]")
    monkeypatch.setattr(sizes, "_SIZE", "select 'nobody_such'::regrole, %s")
    reading = read(server)
    assert (reading.databases, reading.unread) == ((), ())


def test_a_question_that_takes_too_long_is_not_asked_of_each_database_again(
    server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizes, "_SIZES", "select pg_sleep(30), %s::text[]")
    with pytest.raises(TimedOut):
        read(server, statement_timeout=0.2)


@pytest.mark.parametrize(("mode", "kind"), [(0o400, Permission), (0o000, BadData)])
def test_one_damaged_database_costs_no_other(
    server: PrivateServer, database: str, mode: int, kind: type[Exception]
) -> None:
    expected = read(server)
    [(oid,)] = server.rows("select oid from pg_database where datname = %s", "postgres", database)
    files = server.directory / "data" / "base" / str(oid)
    files.chmod(mode)
    try:
        reading = read(server)
    finally:
        files.chmod(0o700)
    assert [(name, type(error)) for name, error in reading.unread] == [(database, kind)]
    assert reading.databases == tuple(one for one in expected.databases if one.database != database)

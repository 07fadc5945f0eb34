"""The session that the engine makes with a real MariaDB."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
from engine_run import context
from mariadb_server import MariaDbServer, private_mariadb
from mysql_helpers import PASSWORD, access, fresh_user, make_user
from pymysql.err import OperationalError

from syncd.context import CancelSource
from syncd.engines.mysql.connection import _end, connected
from syncd.engines.mysql.engine import MySQL
from syncd.errors import (
    Authentication,
    BadData,
    Cancelled,
    ConfigurationError,
    Network,
    Throttled,
    TimedOut,
)

ENDLESS = "select count(*) from mysql.seq_1_to_1000000 a, mysql.seq_1_to_1000000 b"
"""Unlike a sleep(), it does not look whether anybody still waits for it."""


@pytest.fixture(scope="module")
def small() -> Iterator[MariaDbServer]:
    """Give a server that takes few connections, and remembers who they are."""
    with private_mariadb({"max-connections": "10", "performance-schema": "1"}) as server:
        make_user(server, "app")
        yield server


def test_what_a_session_is_set_to(mariadb: MariaDbServer) -> None:
    way_in = access(mariadb, statement_timeout=7.5)
    mariadb.execute("set global sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'")
    try:
        with connected(way_in, context()) as session:
            row = session.rows(
                "select @@time_zone, @@sql_mode, @@tx_read_only, @@max_statement_time,"
                " @@character_set_client, @@character_set_results, @@sql_quote_show_create"
            )[0]
            awkward = r"%s\'" + '☃😀"'
            assert session.rows("select %s", awkward) == [(awkward,)]
            with pytest.raises(BadData, match="READ ONLY"):
                session.rows("create database written")
    finally:
        mariadb.execute("set global sql_mode = default")
    assert row == ("+00:00", "", 1, 7.5, "utf8mb4", "utf8mb4", 1)


def test_a_limit_of_rows_cuts_no_list_short(mariadb: MariaDbServer) -> None:
    way_in = access(mariadb)
    whole = MySQL(way_in).accounts(context()), MySQL(way_in).sizes(context(), 0)
    mariadb.execute("set global sql_select_limit = 1")
    try:
        cut = MySQL(way_in).accounts(context()), MySQL(way_in).sizes(context(), 0)
    finally:
        mariadb.execute("set global sql_select_limit = default")
    assert len(cut[0].accounts) == len(whole[0].accounts) > 1
    assert len(cut[1].databases) == len(whole[1].databases) > 1


def test_settings_of_the_configuration_are_made(mariadb: MariaDbServer) -> None:
    options = {
        "lock_wait_timeout": "3",
        "lc_time_names": "de_DE",
        "long_query_time": "1.5",
        "time_zone": "+05:00",
    }
    with connected(access(mariadb, options=options), context()) as session:
        row = session.rows(
            "select @@lock_wait_timeout, @@lc_time_names, @@long_query_time, @@time_zone"
        )
    assert row == [(3, "de_DE", 1.5, "+00:00")]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("no_such_setting", "1", "Unknown system variable"),
        ("sql_mode = '', sql_mode", "1", "is no name of a system variable"),
        ("lc_time_names", "de_DE', sql_mode='", "can't be set"),
        ("max_connections", "1", "can't be set"),
    ],
)
def test_settings_that_can_not_be_made_are_named(
    mariadb: MariaDbServer, name: str, value: str, told: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"options: .*{told}"):
        MySQL(access(mariadb, options={name: value})).identify(context())


def test_no_option_file_is_read(
    mariadb: MariaDbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".my.cnf").write_text("[client]\nuser=root\nport=1\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert MySQL(access(mariadb)).identify(context()).user == "watcher@%"


def test_a_unix_socket_is_a_host(mariadb: MariaDbServer) -> None:
    identity = MySQL(access(mariadb, host=mariadb.socket, port=1)).identify(context())
    assert (identity.engine, identity.user, identity.tls) == ("mariadb", "watcher@%", None)
    with pytest.raises(Network, match="No such file"):
        MySQL(access(mariadb, host=f"{mariadb.socket}.gone")).identify(context())


def test_a_name_that_means_nothing_is_out_of_reach(mariadb: MariaDbServer) -> None:
    with pytest.raises(Network, match="can't be resolved"):
        MySQL(access(mariadb, host="nowhere.invalid")).identify(context())


def test_a_locked_account_is_refused(mariadb: MariaDbServer) -> None:
    with fresh_user(mariadb) as user:
        mariadb.execute(f"alter user {user} account lock")
        with pytest.raises(Authentication, match="locked"):
            MySQL(access(mariadb, user)).identify(context())


def test_an_expired_password_is_told(mariadb: MariaDbServer) -> None:
    with fresh_user(mariadb) as user:
        mariadb.execute(f"alter user {user} password expire")
        with pytest.raises(Authentication, match="SET PASSWORD"):
            MySQL(access(mariadb, user)).identify(context())


def test_too_many_connections(mariadb: MariaDbServer) -> None:
    with fresh_user(mariadb) as user:
        mariadb.execute(f"alter user {user} with max_user_connections 1")
        way_in = access(mariadb, user)
        with connected(way_in, context()), pytest.raises(Throttled, match="max_user_connections"):
            MySQL(way_in).identify(context())


def test_a_server_that_is_full(small: MariaDbServer) -> None:
    with ExitStack() as opened:
        for _ in range(11):
            opened.enter_context(closing(connect_at_last(small)))
        with pytest.raises(Throttled, match="Too many connections"):
            MySQL(access(small, "app")).identify(context())


def connect_at_last(server: MariaDbServer) -> Any:
    """Return a connection; one that was closed a moment ago may still count."""
    for _ in range(1000):
        with suppress(OperationalError):
            return server.connect()
        threading.Event().wait(0.01)
    return server.connect()


def test_a_session_that_somebody_ends_is_broken(mariadb: MariaDbServer) -> None:
    with connected(access(mariadb), context()) as session:
        [(number,)] = session.rows("select connection_id()")
        mariadb.execute(f"kill {number}")
        with pytest.raises(Network):
            session.rows("select 1")


def test_a_server_that_dies_in_the_middle(small: MariaDbServer) -> None:
    with connected(access(small, "app"), context()) as session:
        dying = threading.Timer(0.1, small.kill)
        dying.start()
        try:
            with pytest.raises(Network):
                session.rows("select sleep(20)")
        finally:
            dying.join()
            small.start()


def test_what_was_cancelled_ends_on_the_server(mariadb: MariaDbServer) -> None:
    source, numbers = CancelSource(), []
    cancelling = threading.Timer(0.1, source.cancel, [Cancelled("enough")])

    def sleep() -> None:
        with connected(access(mariadb), context(source=source)) as session:
            numbers.append(session.rows("select connection_id()")[0][0])
            cancelling.start()
            session.rows(ENDLESS)

    with pytest.raises(Cancelled):
        sleep()
    cancelling.join()
    for _ in range(1000):
        running = mariadb.execute(
            f"select 1, sleep(0.01) from information_schema.processlist where id = {numbers[0]}"
        )
        if not running:
            break
    assert not running


def test_nobody_is_ended_on_another_server(mariadb: MariaDbServer) -> None:
    with connected(access(mariadb), context()) as session:
        [(number,)] = session.rows("select connection_id()")
        _end(access(mariadb), PASSWORD.encode(), "elsewhere", number)
        assert session.rows("select 1") == [(1,)]
        _end(access(mariadb), PASSWORD.encode(), session.host, number)
        with pytest.raises(Network):
            session.rows("select 1")


def test_a_statement_over_its_limit_is_ended_by_the_server(mariadb: MariaDbServer) -> None:
    with connected(access(mariadb, statement_timeout=0.2), context()) as session:
        with pytest.raises(TimedOut, match="max_statement_time"):
            session.rows(ENDLESS)
        assert session.rows("select 1") == [(1,)]


def test_the_login_is_told_apart_by_its_program(small: MariaDbServer) -> None:
    with connected(access(small, "app"), context()) as session:
        [(number,)] = session.rows("select connection_id()")
        told = small.execute(
            "select ATTR_VALUE from performance_schema.session_connect_attrs"
            f" where PROCESSLIST_ID = {number} and ATTR_NAME = 'program_name'"
        )
    assert told == [("syncd",)]

# ruff: noqa: E501, PT012
"""Copies into MariaDB among others that write, on servers that fail, and when they are stopped."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pymysql
import pytest
from engine_run import context
from mariadb_server import MariaDbServer, private_mariadb
from mysql_helpers import access, fresh_user
from mysql_tables import COPIER, Shop, fresh_shop, into, state

from syncd.context import CancelSource
from syncd.engines.mysql.failures import mapped
from syncd.engines.mysql.tables import MySQLTables
from syncd.engines.tables import Busy, Refused
from syncd.errors import BadData, Cancelled, Conflict, Fenced, Network, Permission, SyncdError
from syncd.model.copy import Span
from syncd.model.run import Counts


@contextmanager
def other(shop: Shop) -> Iterator[Any]:
    """Give the cursor of somebody else, in a transaction that is undone."""
    with shop.server.connect(database=shop.database) as connection, connection.cursor() as cursor:
        cursor.execute("start transaction")
        yield cursor
        connection.rollback()


@contextmanager
def waiting(shop: Shop, *statements: str) -> Iterator[None]:
    """Let somebody else execute statements, from a thread, while the block goes on."""
    thread = threading.Thread(target=_execute, args=(shop, statements))
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _execute(shop: Shop, statements: tuple[str, ...]) -> None:
    with other(shop) as cursor:
        for statement in statements:
            cursor.execute(statement)


def wait_for_a_lock(shop: Shop) -> None:
    for _ in range(50):
        if shop.execute(
            "select 1 from information_schema.innodb_trx where trx_state = 'LOCK WAIT'"
        ):
            return
        time.sleep(0.12)  # InnoDB tells the same again to who asks within 0.1 s
    raise AssertionError("nobody waits")


def test_a_lock_that_is_not_given_is_busy_and_undoes_the_page(shop: Shop) -> None:
    shop.execute("create table t (id int primary key, x int)", "insert into t values (1, 1)")
    tables = shop.tables(options={})
    with tables.target(context(), shop.relation("t"), shop.database) as target:
        target._session.change("set session innodb_lock_wait_timeout = 1")
        with other(shop) as cursor:
            cursor.execute("update t set x = 9 where id = 1")
            with pytest.raises(Busy), target.page(into("id", "x")) as page:
                page.put([(b"5", b"5")])
                page.put([(b"1", b"2")])
        assert shop.execute("select * from t") == [(1, 1)]
        with target.page(into("id", "x")) as page:
            assert page.put([(b"1", b"2")]).updated == 1


def test_a_table_that_somebody_changes_is_busy_after_some_seconds(shop: Shop) -> None:
    shop.execute("create table t (id int primary key, x int)")
    with shop.target("t") as target, shop.server.connect(database=shop.database) as holder:
        holder.cursor().execute("lock tables t write")
        began = time.monotonic()
        with pytest.raises(Busy), target.page(into("id", "x")) as page:
            page.put([(b"1", b"1")])
        assert 4 < time.monotonic() - began < 15
        told = "select @@innodb_lock_wait_timeout, @@lock_wait_timeout"
        assert target._session.rows(told) == [(5, 5)]


def test_whoever_goes_on_after_busy_writes_nothing(shop: Shop) -> None:
    shop.execute("create table t (id int primary key, x int)", "insert into t values (1, 1)")
    with shop.target("t") as target:
        target._session.change("set session innodb_lock_wait_timeout = 1")
        with other(shop) as cursor, pytest.raises(Busy), target.page(into("id", "x")) as page:
            cursor.execute("update t set x = 9 where id = 1")
            with pytest.raises(Busy):
                page.put([(b"1", b"2")])
            page.put([(b"6", b"6")])
    assert shop.execute("select * from t") == [(1, 1)]


def test_a_deadlock_is_busy_and_the_session_goes_on(shop: Shop) -> None:
    shop.execute(
        "create table t (id int primary key, x int)", "insert into t values (1, 1), (2, 1)"
    )
    more = ", ".join(f"({number}, 1)" for number in range(10, 200))
    with shop.target("t") as target:
        with pytest.raises(Busy), target.page(into("id", "x")) as page:
            page.put([(b"1", b"2")])
            with waiting(
                shop,
                f"insert into t values {more}",
                "update t set x = 3 where id = 2",
                "update t set x = 3 where id = 1",
            ):
                wait_for_a_lock(shop)
                page.put([(b"2", b"2")])
        assert shop.execute("select * from t") == [(1, 1), (2, 1)]
        with target.page(into("id", "x")) as page:
            assert page.put([(b"1", b"2"), (b"2", b"2")]).updated == 2


def test_a_state_is_kept_whole(shop: Shop) -> None:
    shop.execute("create table t (id int primary key)")
    kept = state(
        job="a'b%s", item="shop.t \N{PILE OF POO} " + "x" * 400, mode="incremental", phase="deletes",
        position=(b"2024-01-01 00:00:00.5", b"\xff\x00'"), watermark=b"2024-01-01", bound=b"9",
        fresh=True, full_at="2026-11-26T00:00:00+00:00", counts=Counts(6, 1, 2, 3, 4, 5),
        details={"a": [1, {"b": None}], "t": "é"},
    )  # fmt: skip
    with shop.target("t") as target:
        assert target.peek(kept.job, kept.item) is None
        assert target.claim(kept) is None
        assert target.peek(kept.job, kept.item) == kept
        assert target.peek(kept.job, kept.item + " ") is None
        changed = replace(kept, position=None, watermark=None, counts=Counts())
        with target.page(into("id")) as page:
            page.save(changed)
        assert target.claim(kept) == changed
        with target.page(into("id"), rehearse=True) as page:
            page.save(changed)
        assert target.peek(kept.job, kept.item) == kept


def test_who_was_given_up_can_not_write(shop: Shop) -> None:
    shop.execute("create table t (id int primary key)")
    changes: list[dict[str, Any]] = [{"attempt": 2}, {"epoch": 2}, {"owner": "other"}]
    pairs = [(first, replace(first, claim=replace(first.claim, **changed)))
             for changed in changes for first in [state()]]  # fmt: skip
    with shop.target("t") as mine, shop.target("t") as theirs:
        for first, claim in [*pairs, (state(), state())]:
            mine.claim(first)
            with pytest.raises(Fenced), mine.page(into("id")) as page:
                page.put([(b"1",)])
                assert theirs.claim(claim) == first
                page.save(first)
        assert mine.is_empty()


def test_a_claim_waits_for_a_page_under_way(shop: Shop) -> None:
    shop.execute("create table t (id int primary key)")
    first, second = state(), state()
    moved = replace(first, position=(b"1",))
    found = []

    def claim() -> None:
        with shop.target("t") as theirs:
            found.append(theirs.claim(second))

    with shop.target("t") as mine:
        mine.claim(first)
        thread = threading.Thread(target=claim)
        with mine.page(into("id")) as page:
            page.save(moved)
            thread.start()
            wait_for_a_lock(shop)
        thread.join()
    assert found == [moved]


def test_two_that_claim_at_once_both_do(shop: Shop) -> None:
    shop.execute("create table t (id int primary key)")
    found: list[Any] = []

    def claim() -> None:
        with shop.target("t") as target:
            for _ in range(3):
                try:
                    found.append(target.claim(state()))
                except Busy as error:
                    found.append(error)

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each for each in found if isinstance(each, SyncdError)] == []
    assert found.count(None) == 1


def test_who_may_not_write_is_told(shop: Shop) -> None:
    shop.execute("create table t (id int primary key)")
    with fresh_user(shop.server, f"SELECT, CREATE TEMPORARY TABLES ON {shop.database}.*") as user:
        tables = MySQLTables(access(shop.server, user))
        with tables.target(context(), shop.relation("t"), shop.database) as target:
            with pytest.raises(Permission):
                target.claim(state())
            with pytest.raises(Permission), target.page(into("id")) as page:
                page.put([(b"1",)])


def test_a_server_that_only_reads_is_no_fault_of_rows() -> None:
    with private_mariadb() as server, fresh_shop(server) as shop:
        shop.execute("create table t (id int primary key)")
        user_may = "revoke read_only admin, super on *.* from copier@'%'"
        shop.execute(user_may, "set global read_only = 1")
        try:
            with shop.target("t") as target:
                with (
                    pytest.raises(BadData, match="read-only") as caught,
                    target.page(into("id")) as page,
                ):
                    page.put([(b"1",)])
                assert not isinstance(caught.value, Refused)
        finally:
            shop.execute("set global read_only = 0")


def test_a_server_that_dies_in_a_page() -> None:
    with private_mariadb() as server, fresh_shop(server) as shop:
        shop.execute("create table t (id int primary key)")
        with (
            shop.target("t") as target,
            pytest.raises(Network),
            target.page(into("id")) as page,
        ):
            page.put([(b"1",)])
            server.kill()
            page.put([(b"2",)])
        server.start()
        assert shop.read("t") == []


def test_a_session_that_is_killed_is_network(shop: Shop) -> None:
    shop.execute("create table t (id int primary key)")
    with shop.target("t") as target, pytest.raises(Network), target.page(into("id")) as page:
        page.put([(b"1",)])
        ((number,),) = shop.execute(
            f"select id from information_schema.processlist where user = '{COPIER}' and db = database()"
        )
        shop.execute(f"kill {number}")
        page.put([(b"2",)])
    assert shop.read("t") == []


@pytest.mark.parametrize("fresh", [True, False])
def test_a_cancel_ends_a_long_insert_at_once_and_on_the_server_too(shop: Shop, fresh: bool) -> None:
    shop.execute(
        "create table t (id int primary key)",
        "create trigger slow before insert on t for each row set @x = sleep(0.5)",
    )
    cancel = CancelSource()
    timer = threading.Timer(0.4, cancel.cancel, [Cancelled("enough")])
    began = time.monotonic()
    with (
        pytest.raises(Cancelled),
        shop.target("t", context(source=cancel)) as target,
        target.page(into("id", fresh=fresh)) as page,
    ):
        timer.start()
        page.put([(b"%d" % number,) for number in range(1000)])
    assert time.monotonic() - began < 2
    timer.join()
    for _ in range(100):
        if shop.execute("select count(*) from information_schema.innodb_trx") == [(0,)]:
            break
        time.sleep(0.02)
    else:
        pytest.fail("the transaction is still open")
    assert shop.execute("select count(*) from t") == [(0,)]


def test_a_full_disk_is_the_servers(mariadb: MariaDbServer) -> None:
    for number, text in [(1114, "The table 't' is full"), (3, "Error writing file (Errcode: 28)"),
                         (1030, 'Got error 28 "No space left on device" from storage engine InnoDB'),
                         (1021, "Disk full (/tmp)"), (1026, "Error writing file")]:  # fmt: skip
        assert isinstance(mapped(pymysql.err.OperationalError(number, text)), Network)
    assert isinstance(
        mapped(pymysql.err.OperationalError(1030, "Got error 1 from engine")), BadData
    )


def test_a_snapshot_that_is_lost_is_no_fault_of_the_data(shop: Shop) -> None:
    shop.execute("create table t (id int primary key)", "insert into t values (1)")
    with shop.source("t", snapshot=True) as source:
        shop.execute("alter table t add column x int, algorithm = copy")
        with pytest.raises(Conflict, match="the snapshot was lost"):
            list(source.rows(["id"], Span(("id",)), 9))


def test_a_reader_that_is_killed_among_rows_is_network(shop: Shop) -> None:
    query = "select seq as id, repeat('x', 5000) as x from seq_1_to_1000000"
    with (
        pytest.raises(Network),
        shop.source("q", query=query, key=("id",)) as source,
    ):
        parts = source.rows(["id", "x"], Span(("id",)), 10**6)
        next(parts)
        ((number,),) = shop.execute(
            f"select id from information_schema.processlist where user = '{COPIER}' and db = database()"
        )
        shop.execute(f"kill {number}")
        list(parts)


@pytest.mark.parametrize(
    "options",
    [
        {"sql_notes": "0"}, {"max_error_count": "0"}, {"sql_mode": ""},
        {"character_set_client": "latin1"}, {"character_set_connection": "latin1"},
        {"character_set_results": "latin1"},
    ],
)  # fmt: skip
def test_no_option_lets_values_change(shop: Shop, options: dict[str, str]) -> None:
    shop.execute("create table t (id int primary key, d decimal(5,1), x varchar(20))")
    tables = shop.tables(options=options)
    with (
        tables.target(context(), shop.relation("t"), shop.database) as target,
        target.page(into("id", "d", "x")) as page,
    ):
        page.put([(b"1", b"1.5", "ä😀'\\".encode())])
        with pytest.raises(Refused):
            page.put([(b"2", b"1.55", None)])
    with tables.source(context(), shop.relation("t"), snapshot=False) as source:
        rows = [row for part in source.rows(("id", "d", "x"), Span(("id",)), 9) for row in part]
    assert rows == [(b"1", b"1.5", "ä😀'\\".encode())]

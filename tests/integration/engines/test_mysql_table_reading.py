# ruff: noqa: E501, PT012
"""Tables of MariaDB are read by pages, exactly, and with a bounded effort."""

import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from engine_run import context
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mysql_helpers import access, fresh_user
from mysql_tables import Shop

from syncd.context import CancelSource
from syncd.engines.mysql.packets import LARGEST
from syncd.engines.mysql.spans import condition
from syncd.engines.mysql.tables import MySQLTables
from syncd.errors import BadData, Cancelled, ConfigurationError
from syncd.model.copy import Edge, Span
from syncd.model.table import Row


def test_values_of_each_type(shop: Shop) -> None:
    shop.execute(
        "create table t (id int primary key, f float, d double, dd double(10,2), n decimal(20,4),"
        " z decimal(8,2) zerofill, u bigint unsigned, y year, b bit(9), ti time(3), dt datetime(6),"
        " ts timestamp(2) null, da date, e enum('a','it''s'), s set('p','q'), x varchar(9)"
        " character set latin1, bl blob, g point, i inet6, uu uuid)",
        "insert into t values (1, 16777217, 1e300, 3.1, -0.5, 1.5, 18446744073709551615, 0, 5,"
        " '-838:59:59', '2024-02-29 23:59:59.5', '2024-01-01 00:00:00', '0000-00-00', 'it''s',"
        " 'q,p', 'é', x'00ff27', point(1,2), '::1', uuid())",
        "insert into t (id, f, d, dt, da, e) values (2, 0.1, 0.1, '2024-00-00', '2024-02-00', 'no'),"
        " (3, -0e0, 5e-324, '9999-12-31 23:59:59.999999', '1000-01-01', null)",
    )
    first, second, third = shop.read("t")
    assert first[:18] == (
        b"1", b"16777216", b"1e300", b"3.1", b"-0.5000", b"1.50", b"18446744073709551615", b"0",
        b"000000101", b"-838:59:59", b"2024-02-29 23:59:59.5", b"2024-01-01 00:00:00",
        b"0000-00-00", b"it's", b"p,q", "é".encode(), b"\x00\xff'",
        bytes.fromhex("000000000101000000000000000000F03F0000000000000040"),
    )  # fmt: skip
    assert first[18] == b"::1"
    assert second[1:3] == (b"0.10000000149011612", b"0.1")
    assert (second[10], second[12], second[13]) == (b"2024-00-00 00:00:00", b"2024-02-00", b"")
    assert third[2] in (b"5e-324", b"4.9e-324", b"4.94e-324", b"4.940656458412465e-324")
    assert third[10] == b"9999-12-31 23:59:59.999999"
    assert third[13] is None


def test_rows_of_all_sizes_come_whole(shop: Shop, large_packets: None) -> None:
    shop.execute("create table t (id int primary key, a longblob, b longtext)")
    sizes = [0, 250, 251, 65_535, 65_536, 2**24 - 20, 2**24 - 1, 2**24, 2**24 + 5, 2 * 2**24]
    with shop.server.connect(database=shop.database) as connection, connection.cursor() as cursor:
        for at, size in enumerate(sizes):
            cursor.execute(f"insert into t values ({at}, repeat(x'ff', {size}), 'after')")
            cursor.execute(f"insert into t values ({at} + 100, null, 'none')")
    rows = shop.read("t")
    assert [len(row[1] or b"") for row in rows] == sizes + [0] * len(sizes)
    assert {row[2] for row in rows} == {b"after", b"none"}


def test_a_row_that_is_too_large_fails_before_it_is_read(shop: Shop, large_packets: None) -> None:
    shop.execute(
        "create table t (id int primary key, a longblob)",
        "insert into t values (1, 'small')",
    )
    with shop.server.connect(database=shop.database) as connection, connection.cursor() as cursor:
        cursor.execute(f"insert into t values (7, repeat('x', {LARGEST // 2}))")
    query = "select id, if(id = 7, concat(a, a, 'x'), a) as a from t"
    with (
        pytest.raises(BadData, match=r"\(query\), from the first row on: a row is larger than 256"),
        shop.source("q", query=query, key=("id",)) as source,
    ):
        list(source.rows(["a"], Span(("id",)), 10))


KEYS = [
    ("a int, b varchar(9) collate utf8mb4_general_ci", [["-5", "0", "7"], ["'A'", "'b'", "''", "'z '"]]),
    ("a enum('z','a','m'), b bit(5)", [["'z'", "'a'", "'m'"], ["b'0'", "b'11111'", "b'1'"]]),
    ("a decimal(10,2), b varbinary(4)", [["-1.5", "0", "10.01"], ["x'00'", "x''", "x'ff'"]]),
    ("a datetime(3), b float", [["'2024-01-01'", "'0000-00-00'"], ["16777217", "0.1", "-3"]]),
    ("a time(1), b date", [["'-1:00:00.5'", "'838:59:59'"], ["'2024-01-01'", "'1000-01-01'"]]),
    ("a timestamp(6) null, b varchar(5) character set latin1", [["'2024-01-01'", "'2030-01-01 1:2:3.4'"], ["'é'", "'f'"]]),
    ("a set('x','y'), b uuid", [["'x'", "'y'", "'x,y'", "''"], ["'00000000-0000-0000-0000-000000000001'", "'f0000000-0000-0000-0000-000000000001'"]]),
    ("a year, b inet6", [["2024", "0", "1999"], ["'::1'", "'ff::'"]]),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "values"), KEYS)
def test_pages_of_each_kind_of_key_are_all_rows_in_order(
    shop: Shop, columns: str, values: list[list[str]]
) -> None:
    rows = ", ".join(f"({', '.join(pair)})" for pair in product(*values))
    shop.execute(f"create table t ({columns}, primary key (a, b))", f"insert into t values {rows}")
    order = ("a", "b")
    with shop.source("t") as source:
        whole = [row for part in source.rows(order, Span(order), 99) for row in part]
        assert len(whole) == len(values[0]) * len(values[1])
        for size in (1, 2):
            paged: list[Row] = []
            start = None
            while page := [r for p in source.rows(order, Span(order, start), size) for r in p]:
                paged += page
                start = Edge(page[-1])
            assert paged == whole
        for at, key in enumerate(whole):
            assert source.count(Span(order, Edge(key))) == len(whole) - at - 1
            assert source.count(Span(order, Edge(key, inclusive=True))) == len(whole) - at
            assert source.count(Span(order, None, Edge(key))) == at
            assert source.count(Span(order, None, Edge(key, inclusive=True))) == at + 1
            assert source.edge(Span(order), at + 1) == (key if at + 1 < len(whole) else None)
            of_first = [row for row in whole if row[0] == key[0]]
            first = Span(order, Edge(key[:1], inclusive=True), Edge(key[:1], inclusive=True))
            assert source.count(first) == len(of_first)
            assert source.count(Span(order, Edge(key[:1]), Edge(key[:1]))) == 0
        assert source.existing(order, whole) == set(whole)


numbers = st.integers(0, 3)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sets(st.tuples(numbers, numbers, numbers)),
    st.tuples(numbers, numbers, numbers),
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
)
def test_edges_cut_as_tuples_compare(shop: Shop, keys: set[tuple[int, int, int]], edge: tuple[int, int, int], length: int, inclusive: bool, start: bool) -> None:  # fmt: skip
    shop.execute("create table if not exists k (a int, b int, c int, primary key (a, b, c))")
    shop.execute("delete from k", *(f"insert into k values {key}" for key in keys))
    place = Edge(tuple(str(each).encode() for each in edge[:length]), inclusive)
    order = ("a", "b", "c")
    span = Span(order, start=place) if start else Span(order, end=place)
    prefix = edge[:length]
    if start:
        wanted = [k for k in keys if k[:length] > prefix or (inclusive and k[:length] == prefix)]
    else:
        wanted = [k for k in keys if k[:length] < prefix or (inclusive and k[:length] == prefix)]
    with shop.source("k") as source:
        assert source.count(span) == len(wanted)


def test_a_span_is_a_range_of_the_index(shop: Shop) -> None:
    shop.execute(
        "create table t (u datetime(6), id bigint unsigned, x varchar(20) character set utf8mb3,"
        " primary key (id), key (u, id), key (x))",
        "insert into t select now(6) - interval seq second, seq, seq from seq_1_to_20000",
        "analyze table t",
    )
    spans = [
        (Span(("id",), Edge((b"19990",))), 10),
        (Span(("id",), Edge((b"5",)), Edge((b"9",))), 4),
        (Span(("u", "id"), Edge((datetime.now(UTC).replace(tzinfo=None).isoformat(" ").encode(),))), 1),
        (Span(("x",), Edge((b"9999",))), 1),
    ]  # fmt: skip
    with shop.source("t") as source:
        for span, rows in spans:
            where = condition(source.shape, span)
            order = ", ".join(span.order)
            plan = shop.execute(f"explain select * from t where {where} order by {order} limit 10")
            assert plan[0][3] == "range", plan
            assert int(plan[0][8]) <= rows + 1, plan
            assert "filesort" not in plan[0][9], plan


def test_nulls_are_in_no_span(shop: Shop) -> None:
    shop.execute(
        "create table t (id int primary key, u datetime, key (u))",
        "insert into t values (1, null), (2, '2024-01-01'), (3, null), (4, '2024-01-02')",
    )
    order = ("u", "id")
    with shop.source("t") as source:
        assert source.count() == 4
        assert source.count(null="u") == 2
        assert source.count(Span(order, Edge((b"2023-01-01",)))) == 2
        assert source.count(Span(order, None, Edge((b"2025-01-01",)))) == 2


def test_a_snapshot_stays_and_what_exists_is_asked_now(shop: Shop) -> None:
    shop.execute("create table t (id int primary key)", "insert into t values (1), (2)")
    with shop.source("t", snapshot=True) as source:
        shop.execute("delete from t where id = 1", "insert into t values (3)")
        rows = [row for part in source.rows(["id"], Span(("id",)), 9) for row in part]
        assert rows == [(b"1",), (b"2",)]
        assert source.count() == 2
        assert source.existing(["id"], [(b"1",), (b"3",), (b"4",)]) == {(b"3",)}


def test_nothing_is_written_by_a_source(shop: Shop) -> None:
    shop.execute("create table t (id int primary key)")
    query = "select nextval(s) as id"
    shop.execute("create sequence s")
    with pytest.raises(BadData), shop.source("q", query=query, key=("id",)) as source:
        list(source.rows(["id"], Span(("id",)), 9))


def test_rows_that_nobody_wants_any_more_cost_nothing(shop: Shop) -> None:
    with shop.source("q", query="select a.seq as id, repeat('x', 5000) as x from seq_1_to_1000000 a", key=("id",)) as source:  # fmt: skip
        parts = source.rows(["id", "x"], Span(("id",)), 10**6)
        next(parts)
        began = time.monotonic()
        parts.close()  # type: ignore[attr-defined]
        assert time.monotonic() - began < 0.5


def test_a_table_that_is_changed_or_dropped_under_its_reader(shop: Shop) -> None:
    shop.execute("create table t (id int primary key, x int)")
    with shop.source("t") as source:
        shop.execute("alter table t drop column x")
        with pytest.raises(BadData, match="from the first row on: Unknown column"):
            list(source.rows(["x"], Span(("id",)), 9))
        shop.execute("drop table t")
        with pytest.raises(BadData, match="doesn't exist"):
            source.count()


def test_a_cancel_ends_a_read_at_once_and_on_the_server_too(shop: Shop) -> None:
    shop.execute("create table t (id int primary key)", "insert into t values (1), (2)")
    cancel = CancelSource()
    query = "select id, sleep(60) as s from t"
    timer = threading.Timer(0.3, cancel.cancel, [Cancelled("enough")])
    timer.start()
    began = time.monotonic()
    with (
        pytest.raises(Cancelled),
        shop.source("q", query=query, key=("id",), ctx=context(source=cancel)) as source,
    ):
        list(source.rows(["s"], Span(("id",)), 9))
    assert time.monotonic() - began < 1.3
    timer.join()
    running = "select count(*) from information_schema.processlist where info like %s and id <> connection_id()"
    with shop.server.connect() as connection, connection.cursor() as cursor:
        for _ in range(100):
            cursor.execute(running, ["select %sleep(60)%"])
            if cursor.fetchone() == (0,):
                break
            time.sleep(0.01)
        else:
            pytest.fail("the statement still runs")


def moment(value: bytes | None) -> datetime:
    assert value is not None
    return datetime.fromisoformat(value.decode())


def utcnow() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def test_the_bound_is_now_where_nobody_writes(shop: Shop) -> None:
    shop.execute("create table t (id int primary key, d datetime, ts timestamp null, da date)")
    with shop.source("t") as source:
        for column in ("d", "ts"):
            found = moment(source.bound(column, ""))
            assert timedelta(0) < utcnow() - found < timedelta(seconds=10)
        assert source.bound("id", "") is None
        assert source.bound("da", "UTC") in {
            str((utcnow() - timedelta(seconds=s)).date()).encode() for s in (0, 5)
        }
        tokyo = moment(source.bound("d", "Asia/Tokyo"))
        assert timedelta(hours=8, minutes=59) < tokyo - utcnow() < timedelta(hours=9)
        with pytest.raises(ConfigurationError):
            source.bound("d", "Mars/Olympus")


def test_the_bound_stays_below_who_writes_but_not_below_who_reads(shop: Shop) -> None:
    shop.execute(
        "create table t (id int primary key, ts timestamp null)", "insert into t values (1, null)"
    )
    with (
        shop.server.connect(database=shop.database) as writer,
        shop.server.connect(database=shop.database) as reader,
        shop.source("t") as source,
    ):
        with reader.cursor() as cursor:
            cursor.execute("start transaction with consistent snapshot")
            cursor.execute("select * from t")
        with writer.cursor() as cursor:
            cursor.execute("start transaction")
            cursor.execute("update t set ts = now()")
        began = utcnow()
        time.sleep(2.2)
        assert moment(source.bound("ts", "")) <= began
        writer.rollback()
        time.sleep(0.2)
        assert moment(source.bound("ts", "")) > began - timedelta(seconds=1)


def test_the_bound_of_who_may_not_know_is_none(shop: Shop) -> None:
    shop.execute("create table t (id int primary key, ts timestamp null)")
    with fresh_user(shop.server, f"SELECT ON {shop.database}.*") as user:
        tables = MySQLTables(access(shop.server, user))
        with tables.source(context(), shop.relation("t"), snapshot=False) as source:
            assert source.bound("ts", "") is None


BACK: list[tuple[str, bytes, str, bytes]] = [
    ("n", b"100", "7", b"93"),
    ("n", b"3", "10", b"-7"),
    ("d", b"1.50", "0.25", b"1.25"),
    ("dt", b"2024-03-01 00:00:00", "86400", b"2024-02-29 00:00:00"),
    ("dt", b"2024-03-01 00:00:00.5", "0.25", b"2024-03-01 00:00:00.25"),
    ("ts", b"2024-03-01 00:00:00", "600", b"2024-02-29 23:50:00"),
    ("da", b"2024-03-01", "600", b"2024-02-29"),
    ("da", b"0000-00-00", "600", b"0000-00-00"),
    ("dt", b"0001-01-01 00:00:00", "600", b"0001-01-01 00:00:00"),
]


@pytest.mark.parametrize(("column", "value", "lookback", "wanted"), BACK)
def test_what_lies_before(
    shop: Shop, column: str, value: bytes, lookback: str, wanted: bytes
) -> None:
    shop.execute(
        "create table t (n bigint, d decimal(9,2), dt datetime(6), ts timestamp, da date, x text)"
    )
    with shop.source("t") as source:
        assert source.back(column, value, lookback) == wanted
        with pytest.raises(BadData, match="no order over time"):
            source.back("x", value, lookback)


def test_a_key_that_is_no_number_is_no_statement(shop: Shop) -> None:
    shop.execute("create table t (id int primary key, d date)")
    with shop.source("t") as source:
        bad: Any
        for bad in (b"1 or 1=1", b"", b"1;drop table t", b"\xff"):
            with pytest.raises(BadData):
                source.count(Span(("id",), Edge((bad,))))
        with pytest.raises(BadData):
            source.count(Span(("d",), Edge((b"' or '1",))))


def test_an_error_in_the_middle_of_rows_leaves_the_session_alone(shop: Shop) -> None:
    shop.execute("create table t (id int primary key, j text)")
    shop.execute("insert into t select seq, repeat('x', 900) from seq_1_to_2000")
    query = "select id, j, if(id = 1500, (select 1 union select 2), 3) as bad from t"
    with shop.source("q", query=query, key=("id",)) as source:
        rows = []
        with pytest.raises(BadData, match="more than 1 row"):
            for part in source.rows(["id", "bad"], Span(("id",)), 10**6):
                rows += part
        assert source.count() == 2000


def test_a_query_is_described_without_being_carried_out(shop: Shop) -> None:
    query = "select count(*) as n, sum(sleep(30)) as s from seq_1_to_9"
    began = time.monotonic()
    with shop.source("q", query=query, key=("n",)) as source:
        assert [each.name for each in source.shape.columns] == ["n", "s"]
    assert time.monotonic() - began < 5


def test_keys_are_the_same_however_numbers_are_spelled(shop: Shop) -> None:
    shop.execute(
        "create table t (d decimal(9,2), f double, primary key (d, f))",
        "insert into t values (1.5, 1e3)",
    )
    given = [(b"1.5", b"1000"), (b"1.500", b"1e+3"), (b"1.51", b"1000")]
    with shop.source("t") as source:
        assert source.existing(["d", "f"], given) == set(given[:2])


def test_a_large_row_is_a_part_of_its_own(shop: Shop, large_packets: None) -> None:
    shop.execute("create table t (id int primary key, x longblob)")
    with shop.server.connect(database=shop.database) as connection, connection.cursor() as cursor:
        for at, size in enumerate([9, 9, 2**25, 9, 3 * 2**20, 9]):
            cursor.execute(f"insert into t values ({at}, repeat('x', {size}))")
    with shop.source("t") as source:
        parts = [[row[0] for row in part] for part in source.rows(["id", "x"], Span(("id",)), 99)]
    assert [b"2"] in parts
    assert [each for part in parts for each in part] == [b"%d" % at for at in range(6)]

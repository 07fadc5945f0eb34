"""Reading tables of PostgreSQL that make it hard."""

import threading
import time
from collections.abc import Iterator

import pytest
from debian_postgres import PrivateServer
from engine_run import context
from postgresql_tables import Shop, everything

from syncd.context import CancelSource
from syncd.engines.postgresql import long_rows
from syncd.engines.postgresql.rights import PostgreSQLRights
from syncd.engines.tables import Busy
from syncd.errors import BadData, Cancelled, Conflict, Network
from syncd.model.copy import Edge, Span
from syncd.model.table import Row

BINARY = "postgresql-binary"


@pytest.fixture(scope="module")
def shop(server: PrivateServer) -> Iterator[Shop]:
    with server.database() as name:
        yield Shop(server, name)


@pytest.fixture(autouse=True)
def tables(shop: Shop) -> None:
    shop.execute("drop table if exists t cascade", "create table t (id int primary key, v text)")


def test_texts_are_paged_in_the_order_of_their_own_collation(shop: Shop) -> None:
    shop.execute(
        "drop table t",
        'create table t (id text collate "C.utf8" primary key, n int)'
        if shop.server.version != "15"
        else 'create table t (id text collate "en-x-icu" primary key, n int)',
        "insert into t select v, 1 from unnest(array['a', 'B', 'b', 'A', 'ä', 'z', '_', 'é', '',"
        " 'a b', 'ab', 'a-b', E'\\'', '😀', '%']) v",
    )
    with shop.source("t") as source:
        seen: list[bytes | None] = []
        at: Edge | None = None
        while rows := [r for part in source.rows(["id"], Span(("id",), at), 2) for r in part]:
            seen += [row[0] for row in rows]
            at = Edge((rows[-1][0] or b"",))
            assert (
                source.edge(Span(("id",), None, Edge(at.values, inclusive=True)), 1) is not None
                or len(seen) == 1
            )
    assert len(seen) == len(set(seen)) == 15
    ordered = [text.encode() for (text,) in shop.rows("select id from t order by id")]
    assert seen == ordered


def test_numbers_that_are_none_come_last_and_once(shop: Shop) -> None:
    shop.execute(
        "drop table t",
        "create table t (id float8 primary key)",
        "insert into t values ('NaN'), ('Infinity'), ('-Infinity'), (0.1), ('-0')",
    )
    with shop.source("t") as source:
        assert [row[0] for row in everything(source, ["id"])] == [
            b"-Infinity", b"-0", b"0.1", b"Infinity", b"NaN",
        ]  # fmt: skip
        assert source.edge(Span(("id",), Edge((b"Infinity",))), 1) is None
        assert source.count(Span(("id",), Edge((b"Infinity",)))) == 1
        assert source.count(Span(("id",), Edge((b"NaN",)))) == 0
        assert source.existing(["id"], [(b"NaN",), (b"0",), (b"1",)]) == {(b"NaN",), (b"0",)}


def test_rows_with_null_in_the_order_are_in_no_span_with_an_end(shop: Shop) -> None:
    shop.execute("insert into t values (1, 'a'), (2, null), (3, 'b')")
    with shop.source("t") as source:
        assert source.count(Span(("v", "id"))) == 3
        assert source.count(Span(("v", "id"), Edge((b"",)))) == 2
        assert source.count(Span(("v", "id"), None, Edge((b"z",)))) == 2
        assert source.count(Span(("id", "v"), Edge((b"0", b"")))) == 2


def test_a_page_uses_the_index_as_a_whole(shop: Shop) -> None:
    shop.execute(
        "drop table t",
        "create table t (a int, b text, c int, primary key (a, b))",
        "insert into t select g % 10, 'v' || g, g from generate_series(1, 20000) g",
        "analyze t",
    )
    with shop.source("t") as source:
        connection = source._connection  # type: ignore[attr-defined]
        before = _read_by_index(shop)
        span = Span(("a", "b"), Edge((b"5", b"v9")), Edge((b"9", b"v"), inclusive=True))
        rows = [row for part in source.rows(["c"], span, 50) for row in part]
        assert source.edge(span, 100) is not None
        connection.execute("select pg_stat_force_next_flush()")
        connection.execute("select 1")
    assert len(rows) == 50
    assert _read_by_index(shop) - before <= 200


def _read_by_index(shop: Shop) -> int:
    [(scanned, read)] = shop.rows(
        "select seq_scan, (select coalesce(sum(idx_tup_read), 0) from pg_stat_user_indexes"
        " where relname = 't') from pg_stat_user_tables where relname = 't'"
    )
    assert scanned <= 1
    return int(read)


@pytest.mark.parametrize("what", ["rows", "blocks"])
def test_a_row_that_is_too_long_is_named_before_it_is_read(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(long_rows, "LIMIT", 3_000_000)
    monkeypatch.setattr(long_rows, "_PACKED", 3_000_000 // 255)
    shop.execute(
        "drop table t",
        "create table t (id int primary key, v text, w bytea, j jsonb)",
        "insert into t select g, 'x', '', '{}' from generate_series(1, 10) g",
        "update t set v = repeat('y', 2900000) where id = 3",
        "update t set v = repeat('x', 2000000), w = convert_to(repeat('x', 1000001), 'UTF8')"
        " where id = 7",
    )
    with shop.source("t") as source:
        short = Span(("id",), None, Edge((b"6",)))
        for span, fails in ((short, False), (Span(("id",)), True)):
            if what == "rows":
                parts: Iterator[object] = source.rows(["id", "v", "w", "j"], span, 99)
            else:
                parts = source.blocks(["id", "v", "w", "j"], span, BINARY)
            if fails:
                with pytest.raises(BadData, match="256 MiB at 7"):
                    list(parts)
            else:
                assert list(parts)


def test_whoever_leaves_early_keeps_the_snapshot(shop: Shop) -> None:
    shop.execute("insert into t select g, repeat('x', 100) from generate_series(1, 200000) g")
    with shop.source("t", snapshot=True) as source:
        shop.execute("delete from t")
        for left in (
            source.rows(["id", "v"], Span(("id",)), 200_000),
            source.blocks(["id", "v"], Span(("id",)), BINARY),
        ):
            next(iter(left))
            assert source.count() == 200_000
            with pytest.raises(RuntimeError):
                next(iter(left))


def test_whoever_leaves_early_ends_the_statement(shop: Shop) -> None:
    shop.execute("insert into t select g, repeat('x', 100) from generate_series(1, 200000) g")
    with shop.source("t") as source:
        left = source.rows(["id", "v"], Span(("id",)), 200_000)
        next(iter(left))
        assert source.count() == 200_000


def test_a_conflict_with_recovery_is_busy_and_ends_a_snapshot(shop: Shop) -> None:
    shop.execute(
        "create or replace function conflict(n int) returns int language plpgsql as $$ begin"
        " raise exception 'canceling statement due to conflict with recovery'"
        " using errcode = '40001'; end $$",
        "insert into t values (1, 'x')",
        "create view failing as select public.conflict(id) as id from t",
    )
    with shop.source("failing", key=("id",)) as source:
        with pytest.raises(Busy, match="recovery"):
            everything(source, ["id"])
        with pytest.raises(Busy):
            everything(source, ["id"])
    with (
        pytest.raises(Conflict, match="snapshot"),
        shop.source("failing", key=("id",), snapshot=True) as source,
    ):
        everything(source, ["id"])
    shop.execute("drop view failing")


def test_a_cancelled_copy_out_of_a_table_ends_at_once(shop: Shop) -> None:
    cancel = CancelSource()
    query = "select a as id, repeat('x', 1000) as v from generate_series(1, 100000000) a"
    timer = threading.Timer(0.3, cancel.cancel, [Cancelled("enough")])
    timer.start()
    with (
        pytest.raises(Cancelled),
        shop.source("", context(source=cancel), query=query, key=("id",), snapshot=True) as source,
    ):
        for _ in source.blocks(["id", "v"], Span(("id",)), BINARY):
            pass
    assert cancel.since is not None
    assert time.monotonic() - cancel.since < 1.5
    timer.join()


def test_a_cut_connection_is_an_error_that_is_tried_again(shop: Shop) -> None:
    query = "select a as id, repeat('x', 1000) as v from generate_series(1, 1000000) a"
    with (  # noqa: PT012
        pytest.raises(Network, match="terminat") as caught,
        shop.source("", query=query, key=("id",)) as source,
    ):
        for number, _ in enumerate(source.blocks(["id", "v"], Span(("id",)), BINARY)):
            if number == 3:
                shop.rows(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where application_name = 'syncd' and query like 'copy%'"
                )
    assert caught.value.retryable


def test_the_bound_is_not_known_to_who_sees_not_all(shop: Shop) -> None:
    shop.execute(
        "drop role if exists narrow",
        "create role narrow login",
        "alter table t add at timestamptz",
        "grant all on t to narrow",
    )
    try:
        with shop.source("t", access={"user": "narrow"}) as source:
            assert source.bound("at", "") is None
        shop.execute("grant pg_read_all_stats to narrow")
        with shop.source("t", access={"user": "narrow"}) as source:
            assert source.bound("at", "") is not None
    finally:
        shop.execute("drop owned by narrow", "drop role narrow")


def test_the_bound_of_a_database_that_subscribes_to_another_is_not_known(shop: Shop) -> None:
    shop.execute(
        "alter table t add at timestamptz",
        "create subscription elsewhere connection '' publication p with (connect = false)",
    )
    try:
        with shop.source("t") as source:
            assert source.bound("at", "") is None
        with PostgreSQLRights(shop.server.access()).looking(context(), shop.database) as looker:
            unseen = looker.readable(shop.relation("t"), [], [], "at").unseen
        assert unseen is not None
        assert "from another server" in unseen.what
    finally:
        shop.execute("alter subscription elsewhere set (slot_name = none)",
                     "drop subscription elsewhere")  # fmt: skip


def test_the_bound_of_a_snapshot_was_taken_before_it(shop: Shop) -> None:
    shop.execute("alter table t add at timestamptz")
    with shop.connect() as connection:
        connection.execute("insert into t (id) values (1)")
        [began] = connection.execute("select (now() at time zone 'UTC')::text").fetchone() or ()
        with shop.source("t", snapshot=True) as source:
            connection.commit()
            assert source.bound("at", "") == began.encode()
            assert source.count() == 0


def test_the_bound_is_no_later_than_what_the_column_makes_of_a_moment(shop: Shop) -> None:
    shop.execute(
        "drop table t",
        "create table t (id int primary key, at timestamptz, s timestamptz(0), m timestamp(3))",
    )
    with shop.source("t", snapshot=True) as source:
        at, second, some = (source.bound(name, "UTC") for name in ("at", "s", "m"))
    assert at is not None
    assert second == some == at.partition(b".")[0]


def test_the_bound_is_below_a_transaction_that_may_write_yet(shop: Shop) -> None:
    shop.execute("drop table t", "create table t (id int primary key, at timestamptz)")
    with shop.connect() as connection:
        [began] = connection.execute("select (now() at time zone 'UTC')::text").fetchone() or ()
        with shop.source("t") as source:
            assert source.bound("at", "") == began.encode()


def test_the_bound_is_told_in_the_zone_of_the_column(shop: Shop) -> None:
    shop.execute(
        f"alter database \"{shop.database}\" set timezone = 'Asia/Shanghai'",
        "alter table t add local timestamp, add day date, add at timestamptz",
    )
    with shop.source("t") as source:
        at = {zone: source.bound("local", zone) for zone in ("UTC", "", "Asia/Shanghai")}
        hours = [(told or b"")[:13] for told in at.values()]
        instant, day = source.bound("at", "UTC"), source.bound("day", "UTC")
    shop.execute(f'alter database "{shop.database}" reset timezone')
    assert hours[1] == hours[2] != hours[0]
    assert instant is not None
    assert instant[:13] == hours[0]
    assert day == hours[0][:10]


def test_what_lies_before_a_number_is_a_number_of_the_column(shop: Shop) -> None:
    shop.execute("alter table t add n numeric, add f float8, add d date, add s smallint")
    with shop.source("t") as source:
        assert source.back("n", b"10.50", "0.5") == b"10.00"
        assert source.back("f", b"1.5", "1") == b"0.5"
        assert source.back("s", b"-32760", "100") == b"-32768"
        assert source.back("d", b"2024-03-01", "1") == b"2024-02-29"
        assert source.back("n", b"NaN", "1") == b"NaN"


def test_a_query_finds_its_tables_in_its_schema(shop: Shop) -> None:
    shop.execute(
        "drop schema if exists other cascade",
        "create schema other",
        "create table other.u (id int primary key, v text)",
        "insert into other.u values (1, '100%')",
        "create type other.kind as enum ('x')",
        "alter table other.u add k other.kind default 'x'",
    )
    query = "select *, '%s' as w from u where v like '100%';  "
    with shop.source("", query=query, schema="other", key=("id",)) as source:
        natives = [column.native for column in source.shape.columns]
        assert natives == ["integer", "text", "other.kind", "text"]
        names = [column.name for column in source.shape.columns]
        assert everything(source, names) == [(b"1", b"100%", b"x", b"%s")]


def test_columns_of_a_query_have_names_of_their_own(shop: Shop) -> None:
    with pytest.raises(BadData, match="same name"), shop.source("", query="select 1 a, 2 a"):
        pass
    with pytest.raises(BadData, match="b"), shop.source("", query="select 1 a", key=("b",)):
        pass


def test_a_materialized_view_a_partitioned_table_and_keys_are_described(shop: Shop) -> None:
    shop.execute(
        "create materialized view m as select * from t",
        "create unique index plain on t (v)",
        "create unique index part on t (v) where id > 1",
        "create unique index expression on t (lower(v))",
        "create unique index covering on t (v, id) include (id)",
    )
    with shop.source("t") as source:
        assert source.shape.unique == (("v", "id"), ("v",))
    with shop.source("m", key=("id",)) as source:
        assert "materialized" in source.shape.trouble
        assert everything(source, ["id"]) == []
    shop.execute("drop materialized view m")


ESCAPES: list[Row] = [
    (b"1", b"\\N"), (b"2", None), (b"3", b"\\"), (b"4", b"\t\n\r\\N\\t"), (b"5", b"\\\\N"),
    (b"6", "\b\f\v😀".encode()), (b"7", b""), (b"8", b"\\."),
]  # fmt: skip


@pytest.mark.parametrize("some", [ESCAPES, ESCAPES[1:2], ESCAPES[:2], ESCAPES[6:]])
def test_escapes_come_through_both_ways(shop: Shop, some: list[Row]) -> None:
    shop.put("t", some)
    assert shop.read("t") == some
    told = {str(key): value for key, value in shop.rows("select id, v from t")}
    assert told == {
        (key or b"").decode(): value if value is None else value.decode() for key, value in some
    }


def test_blocks_are_bounded(shop: Shop) -> None:
    shop.execute("insert into t select g, repeat('x', 100) from generate_series(1, 50000) g")
    with shop.source("t") as source:
        blocks = list(source.blocks(["id", "v"], Span(("id",)), BINARY))
    assert max(map(len, blocks)) < 300_000

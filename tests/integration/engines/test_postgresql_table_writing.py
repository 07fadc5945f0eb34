"""Writing tables of PostgreSQL that make it hard."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from debian_postgres import PrivateServer
from engine_run import context
from postgresql_tables import Shop, into_all

from syncd.context import CancelSource
from syncd.engines.postgresql.table_failures import writing
from syncd.engines.tables import Busy, Into, NewColumn, Refused, Source
from syncd.errors import BadData, Cancelled, Network, Permission, retryable
from syncd.model.copy import Span
from syncd.model.table import Column, Row, Type

BINARY = "postgresql-binary"
LONGEST = "é%s\"'{x}" + "n" * 54  # 63 bytes
INTO = Into(("id", "v"), ("id",), "update")


@pytest.fixture(scope="module")
def shop(server: PrivateServer) -> Iterator[Shop]:
    with server.database() as name:
        yield Shop(server, name)


@pytest.fixture(autouse=True)
def tables(shop: Shop) -> None:
    shop.execute(
        "drop table if exists t, s, parent cascade",
        "create table t (id int primary key, v text)",
        "create table s (id int primary key, v text)",
    )


@pytest.mark.parametrize("there", [(), ("1",), ("7",)])
def test_of_keys_that_are_one_in_two_spellings_the_last_row_counts(
    shop: Shop, there: tuple[str, ...]
) -> None:
    shop.execute("drop table t", "create table t (id numeric primary key, v text)")
    shop.execute(*(f"insert into t values ({each}, 'old')" for each in there))
    rows: list[Row] = [(b"1", b"a"), (b"2", b"b"), (b"1.00", b"c"), (b"1.0", b"d")]
    with shop.target("t") as target, target.page(INTO) as page:
        written = page.put(rows)
    assert (written.duplicates, written.unchanged) == (2, 0)
    assert shop.rows("select id::int, v from t where id < 7 order by 1") == [(1, "d"), (2, "b")]


def test_names_of_63_bytes_with_all_that_is_special(shop: Shop) -> None:
    name = '"' + LONGEST.replace('"', '""') + '"'
    shop.execute(f"drop table if exists {name}")
    assert len(LONGEST.encode()) == 63
    like = Column("x", Type("text"), "text")
    with shop.target(LONGEST) as target:
        target.create([NewColumn(LONGEST, like, Type("text"), False)], [LONGEST], "postgresql")
        with target.page(into_all(target)) as page:
            assert page.put([(b"a",), (b"b",)]).added == 2
        with target.page(replace(into_all(target), conflict="skip")) as page:
            assert page.put([(b"a",), (b"c",)]).added == 1
            page.keep_keys([(b"a",)])
            assert page.missing(5)[0] == 2
            assert page.delete([(b"b",)], "") == 1
        target.settle()
    assert shop.rows(f"select count(*) from {name}") == [(2,)]
    with shop.source(LONGEST) as source:
        assert source.existing([LONGEST], [(b"a",), (b"b",)]) == {(b"a",)}
    shop.execute(f"drop table {name}")


def test_numbers_that_only_the_server_gives_are_taken_and_never_set(shop: Shop) -> None:
    shop.execute(
        "drop table t",
        "create table t (id int primary key, n int generated always as identity,"
        " v text, double int generated always as (id * 2) stored)",
        "insert into t (id, v) values (1, 'a')",
    )
    with shop.target("t") as target:
        assert target.shape is not None
        marks = [(column.identity, column.generated) for column in target.shape.columns]
        assert marks == [(False, False), (True, False), (False, False), (False, True)]
        with target.page(into_all(target)) as page:
            done = page.put([(b"1", b"50", b"b"), (b"2", b"51", b"c")])
        target.settle()
    assert (done.added, done.updated) == (1, 1)
    shop.execute("insert into t (id, v) values (3, 'd')")
    assert shop.rows("select * from t order by id") == [
        (1, 1, "b", 2), (2, 51, "c", 4), (3, 52, "d", 6),
    ]  # fmt: skip


def test_a_serial_goes_on_and_never_back(shop: Shop) -> None:
    shop.execute("drop table t", "create table t (id serial primary key, v text)")
    shop.put("t", [(b"10", b"x")])
    with shop.target("t") as target:
        target.settle()
        target.settle()
    shop.execute("insert into t (v) values ('y')", "delete from t where id > 10")
    with shop.target("t") as target:
        target.settle()
    shop.execute("insert into t (v) values ('z')")
    assert shop.rows("select id from t order by id") == [(10,), (12,)]


def test_constraints_that_wait_for_the_end_refuse_at_once(shop: Shop) -> None:
    shop.execute(
        "create table parent (id int primary key)",
        "insert into parent values (1)",
        "alter table t add foreign key (id) references parent deferrable initially deferred",
    )
    with shop.target("t") as target, target.page(INTO) as page:
        with pytest.raises(Refused, match="foreign key"):
            page.put([(b"1", b"a"), (b"2", b"b")])
        assert page.put([(b"1", b"a")]).added == 1
    assert shop.rows("select id from t") == [(1,)]


def test_a_deletion_that_others_depend_on_is_refused(shop: Shop) -> None:
    shop.execute(
        "insert into t values (1), (2)",
        "create table parent (id int references t deferrable initially deferred)",
        "insert into parent values (1)",
    )
    with shop.target("t") as target, target.page(INTO) as page:
        with pytest.raises(Refused):
            page.delete([(b"1",), (b"2",)], "")
        assert page.delete([(b"2",)], "") == 1
    assert shop.rows("select id from t") == [(1,)]


def test_a_trigger_that_leaves_rows_out_is_noticed(shop: Shop) -> None:
    shop.execute(
        "create or replace function leave_out() returns trigger language plpgsql as"
        " $$ begin if new.v = 'no' then return null; end if; return new; end $$",
        "create trigger picky before insert on t for each row execute function leave_out()",
        "insert into t values (5, 'five')",
    )
    with shop.target("t") as target, target.page(INTO) as page:
        with pytest.raises(Refused, match="not written"):
            page.put([(b"1", b"yes"), (b"2", b"no")])
        assert page.put([(b"1", b"yes")]).added == 1


def test_a_trigger_that_leaves_rows_out_is_noticed_in_an_empty_table(shop: Shop) -> None:
    shop.execute(
        "create or replace function leave_out() returns trigger language plpgsql as"
        " $$ begin if new.v = 'no' then return null; end if; return new; end $$",
        "create trigger picky before insert on t for each row execute function leave_out()",
    )
    with shop.target("t") as target, target.page(INTO) as page:
        with pytest.raises(Refused, match="not written"):
            page.put([(b"1", b"yes"), (b"2", b"no")])
        assert page.put([(b"1", b"yes")]).added == 1


def test_a_row_without_a_partition_is_refused(shop: Shop) -> None:
    shop.execute(
        "drop table t",
        "create table t (id int primary key, v text) partition by range (id)",
        "create table t1 partition of t for values from (1) to (100)",
    )
    with shop.target("t") as target:
        assert target.shape is not None
        assert (target.shape.key, target.shape.trouble) == (("id",), "")
        with target.page(INTO) as page:
            assert page.put([(b"1", b"a")]).added == 1
            with pytest.raises(Refused, match="partition"):
                page.put([(b"100", b"a")])
            done = page.put([(b"1", b"b"), (b"2", b"c")])
            assert (done.added, done.updated) == (1, 1)


@pytest.mark.parametrize("empty", [True, False])
def test_nul_in_a_text_is_refused(shop: Shop, empty: bool) -> None:
    shop.execute(*[] if empty else ["insert into t values (9, 'x')"])
    with shop.target("t") as target, target.page(INTO) as page:
        with pytest.raises(Refused):
            page.put([(b"1", b"a\0b"), (b"2", b"c")])
        with pytest.raises(Refused):
            page.put([(b"1", b"\xff\xfe")])
        assert page.put([(b"2", b"c")]).added == 1


def test_nan_is_a_key_like_another(shop: Shop) -> None:
    shop.execute("drop table t", "create table t (id float8 primary key, v text)")
    rows: list[Row] = [(b"NaN", b"a"), (b"Infinity", b"b"), (b"-0", b"c")]
    shop.put("t", rows)
    done = shop.put("t", [(b"NaN", b"x"), *rows[1:], (b"NaN", b"y"), (b"0", b"d")])
    assert (done.added, done.updated, done.unchanged, done.duplicates) == (0, 2, 1, 2)
    assert shop.rows("select v from t order by id") == [("d",), ("b",), ("y",)]


def test_texts_that_json_and_points_differ_by(shop: Shop) -> None:
    shop.execute(
        "drop table t",
        "create table t (id int primary key, j json, p point, n numeric)",
        "insert into t values (1, '{\"a\": 1}', '(1,2)', 1.0)",
    )
    assert shop.put("t", [(b"1", b'{"a": 1}', b"(1,2)", b"1.0")]).unchanged == 1
    for row in ((b'{"a":1}', b"(1,2)", b"1.0"), (b'{"a":1}', b"(1,3)", b"1.0"),
                (b'{"a":1}', b"(1,3)", b"1.00"), (None, None, None)):  # fmt: skip
        assert shop.put("t", [(b"1", *row)]).updated == 1
        assert shop.put("t", [(b"1", *row)]).unchanged == 1


def test_row_level_security_is_told(shop: Shop) -> None:
    shop.execute(
        "drop role if exists watched",
        "create role watched login",
        "grant all on t to watched",
        "alter table t enable row level security",
        "create policy part_of_it on t using (id > 1)",
    )
    try:
        with shop.target("t", user="watched") as target:
            assert target.shape is not None
            assert "row-level security" in target.shape.trouble
        with shop.source("t", access={"user": "watched"}) as source, pytest.raises(Permission):
            source.count()
        with shop.target("t") as target:
            assert target.shape is not None
            assert target.shape.trouble == ""
    finally:
        shop.execute("drop owned by watched", "drop role watched")


def test_rules_are_told(shop: Shop) -> None:
    shop.execute("create rule nothing as on insert to t do instead nothing")
    with shop.target("t") as target:
        assert target.shape is not None
        assert "rules" in target.shape.trouble


@pytest.mark.parametrize("conflict", ["update", "skip"])
def test_blocks_go_into_an_empty_table_and_over_one_with_rows(shop: Shop, conflict: str) -> None:
    shop.execute("insert into s select g, 'v' || g from generate_series(1, 3000) g")
    into = replace(INTO, conflict=conflict)  # type: ignore[arg-type]
    with shop.source("s") as source, shop.target("t") as target:
        with target.page(into) as page:
            done = page.forward(source.blocks(["id", "v"], Span(("id",)), BINARY), BINARY)
            assert (done.added, done.unchanged) == (3000, 0)
        with pytest.raises(Refused), target.page(into) as page:
            page.forward(source.blocks(["id", "v"], Span(("id",)), BINARY), BINARY)
        with target.page(into) as page:
            done = page.forward(source.blocks(["id", "v"], Span(("id",)), BINARY), BINARY)
            assert (done.added, done.unchanged) == (0, 3000)
        shop.execute("update s set v = 'new' where id <= 5", "delete from t where id > 2998")
        with target.page(into) as page:
            done = page.forward(source.blocks(["id", "v"], Span(("id",)), BINARY), BINARY)
    assert (done.added, done.updated) == (2, 5 if conflict == "update" else 0)


def test_blocks_that_meet_a_row_of_another_are_refused_and_the_rows_go_on(shop: Shop) -> None:
    shop.execute("insert into s select g, 'v' || g from generate_series(1, 100000) g")
    with shop.source("s", snapshot=True) as source, shop.target("t") as target:
        with target.page(INTO) as page:
            shop.execute("insert into t values (50, 'theirs')")  # after the table was found empty
            blocks = source.blocks(["id", "v"], Span(("id",)), BINARY)
            with pytest.raises(Refused):
                page.forward(blocks, BINARY)
            rows = [row for part in source.rows(["id", "v"], Span(("id",)), 99) for row in part]
            done = page.put(rows)
        assert (done.added, done.updated) == (98, 1)
        del blocks


class Again:
    """Blocks that can be had again."""

    def __init__(self, source: Source) -> None:
        self.source, self.times = source, 0

    def __iter__(self) -> Iterator[bytes | memoryview]:
        self.times += 1
        return self.source.blocks(["id", "v"], Span(("id",)), BINARY)


def test_blocks_that_meet_a_row_of_another_are_asked_for_again(shop: Shop) -> None:
    shop.execute("insert into s select g, 'v' || g from generate_series(1, 100000) g")
    with shop.source("s", snapshot=True) as source, shop.target("t") as target:
        with target.page(INTO) as page:
            shop.execute("insert into t values (50, 'theirs')")  # after the table was found empty
            blocks = Again(source)
            done = page.forward(blocks, BINARY)
        assert (done.added, done.updated, blocks.times) == (99_999, 1, 2)
        with target.page(INTO) as page:
            assert page.forward(blocks, BINARY).unchanged == 100_000
        assert blocks.times == 3
    assert shop.rows("select count(*), min(v) from t") == [(100_000, "v1")]


def test_two_that_wait_for_each_other_are_busy(shop: Shop) -> None:
    shop.execute("insert into t values (1, 'a'), (2, 'b')")
    seen: list[BaseException] = []
    soon = {"deadlock_timeout": "100ms"}

    def other() -> None:
        try:
            with shop.target("t", options=soon) as target, target.page(INTO) as page:
                page.put([(b"2", b"y")])
                first.wait(10)
                second.set()
                page.put([(b"1", b"y")])
        except Busy as error:
            seen.append(error)

    first, second = threading.Event(), threading.Event()
    thread = threading.Thread(target=other)
    try:
        with shop.target("t", options=soon) as target, target.page(INTO) as page:
            page.put([(b"1", b"x")])
            thread.start()
            first.set()
            second.wait(10)
            page.put([(b"2", b"x")])
    except Busy as error:
        seen.append(error)
    thread.join(20)
    assert len(seen) == 1
    assert len({v for (v,) in shop.rows("select v from t")}) == 1


def test_a_lock_that_is_held_is_busy_and_the_page_can_be_tried_again(shop: Shop) -> None:
    shop.execute("insert into t values (1, 'a')")
    with shop.target("t", options={"lock_timeout": "100ms"}) as target:
        with shop.connect() as connection:
            connection.execute("update t set v = 'theirs'")
            with pytest.raises(Busy), target.page(INTO) as page:
                page.put([(b"1", b"x")])
        with target.page(INTO) as page:
            assert page.put([(b"1", b"x")]).updated == 1


def test_a_table_that_was_dropped_is_named(shop: Shop) -> None:
    with shop.target("t") as target:
        with target.page(INTO) as page:
            page.put([(b"1", b"x")])
        shop.execute("drop table t")
        with pytest.raises(BadData, match=r"public\.t"), target.page(INTO) as page:
            page.put([(b"2", b"x")])


def test_a_full_disk_is_tried_again_and_says_so() -> None:
    with pytest.raises(Network, match="no room") as caught, writing("shop", context()):
        raise psycopg.errors.DiskFull("could not extend file: No space left on device")
    assert retryable(caught.value)


def test_a_server_that_only_reads_is_told(shop: Shop) -> None:
    shop.execute("insert into t values (1, 'x')")
    with shop.target("t") as target:
        shop.execute("alter table t add column more int")
        target._connection.execute("set default_transaction_read_only = on")  # type: ignore[attr-defined]
        with pytest.raises(BadData, match="read-only"), target.page(INTO) as page:
            page.put([(b"1", b"y")])


def test_a_cancelled_copy_into_a_table_ends_at_once(shop: Shop) -> None:
    cancel = CancelSource()

    def endless() -> Iterator[bytes]:
        n = 0
        while True:
            yield b"".join(b"%d\tv\n" % each for each in range(n, n + 1000))
            n += 1000

    timer = threading.Timer(0.3, cancel.cancel, [Cancelled("enough")])
    timer.start()
    with pytest.raises(Cancelled), shop.target("t", context(source=cancel)) as target:
        _forward(target, endless())
    assert cancel.since is not None
    assert time.monotonic() - cancel.since < 1.5
    timer.join()
    assert shop.rows("select count(*) from t") == [(0,)]


def _forward(target: object, blocks: Iterator[bytes]) -> None:
    with target.page(INTO) as page:  # type: ignore[attr-defined]
        page.forward(blocks, "postgresql-text")


def test_a_cancel_while_a_lock_is_waited_for_ends_at_once(shop: Shop) -> None:
    shop.execute("insert into t values (1, 'a')")
    cancel = CancelSource()
    with shop.connect() as connection:
        connection.execute("update t set v = 'theirs'")
        timer = threading.Timer(0.2, cancel.cancel, [Cancelled("enough")])
        timer.start()
        with (
            pytest.raises(Cancelled),
            shop.target("t", context(source=cancel)) as target,
            target.page(INTO) as page,
        ):
            page.put([(b"1", b"x")])
        assert cancel.since is not None
        assert time.monotonic() - cancel.since < 1.5
        timer.join()

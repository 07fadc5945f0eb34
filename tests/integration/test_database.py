"""Transactions: bounded, cancellable, their errors mapped."""

import threading
import time

import pytest
from dispatch_helpers import SECONDS, Bench
from psycopg.conninfo import make_conninfo

from syncd.context import CancelSource, Deadline
from syncd.errors import BadData, Cancelled, Conflict, StoreError, TimedOut
from syncd.store.database import Store


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("select 1 / 0", BadData),
        ("select E'\\0'", BadData),
        ("insert into scratch values (null)", StoreError),
        ("create unique index on scratch ((1)); insert into scratch values (gen_random_uuid()), "
         "(gen_random_uuid())", Conflict),
        ("select pg_terminate_backend(pg_backend_pid())", StoreError),
    ],
)  # fmt: skip
def test_errors_of_the_driver_become_ours(
    bench: Bench, statement: str, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught, bench.store.transaction() as tx:
        tx.execute(statement)  # type: ignore[call-overload]  # tests' own text
    assert caught.value.__cause__ is not None
    assert bench.one("select count(*) from scratch") == 0  # the pool gives one that works


def test_a_store_out_of_reach_is_told_with_the_reason(dsn: str) -> None:
    store = Store(make_conninfo(dsn, dbname="nowhere"))
    store.open()
    try:
        with pytest.raises(StoreError, match=r'reached: .*database "nowhere" does not exist'):
            store.transaction().__enter__()
    finally:
        store.close()


def test_a_pool_grows_while_it_is_in_use(dsn: str) -> None:
    store = Store(dsn, pool_min=1, pool_max=1)
    store.open()
    try:
        with store.transaction():
            with pytest.raises(StoreError, match="reached"), store.transaction(limit=0.2):
                pass
            store.resize(1, 2)
            with store.transaction() as tx:
                assert tx.execute("select 1").fetchone() == (1,)
    finally:
        store.close()


def test_a_statement_ends_at_the_deadline(bench: Bench) -> None:
    with pytest.raises(TimedOut), bench.store.transaction(Deadline.after(0.1)) as tx:
        tx.execute("select pg_sleep(30)")


def test_a_limit_ends_what_the_deadline_would_let_go_on(bench: Bench) -> None:
    deadline = Deadline.after(SECONDS)
    with pytest.raises(TimedOut), bench.store.transaction(deadline, limit=0.1) as tx:
        tx.execute("select pg_sleep(30)")
    assert deadline.remaining() > SECONDS / 2


def test_statements_that_are_short_end_at_the_limit_of_all(bench: Bench) -> None:
    done = []

    def transact() -> None:
        with bench.store.transaction(limit=0.5) as tx:
            for n in range(100):
                tx.execute("select pg_sleep(0.3)")
                done.append(n)

    with pytest.raises(TimedOut):
        transact()
    assert len(done) < 5
    assert bench.one("select 1") == 1


def test_a_token_that_is_set_between_two_statements_cancels_the_next(bench: Bench) -> None:
    source = CancelSource()

    def transact() -> None:
        with bench.store.transaction(Deadline.after(SECONDS), source.token) as tx:
            tx.execute("select 1")
            source.cancel(Cancelled("by me"))
            tx.execute("select pg_sleep(30)")

    with pytest.raises(Cancelled, match="by me"):
        transact()
    assert bench.one("select 1") == 1


def test_a_deadline_of_months_is_good(bench: Bench) -> None:
    with bench.store.transaction(Deadline.after(90 * 86_400)) as tx:
        assert tx.execute("select 1").fetchone() == (1,)


def test_a_cancelled_token_ends_the_statement_with_its_error(bench: Bench) -> None:
    source = CancelSource()

    def cancel_when_it_sleeps() -> None:
        end = time.monotonic() + SECONDS
        query = "select count(*) from pg_stat_activity where query like 'select pg_sleep%%'"
        while not bench.one(query) and time.monotonic() < end:
            pass
        source.cancel(Cancelled("by me"))

    canceller = threading.Thread(target=cancel_when_it_sleeps)
    canceller.start()
    deadline = Deadline.after(SECONDS)
    with (
        pytest.raises(Cancelled, match="by me"),
        bench.store.transaction(deadline, source.token) as tx,
    ):
        tx.execute("select pg_sleep(30)")
    canceller.join(SECONDS)
    with pytest.raises(Cancelled), bench.store.transaction(None, source.token):
        pytest.fail("a token that is set lets nothing begin")
    assert bench.one("select 1") == 1

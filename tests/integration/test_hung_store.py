"""A server that does not answer any more: whoever waits for it comes back, and it is used again."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from dispatch_helpers import SECONDS, Bench
from frozen import frozen

from syncd.context import CancelSource, Deadline
from syncd.errors import Cancelled, StoreError
from syncd.store import leader
from syncd.store.database import Store
from syncd.store.embedded import EmbeddedPostgres

LATE = 4.5
"""Seconds after its limit in which a wait ends: 2 by design, and some for a busy machine."""


class Hang:
    """Freezes the server and measures for how long; not for good, should nobody come back."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server, self._stack, self._began = server, ExitStack(), 0.0
        self._thaw = threading.Timer(SECONDS, self._stack.close)

    def begin(self) -> None:
        self._stack.enter_context(frozen(self._server))
        self._began = time.monotonic()
        self._thaw.start()

    def seconds(self) -> float:
        return time.monotonic() - self._began

    def end(self) -> None:
        self._thaw.cancel()
        self._stack.close()


@pytest.fixture
def hang(bench: Bench, postgres: EmbeddedPostgres) -> Iterator[Hang]:
    """Give what freezes the server; afterwards the store works again and its pool is whole."""
    assert bench.one("select 1") == 1
    made = Hang(postgres)
    try:
        yield made
    finally:
        made.end()
    assert _eventually(lambda: _works(bench))
    assert _eventually(lambda: _idle(bench) >= 2), bench.store.connections()


def _works(bench: Bench) -> bool:
    with suppress(StoreError):
        return bool(bench.one("select true"))
    return False


def _idle(bench: Bench) -> int:
    """Return how many connections are idle; none while one is in use, or lost."""
    connections = bench.store.connections()
    return 0 if connections["busy"] else connections["idle"]


def _eventually(true: Callable[[], bool]) -> bool:
    end = time.monotonic() + SECONDS
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_no_connection_of_the_pool_is_waited_for_without_end(bench: Bench, hang: Hang) -> None:
    hang.begin()
    for kind in "idle connections", "new ones":
        before = hang.seconds()
        with pytest.raises(StoreError, match="can't be reached"), bench.store.transaction():
            pytest.fail(kind)
        assert hang.seconds() - before < 1 + LATE, kind


def _insert(tx: Any) -> None:
    tx.execute("insert into scratch values (gen_random_uuid())")


def _copy(tx: Any) -> None:
    with tx.cursor().copy("copy scratch from stdin") as copy:
        for _ in range(100_000):  # more than the sockets hold
            copy.write(b"00000000-0000-0000-0000-000000000000\n")


@pytest.mark.parametrize("act", [_insert, _copy, lambda tx: None], ids=["wait", "copy", "commit"])
def test_a_transaction_ends_at_its_limit(
    bench: Bench, hang: Hang, act: Callable[[Any], None]
) -> None:
    def transact() -> None:
        with bench.store.transaction(limit=1.0) as tx:
            _insert(tx)
            hang.begin()
            act(tx)

    with pytest.raises(StoreError, match="does not answer"):
        transact()
    assert hang.seconds() < 1 + LATE


def test_a_statement_without_a_limit_ends_after_a_minute(
    bench: Bench, hang: Hang, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncd.store.database._STATEMENT_LIMIT", 1.0)  # a minute is long

    def transact() -> None:
        with bench.store.transaction() as tx:
            hang.begin()
            _insert(tx)

    with pytest.raises(StoreError, match="does not answer"):
        transact()
    assert hang.seconds() < 1 + LATE


def test_the_error_of_a_block_outlives_a_rollback_that_hangs(bench: Bench, hang: Hang) -> None:
    def transact() -> None:
        with bench.store.transaction(limit=1.0) as tx:
            _insert(tx)
            hang.begin()
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        transact()
    assert hang.seconds() < 1 + LATE


def test_a_cancelled_run_comes_back(bench: Bench, hang: Hang) -> None:
    source, asleep = CancelSource(), threading.Event()

    def cancel() -> None:
        asleep.wait(SECONDS)
        hang.begin()
        source.cancel(Cancelled("by me"))

    def transact() -> None:
        with bench.store.transaction(Deadline.after(2 * SECONDS), source.token) as tx:
            asleep.set()
            tx.execute("select pg_sleep(600)")

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(Cancelled, match="by me"):
        transact()
    assert hang.seconds() < LATE
    canceller.join(SECONDS)


def test_the_lease_is_given_up_before_it_runs_out(bench: Bench, hang: Hang) -> None:
    lease = leader.acquire(bench.store, "a")
    assert lease is not None
    hang.begin()
    with pytest.raises(StoreError):
        lease.renew(bench.store)
    assert hang.seconds() < leader.LEASE_SECONDS - leader.RENEW_SECONDS


def test_the_store_closes_while_the_server_hangs(
    bench: Bench, hang: Hang, migrated_dsn: str
) -> None:
    store = Store(migrated_dsn)
    store.open()

    def transact() -> None:
        with store.transaction(limit=1.0) as tx:
            hang.begin()
            closer.start()
            _insert(tx)

    closer = threading.Thread(target=store.close)
    with pytest.raises(StoreError, match="does not answer"):
        transact()
    closer.join(SECONDS)
    assert not closer.is_alive()
    assert hang.seconds() < 5 + LATE

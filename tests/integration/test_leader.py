"""The lease on the schedule."""

import pytest
from dispatch_helpers import Bench, current_holder

from syncd.errors import Fenced, StoreError
from syncd.store import leader
from syncd.store.database import Store
from syncd.store.leader import Lease


def expire(bench: Bench) -> None:
    bench.execute("update syncd.leader set expires_at = now() - interval '1 s'")


def check(bench: Bench, lease: Lease) -> None:
    with bench.store.transaction() as tx:
        lease.check(tx)


def test_one_leads_at_a_time(bench: Bench) -> None:
    assert current_holder(bench.store) is None
    lease = leader.acquire(bench.store, "a")
    assert lease == Lease("a", 1)
    assert leader.acquire(bench.store, "b") is None
    assert current_holder(bench.store) == "a"
    check(bench, lease)


def test_an_expired_lease_is_taken_over_and_its_holder_fenced_off(bench: Bench) -> None:
    old = leader.acquire(bench.store, "a")
    assert old is not None
    expire(bench)
    assert current_holder(bench.store) is None
    assert leader.acquire(bench.store, "b") == Lease("b", 2)
    with pytest.raises(Fenced):
        check(bench, old)
    with pytest.raises(Fenced):
        old.renew(bench.store)
    old.release(bench.store)
    assert current_holder(bench.store) == "b"


def test_the_same_holder_takes_its_dead_predecessors_lease(bench: Bench) -> None:
    old = leader.acquire(bench.store, "a")
    assert old is not None
    assert leader.acquire(bench.store, "a") == Lease("a", 2)
    with pytest.raises(Fenced):
        old.renew(bench.store)


def test_renewing_extends_even_a_lease_that_ran_out_while_nobody_wanted_it(bench: Bench) -> None:
    lease = leader.acquire(bench.store, "a")
    assert lease is not None
    expire(bench)
    lease.renew(bench.store)
    assert current_holder(bench.store) == "a"
    left = bench.one("select extract(epoch from expires_at - now()) from syncd.leader")
    assert 5 < left <= leader.LEASE_SECONDS


def test_a_released_lease_is_free_at_once(bench: Bench) -> None:
    lease = leader.acquire(bench.store, "a")
    assert lease is not None
    lease.release(bench.store)
    assert leader.acquire(bench.store, "b") == Lease("b", 2)


def test_the_locks_of_a_holder_that_says_nothing_do_not_outlive_its_lease(bench: Bench) -> None:
    """A process frozen in the middle of a message is no idle one to the server."""
    frozen = Store(bench.store.dsn, session=leader.session_of("a"))
    frozen.open()
    lease = leader.acquire(frozen, "a")
    assert lease is not None
    expire(bench)

    def freeze() -> None:
        with frozen.transaction() as tx, tx.pipeline():
            lease.check(tx)
            tx.execute("select 1")  # without the message that would end the pipeline
            tx.pgconn.send_flush_request()
            tx.pgconn.flush()
            assert leader.acquire(bench.store, "b") == Lease("b", 2)

    with pytest.raises(StoreError):
        freeze()
    frozen.close()


def test_only_the_holders_own_connections_are_cut(bench: Bench) -> None:
    other = Store(bench.store.dsn, session=leader.session_of("c"))
    other.open()
    assert leader.acquire(bench.store, "a")
    with other.transaction() as tx:
        expire(bench)
        assert leader.acquire(bench.store, "b")
        assert tx.execute("select 1").fetchone() == (1,)
    other.close()

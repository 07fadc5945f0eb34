"""The threads that run jobs."""

import threading

from dispatch_helpers import SECONDS, plain_log

from syncd.dispatch.workers import WorkerPool, in_parallel


def test_a_worker_outlives_work_that_raises_or_exits() -> None:
    pool, done = WorkerPool(1, plain_log()), threading.Event()

    def leave() -> None:
        raise SystemExit(3)

    pool.submit(leave)
    pool.submit(done.set)
    assert done.wait(SECONDS)
    assert pool.stop(SECONDS)


def test_busy_and_idle_follow_the_work_and_the_size() -> None:
    pool, gate, entered = WorkerPool(2, plain_log()), threading.Event(), []

    def work() -> None:
        entered.append(threading.current_thread().name)
        gate.wait(SECONDS)

    pool.submit(work)
    assert (pool.busy, pool.idle) == (1, 1)
    pool.resize(3)
    assert pool.idle == 2
    gate.set()
    assert pool.stop(SECONDS)
    assert (pool.busy, pool.idle) == (0, 0)
    assert entered[0].startswith("syncd-worker-")


def test_a_worker_that_does_not_come_back_is_told() -> None:
    pool, gate = WorkerPool(1, plain_log()), threading.Event()
    pool.submit(lambda: gate.wait(SECONDS) and None)
    assert not pool.stop(0.01)
    gate.set()
    assert pool.stop(SECONDS)


def test_parallel_work_is_bounded_and_all_done() -> None:
    lock, at_once, most, done = threading.Lock(), 0, 0, []
    pair = threading.Barrier(2)

    def work() -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        pair.wait(SECONDS)
        with lock:
            at_once -= 1
            done.append(1)

    in_parallel(2, [work] * 6)
    assert len(done) == 6
    assert most == 2

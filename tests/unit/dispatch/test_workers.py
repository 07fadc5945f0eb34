"""The threads that run jobs."""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from dispatch_helpers import SECONDS, plain_log

from syncd.dispatch.workers import Piece, WorkerPool, in_parallel


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


def test_workers_that_do_not_come_back_are_told_after_one_time_for_all() -> None:
    pool, gate, begun = WorkerPool(3, plain_log()), threading.Event(), threading.Barrier(4)

    def work() -> None:
        begun.wait(SECONDS)
        gate.wait(SECONDS)

    for _ in range(3):
        pool.submit(work)
    begun.wait(SECONDS)
    since = time.monotonic()
    assert not pool.stop(0.2)
    assert time.monotonic() - since < 0.5
    gate.set()
    assert pool.stop(SECONDS)


def test_work_that_nobody_has_begun_is_done_before_the_pool_stops() -> None:
    pool, done = WorkerPool(1, plain_log()), []
    for n in range(50):
        pool.submit(lambda n=n: done.append(n))
    assert pool.stop(SECONDS)
    assert done == list(range(50))
    assert pool.busy == 0


@dataclass
class Blocked:
    """Work that hangs in the operating system, where no event of ours reaches it."""

    ends: tuple[int, int] = field(default_factory=os.pipe)
    begun: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread = field(default_factory=threading.current_thread)

    def __call__(self) -> None:
        self.thread = threading.current_thread()
        self.begun.set()
        os.read(self.ends[0], 1)

    def let_go(self) -> None:
        os.write(self.ends[1], b"x")

    def close(self) -> None:
        for end in self.ends:
            os.close(end)


@dataclass
class Hanging:
    """A pool, and works that hang in it."""

    pool: WorkerPool
    works: list[Blocked] = field(default_factory=list)

    def hang(self) -> tuple[Blocked, Piece]:
        """Have a thread of the pool hang; return once it does."""
        work = Blocked()
        self.works.append(work)
        piece = self.pool.submit(work)
        assert work.begun.wait(SECONDS)
        return work, piece

    def works_on(self) -> bool:
        """Tell whether the pool does another work."""
        done = threading.Event()
        self.pool.submit(done.set)
        return done.wait(SECONDS) and eventually(lambda: self.counts()[0] == 0)

    def counts(self) -> tuple[int, int, int]:
        return self.pool.busy, self.pool.idle, self.pool.stuck


@pytest.fixture
def one() -> Iterator[Hanging]:
    """Give a pool of one worker."""
    made = Hanging(WorkerPool(1, plain_log()))
    yield made
    for work in made.works:
        work.let_go()
    assert made.pool.stop(SECONDS)
    assert made.counts() == (0, 0, 0)
    for work in made.works:
        work.close()


def eventually(true: Callable[[], bool]) -> bool:
    end = time.monotonic() + SECONDS
    while not true() and time.monotonic() < end:
        time.sleep(0.002)
    return true()


def test_another_takes_the_place_of_a_stuck_thread_which_ends_when_it_is_back(one: Hanging) -> None:
    stuck, piece = one.hang()
    assert one.counts() == (1, 0, 0)
    assert one.pool.give_up(piece)
    assert one.counts() == (0, 1, 1)
    assert not one.pool.give_up(piece), "it is given up already"
    assert one.works_on()
    assert one.counts() == (0, 1, 1)
    stuck.let_go()
    stuck.thread.join(SECONDS)
    assert not stuck.thread.is_alive()
    assert one.counts() == (0, 1, 0)
    assert one.works_on()
    assert not one.pool.give_up(piece), "it is done"


def test_there_are_no_more_replacements_than_workers(one: Hanging) -> None:
    (first, piece), threads = one.hang(), threading.active_count()
    assert one.pool.give_up(piece)
    second, piece = one.hang()
    assert one.pool.give_up(piece)
    assert one.counts() == (0, 0, 2)
    assert threading.active_count() == threads + 1
    second.let_go()
    assert eventually(lambda: one.counts() == (0, 1, 1))
    assert one.works_on(), "the one that came back is the replacement now"
    assert second.thread.is_alive()
    first.let_go()
    first.thread.join(SECONDS)
    assert one.counts() == (0, 1, 0)
    assert one.works_on()


def test_work_that_waits_for_a_thread_is_not_given_up(one: Hanging) -> None:
    (stuck, _), done = one.hang(), threading.Event()
    waiting = one.pool.submit(done.set)
    assert not one.pool.give_up(waiting)
    stuck.let_go()
    assert done.wait(SECONDS)


def test_the_size_can_be_changed_while_threads_are_stuck(one: Hanging) -> None:
    stuck, piece = one.hang()
    one.pool.give_up(piece)
    one.pool.resize(3)
    assert one.counts() == (0, 3, 1)
    others = [one.hang() for _ in range(3)]
    assert one.counts() == (3, 0, 1)
    one.pool.resize(2)
    for _, piece in others:
        one.pool.give_up(piece)
    assert one.counts() == (0, 0, 4)
    for work in (stuck, *(work for work, _ in others)):
        work.let_go()
    assert eventually(lambda: one.counts() == (0, 2, 0))
    assert eventually(lambda: len(living(one.pool)) == 2)
    assert one.works_on()


def living(pool: WorkerPool) -> list[str]:
    return [thread.name for thread in pool._threads if thread.is_alive()]


def test_the_counts_hold_whatever_gets_stuck_and_comes_back() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng, pool = random.Random(seed), WorkerPool(3, plain_log())
    gates: dict[Piece, threading.Event] = {}
    given_up: set[Piece] = set()
    most = 0
    for _ in range(1500):
        size, act = pool.size, rng.choice(["submit", "submit", "give up", "let go", "resize"])
        if act == "submit" and pool.idle:
            gate = threading.Event()
            piece = pool.submit(lambda gate=gate: gate.wait(SECONDS) and None)
            gates[piece] = gate
            assert rng.random() < 0.2 or eventually(lambda piece=piece: piece.begun)
        elif act == "give up" and gates and len(given_up) < 2 * size:
            piece = rng.choice(list(gates))
            if pool.give_up(piece):
                given_up.add(piece)
        elif act == "let go" and gates:
            piece = rng.choice(list(gates))
            gates.pop(piece).set()
            given_up.discard(piece)
        elif act == "resize" and rng.random() < 0.1:
            pool.resize(rng.randrange(1, 6))
        assert pool.busy >= 0
        assert pool.stuck >= len(given_up)
        most = max(most, pool.stuck - size)
        assert 0 <= pool.idle <= pool.size
    assert most > 0, "never more were stuck than there are workers"
    for gate in gates.values():
        gate.set()
    assert eventually(lambda: (pool.busy, pool.idle, pool.stuck) == (0, pool.size, 0))
    assert eventually(lambda: len(living(pool)) == pool.size)
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

"""The timetable against APScheduler 3.11: lateness of jobs due together, CPU at rest, memory.

Lateness is how long after the due time a job is handed over; APScheduler's, how long after it the
job's function begins, in its pool of 20 threads. Each measurement has a process of its own; those
of both take turns, or, where CPU time is measured, run side by side. Ours works by the real clock,
moved so that no cron schedule's minute has to be waited for. When the run stands recorded in the
store is measured with the claim that the dispatcher makes, on the embedded server.

    python -m tests.benchmarks.schedule [--rounds 3]
"""

import argparse
import multiprocessing
import statistics
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from typing import TypeVar
from zoneinfo import ZoneInfo

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from syncd.context import Clock
from syncd.dispatch.board import Board
from syncd.dispatch.holds import Holds
from syncd.dispatch.job_states import JobStates
from syncd.dispatch.ledger import StoreLedger
from syncd.dispatch.timetable import Plan, Timetable
from syncd.model.run import Due
from syncd.store import job_state, leader
from syncd.store.database import Store
from syncd.store.embedded import EmbeddedPostgres
from syncd.store.migrate import migrate
from syncd.triggers.base import Trigger
from syncd.triggers.cron import Cron
from syncd.triggers.interval import Interval
from tests.databases import reachable_directory
from tests.dispatch_helpers import Watcher, plain_log, spec

SIZES = (1_000, 10_000)
LATENESS_GOAL = 0.5  # of APScheduler's p99
CPU_GOAL = 0.5  # % of a CPU, with 10,000 jobs
BYTES_GOAL = 1_000  # a job

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")
DAY = timedelta(days=1)
LEAD = timedelta(seconds=2.5)  # until jobs that were put in are due
SETTLE, MEASURE = 5.0, 8.0  # seconds

T = TypeVar("T")
Lateness = tuple[float, float]
"""The median and the 99th percentile, in ms."""


class ClockAt(Clock):
    """The real clock, set so that it is a given moment now."""

    def __init__(self, now: datetime) -> None:
        self._offset = now - datetime.now(UTC)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset


def lateness(seconds: Sequence[float]) -> Lateness:
    return statistics.median(seconds) * 1e3, statistics.quantiles(seconds, n=100)[98] * 1e3


def plans(triggers: Sequence[Trigger], now: datetime) -> list[Plan]:
    return [Plan(f"job-{n}", trigger, now, "latest", DAY) for n, trigger in enumerate(triggers)]


@contextmanager
def ours(
    clock: Clock, triggers: Sequence[Trigger], due: Callable[[Sequence[Due]], None]
) -> Iterator[None]:
    """Run our timetable with these jobs."""
    timetable = Timetable(clock, plain_log(), due=due, set_back=lambda now: None, tick=lambda: None)
    timetable.change(plans(triggers, clock.now()))
    timetable.start()
    try:
        yield
    finally:
        timetable.stop()


@contextmanager
def apscheduler(triggers: Sequence[BaseTrigger], work: Callable[[], None]) -> Iterator[None]:
    """Run an APScheduler with these jobs."""
    scheduler = BackgroundScheduler(
        executors={"default": ThreadPoolExecutor(20)}, timezone=UTC,
        job_defaults={"misfire_grace_time": None},
    )  # fmt: skip
    for trigger in triggers:
        scheduler.add_job(work, trigger)
    scheduler.start()
    try:
        yield
    finally:
        scheduler.shutdown()


def our_lateness(size: int) -> Lateness:
    """Have cron jobs due in a moment; return how late they are handed over."""
    clock, late, done = ClockAt(NOON - LEAD), [], threading.Event()

    def take(dues: Sequence[Due]) -> None:
        now = clock.now()
        late.extend((now - due.at).total_seconds() for due in dues)
        if len(late) >= size:
            done.set()

    with ours(clock, [Cron("*/30 * * * *", ZONE) for _ in range(size)], take):
        assert done.wait(60)
    return lateness(late)


def peers_lateness(size: int) -> Lateness:
    """Have as many jobs of APScheduler due in the same second; return how late they begin."""
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3 + size // 3_000)
    began: SimpleQueue[datetime] = SimpleQueue()
    triggers = [CronTrigger(second=due.second, timezone=ZONE) for _ in range(size)]
    with apscheduler(triggers, lambda: began.put(datetime.now(UTC))):
        assert datetime.now(UTC) < due, "the jobs were due before all were added"
        late = [(began.get(timeout=60) - due).total_seconds() for _ in range(size)]
    return lateness(late)


def recorded_lateness() -> Mapping[int, tuple[Lateness, float]]:
    """Return, by size, how late our jobs are recorded, and the ms from hand-over to commit."""
    with reachable_directory() as directory:
        server = EmbeddedPostgres(directory)
        store = Store(server.start(60))
        store.open()
        try:
            migrate(store)
            lease = leader.acquire(store, "daemon:bench")
            assert lease is not None
            return {size: record(store, lease, size) for size in SIZES}
        finally:
            store.close()
            server.stop(30)


def record(store: Store, lease: leader.Lease, size: int) -> tuple[Lateness, float]:
    """Claim the due times in a thread that is not the timetable's, as they are handed over."""
    lease.renew(store)
    clock, log, ledger = ClockAt(NOON - LEAD), plain_log(), StoreLedger(store, lease)
    jobs = JobStates(ledger, Holds(store, clock, log), clock, log)
    board, handed, late = Board(ledger, jobs, clock, log), SimpleQueue(), []
    specs = {f"job-{n}": spec(f"job-{n}") for n in range(size)}
    with store.transaction() as tx:
        job_state.forget_others(tx, [])
        schedules = {job: job_state.Schedule("", clock.now()) for job in specs}
        jobs.adopt(specs, job_state.load(tx, schedules))
        tx.execute("truncate syncd.run cascade")
    triggers = [Cron("*/30 * * * *", ZONE) for _ in range(size)]
    with ours(clock, triggers, lambda dues: handed.put((clock.now(), dues))):
        first = None
        while len(late) < size:
            at, dues = handed.get(timeout=60)
            first = first or at
            board.claim(dues, Watcher())
            late.extend((clock.now() - due.at).total_seconds() for due in dues)
        took = (clock.now() - first).total_seconds()
    assert len(board.waiting) == size
    return lateness(late), took * 1e3


def used() -> float:
    """Let the jobs settle; then return the CPU time used, in % of the time that passed."""
    time.sleep(SETTLE)
    wall, cpu = time.perf_counter(), time.process_time()
    time.sleep(MEASURE)
    return 100 * (time.process_time() - cpu) / (time.perf_counter() - wall)


def our_rest(size: int) -> float:
    """Return the CPU that daily and half-hourly jobs use while none is due."""
    clock = ClockAt(NOON + timedelta(minutes=1))
    daily = [Cron(f"{n % 60} {n // 60 % 11} * * *", ZoneInfo("UTC")) for n in range(size // 2)]
    with ours(clock, daily + [Cron("*/30 * * * *", ZONE)] * (size // 2), lambda dues: None):
        return used()


def peers_rest(size: int) -> float:
    hour, minute = datetime.now(UTC).hour, (datetime.now(UTC).minute + 10) % 60
    daily = [CronTrigger(hour=(hour + 2 + n // 60 % 11) % 24, minute=n % 60, timezone=UTC)
             for n in range(size // 2)]  # fmt: skip
    often = [CronTrigger(minute=minute, timezone=ZONE) for _ in range(size // 2)]
    with apscheduler(daily + often, lambda: None):
        return used()


def our_minutely(size: int) -> float:
    """Return the CPU used by jobs that are due every minute, spread over its seconds."""
    triggers = [
        Interval(timedelta(minutes=1), NOON + timedelta(seconds=n % 60)) for n in range(size)
    ]
    with ours(ClockAt(NOON), triggers, lambda dues: None):
        return used()


def peers_minutely(size: int) -> float:
    now = datetime.now(UTC)
    triggers = [
        IntervalTrigger(minutes=1, start_date=now + timedelta(seconds=n % 60), timezone=UTC)
        for n in range(size)
    ]
    with apscheduler(triggers, lambda: None):
        return used()


def our_together(size: int) -> float:
    """Return the CPU used by cron jobs that are due together every minute, over that minute."""
    clock = ClockAt(NOON - timedelta(seconds=SETTLE + 1))
    with ours(clock, [Cron("* * * * *", ZONE) for _ in range(size)], lambda dues: None):
        return used() * MEASURE / 60


def peers_together(size: int) -> float:
    due = datetime.now(UTC) + timedelta(seconds=SETTLE + 5)  # while they are added, and settle
    triggers = [CronTrigger(second=due.second, timezone=ZONE) for _ in range(size)]
    with apscheduler(triggers, lambda: None):
        return used() * MEASURE / 60


def our_bytes(size: int) -> float:
    """Return the bytes of a job: its plan, its trigger, and what the timetable keeps of it."""
    clock = ClockAt(NOON)
    timetable = Timetable(
        clock, plain_log(), due=lambda dues: None, set_back=lambda now: None, tick=lambda: None
    )
    tracemalloc.start()
    crons = [Cron(f"{n % 60} {n // 60 % 24} * * *", ZONE) for n in range(size)]
    timetable.change(plans(crons, clock.now()))
    timetable.start()
    del crons
    time.sleep(SETTLE)
    grown = tracemalloc.get_traced_memory()[0]
    timetable.stop()
    return grown / size


class Children:
    """Measures in processes of their own."""

    def __init__(self, count: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.pool = ProcessPoolExecutor(count, mp_context=spawn, max_tasks_per_child=1)

    def measure(self, work: Callable[..., T], *values: int) -> T:
        """Measure with nothing beside it."""
        return self.pool.submit(work, *values).result()

    def measure_both(
        self, work: Callable[[int], T], peers: Callable[[int], T], size: int
    ) -> list[T]:
        """Measure two side by side."""
        return [future.result() for future in [self.pool.submit(w, size) for w in (work, peers)]]


def compare_lateness(children: Children, size: int, rounds: int) -> bool:
    """Print how late both are; tell whether ours is late by no more than the goal."""
    pairs = [
        (children.measure(our_lateness, size), children.measure(peers_lateness, size))
        for _ in range(rounds)
    ]
    print(f"{size} jobs due together")
    for who, side in (("syncd", 0), ("APScheduler", 1)):
        p50, p99 = (statistics.median(pair[side][i] for pair in pairs) for i in (0, 1))
        print(f"  {who:11} p50 {p50:6.1f} ms  p99 {p99:6.1f} ms")
    ratio = statistics.median(mine[1] / peers[1] for mine, peers in pairs)
    return verdict("p99, of APScheduler's", ratio, LATENESS_GOAL)


def compare_cpu(
    children: Children, what: str, work: Callable[[int], float], peers: Callable[[int], float]
) -> bool:
    """Print the CPU that both use, measured at the same time."""
    mine, theirs = children.measure_both(work, peers, SIZES[-1])
    print(f"{SIZES[-1]} jobs {what}")
    print(f"  APScheduler {theirs:.3f}% of a CPU, ratio {mine / theirs:.2f}")
    return verdict("% of a CPU", mine, CPU_GOAL)


def verdict(what: str, figure: float, goal: float) -> bool:
    reached = figure <= goal
    print(f"  {what}: {figure:.3g}  goal {goal}: {'reached' if reached else 'MISSED'}")
    return reached


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    children = Children(2)
    reached = [compare_lateness(children, size, rounds) for size in SIZES]
    print("recorded in the store")
    for size, ((p50, p99), took) in children.measure(recorded_lateness).items():
        print(f"  {size} jobs: p50 {p50:.0f} ms  p99 {p99:.0f} ms, {took:.0f} ms from hand-over")
    reached += [
        compare_cpu(children, "at rest", our_rest, peers_rest),
        compare_cpu(children, "every minute, spread over it", our_minutely, peers_minutely),
        compare_cpu(children, "every minute, due together", our_together, peers_together),
    ]
    print("memory")
    reached.append(verdict("bytes a job", children.measure(our_bytes, 2_000), BYTES_GOAL))
    children.pool.shutdown()
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())

"""A simulated month: no due time is lost, none is made twice, and every skip has its reason.

Five hundred jobs run through the real timetable, claims, board and decisions while the store goes
away, the machine sleeps, its clock is set, daemons die and take over from each other, and the
configuration changes. An oracle that knows the policies alone says what had to come of it.
"""

import os
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dispatch_helpers import HandClock, minutes, spec
from memory_ledger import Row
from month_oracle import Oracle, check_ends
from month_world import Habits, World

from syncd.dispatch.spec import JobSpec
from syncd.errors import Fenced
from syncd.triggers.adaptive import Adaptive
from syncd.triggers.base import Memory, Trigger
from syncd.triggers.calendars import Calendar, Except
from syncd.triggers.cron import Cron
from syncd.triggers.interval import Interval
from syncd.triggers.spread import Shifted, offset_of
from syncd.triggers.windows import Windows

JOBS, DAYS = 500, 31
START = datetime(2026, 3, 5, 3, 17, 11, tzinfo=UTC)  # clocks change on 8 and on 29 March
HOUR, DAY = 3600.0, 86400.0
HAPPENED = [
    "made", "missed, latest", "missed, all", "dropped by none", "overlap", "replaced", "store",
    "already_made", "lapsed load", "lapsed disk", "handed over in vain",
]  # fmt: skip

CRONS = [
    "15 */8 * * *", "30 2 * * *", "30 1 * * *", "*/30 2 * * *", "0 2,3 * * *",
    "0 9 * * MON-FRI", "0 0 * * *", "45 3 * * *", "0 12 */2 * *", "10 4 L * *", "5 0 * * SUN",
]  # fmt: skip
BUSY_CRONS = ["*/20 * * * SUN,WED", "7 * * * *", "*/30 8-18 * * *"]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Shanghai", "Australia/Lord_Howe"]
WINDOWS = ["02:00-04:00", "22:00-01:00", "SAT,SUN 00:00-24:00", "MON-FRI 09:00-11:00"]
CALENDAR = Calendar(frozenset(date(2026, 3, day) for day in (8, 13, 14, 29)))


@pytest.fixture
def seed(monkeypatch: pytest.MonkeyPatch) -> int:
    """Give the seed of the month, which is printed when it fails; run ids follow it as well."""
    chosen = int(os.environ.get("SYNCD_TEST_SEED", "0")) or random.randrange(1, 1_000_000)
    print(f"SYNCD_TEST_SEED={chosen}")
    monkeypatch.setattr("syncd.model.run.secrets.randbits", random.Random(chosen).getrandbits)
    return chosen


# The jobs


class Remembered:
    """A trigger whose answers are kept: many ask it the same, and it takes its time."""

    def __init__(self, trigger: Trigger) -> None:
        self.next_after = cache(trigger.next_after)


def cron(rng: random.Random, name: str, *, busy: bool) -> dict[str, Any]:
    """Return a job that follows a clock, perhaps shifted, perhaps with a calendar and windows."""
    text, zone = rng.choice(BUSY_CRONS if busy else CRONS), ZoneInfo(rng.choice(ZONES))
    trigger: Trigger = Cron(text, zone)
    if rng.random() < 0.5:
        trigger = Shifted(trigger, offset_of(name, timedelta(minutes=10)))
    if rng.random() < 0.2:
        trigger = Except(trigger, CALENDAR, zone)
    closed: Callable[[datetime], datetime | None] = lambda _: None  # noqa: E731 - the usual one
    if rng.random() < 0.1:
        closed = partial(Windows.parse([rng.choice(WINDOWS)]).closed_until, zone=zone)
    remembered = Remembered(trigger)
    return {
        "schedule": f"{text} {zone} {trigger!r}",
        "trigger_from": lambda memory, now: remembered,
        "closed_until": closed,
    }


def every(rng: random.Random, name: str, *, busy: bool) -> dict[str, Any]:
    """Return a job with a fixed interval, the first time at once and its offset later."""
    hours = rng.choice([0.7, 1, 1.5] if busy else [12, 24, 31, 47])
    interval, offset = timedelta(hours=hours), offset_of(name, timedelta(minutes=5))

    def trigger(memory: Memory, now: datetime) -> Trigger:
        return Interval(interval, memory.last_due or now + offset)

    return {"schedule": f"every {hours}", "fixed_rate": True, "trigger_from": trigger}


def adaptive(rng: random.Random, name: str, *, busy: bool) -> dict[str, Any]:
    """Return a job whose interval follows what its runs find."""
    rate = Adaptive(timedelta(hours=1 if busy else 6), timedelta(hours=50))

    def trigger(memory: Memory, now: datetime) -> Trigger:
        return Interval(rate.interval(memory.interval), memory.last_due or now)

    return {
        "schedule": f"adaptive {busy}", "fixed_rate": True, "trigger_from": trigger,
        "adaptive": rate,
    }  # fmt: skip


def job(rng: random.Random, name: str) -> JobSpec:
    kind = rng.choices([cron, every, adaptive], [6, 3, 0.5])[0]
    return spec(
        name,
        **kind(rng, name, busy=rng.random() < 0.01),
        catch_up=rng.choice(["none", "latest", "all"]),
        catch_up_window=timedelta(hours=rng.choice([6, 24, 100])),
        overlap=rng.choice(["skip", "queue", "replace"]),
        priority=rng.choices(["urgent", "high", "normal", "low"], [1, 3, 10, 4])[0],
        retries=rng.choice([[], minutes(1), minutes(1, 5, 15)]),
        start_deadline=timedelta(minutes=rng.choice([10, 90])) if rng.random() < 0.2 else None,
        interruptible=rng.random() < 0.7,
        accounts=rng.sample([f"account {n}" for n in range(60)], rng.choice([0, 0, 1, 1, 2])),
        servers=rng.sample([f"server {n}" for n in range(20)], rng.choice([0, 0, 0, 1])),
    )


# What befalls them


class Month:
    """A month of a world, and what befalls it by chance."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.specs = {name: job(rng, name) for name in (f"job-{n}" for n in range(JOBS))}
        slow = rng.sample(list(self.specs), 15)
        habits = {name: Habits(rng.choice([5.0, 20.0, 60.0])) for name in self.specs}
        habits |= {name: Habits(rng.choice([600.0, 3000.0]), 0.3) for name in slow}
        self.world = World(rng, HandClock(START), habits)
        self.later: list[tuple[float, int, Callable[[], None]]] = []
        self.holders = 0
        self.paused: set[str] = set()

    def run(self) -> None:
        """Live through the month; then let all that was begun come to its end."""
        self._plan()
        self._lead()
        while self.later:
            self.later.sort(key=lambda each: each[:2])
            moment, _, act = self.later[0]
            self._pass_until(moment)
            self.later.pop(0)
            with self.world.mortal():
                act()
            self.world.step(0.5)  # a clock that was set is noticed within a second
        self._finish()

    def _pass_until(self, moment: float) -> None:
        ticked = self.world.clock.monotonic
        count = 0
        while moment > ticked():
            self.world.step(moment - ticked())
            if self.world.daemon is None and not self.world.store.out_of_reach:
                self.world.clock.pass_(self.rng.choice([1.0, 30.0, 4 * HOUR]))
                self._lead()
            count += 1
            if count % 20 == 0 and self.world.daemon and not self.world.daemon.store_fails:
                self.world.check_waits()

    def _lead(self) -> None:
        if not self.world.store.out_of_reach:
            self.world.lead(self.specs, f"daemon:{self.holders}")

    def _at(self, seconds: float, act: Callable[[], None]) -> None:
        self.later.append((self.world.clock.monotonic() + seconds, len(self.later), act))

    def _plan(self) -> None:
        """Choose when what happens; some of it ends later."""
        chances: list[tuple[int, Callable[[], None]]] = [
            (12, self.outage), (6, self.sleep), (5, self.set_forward), (5, self.set_back),
            (8, self.world.kill), (60, self.fault), (6, self.fail_over), (30, self.reload),
            (30, self.pause), (15, self.high_load), (5, self.full_disk), (150, self.by_hand),
            (30, self.cancel), (30, self.prioritise), (15, self.command),
        ]  # fmt: skip
        for times, act in chances:
            for _ in range(times):
                self._at(self.rng.uniform(HOUR, DAYS * DAY), act)
        self._at(DAYS * DAY, lambda: None)

    def outage(self) -> None:
        self.world.store.out_of_reach = True
        self._at(self.rng.choice([20, 600, 2 * HOUR, 9 * HOUR]), self.outage_ends)

    def outage_ends(self) -> None:
        self.world.store.out_of_reach = False

    def sleep(self) -> None:
        self._set(self.rng.choice([300, HOUR, 9 * HOUR]))

    def set_forward(self) -> None:
        self._set(self.rng.choice([30, 120, 3 * HOUR]))

    def set_back(self) -> None:
        self._set(-self.rng.choice([10, 600, 2 * HOUR, 5 * HOUR]))

    def _set(self, seconds: float) -> None:
        self.world.clock.wall += timedelta(seconds=seconds)

    def fault(self) -> None:
        kind = self.rng.choice(["refused", "unanswered", "killed before", "killed after"])
        self.world.store.fault = kind, self.rng.randrange(12)  # type: ignore[assignment]

    def fail_over(self) -> None:
        """Let another daemon take over from one that was frozen, and the first one thaw."""
        frozen = self.world.daemon
        self.holders += 1
        self._lead()
        if frozen and frozen is not self.world.daemon:
            facts, before = list(self.world.facts), self._records()
            for work in frozen.works.values():
                work.ends = 0
            with pytest.raises(Fenced):
                frozen.turn()
            assert self._records() == before
            self.world.facts[:] = facts  # what a deposed daemon sees is nobody's concern

    def _records(self) -> list[tuple[Any, ...]]:
        rows = self.world.store.active.values()
        return [(row.new.id, row.status, row.attempt) for each in rows for row in each.values()]

    def reload(self) -> None:
        """Add a job, remove one, change some."""
        rng, specs = self.rng, dict(self.specs)
        for name in rng.sample(list(specs), rng.randrange(3)):
            del specs[name]
        gone = self.world.habits.keys() - specs.keys()
        for name in rng.sample(sorted(gone), min(len(gone), rng.randrange(3))):
            specs[name] = job(rng, name)
        for name in rng.sample(list(specs), 5):
            changed = job(rng, name)
            specs[name] = changed if rng.random() < 0.5 else replace(specs[name], overlap="queue")
        self._ask(lambda daemon: daemon.reload(specs))
        if self.world.daemon and self.world.specs is specs:
            self.specs = specs

    def pause(self) -> None:
        name = self.rng.choice(list(self.specs))
        until = None
        if self.rng.random() < 0.5:
            until = self.world.clock.now() + timedelta(hours=self.rng.uniform(1, 30))
        self._ask(lambda daemon: daemon.jobs.pause(name, until, "me"))
        self._at(self.rng.uniform(HOUR, 2 * DAY), partial(self.resume, name))

    def resume(self, name: str) -> None:
        self._ask(lambda daemon: daemon.jobs.resume(name, "me"))

    def high_load(self) -> None:
        self.world.closed.add("load")
        self._at(self.rng.uniform(60, 7 * HOUR), lambda: self.world.closed.discard("load"))

    def full_disk(self) -> None:
        self.world.closed.add("disk")
        self._at(self.rng.uniform(60, 5 * HOUR), lambda: self.world.closed.discard("disk"))

    def by_hand(self) -> None:
        name = self.rng.choice(list(self.specs))
        priority: Any = self.rng.choice([None, "urgent", "urgent", "low"])
        self._ask(lambda daemon: self.world.run_by_hand(name, priority))

    def cancel(self) -> None:
        if rows := self._active():
            run_id = self.rng.choice(rows).new.id
            self._ask(lambda daemon: daemon.board.cancel(run_id, "me"))

    def prioritise(self) -> None:
        if rows := self._active():
            run_id, priority = self.rng.choice(rows).new.id, self.rng.choice(["urgent", "low"])
            self._ask(lambda daemon: daemon.board.prioritise(run_id, priority, "me"))

    def _active(self) -> list[Row]:
        rows = self.world.store.active.values()
        return [row for each in rows for row in each.values()]

    def command(self) -> None:
        if row := self.world.command(self.rng.choice(list(self.specs))):
            self._at(self.rng.uniform(60, 3 * HOUR), lambda: self.world.end_command(row))

    def _ask(self, act: Callable[[Any], object]) -> None:
        """Have a daemon that has its store do something."""
        daemon = self.world.daemon
        if daemon and not daemon.store_fails:
            self.world.ask(lambda: act(daemon))

    def _finish(self) -> None:
        """Make no more runs; let those that there are come to their end."""
        world = self.world
        world.store.out_of_reach, world.store.fault = False, None
        world.closed.clear()
        self._lead()
        world.step(1)
        nothing = {name: replace(each, trigger_from=None) for name, each in self.specs.items()}
        while any(world.store.active.values()):
            assert world.daemon
            if world.daemon.timetable.next_runs():
                world.daemon.timetable.change([], nothing)
            for name in list(world.specs):
                if world._paused(name):
                    world.daemon.jobs.resume(name, "me")
            world.step(HOUR)


def test_in_a_month_no_run_is_lost_and_none_is_made_twice(seed: int) -> None:
    month = Month(seed)
    month.run()
    store, oracle = month.world.store, Oracle()
    oracle.replay(month.world.facts)
    scheduled = {
        (row.new.job, row.new.scheduled_for): row.new.trigger
        for row in store.runs.values()
        if row.new.trigger != "manual"
    }
    assert scheduled == oracle.made
    ends = check_ends(store.runs)
    print(f"{len(store.runs)} runs, {ends}, {oracle.counts}")
    for what in HAPPENED:  # a month in which it does not happen tells nothing of it
        assert oracle.counts[what] > 0, what

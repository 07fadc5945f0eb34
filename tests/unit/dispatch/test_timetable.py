"""The timetable: what is handed over as the clock moves."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dispatch_helpers import NOON, SECONDS, HandClock, plain_log

from syncd.dispatch.timetable import Due, Plan, Timetable
from syncd.triggers.base import Trigger
from syncd.triggers.catch_up import Policy
from syncd.triggers.cron import Cron
from syncd.triggers.interval import Interval

MINUTE = timedelta(minutes=1)


class Table:
    """A timetable whose loop the test turns by hand."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.dues: list[Due] = []
        self.backs: list[datetime] = []
        self.ticks = 0
        self.made = Timetable(
            clock, plain_log(), due=self.dues.extend, set_back=self.backs.append,
            tick=self._tick,
        )  # fmt: skip

    def _tick(self) -> None:
        self.ticks += 1

    def turn(self) -> list[Due]:
        """Do a turn; return what is new."""
        self.made._take_posted(0)
        before = len(self.dues)
        self.made.turn()
        return self.dues[before:]

    def put(self, *plans: Plan, remove: Sequence[str] = ()) -> None:
        self.made.change(plans, remove)

    def pass_(self, seconds: float) -> list[Due]:
        self.clock.pass_(seconds)
        return self.turn()


@pytest.fixture
def table() -> Table:
    return Table(HandClock())


@dataclass
class Broken:
    """A trigger that works until it is told not to."""

    fails: bool = False

    def next_after(self, moment: datetime) -> datetime:
        if self.fails:
            raise RuntimeError("a bug")
        return Interval(MINUTE, NOON).next_after(moment)


def plan(
    job: str = "j", trigger: Trigger | None = None, policy: Policy = "latest", **changes: Any
) -> Plan:
    every = trigger or Cron("*/30 * * * *", ZoneInfo("UTC"))
    return Plan(job, every, changes.pop("last_due", NOON), policy, timedelta(days=1))


def test_a_due_time_is_handed_over_once_and_on_time(table: Table) -> None:
    table.put(plan())
    assert table.turn() == []
    assert table.pass_(30 * 60 - 1) == []
    assert table.pass_(1) == [Due("j", NOON + 30 * MINUTE, "schedule")]
    assert table.turn() == []
    assert table.made.next_run("j") == NOON + 60 * MINUTE


def test_a_due_time_noticed_within_a_minute_is_no_missed_one(table: Table) -> None:
    table.put(plan(policy="none"))
    assert table.pass_(31 * 60) == [Due("j", NOON + 30 * MINUTE, "schedule")]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("latest", [90]), ("all", [30, 60, 90]), ("none", [])],
)
def test_what_a_jump_of_the_clock_missed_follows_the_policy(
    table: Table, policy: Policy, expected: list[int]
) -> None:
    table.put(plan(policy=policy))
    table.turn()
    table.clock.set(NOON + 100 * MINUTE)
    assert table.turn() == [Due("j", NOON + m * MINUTE, "catch_up") for m in expected]
    assert table.made.next_run("j") == NOON + 120 * MINUTE


def test_a_late_turn_does_not_silence_a_short_interval_that_makes_up_for_nothing(
    table: Table,
) -> None:
    table.put(plan(trigger=Interval(timedelta(seconds=1), NOON), policy="none"))
    assert table.pass_(2.5) == [Due("j", NOON + timedelta(seconds=2), "schedule")]


def test_a_clock_set_back_starts_anew_and_is_told(table: Table) -> None:
    table.put(plan())
    table.pass_(30 * 60)
    table.clock.set(NOON - 10 * MINUTE)
    assert table.turn() == []
    assert table.backs == [NOON - 10 * MINUTE]
    assert table.made.next_run("j") == NOON
    assert table.pass_(10 * 60) == [Due("j", NOON, "schedule")]


def test_a_small_step_back_is_ignored(table: Table) -> None:
    table.put(plan())
    table.pass_(30 * 60)
    table.clock.set(table.clock.wall - timedelta(seconds=1))
    assert table.turn() == []
    assert table.backs == []


def test_jobs_are_put_replaced_and_removed(table: Table) -> None:
    table.put(plan("a"), plan("b"))
    table.put(plan("a", Interval(MINUTE, NOON)), remove=["b"])
    table.turn()
    assert dict(table.made.next_runs()) == {"a": NOON + MINUTE}


def test_a_trigger_that_fails_stops_no_other_job(table: Table) -> None:
    broken = Broken()
    table.put(plan("broken", broken), plan("born broken", Broken(fails=True)), plan("good"))
    table.turn()
    broken.fails = True
    assert table.pass_(30 * 60) == [Due("good", NOON + 30 * MINUTE, "schedule")]
    assert table.ticks == 2
    assert table.made.next_run("broken") is None


def test_a_thousand_jobs_are_handed_over_in_one_turn(table: Table) -> None:
    trigger = Interval(MINUTE, NOON)
    table.put(*[plan(f"job {n}", trigger) for n in range(1000)])
    assert len(table.pass_(60)) == 1000
    assert len(table.pass_(60)) == 1000


def test_the_thread_starts_hands_over_and_stops() -> None:
    handed, outcome = threading.Event(), []

    def due(dues: Sequence[Due]) -> None:
        outcome.extend(dues)
        handed.set()

    made = Timetable(
        HandClock(), plain_log(), due=due, set_back=lambda now: None, tick=lambda: None
    )
    made.start()
    made.change([plan(last_due=NOON - MINUTE)])
    assert handed.wait(SECONDS)
    made.stop()
    assert outcome == [Due("j", NOON, "schedule")]
    assert "syncd-timetable" not in [thread.name for thread in threading.enumerate()]

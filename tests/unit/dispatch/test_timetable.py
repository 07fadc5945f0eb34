"""The timetable: what is handed over as the clock moves."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dispatch_helpers import NOON, SECONDS, HandClock, plain_log
from hypothesis import given, settings
from hypothesis import strategies as st

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

    def settle(self) -> list[Due]:
        """Do turns until there is nothing left to do; return what is new."""
        found = self.turn()
        while self.made._scheduler.idle_seconds <= 0:
            found += self.turn()
        return found

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


@dataclass
class Asked:
    """A trigger that counts how often it is asked."""

    times: int = 0

    def next_after(self, moment: datetime) -> datetime:
        self.times += 1
        return Interval(MINUTE, NOON).next_after(moment)


class PassingClock(HandClock):
    """A clock whose monotonic time passes while it is looked at."""

    def monotonic(self) -> float:
        self.ticked += 0.001
        return self.ticked


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


def test_a_jump_forward_is_told_once(
    capsys: pytest.CaptureFixture[str],  # before the table: its log writes to it
    table: Table,
) -> None:
    table.put(plan())
    table.turn()
    table.clock.set(NOON + 60 * MINUTE)
    assert table.turn() == [Due("j", NOON + 60 * MINUTE, "catch_up")]
    table.pass_(600)
    lines = [line for line in capsys.readouterr().out.splitlines() if "jumped" in line]
    assert lines == ["seconds=3600.0 event='the clock jumped forward'"]
    assert table.backs == []


def test_time_that_passes_without_a_turn_is_no_jump(
    capsys: pytest.CaptureFixture[str], table: Table
) -> None:
    table.put(plan())
    table.turn()
    table.pass_(3600)
    assert "jumped" not in capsys.readouterr().out


def test_after_a_sleep_a_job_that_makes_up_for_nothing_waits_for_its_next_due_time(
    table: Table,
) -> None:
    table.put(plan("none", policy="none"), plan("latest"))
    table.turn()
    table.clock.set(NOON + 45 * MINUTE)
    assert table.turn() == [Due("latest", NOON + 30 * MINUTE, "catch_up")]
    found = table.pass_(15 * 60)
    assert sorted(due.job for due in found) == ["latest", "none"]
    assert {(due.at, due.trigger) for due in found} == {(NOON + 60 * MINUTE, "schedule")}


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


def test_a_job_put_again_repeats_no_due_time_that_was_handed_over(table: Table) -> None:
    table.put(plan())
    assert table.pass_(30 * 60) == [Due("j", NOON + 30 * MINUTE, "schedule")]
    table.put(plan(last_due=NOON))  # who put it has not heard of it yet
    assert table.turn() == []
    assert table.pass_(30 * 60) == [Due("j", NOON + 60 * MINUTE, "schedule")]


def test_a_job_put_again_loses_no_due_time_that_was_not_handed_over(table: Table) -> None:
    table.put(plan())
    table.turn()
    table.clock.pass_(30 * 60)
    table.put(plan(last_due=NOON))
    assert table.turn() == [Due("j", NOON + 30 * MINUTE, "schedule")]


def test_a_job_put_again_with_another_trigger_goes_on_from_what_was_handed_over(
    table: Table,
) -> None:
    table.put(plan())
    table.pass_(30 * 60)
    claimed = NOON + 30 * MINUTE
    table.put(plan(trigger=Interval(10 * MINUTE, claimed), last_due=claimed))
    assert table.pass_(10 * 60) == [Due("j", NOON + 40 * MINUTE, "schedule")]


def test_a_job_taken_out_and_put_again_starts_anew(table: Table) -> None:
    table.put(plan())
    table.pass_(30 * 60)
    table.put(plan(last_due=NOON), remove=["j"])
    assert table.turn() == [Due("j", NOON + 30 * MINUTE, "schedule")]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["pass", "jump", "put", "put late"]), st.integers(0, 2400)),
        max_size=12,
    )
)
def test_whatever_happens_each_due_time_is_handed_over_once(steps: list[tuple[str, int]]) -> None:
    every, table = timedelta(seconds=30), Table(PassingClock())
    trigger = Interval(every, NOON)
    table.put(plan(trigger=trigger, policy="all"))
    for step, seconds in steps:
        if step.startswith("put"):
            known = table.dues[: len(table.dues) // 2] if step == "put late" else table.dues
            last_due = known[-1].at if known else NOON
            table.put(plan(trigger=trigger, policy="all", last_due=last_due))
        else:
            table.clock.set(table.clock.wall + timedelta(seconds=seconds))
        if step == "pass":
            table.clock.ticked += seconds
        table.turn()
    table.turn()
    passed = (table.clock.wall - NOON) // every
    assert [due.at for due in table.dues] == [NOON + (n + 1) * every for n in range(passed)]


def test_a_trigger_that_fails_stops_no_other_job(table: Table) -> None:
    broken = Broken()
    table.put(plan("broken", broken), plan("born broken", Broken(fails=True)), plan("good"))
    table.turn()
    broken.fails = True
    assert table.pass_(30 * 60) == [Due("good", NOON + 30 * MINUTE, "schedule")]
    assert table.ticks == 2
    assert table.made.next_run("broken") is None


def test_a_due_time_that_is_known_is_handed_over_though_the_trigger_fails(table: Table) -> None:
    broken = Broken()
    table.put(plan("broken", broken))
    table.turn()
    broken.fails = True
    assert table.pass_(60) == [Due("broken", NOON + MINUTE, "schedule")]
    assert table.pass_(60) == [Due("broken", NOON + 2 * MINUTE, "schedule")]
    assert table.pass_(60) == []


@pytest.mark.parametrize("known", [True, False], ids=["following known", "just put"])
def test_all_that_is_due_is_handed_over_before_a_trigger_is_asked(known: bool) -> None:
    trigger, clock, asked = Asked(), HandClock(), []
    made = Timetable(
        clock, plain_log(), due=lambda dues: asked.append((len(dues), trigger.times)),
        set_back=lambda now: None, tick=lambda: None,
    )  # fmt: skip
    made._apply([plan(f"job {n}", trigger) for n in range(100)], [])
    if known:
        made.turn()
    before = trigger.times
    clock.pass_(60.9)
    made.turn()
    assert asked == [(100, before)]
    clock.pass_(60)
    made.turn()
    assert asked[1:] == [(100, 300)]


def test_while_many_make_up_for_much_the_ticks_go_on_and_others_are_on_time() -> None:
    table = Table(PassingClock())
    hourly, daily = Interval(60 * MINUTE, NOON), Interval(60 * 24 * MINUTE, NOON + 61 * MINUTE)
    table.put(*[plan(f"job {n}", Interval(MINUTE, NOON)) for n in range(100)])
    table.put(plan("hourly", hourly), plan("daily", daily))
    table.settle()
    before = table.ticks
    table.clock.set(NOON + 60 * MINUTE)
    assert table.turn()[0] == Due("hourly", NOON + 60 * MINUTE, "schedule")
    table.clock.pass_(60)
    assert table.turn()[0] == Due("daily", NOON + 61 * MINUTE, "schedule")
    made_up = table.settle()
    assert table.ticks - before >= 10
    assert len(made_up) > 80
    assert {due.job for due in table.dues} == {"hourly", "daily", *(f"job {n}" for n in range(100))}


def test_a_clock_that_goes_back_a_little_hands_nothing_over_too_soon() -> None:
    table, late = Table(PassingClock()), NOON + 5 * MINUTE
    table.put(*[plan(f"job {n}", Interval(MINUTE, NOON)) for n in range(10)])
    every = Interval(timedelta(seconds=1), NOON)
    table.put(plan("last", every, last_due=late - timedelta(seconds=2)))
    table.settle()
    table.clock.set(late)
    assert "last" not in [due.job for due in table.turn()]
    table.clock.set(late - timedelta(seconds=1.5))
    assert "last" not in [due.job for due in table.settle()]
    table.clock.set(late)
    assert Due("last", late, "catch_up") in table.settle()


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

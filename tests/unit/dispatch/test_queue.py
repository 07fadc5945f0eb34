"""Which run is next, which makes room, which is given up: the rules of the queue, one by one."""

from datetime import timedelta
from typing import Any

import pytest
from dispatch_helpers import NOON
from queue_helpers import at, decided, runs, waits

from syncd.dispatch.queue import Closed, Fate, Verdict, fate
from syncd.model.run import Gate, Overlap, Priority, Wait
from syncd.triggers.catch_up import Policy

PRIORITIES: list[Priority] = ["urgent", "high", "normal", "low"]


# Places


def test_of_what_waits_the_higher_priority_is_first() -> None:
    found = decided([waits(each, each) for each in reversed(PRIORITIES)], workers=4)
    assert found.start == PRIORITIES


def test_inside_a_priority_the_first_in_is_the_first_out() -> None:
    found = decided([waits("late", since=-1), waits("early", since=-2)], workers=1)
    assert found.start == ["early"]
    assert found.waits == {"late": "worker"}


def test_runs_made_at_once_start_in_the_order_of_their_due_times() -> None:
    late = waits("late", scheduled_for=at(-30))
    early = waits("early", scheduled_for=at(-60))
    assert decided([late, early], workers=2).start == ["early", "late"]


@pytest.mark.parametrize(
    ("priority", "waited", "level"),
    [
        ("low", 0, 3), ("low", 9.9, 3), ("low", 10, 2), ("low", 20, 1), ("low", 300, 1),
        ("normal", 10, 1), ("normal", 600, 1), ("high", 600, 1), ("urgent", 0, 0),
        ("urgent", 600, 0), ("low", -5, 3),
    ],
)  # fmt: skip
def test_a_run_rises_a_level_every_ten_minutes_but_never_to_urgent(
    priority: Priority, waited: float, level: int
) -> None:
    assert waits("j", priority).level(at(waited)) == level


def test_a_run_that_has_risen_goes_before_a_newer_one_of_that_priority() -> None:
    old, new = waits("old", "low", since=-20), waits("new", "high", since=-1)
    assert decided([new, old], workers=1).start == ["old"]
    assert decided([new, waits("old", "low", since=-19)], workers=1).start == ["new"]


def test_a_run_put_back_rises_from_when_it_was_ready_again() -> None:
    back = waits("back", "low", since=-60, ready_at=at(-1), attempt=1)
    assert decided([waits("new", "normal"), back], workers=1).start == ["new"]


# What a run lacks


def test_a_job_never_has_two_runs_at_once() -> None:
    first, second = waits("j", since=-2), waits("j", since=-1)
    found = decided([first, second])
    assert (found.start, found.waits) == (["j"], {"j": "overlap"})
    assert decided([first], [runs("j")]).waits == {"j": "overlap"}


def test_a_job_whose_thread_is_stuck_starts_nothing() -> None:
    found = decided([waits("j"), waits("other")], locked=["j"])
    assert (found.start, found.waits) == (["other"], {"j": "overlap"})


@pytest.mark.parametrize("thing", ["account", "server"])
def test_an_account_or_server_is_shared_by_as_many_runs_as_its_limit_allows(thing: str) -> None:
    uses: Any = {f"{thing}s": ["x"]}
    limit: Any = {f"per_{thing}": 2}
    waiting = [waits("a", since=-2, **uses), waits("b", since=-1, **uses)]
    found = decided(waiting, [runs("running", **uses)], **limit)
    assert (found.start, found.waits) == (["a"], {"b": thing})
    assert decided(waiting, [runs("running", **uses)]).start == []
    assert decided(waiting, [runs("running")]).start == ["a"]


def test_a_run_that_waits_for_an_account_keeps_it_from_those_behind() -> None:
    both = waits("both", since=-3, accounts=["x", "y"])
    behind = [waits("y alone", since=-2, accounts=["y"]), waits("z alone", accounts=["z"])]
    found = decided([*behind, both], [runs("running", accounts=["x"])])
    assert found.start == ["z alone"]
    assert found.waits == {"both": "account", "y alone": "account"}


def test_a_run_that_waits_for_a_server_keeps_its_accounts_too() -> None:
    first = waits("first", since=-3, accounts=["x"], servers=["s"])
    found = decided([first, waits("second", accounts=["x"])], [runs("running", servers=["s"])])
    assert found.waits == {"first": "server", "second": "account"}


def test_a_run_that_waits_for_an_account_keeps_its_job_from_those_behind() -> None:
    first = waits("j", since=-3, accounts=["x"])
    part = waits("j", since=-2, accounts=["y"])
    found = decided([first, part], [runs("running", accounts=["x"])])
    assert found.start == []


@pytest.mark.parametrize("attempt", [0, 1])
def test_a_run_that_is_not_ready_holds_nobody_up(attempt: int) -> None:
    later = waits("later", "high", -5, accounts=["x"], ready_at=at(1), attempt=attempt)
    found = decided([later, waits("now", accounts=["x"])])
    assert found.start == ["now"]
    assert found.waits == {"later": "retry" if attempt else "elsewhere"}
    assert found.until == {"later": at(1)}
    assert decided([later], now=1).start == ["later"]


def test_no_more_runs_are_started_than_workers_are_free() -> None:
    found = decided([waits(name) for name in "abcde"], workers=2)
    assert len(found.start) == 2
    assert list(found.waits.values()) == ["worker"] * 3


# Gates


@pytest.mark.parametrize("reason", ["paused", "held", "window"])
def test_a_gate_of_a_job_holds_its_runs_but_for_those_by_hand(reason: Wait) -> None:
    closed = Closed(jobs={"j": Verdict(reason, at(5))})
    for trigger in ("schedule", "catch_up"):
        found = decided([waits("j", trigger=trigger), waits("other")], closed=closed)
        assert (found.start, found.waits, found.until) == (["other"], {"j": reason}, {"j": at(5)})
    assert decided([waits("j", trigger="manual")], closed=closed).start == ["j"]
    assert decided([waits("j", "urgent")], closed=closed).waits == {"j": reason}


@pytest.mark.parametrize(
    ("gate", "priority", "starts"),
    [
        ("disk", "urgent", False), ("disk", "normal", False),
        ("load", "urgent", True), ("load", "high", False), ("load", "low", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("trigger", ["schedule", "manual"])
def test_gates_of_the_machine_hold_all_but_load_the_urgent(
    gate: Gate, priority: Priority, starts: bool, trigger: str
) -> None:
    found = decided([waits("j", priority, trigger=trigger)], closed=Closed([gate]))
    assert found.start == (["j"] if starts else [])
    assert found.waits == ({} if starts else {"j": gate})


def test_a_risen_run_is_not_urgent_for_the_load() -> None:
    assert decided([waits("j", "high")], now=600, closed=Closed(["load"])).waits == {"j": "load"}


def test_a_run_that_a_gate_holds_reserves_nothing() -> None:
    held = waits("held", "high", accounts=["x"])
    closed = Closed(jobs={"held": Verdict("paused")})
    assert decided([held, waits("free", accounts=["x"])], closed=closed).start == ["free"]


# Giving up


@pytest.mark.parametrize(("now", "lapsed"), [(59, {}), (60, {"j": "load"}), (61, {"j": "load"})])
def test_a_gate_holds_a_run_no_longer_than_its_time(now: float, lapsed: dict[str, str]) -> None:
    found = decided([waits("j", gate_by=at(60))], now=now, closed=Closed(["load"]))
    assert found.lapsed == lapsed
    assert found.waits == ({} if lapsed else {"j": "load"})


def test_what_is_no_gate_may_take_longer() -> None:
    late = waits("j", gate_by=at(60))
    assert decided([late], now=90).start == ["j"]
    assert decided([late], now=90, workers=0).waits == {"j": "worker"}
    assert decided([late], [runs("j")], now=90).waits == {"j": "overlap"}


@pytest.mark.parametrize(
    ("reason", "changes", "room"),
    [
        ("worker", {}, {"workers": 0}),
        ("overlap", {}, {"running": [runs("j")]}),
        ("account", {"accounts": ["x"]}, {"running": [runs("other", accounts=["x"])]}),
        ("elsewhere", {"ready_at": at(200)}, {}),
        ("load", {}, {"closed": Closed(["load"])}),
    ],
)
def test_a_run_with_a_start_deadline_waits_no_longer_for_anything(
    reason: Wait, changes: dict[str, Any], room: dict[str, Any]
) -> None:
    def outcome(now: float, **more: Any) -> tuple[dict[str, str], dict[str, str]]:
        found = decided([waits("j", start_by=at(60), **changes, **more)], now=now, **room)
        return found.waits, found.lapsed

    assert outcome(59) == ({"j": reason}, {})
    assert outcome(60) == ({}, {"j": reason})
    if reason != "elsewhere":
        assert outcome(90, attempt=1) == ({"j": reason}, {})  # it has begun before


def test_a_run_that_can_be_started_is_not_given_up_however_late() -> None:
    found = decided([waits("j", gate_by=at(60), start_by=at(60))], now=90)
    assert (found.start, found.lapsed) == (["j"], {})


def test_a_run_that_is_given_up_keeps_nothing_from_those_behind() -> None:
    gone = waits("gone", since=-90, accounts=["x", "y"], start_by=at(-1))
    found = decided([gone, waits("next", accounts=["y"])], [runs("running", accounts=["x"])])
    assert (found.start, found.lapsed) == (["next"], {"gone": "account"})


# Making room


def urgent(job: str = "urgent", **changes: Any) -> Any:
    return waits(job, "urgent", **changes)


def test_an_urgent_run_that_finds_the_pool_full_interrupts_the_lowest_priority() -> None:
    running = [runs("high", "high", 3), runs("low", "low", 1), runs("normal", "normal", 2)]
    found = decided([urgent()], running, workers=0)
    assert (found.interrupt, found.waits) == (["low"], {"urgent": "worker"})


def test_of_several_of_one_priority_the_one_started_last_is_interrupted() -> None:
    running = [runs("first", since=-3), runs("last", since=-1), runs("second", since=-2)]
    assert decided([urgent()], running, workers=0).interrupt == ["last"]


@pytest.mark.parametrize(
    "running",
    [
        runs("j", interruptible=False),
        runs("j", "urgent"),
        runs("j", interruptions=2),
        runs("urgent"),  # its own job: it waits for that, not for a worker
    ],
)
def test_a_run_is_not_interrupted_that_may_not_be(running: Any) -> None:
    assert decided([urgent()], [running], workers=0).interrupt == []


def test_a_run_may_be_interrupted_twice() -> None:
    assert decided([urgent()], [runs("j", interruptions=1)], workers=0).interrupt == ["j"]


@pytest.mark.parametrize("priority", ["high", "normal", "low"])
def test_what_is_not_urgent_interrupts_nobody(priority: Priority) -> None:
    found = decided([waits("j", priority)], [runs("low", "low")], workers=0, now=600)
    assert found.interrupt == []


def test_an_urgent_run_interrupts_nobody_where_a_worker_is_free_or_will_be() -> None:
    assert decided([urgent()], [runs("j")], workers=1).interrupt == []
    stopping = runs("stopping", stopping=True)
    assert decided([urgent()], [runs("j"), stopping], workers=0).interrupt == []
    two = [urgent("one", since=-1), urgent("two")]
    assert decided(two, [runs("j"), stopping], workers=0).interrupt == ["j"]


@pytest.mark.parametrize("closed", [Closed(["disk"]), Closed(jobs={"urgent": Verdict("paused")})])
def test_an_urgent_run_that_a_gate_holds_interrupts_nobody(closed: Closed) -> None:
    assert decided([urgent()], [runs("j")], workers=0, closed=closed).interrupt == []


def test_each_urgent_run_interrupts_one() -> None:
    running = [runs("a", "low"), runs("b"), runs("c", "high")]
    found = decided([urgent("u1"), urgent("u2")], running, workers=0)
    assert sorted(found.interrupt) == ["a", "b"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"job": "urgent"}),
        ({"accounts": ["x"]}, {"job": "other", "accounts": ["x"]}),
        ({"servers": ["x"]}, {"job": "other", "servers": ["x"]}),
    ],
)
def test_nobody_is_interrupted_for_one_that_then_waits_for_the_urgent_run_ahead(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    both = [urgent(since=-1, **first), urgent(**second)]
    found = decided(both, [runs("a"), runs("b", since=-1)], workers=0)
    assert found.interrupt == ["a"]


@pytest.mark.parametrize("things", ["accounts", "servers"])
def test_an_urgent_run_interrupts_who_has_its_account_or_server(things: str) -> None:
    uses: Any = {things: ["x"]}
    low = runs("low", "low")
    assert decided([urgent(**uses)], [low, runs("h", "high", **uses)]).interrupt == ["h"]
    assert decided([urgent(**uses)], [low, runs("h", **uses, stopping=True)]).interrupt == []


def test_of_several_who_share_an_account_one_is_interrupted() -> None:
    running = [runs("a", "low", accounts=["x"]), runs("b", accounts=["x"])]
    found = decided([urgent(accounts=["x"])], running, per_account=2)
    assert found.interrupt == ["a"]
    stopping = [runs("a", "low", accounts=["x"], stopping=True), running[1]]
    assert decided([urgent(accounts=["x"])], stopping, per_account=2).interrupt == []


def test_who_has_all_that_an_urgent_run_needs_is_interrupted_once() -> None:
    holder = runs("holder", accounts=["x", "y"], servers=["s"])
    found = decided([urgent(accounts=["x", "y"], servers=["s"])], [holder])
    assert found.interrupt == ["holder"]


def test_nobody_is_interrupted_where_another_holder_would_not_make_room() -> None:
    running = [runs("yields", accounts=["x"]), runs("stays", accounts=["y"], interruptible=False)]
    assert decided([urgent(accounts=["x", "y"])], running).interrupt == []
    assert decided([urgent(accounts=["y", "x"])], reversed(running)).interrupt == []


def test_who_was_spared_can_make_room_for_the_next_urgent_run() -> None:
    running = [runs("yields", accounts=["x"]), runs("stays", accounts=["y"], interruptible=False)]
    blocked, able = urgent("blocked", since=-1, accounts=["z", "y"]), urgent("able", accounts=["x"])
    assert decided([blocked, able], running).interrupt == ["yields"]


def test_nobody_is_interrupted_for_a_server_whose_account_an_urgent_run_ahead_takes() -> None:
    running = [runs("has x", accounts=["x"]), runs("has s", servers=["s"])]
    first = urgent("first", since=-1, accounts=["x"])
    second = urgent("second", accounts=["x"], servers=["s"])
    assert decided([first, second], running).interrupt == ["has x"]


def test_an_urgent_run_that_is_given_up_interrupts_nobody() -> None:
    found = decided([urgent(start_by=NOON)], [runs("j")], workers=0)
    assert (found.interrupt, found.lapsed) == ([], {"urgent": "worker"})


def test_an_urgent_run_between_its_attempts_interrupts_nobody() -> None:
    later = urgent(attempt=1, ready_at=NOON + timedelta(seconds=1))
    assert decided([later], [runs("j")], workers=0).interrupt == []


# Due times


@pytest.mark.parametrize(
    ("overlap", "active", "queued", "expected"),
    [
        ("skip", 0, 0, "make"), ("skip", 1, 0, "overlap"), ("skip", 1, 1, "overlap"),
        ("queue", 0, 0, "make"), ("queue", 1, 0, "make"), ("queue", 1, 1, "overlap"),
        ("queue", 2, 1, "overlap"),
        ("replace", 0, 0, "make"), ("replace", 1, 0, "replace"), ("replace", 1, 1, "replace"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("catch_up", ["none", "latest", "all"])
def test_a_due_time_of_an_active_job_follows_its_overlap(
    overlap: Overlap, active: int, queued: int, expected: Fate, catch_up: Policy
) -> None:
    found = fate("schedule", catch_up, overlap, active=active, queued=queued, locked=False)
    assert found == expected
    if catch_up != "all":
        missed = fate("catch_up", catch_up, overlap, active=active, queued=queued, locked=False)
        assert missed == expected


@pytest.mark.parametrize("overlap", ["skip", "queue", "replace"])
def test_where_all_is_made_up_for_each_missed_due_time_gets_its_run(overlap: Overlap) -> None:
    found = fate("catch_up", "all", overlap, active=7, queued=6, locked=False)
    assert found == "make"


@pytest.mark.parametrize("overlap", ["skip", "queue", "replace"])
@pytest.mark.parametrize("catch_up", ["latest", "all"])
def test_a_job_whose_thread_is_stuck_gets_no_run(overlap: Overlap, catch_up: Policy) -> None:
    for active in (0, 1):
        found = fate("catch_up", catch_up, overlap, active=active, queued=0, locked=True)
        assert found == "stuck"

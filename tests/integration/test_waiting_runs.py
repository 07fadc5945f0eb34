"""Gates, pauses, priorities, limits and overlaps, as the dispatcher keeps them on a store."""

import threading
from datetime import timedelta

import pytest
from dispatch_desk import (
    ALL,
    HOUR,
    Open,
    hourly,
    only_waiting,
    pass_time,
    pass_turn,
    statuses,
    until,
    why,
)
from dispatch_helpers import NOON, SECONDS, Bench, FakeJob, Gate, spec, succeed

from syncd.dispatch.queue import Room
from syncd.errors import Conflict, NotFound
from syncd.model.run import Due, Outcome
from syncd.store import job_state
from syncd.store.outbox import Owed
from syncd.store.runs import RunEnd


@pytest.mark.parametrize(("reading", "closed"), [("load", 0.9), ("free", 10.0)])
def test_a_gate_of_the_machine_holds_a_run_until_it_opens(
    bench: Bench, desk: Open, reading: str, closed: float
) -> None:
    at = desk(hourly("j", FakeJob({"1": succeed})))
    opened = getattr(at.machine, reading)
    setattr(at.machine, reading, closed)
    at.due(Due("j", NOON, "schedule"))
    assert why(at, only_waiting(at)) == {"load": "load", "free": "disk"}[reading]
    setattr(at.machine, reading, opened)
    until(lambda: at.keeper.ends)
    assert statuses(bench) == [(NOON, "schedule", "success")]


def test_a_run_that_a_gate_holds_until_the_next_due_time_is_cancelled_with_the_reason(
    bench: Bench, desk: Open
) -> None:
    at = desk(hourly("j", FakeJob({"1": succeed})))
    at.machine.load = 5.0
    at.due(Due("j", NOON, "schedule"))
    assert why(at, only_waiting(at)) == "load"
    pass_time(bench, 3600)
    until(lambda: not at.board.waiting)
    assert bench.one("select status, error from syncd.run") == (
        "cancelled", "not started in time (load): the load was too high",
    )  # fmt: skip
    assert ("skipped", "j", "load") in bench.watcher.told
    assert bench.one("select skipped_due, skip_reason from syncd.job_state") == (NOON, "load")


def test_a_run_that_finds_no_worker_by_its_start_deadline_is_given_up(
    bench: Bench, desk: Open
) -> None:
    gate = Gate()
    at = desk(
        spec("busy", FakeJob({"1": gate})),
        hourly("j", FakeJob({"1": succeed}), start_deadline=timedelta(minutes=5)),
        workers=1,
    )
    at.request("busy")
    assert gate.entered.wait(SECONDS)
    at.due(Due("j", NOON, "schedule"))
    assert why(at, only_waiting(at)) == "worker"
    pass_time(bench, 300)
    until(lambda: ("skipped", "j", "busy") in bench.watcher.told)
    gate.open.set()
    assert bench.one("select error from syncd.run where job = 'j'") == (
        "not started in time (worker): no worker was free"
    )


def test_an_urgent_run_passes_the_gate_of_the_load_and_one_by_hand_those_of_its_job(
    bench: Bench, desk: Open
) -> None:
    at = desk(hourly("j", FakeJob({"1": succeed}), closed_until=lambda now: NOON + HOUR))
    at.machine.load = 5.0
    assert why(at, held := at.request()) == "load"
    assert at.final(at.request(priority="urgent")) == "success"
    at.machine.load = 0.0
    assert at.final(held) == "success"
    at.due(Due("j", NOON, "schedule"))
    assert why(at, only_waiting(at)) == "window"
    assert at.final(at.request()) == "success"


def test_a_paused_job_waits_over_a_restart_and_starts_when_it_is_resumed(
    bench: Bench, desk: Open
) -> None:
    at = desk(hourly("j", FakeJob({"1": succeed})))
    until_two = NOON + timedelta(hours=2)
    at.dispatcher.ask(lambda: at.jobs.pause("j", until_two, "me"))
    at.due(Due("j", NOON, "schedule"))
    assert why(at, only_waiting(at)) == "paused"
    states = at.remember({"j": at.jobs.specs["j"]})
    assert states["j"].pause == job_state.Pause(NOON, until_two, "me")
    assert at.final(at.request()) == "success"  # by hand
    assert at.dispatcher.ask(lambda: at.jobs.resume("j", "me")) == (True, [])
    until(lambda: len(at.keeper.ends) == 2)
    assert {row[2] for row in statuses(bench)} == {"success"}
    with pytest.raises(NotFound):
        at.dispatcher.ask(lambda: at.jobs.pause("none", None, "me"))


def test_a_pause_ends_by_itself(bench: Bench, desk: Open) -> None:
    at = desk(hourly("j", FakeJob({"1": succeed})))
    at.dispatcher.ask(lambda: at.jobs.pause("j", NOON + timedelta(minutes=30), "me"))
    at.due(Due("j", NOON, "schedule"))
    assert why(at, only_waiting(at)) == "paused"
    pass_time(bench, 1800)
    until(lambda: at.keeper.ends)
    assert at.jobs.pause_of("j") is None


def test_a_waiting_run_can_be_moved_to_the_front_and_an_ended_one_can_not(
    bench: Bench, desk: Open
) -> None:
    gate, order = Gate(), []
    jobs = [
        spec(name, FakeJob({"1": lambda ctx: order.append(ctx.job_name)})) for name in ("a", "b")
    ]
    at = desk(spec("busy", FakeJob({"1": gate}), interruptible=False), *jobs, workers=1)
    at.request("busy")
    assert gate.entered.wait(SECONDS)
    first, second = at.request("a"), at.request("b")
    at.dispatcher.ask(lambda: at.board.prioritise(second, "urgent", "me"))
    assert bench.one("select priority from syncd.run where id = %s", second) == "urgent"
    gate.open.set()
    assert [at.final(run_id) for run_id in (first, second)] == ["success"] * 2
    assert order == ["b", "a"]
    with pytest.raises(Conflict):
        at.dispatcher.ask(lambda: at.board.prioritise(second, "low", "me"))


def test_an_urgent_run_interrupts_a_lower_one_which_loses_no_attempt(
    bench: Bench, desk: Open
) -> None:
    gate, works = Gate(), {}
    works["1"] = gate.until_cancelled
    at = desk(
        spec("low", FakeJob(works), priority="low"), spec("j", FakeJob({"1": succeed})), workers=1
    )
    low = at.request("low")
    assert gate.entered.wait(SECONDS)
    works["1"] = succeed
    assert at.final(at.request("j", priority="urgent")) == "success"
    assert at.final(low) == "success"
    row = bench.one(
        "select attempt, max_attempts, interruptions, error_class from syncd.run where id = %s",
        low,
    )
    assert row == (2, 5, 1, None)
    assert [told for told in bench.watcher.told if told[0] == "ended"] == [
        ("ended", "low", "interrupted"), ("ended", "j", "success"), ("ended", "low", "success"),
    ]  # fmt: skip


def test_a_run_put_back_beyond_its_next_due_time_is_not_given_up_at_once_at_a_gate(
    bench: Bench, desk: Open
) -> None:
    gate, works = Gate(), {}
    works["1"] = gate.until_cancelled
    at = desk(
        hourly("low", FakeJob(works), priority="low"),
        spec("j", FakeJob({"1": succeed})),
        workers=1,
    )
    at.due(Due("low", NOON, "schedule"))
    assert gate.entered.wait(SECONDS)
    pass_time(bench, 4000)
    at.machine.load = 5.0
    works["1"] = succeed
    assert at.final(at.request("j", priority="urgent")) == "success"
    low = only_waiting(at)
    assert why(at, low) == "load"
    pass_turn(at)
    assert low in at.board.waiting
    at.machine.load = 0.0
    assert at.final(low) == "success"


def test_a_run_put_back_of_a_job_that_is_gone_is_not_started_again(
    bench: Bench, desk: Open
) -> None:
    at, room = desk(spec("j", FakeJob({})), started=False), Room(1)
    run_id = at.board.request("j", ALL, "me")
    (attempt,) = at.board.begin(room, (), at.next_due.get, bench.watcher)
    at.jobs.adopt({}, {})
    back = RunEnd(Outcome("pending"), NOON, 0.0, NOON, free=True, preempted=True)
    bench.recorder.record(Owed(attempt.claim, run=back))
    at.board.ended(attempt, back)
    assert list(at.board.begin(room, (), at.next_due.get, bench.watcher)) == []
    at.board.lapse(room, (), bench.watcher)
    assert not at.board.active(run_id)
    assert bench.one("select status, error from syncd.run") == ("cancelled", "the job is gone")


def test_an_urgent_run_interrupts_no_second_one_while_the_worker_of_the_first_comes_back(
    bench: Bench, desk: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    gates = {"a": Gate(), "b": Gate()}
    low = [spec(n, FakeJob({"1": g.until_cancelled}), priority="low") for n, g in gates.items()]
    at = desk(*low, spec("j", FakeJob({"1": succeed})))
    for name, gate in gates.items():
        at.request(name)
        assert gate.entered.wait(SECONDS)
    noted = threading.Event()
    monkeypatch.setattr(at.keeper, "run_ended", lambda *_: noted.wait(SECONDS))
    urgent = at.request("j", priority="urgent")
    until(lambda: urgent in at.board.running)
    noted.set()
    assert at.final(urgent) == "success"
    assert bench.one("select sum(interruptions) from syncd.run") == 1


def test_runs_that_share_an_account_take_turns(bench: Bench, desk: Open) -> None:
    gate = Gate()
    at = desk(
        spec("a", FakeJob({"1": gate}), accounts=("prod",)),
        spec("b", FakeJob({"1": succeed}), accounts=("prod",)),
    )
    at.request("a")
    assert gate.entered.wait(SECONDS)
    second = at.request("b")
    assert why(at, second) == "account"
    gate.open.set()
    assert at.final(second) == "success"


def test_overlap_replace_cancels_the_active_run_and_starts_the_new_one(
    bench: Bench, desk: Open
) -> None:
    gate, works = Gate(), {}
    works["1"] = gate.until_cancelled
    at = desk(hourly("j", FakeJob(works), overlap="replace"))
    at.due(Due("j", NOON, "schedule"))
    assert gate.entered.wait(SECONDS)
    works["1"] = succeed
    at.due(Due("j", NOON + HOUR, "schedule"))
    until(lambda: len(at.keeper.ends) == 2)
    assert [row[2] for row in statuses(bench)] == ["cancelled", "success"]
    assert "replaced by run" in bench.one("select error from syncd.run where status = 'cancelled'")


def test_overlap_queue_lets_one_wait(bench: Bench, desk: Open) -> None:
    gate = Gate()
    at = desk(hourly("j", FakeJob({"1": gate}), overlap="queue"))
    for hour in range(3):
        at.due(Due("j", NOON + hour * HOUR, "schedule"))
        if hour == 0:
            assert gate.entered.wait(SECONDS)
    until(lambda: ("skipped", "j", "overlap") in bench.watcher.told)
    gate.open.set()
    until(lambda: len(at.keeper.ends) == 2)
    assert statuses(bench) == [
        (NOON, "schedule", "success"), (NOON + HOUR, "schedule", "success"),
    ]  # fmt: skip

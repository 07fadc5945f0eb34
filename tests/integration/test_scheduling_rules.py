"""The dispatcher with gates, priorities, pauses, held accounts and stuck threads, on a store."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from dispatch_desk import ALL, Desk, Open, statuses, until
from dispatch_helpers import NOON, SECONDS, Bench, FakeJob, Gate, fail, minutes, spec, succeed

from syncd.context import RunContext
from syncd.dispatch import dispatcher
from syncd.dispatch.queue import Room
from syncd.dispatch.spec import JobSpec
from syncd.errors import Authentication, Conflict, Fenced, Network, NotFound, StoreError
from syncd.jobs.base import Applied
from syncd.model.run import Counts, Due, Outcome, RunId, Selection, Target
from syncd.store import held_accounts, job_state
from syncd.store.outbox import Owed
from syncd.store.runs import RunEnd
from syncd.triggers.adaptive import Adaptive
from syncd.triggers.base import Memory
from syncd.triggers.interval import Interval

HOUR = timedelta(hours=1)


def hourly(name: str, job: Any, **changes: Any) -> JobSpec:
    """Return a job that is due each hour from noon."""

    def trigger(memory: Memory, now: datetime) -> Interval:
        return Interval(memory.interval or HOUR, NOON)

    return spec(name, job, trigger_from=trigger, **changes)


def why(at: Desk, run_id: RunId) -> str:
    """Return why a run waits, once that was decided."""
    until(lambda: run_id in at.board.waits)
    return at.board.waits[run_id].reason


def only_waiting(at: Desk) -> RunId:
    """Return the one run that waits."""
    until(lambda: len(at.board.waiting) == 1)
    return next(iter(at.board.waiting))


def pass_turn(at: Desk) -> None:
    """Wait until the dispatcher has done a whole turn: one lies between two answers."""
    for _ in range(2):
        at.dispatcher.ask(lambda: None)


def pass_time(bench: Bench, seconds: float) -> None:
    bench.clock.pass_(seconds)  # type: ignore[attr-defined]  # a HandClock


# Gates


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


# Priorities


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


# Overlap


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


# Stuck threads


class Pipe:
    """A work that sleeps in C code until somebody writes to its pipe."""

    def __init__(self) -> None:
        self.read, self.write = os.pipe()
        self.entered = threading.Event()

    def __call__(self, ctx: RunContext) -> None:
        self.entered.set()
        os.read(self.read, 1)

    def wake(self) -> None:
        os.write(self.write, b"x")
        os.close(self.write)


def test_a_thread_asleep_in_c_code_is_found_counted_and_replaced_and_locks_its_job(
    bench: Bench, desk: Open
) -> None:
    pipe = Pipe()
    at = desk(
        spec("j", FakeJob({"1": pipe}), timeout=timedelta(milliseconds=50)),
        spec("other", FakeJob({"1": succeed})),
        workers=1, stuck_after=0.2,
    )  # fmt: skip
    at.due(Due("j", NOON, "schedule"))
    until(lambda: at.pool.stuck == 1)
    until(lambda: statuses(bench) == [(NOON, "schedule", "failed")])
    run = bench.one("select error_class, error, next_attempt_at, items_failed from syncd.run")
    assert run == (
        "timeout", "the time limit of 0:00:00.050000 passed; its thread did not come back", None, 1,
    )  # fmt: skip
    assert at.final(at.request("other")) == "success"  # in the thread that replaces it
    at.due(Due("j", NOON + HOUR, "schedule"))
    until(lambda: ("skipped", "j", "stuck") in bench.watcher.told)
    pipe.wake()
    until(lambda: at.pool.stuck == 0 and not at.board.stuck)
    assert bench.scratch() == 1  # what the late thread would have written was refused
    assert bench.watcher.told.count(("ended", "j", "failed")) == 1
    assert ("ended", "j", "interrupted") not in bench.watcher.told
    at.due(Due("j", NOON + 2 * HOUR, "schedule"))
    until(lambda: len(statuses(bench)) == 3)  # the job is unlocked
    os.close(pipe.read)


def test_a_stuck_thread_of_a_cancelled_run_leaves_it_cancelled(bench: Bench, desk: Open) -> None:
    pipe = Pipe()
    at = desk(spec("j", FakeJob({"1": pipe})), stuck_after=0.1)
    run_id = at.request()
    assert pipe.entered.wait(SECONDS)
    at.dispatcher.ask(lambda: at.board.cancel(run_id, "me"))
    assert at.final(run_id) == "cancelled"
    until(lambda: at.pool.stuck == 1)
    pipe.wake()
    until(lambda: at.pool.stuck == 0)
    os.close(pipe.read)


# Held accounts


def accounts_job(**works: Any) -> FakeJob:
    """Return a job with an item for each account, which leaves those out that are held."""

    class Job(FakeJob):
        def targets(self, ctx: RunContext) -> list[Target]:
            return [
                Target(
                    name, account=name,
                    problem=Authentication(f"not tried: {ctx.held[name]}")
                    if name in ctx.held else None,
                )
                for name in self.works
            ]  # fmt: skip

    return Job(works)


def test_refused_credentials_hold_the_job_until_an_hour_has_passed(
    bench: Bench, desk: Open
) -> None:
    job = accounts_job(prod=fail(Authentication("the key is unknown")))
    at = desk(hourly("j", job, accounts=("prod",)))
    at.due(Due("j", NOON, "schedule"))
    until(lambda: at.keeper.ends and not at.board.running)
    assert bench.one("select status, error_class, attempt from syncd.run") == (
        "failed", "authentication", 1,
    )  # fmt: skip
    at.due(Due("j", NOON + timedelta(minutes=1), "schedule"))
    run_id = only_waiting(at)
    assert why(at, run_id) == "held"
    assert at.board.waits[run_id].until == NOON + HOUR
    job.works = {"prod": succeed}
    pass_time(bench, 3599)
    pass_turn(at)
    assert run_id in at.board.waiting
    with bench.store.transaction() as tx:
        assert [each.account for each in held_accounts.load(tx)] == ["prod"]
    pass_time(bench, 1)
    until(lambda: len(at.keeper.ends) == 2)
    assert [row[2] for row in statuses(bench)] == ["failed", "success"]
    with bench.store.transaction() as tx:
        assert held_accounts.load(tx) == []


def test_a_held_account_is_left_out_and_the_others_go_on(bench: Bench, desk: Open) -> None:
    job = accounts_job(a=fail(Authentication("no")), b=succeed)
    at = desk(spec("j", job, accounts=("a", "b")))
    for minute in range(2):
        at.due(Due("j", NOON + timedelta(minutes=minute), "schedule"))
        until(lambda minute=minute: len(at.keeper.ends) == minute + 1 and not at.board.running)
    assert job.read_targets.count("a") == 1
    assert job.read_targets.count("b") == 2
    last = bench.one("select error from syncd.run order by scheduled_for desc limit 1")
    assert "not tried: no (refused since 2026-03-01 12:00:00 UTC)" in last


def test_a_run_by_hand_and_another_secret_try_a_held_account(bench: Bench, desk: Open) -> None:
    prints = {"prod": "one"}
    job = accounts_job(prod=fail(Authentication("no")))
    at = desk(hourly("j", job, accounts=("prod",), fingerprints=lambda: dict(prints)))
    at.due(Due("j", NOON, "schedule"))
    until(lambda: at.keeper.ends and not at.board.running)
    assert at.final(at.request()) == "failed"
    assert job.read_targets == ["prod"] * 2
    at.due(Due("j", NOON + timedelta(minutes=1), "schedule"))
    assert why(at, only_waiting(at)) == "held"
    job.works = {"prod": succeed}
    prints["prod"] = "two"
    bench.clock.ticked += 60  # type: ignore[attr-defined]  # secrets are looked at now and then
    until(lambda: len(at.keeper.ends) == 3)
    assert at.holds.of(at.jobs.specs["j"]) == []


# Adaptive intervals


def test_an_adaptive_job_is_retimed_by_what_its_complete_runs_change(
    bench: Bench, desk: Open
) -> None:
    changes = [5, 0]
    job = FakeJob({"1": lambda ctx: Applied(Counts(total=9, updated=changes[0]))})

    at = desk(hourly("j", job, adaptive=Adaptive(timedelta(minutes=10), timedelta(hours=6))))
    assert at.final(at.request()) == "success"
    until(lambda: at.retimed == ["j"])
    assert at.jobs.of("j").memory.interval == timedelta(minutes=10)
    changes[0] = 0
    assert at.final(at.request(selection=Selection(accounts=frozenset()))) == "success"
    until(lambda: at.retimed == ["j", "j"])
    assert bench.one("select interval_seconds from syncd.job_state") == 900
    job.works = {"1": fail(Network("x"))}
    at.request()
    until(lambda: len(at.keeper.ends) == 3)
    assert at.jobs.of("j").memory.interval == timedelta(minutes=15)


def test_a_run_adapts_nothing_once_its_job_has_another_schedule(bench: Bench, desk: Open) -> None:
    gate = Gate()
    job = FakeJob({"1": gate})
    at = desk(hourly("j", job, adaptive=Adaptive(timedelta(minutes=10), timedelta(hours=6))))
    run_id = at.request()
    assert gate.entered.wait(SECONDS)
    at.reload(hourly("j", job))
    gate.open.set()
    assert at.final(run_id) == "success"
    pass_turn(at)
    assert at.retimed == []
    assert bench.one("select interval_seconds from syncd.job_state") is None


# The store, and another daemon


def test_due_times_that_waited_for_the_store_beyond_their_next_one_are_cancelled(
    bench: Bench, desk: Open
) -> None:
    at = desk(hourly("j", FakeJob({"1": succeed})), started=False)
    pass_time(bench, 2.5 * 3600)
    at.board.claim(
        [Due("j", NOON + hour * HOUR, "schedule") for hour in range(3)], bench.watcher, waited=True
    )
    assert bench.execute("select status, error from syncd.run order by scheduled_for") == [
        ("cancelled", "not started in time (store): the store was out of reach"),
        ("cancelled", "not started in time (store): the store was out of reach"),
        ("pending", None),
    ]
    assert len(at.board.waiting) == 1


def test_very_many_due_times_that_waited_for_the_store_are_claimed_part_by_part(
    bench: Bench, desk: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "_CLAIMED", 2)
    at = desk(hourly("j", FakeJob({"1": succeed})), started=False)
    claim, sizes = at.board.claim, []

    def counted(dues: Sequence[Due], *args: Any, **options: Any) -> None:
        sizes.append(len(dues))
        claim(dues, *args, **options)

    monkeypatch.setattr(at.board, "claim", counted)
    at.dispatcher.store_fails = True
    pass_time(bench, 4.5 * 3600)
    at.due(*[Due("j", NOON + hour * HOUR, "schedule") for hour in reversed(range(5))])
    at.start()
    until(lambda: at.keeper.ends)
    assert sizes == [2, 2, 1]
    assert [row[2] for row in statuses(bench)] == ["cancelled"] * 4 + ["success"]


@pytest.mark.parametrize("end", ["given up", "replaced"])
def test_a_run_that_ends_before_the_lost_answer_of_its_start_is_known_does_not_block_its_job(
    bench: Bench, desk: Open, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    at = desk(hourly("j", FakeJob({"1": succeed}), overlap="replace"), started=False)
    transaction, lost = bench.store.transaction, []

    @contextmanager
    def fragile(*args: Any, **options: Any) -> Iterator[Any]:
        with transaction(*args, **options) as tx:
            yield tx
        if options.get("operation") == "begin" and not lost:
            lost.append(1)
            pass_time(bench, 3600)
            if end == "replaced":
                at.due(Due("j", NOON + HOUR, "schedule"))
            else:
                at.machine.load = 5.0
            raise StoreError("the connection broke at the commit")

    monkeypatch.setattr(bench.store, "transaction", fragile)
    at.due(Due("j", NOON, "schedule"))
    at.start()
    if end == "given up":
        assert why(at, only_waiting(at)) == "load"
        pass_time(bench, 3600)
    until(lambda: statuses(bench)[:1] == [(NOON, "schedule", "cancelled")])
    at.machine.load = 0.0
    assert at.final(at.request()) == "success"


@pytest.mark.parametrize("act", ["pause", "resume", "request", "reload", "adapt"])
def test_nothing_is_written_once_another_daemon_leads(bench: Bench, desk: Open, act: str) -> None:
    at = desk(hourly("j", FakeJob({"1": succeed})), started=False)
    bench.execute("update syncd.leader set holder = 'daemon:other', epoch = epoch + 1")
    acts = {
        "pause": lambda: at.jobs.pause("j", None, "me"),
        "resume": lambda: at.jobs.resume("j", "me"),
        "request": lambda: at.board.request("j", ALL, "me"),
        "reload": at.board.reread,
        "adapt": lambda: at.ledger.set_interval("j", HOUR),
    }
    before = bench.execute("select * from syncd.job_state")
    with pytest.raises(Fenced):
        acts[act]()
    assert bench.execute("select * from syncd.job_state") == before
    assert statuses(bench) == []


def test_a_clock_set_back_does_not_keep_a_retry_waiting_beyond_its_ladder(
    bench: Bench, desk: Open
) -> None:
    works = {"1": fail(Network("x"))}
    at = desk(hourly("j", FakeJob(works), retries=minutes(5)))
    at.due(Due("j", NOON, "schedule"))
    until(lambda: at.keeper.ends and at.board.waiting and not at.board.running)
    run_id = only_waiting(at)
    assert at.board.waiting[run_id].ready_at == NOON + timedelta(minutes=5)
    before = NOON - timedelta(hours=8)
    bench.clock.set(before)  # type: ignore[attr-defined]  # a HandClock
    at.dispatcher.clock_set_back(before)
    until(lambda: at.board.waiting[run_id].ready_at == before + timedelta(minutes=5))
    works["1"] = succeed
    pass_time(bench, 300)
    assert at.final(run_id) == "success"


def test_a_cancel_that_comes_as_the_attempt_ends_cancels_the_retry(
    bench: Bench, desk: Open
) -> None:
    at = desk(spec("j", FakeJob({"1": fail(Network("x"))})), started=False)
    run_id = at.board.request("j", ALL, "me")
    (attempt,) = at.board.begin(Room(1), (), at.next_due.get, bench.watcher)
    end = at.dispatcher._runner.run(attempt)  # it is to be tried again
    assert end is not None
    assert end.next_attempt_at is not None
    at.board.cancel(run_id, "me")
    at.board.ended(attempt, end)
    at.board.lapse(Room(1), (), bench.watcher)
    assert bench.one("select status, error from syncd.run") == ("cancelled", "cancelled by me")
    assert not at.board.active(run_id)


def test_a_pause_whose_answer_was_lost_is_known_after_the_outage(bench: Bench, desk: Open) -> None:
    at = desk(hourly("j", FakeJob({})), started=False)
    at.ledger.pause("j", job_state.Pause(NOON, None, "me"))  # the board has not heard of it
    assert at.jobs.pause_of("j") is None
    at.dispatcher.store_fails = True
    at.start()
    until(lambda: at.jobs.pause_of("j") is not None)


def test_a_trigger_that_fails_keeps_no_other_job_from_its_run(bench: Bench, desk: Open) -> None:
    def broken(memory: Memory, now: datetime) -> Interval:
        raise ZeroDivisionError

    at = desk(
        spec("bad", FakeJob({"1": succeed}), trigger_from=broken),
        hourly("good", FakeJob({"1": succeed})),
    )
    at.due(Due("bad", NOON, "schedule"), Due("good", NOON, "schedule"))
    until(lambda: len(at.keeper.ends) == 2)
    assert [row[2] for row in statuses(bench)] == ["success", "success"]


def test_a_secret_that_was_changed_while_it_was_refused_is_tried_at_once(
    bench: Bench, desk: Open
) -> None:
    prints, works = {"prod": "old"}, accounts_job()

    def refuse(ctx: RunContext) -> None:
        prints["prod"] = "new"  # somebody mends it while the old one is on its way
        works.works = {"prod": succeed}
        raise Authentication("no")

    works.works = {"prod": refuse}
    at = desk(hourly("j", works, accounts=("prod",), fingerprints=lambda: dict(prints)))
    at.due(Due("j", NOON, "schedule"))
    until(lambda: at.keeper.ends and not at.board.running)
    at.due(Due("j", NOON + timedelta(minutes=1), "schedule"))
    until(lambda: len(at.keeper.ends) == 2)
    assert [row[2] for row in statuses(bench)] == ["failed", "success"]

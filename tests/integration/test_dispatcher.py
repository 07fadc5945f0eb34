"""The dispatcher's thread: claims, starts, keeps the lease, outlives the store."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from databases import reachable_directory
from dispatch_desk import Desk, Open, statuses, until
from dispatch_helpers import (
    NOON,
    SECONDS,
    Bench,
    FakeJob,
    Gate,
    current_holder,
    fail,
    minutes,
    spec,
    succeed,
)

from syncd.context import Clock
from syncd.dispatch import dispatcher
from syncd.errors import Conflict, Fenced, Network, NotFound, StoreError, TimedOut
from syncd.model.run import Due, Selection, Target
from syncd.store import leader
from syncd.store.embedded import EmbeddedPostgres
from syncd.store.fencing import fence
from syncd.store.migrate import migrate


def test_a_due_time_becomes_a_run_and_its_moment_is_remembered(bench: Bench, desk: Open) -> None:
    at = desk(spec("j", FakeJob({"1": succeed})))
    at.due(Due("j", NOON, "schedule"))
    until(lambda: at.keeper.ends)
    assert statuses(bench) == [(NOON, "schedule", "success")]
    assert bench.one("select last_due from syncd.job_state") == NOON


def test_a_due_time_of_an_active_job_is_skipped_and_accounted_for(bench: Bench, desk: Open) -> None:
    gate = Gate()
    at = desk(spec("j", FakeJob({"1": gate})))
    at.due(Due("j", NOON, "schedule"))
    assert gate.entered.wait(SECONDS)
    later = NOON + minutes(1)[0]
    at.due(Due("j", later, "schedule"))
    until(lambda: ("skipped", "j", "overlap") in bench.watcher.told)
    assert bench.one("select last_due from syncd.job_state") == later
    gate.open.set()
    until(lambda: at.keeper.ends)
    at.due(Due("j", NOON, "schedule"))  # after the clock was set back
    until(lambda: ("skipped", "j", "already_made") in bench.watcher.told)
    assert statuses(bench) == [(NOON, "schedule", "success")]


def test_what_was_missed_is_made_up_for_one_by_one_oldest_first(bench: Bench, desk: Open) -> None:
    order = []
    job = FakeJob({"1": lambda ctx: order.append(ctx.scheduled_for)})
    at = desk(spec("j", job, catch_up="all"))
    moments = [NOON + step for step in minutes(0, 1, 2)]
    at.due(*[Due("j", moment, "catch_up") for moment in moments])
    until(lambda: len(at.keeper.ends) == 3)
    assert order == moments
    assert statuses(bench) == [(moment, "catch_up", "success") for moment in moments]


def test_a_clock_that_was_set_back_pulls_the_last_due_time_back(bench: Bench, desk: Open) -> None:
    at = desk(spec("j", FakeJob({})))
    at.due(Due("j", NOON, "schedule"))
    until(lambda: at.keeper.ends)
    before = NOON - minutes(10)[0]
    at.dispatcher.clock_set_back(before)
    until(lambda: bench.one("select last_due from syncd.job_state") == before)


def test_a_request_that_waits_already_serves_a_second_one(bench: Bench, desk: Open) -> None:
    gate = Gate()
    at = desk(spec("j", FakeJob({"1": gate}, {"1": Target("1", region="a")})))
    first = at.request()
    assert gate.entered.wait(SECONDS)
    second, third = at.request(), at.request()
    other = at.request(selection=Selection(regions=frozenset({"a"})))
    assert second == third
    assert len({first, second, other}) == 3
    with pytest.raises(NotFound):
        at.request("none")
    gate.open.set()
    assert [at.final(run_id) for run_id in (first, second, other)] == ["success"] * 3


def test_a_request_does_not_wait_for_another_attempt(bench: Bench, desk: Open) -> None:
    works = {"1": fail(Network("x"))}
    at = desk(spec("j", FakeJob(works)))
    first = at.request()
    until(lambda: bench.one("select next_attempt_at from syncd.run") is not None)
    works["1"] = succeed
    second = at.request()
    assert second != first
    assert at.final(second) == "success"


def test_a_run_is_cancelled_whether_it_waits_or_runs(bench: Bench, desk: Open) -> None:
    gate = Gate()
    at = desk(spec("j", FakeJob({"1": gate.until_cancelled})))
    running = at.request()
    assert gate.entered.wait(SECONDS)
    waiting = at.request()
    for run_id in (waiting, running):
        at.dispatcher.ask(lambda run_id=run_id: at.board.cancel(run_id, "me"))
        assert at.final(run_id) == "cancelled"
    with pytest.raises(Conflict):
        at.dispatcher.ask(lambda: at.board.cancel(running, "me"))


def test_a_run_that_a_command_elsewhere_left_behind_can_be_cancelled(
    bench: Bench, desk: Open
) -> None:
    at = desk(spec("j", FakeJob({"1": succeed})))
    new = bench.new_run("j")
    bench.insert(new)
    late = bench.start(new.id, "cli:another:1", 0)
    at.dispatcher.ask(lambda: at.board.cancel(new.id, "me"))
    assert bench.one("select status from syncd.run") == "cancelled"
    with pytest.raises(Fenced), bench.store.transaction() as tx:
        fence(tx, late)


def test_a_run_whose_time_is_over_is_stopped_and_waits_for_the_next_attempt(
    bench: Bench, desk: Open
) -> None:
    job = FakeJob({"1": Gate().until_cancelled})
    at = desk(spec("j", job, timeout=timedelta(milliseconds=10)))
    at.due(Due("j", NOON, "schedule"))
    until(lambda: at.keeper.ends)
    until(lambda: at.board.waiting)
    # a busy machine may take the end's record by way of the outbox, a moment later
    until(lambda: statuses(bench) == [(NOON, "schedule", "pending")])


def test_a_run_that_is_cancelled_while_it_stops_has_no_further_attempt(
    bench: Bench, desk: Open
) -> None:
    gate = Gate()
    at = desk(spec("j", FakeJob({"1": gate})))
    run_id = at.request()
    assert gate.entered.wait(SECONDS)
    at.board.running[run_id].attempt.source.cancel(TimedOut("as the supervisor does"))
    at.dispatcher.ask(lambda: at.board.cancel(run_id, "me"))
    gate.open.set()
    assert at.final(run_id) == "cancelled"
    assert bench.one("select error from syncd.run") == "cancelled by me"


def test_a_further_attempt_starts_when_its_time_has_come(bench: Bench, desk: Open) -> None:
    works = {"1": fail(Network("x"))}
    at = desk(spec("j", FakeJob(works)))
    run_id = at.request()
    until(lambda: at.keeper.ends and at.board.waiting and not at.board.running)
    works["1"] = succeed
    bench.clock.pass_(60)  # type: ignore[attr-defined]  # a HandClock
    assert at.final(run_id) == "success"
    assert bench.one("select attempt from syncd.run") == 2


def test_a_start_and_a_claim_whose_answers_were_lost_are_found(bench: Bench, desk: Open) -> None:
    at = desk(spec("a", FakeJob({"1": succeed})), spec("b", FakeJob({})), started=False)
    begun, claimed = bench.begun("a"), bench.new_run("b")
    bench.insert(claimed)
    at.start()
    at.reload(*at.jobs.specs.values())
    assert at.final(begun.run_id) == "success"
    assert at.final(claimed.id) == "success"
    attempts = bench.one("select attempt, max_attempts from syncd.run where job = 'a'")
    assert attempts == (2, 5)  # the start that nobody heard of cost none


def test_a_job_that_is_gone_takes_its_waiting_runs_along(bench: Bench, desk: Open) -> None:
    at = desk(spec("j", FakeJob({"1": fail(Network("x"))})))
    run_id = at.request()
    until(lambda: at.keeper.ends and at.board.waiting and not at.board.running)
    at.reload()
    assert bench.one("select status, error from syncd.run") == ("cancelled", "the job is gone")
    assert not at.board.active(run_id)


def test_what_is_asked_for_and_not_begun_in_time_is_never_done(
    bench: Bench, desk: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "_ANSWER", 0.05)
    at, gate, done = desk(), Gate(), []
    hung = threading.Thread(target=at.dispatcher.ask, args=(lambda: gate(None),))  # type: ignore[arg-type]
    hung.start()
    assert gate.entered.wait(SECONDS)
    with pytest.raises(StoreError, match="does not answer"):
        at.dispatcher.ask(lambda: done.append(1))
    gate.open.set()
    hung.join(SECONDS)  # what was begun has its answer, however late
    at.dispatcher.ask(lambda: None)
    assert not done


def test_a_reload_that_the_store_fails_changes_nothing(
    bench: Bench, desk: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = spec("j", FakeJob({"1": succeed}))
    at = desk(before)

    def lost(*_: object) -> Any:
        raise StoreError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(at.ledger, "waiting", lost)
        with pytest.raises(StoreError):
            at.reload(spec("k", FakeJob({})))
    assert at.jobs.specs == {"j": before}
    assert at.final(at.request()) == "success"


def test_runs_begun_before_the_store_is_lost_between_two_starts_are_run(
    bench: Bench, desk: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = desk(spec("a", FakeJob({"1": succeed})), spec("b", FakeJob({})), started=False)
    check, calls = leader.Lease.check, []

    def fragile(lease: leader.Lease, tx: Any) -> None:
        calls.append(1)
        if len(calls) == 3:  # the claim, the first start, the second one
            raise StoreError("gone")
        check(lease, tx)

    monkeypatch.setattr(leader.Lease, "check", fragile)
    at.due(Due("a", NOON, "schedule"), Due("b", NOON, "schedule"))
    at.start()
    until(lambda: len(at.keeper.ends) == 2)
    assert [row[2] for row in statuses(bench)] == ["success"] * 2
    assert at.keeper.back.is_set()


def test_who_asks_without_end_does_not_hold_up_the_schedule(bench: Bench, desk: Open) -> None:
    at = desk(spec("j", FakeJob({"1": succeed})))
    stop = threading.Event()

    def again() -> None:
        if not stop.is_set():
            at.dispatcher._inbox.put(again)

    try:
        again()
        at.due(Due("j", NOON, "schedule"))
        until(lambda: at.keeper.ends)
    finally:
        stop.set()
    assert statuses(bench) == [(NOON, "schedule", "success")]


def test_a_dispatcher_that_is_fenced_off_tells_and_stops(bench: Bench, desk: Open) -> None:
    at = desk(spec("j", FakeJob({})))
    bench.execute("update syncd.leader set holder = 'daemon:other', epoch = epoch + 1")
    with pytest.raises(Fenced):
        at.request()
    at.due(Due("j", NOON, "schedule"))
    assert at.keeper.deposed.wait(SECONDS)
    assert statuses(bench) == []


def test_a_drain_starts_nothing_and_interrupts_what_does_not_end(bench: Bench, desk: Open) -> None:
    gate = Gate()
    at = desk(spec("j", FakeJob({"1": gate.until_cancelled})), spec("k", FakeJob({})), workers=1)
    running = at.request()
    assert gate.entered.wait(SECONDS)
    hurry = threading.Event()
    hurry.set()
    at.dispatcher.drain(SECONDS, hurry, lambda: None)
    waiting = at.request("k")
    at.dispatcher.stop()
    rows = dict(bench.execute("select id, (status, attempt, max_attempts)::text from syncd.run"))
    assert rows == {running: "(pending,1,5)", waiting: "(pending,0,4)"}
    assert current_holder(bench.store) is None


def test_a_drain_waits_for_what_ends_in_time(bench: Bench, desk: Open) -> None:
    gate, ticks = Gate(), []
    at = desk(spec("j", FakeJob({"1": gate})))
    run_id = at.request()
    assert gate.entered.wait(SECONDS)

    def tick() -> None:
        ticks.append(1)
        gate.open.set()

    at.dispatcher.drain(SECONDS, threading.Event(), tick)
    assert at.final(run_id) == "success"
    assert ticks


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """Give a server of the test's own, which it may stop."""
    with reachable_directory() as directory:
        made = EmbeddedPostgres(directory)
        made.start(60)
        try:
            yield made
        finally:
            made.stop(30)


def test_due_times_outlive_the_store(server: EmbeddedPostgres, tmp_path: Path) -> None:
    bench = Bench(server.dsn, tmp_path, Clock())
    migrate(bench.store)
    bench.execute("create table scratch (run_id uuid not null)")
    gate = Gate()
    at = Desk(bench, spec("j", FakeJob({"1": gate})), spec("k", FakeJob({"1": succeed})))
    at.start()
    running: UUID = at.request()
    assert gate.entered.wait(SECONDS)
    server.stop(30)
    at.due(Due("k", NOON, "schedule"))
    assert at.keeper.lost.wait(SECONDS)
    gate.open.set()  # its end is owed
    until(lambda: at.keeper.ends)
    server.start(60)
    assert at.keeper.back.wait(SECONDS)
    until(lambda: len(at.keeper.ends) == 2)
    rows = dict(bench.execute("select job, status from syncd.run"))
    assert rows == {"j": "pending", "k": "success"}
    assert bench.one("select error_class from syncd.run where id = %s", running) == "store"
    assert bench.recorder.owed == 0
    at.close()
    bench.close()

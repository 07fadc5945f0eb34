"""Adaptive jobs, and what outages, clocks and lost answers do to the schedule."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

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
from dispatch_helpers import NOON, SECONDS, Bench, FakeJob, Gate, fail, minutes, spec, succeed

from syncd.dispatch import dispatcher
from syncd.dispatch.queue import Room
from syncd.errors import Fenced, Network, StoreError
from syncd.jobs.base import Applied
from syncd.model.run import Counts, Due, Selection
from syncd.store import job_state
from syncd.triggers.adaptive import Adaptive
from syncd.triggers.base import Memory
from syncd.triggers.interval import Interval


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

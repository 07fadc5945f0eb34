"""What becomes of due times that are handed over: runs, skips, runs that are replaced."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from dispatch_helpers import NOON, HandClock, Watcher, minutes, plain_log, spec
from memory_ledger import MemoryLedger, MemoryStore
from queue_helpers import at

from syncd.dispatch.board import Board
from syncd.dispatch.holds import Holds
from syncd.dispatch.job_states import JobStates
from syncd.dispatch.ledger import ClaimedDues
from syncd.dispatch.queue import Room
from syncd.dispatch.spec import JobSpec
from syncd.errors import StoreError
from syncd.model.run import Due, Outcome, Overlap, RunId, Selection, TriggerName
from syncd.store.database import Store
from syncd.store.job_state import Schedule
from syncd.store.runs import RunEnd
from syncd.triggers.base import Memory
from syncd.triggers.catch_up import Policy
from syncd.triggers.interval import Interval

HOUR = timedelta(hours=1)
ROOM = Room(3)


def hourly(memory: Memory, now: datetime) -> Interval:
    return Interval(HOUR, memory.last_due or now)


def job(name: str = "j", **changes: Any) -> JobSpec:
    return spec(name, **{"trigger_from": hourly, "schedule": "every 1h", **changes})


class Desk:
    """A board over a ledger in memory, whose claims are kept."""

    def __init__(self, *specs: JobSpec) -> None:
        self.clock, self.store, self.watcher = HandClock(), MemoryStore(), Watcher()
        self.wrote: list[ClaimedDues] = []
        ledger = _Kept(self.store, "one", self.store.lead("one"), self.wrote)
        log = plain_log()
        self.holds = Holds(cast(Store, None), self.clock, log)
        self.jobs = JobStates(ledger, self.holds, self.clock, log)
        self.board = Board(ledger, self.jobs, self.clock, log)
        self.adopt(*specs)

    def adopt(self, *specs: JobSpec) -> None:
        schedules = {one.name: Schedule(one.schedule, None) for one in specs}
        states = self.store.remember(schedules, self.clock.now())
        self.jobs.adopt({one.name: one for one in specs}, states)

    def claim(
        self, *dues: float, trigger: TriggerName = "schedule", waited: bool = False, name: str = "j"
    ) -> list[str]:
        """Claim due times, in minutes after noon; return what became of each, by minute."""
        before = len(self.watcher.told), set(self.store.runs)
        self.board.claim(
            [Due(name, at(minute), trigger) for minute in dues], self.watcher, waited=waited
        )
        made = [row for run_id, row in self.store.runs.items() if run_id not in before[1]]
        found = [(row.new.scheduled_for, row.status) for row in made]
        skips = [(each.due, each.reason) for each in self.wrote[-1].skips]
        told = [each[2] for each in self.watcher.told[before[0] :]]
        assert sorted(told) == sorted(reason for _, reason in skips)
        return [f"{(moment - NOON) // minutes(1)[0]} {what}" for moment, what in [*found, *skips]]

    def begin(self) -> list[Any]:
        return list(self.board.begin(ROOM, (), lambda job: None, self.watcher))

    def end(self, attempt: Any, **changes: Any) -> None:
        end = RunEnd(Outcome("success"), self.clock.now(), 1.0)
        end = replace(end, **changes)
        self.store.end_run(attempt.claim, end)
        self.board.ended(attempt, end)

    def by_minute(self) -> dict[int, str]:
        """Return the status of each scheduled run, by its minute."""
        rows = [row for row in self.store.runs.values() if row.new.trigger != "manual"]
        return {(row.new.scheduled_for - NOON) // minutes(1)[0]: row.status for row in rows}


class _Kept(MemoryLedger):
    """A ledger that keeps the claims."""

    def __init__(self, store: MemoryStore, holder: str, epoch: int, wrote: Any) -> None:
        super().__init__(store, holder, epoch)
        self._wrote = wrote

    def claim(self, dues: ClaimedDues, now: datetime) -> set[RunId]:
        self._wrote.append(dues)
        return super().claim(dues, now)


# One due time, and what stands


@pytest.mark.parametrize(
    ("overlap", "standing", "expected"),
    [
        ("skip", "nothing", ["60 pending"]), ("skip", "running", ["60 overlap"]),
        ("skip", "waiting", ["60 overlap"]), ("skip", "retrying", ["60 overlap"]),
        ("queue", "nothing", ["60 pending"]), ("queue", "running", ["60 pending"]),
        ("queue", "waiting", ["60 overlap"]), ("queue", "retrying", ["60 pending"]),
        ("replace", "nothing", ["60 pending"]), ("replace", "running", ["60 pending"]),
        ("replace", "waiting", ["60 pending"]), ("replace", "retrying", ["60 pending"]),
    ],
)  # fmt: skip
def test_a_due_time_follows_the_overlap_of_its_job(
    overlap: Overlap, standing: str, expected: list[str]
) -> None:
    desk = Desk(job(overlap=overlap))
    attempt = None
    if standing != "nothing":
        desk.claim(0)
    if standing in ("running", "retrying"):
        (attempt,) = desk.begin()
    if standing == "retrying":
        desk.end(attempt, outcome=Outcome("pending"), next_attempt_at=at(65))
    desk.clock.pass_(3600)
    assert desk.claim(60) == expected
    if overlap == "replace" and standing in ("waiting", "retrying"):
        assert desk.by_minute() == {0: "cancelled", 60: "pending"}
        assert [run.scheduled_for for run in desk.board.waiting.values()] == [at(60)]
    if attempt and standing == "running":
        assert (attempt.source.error is not None) == (overlap == "replace")


def test_what_is_replaced_says_by_which_run() -> None:
    desk = Desk(job(overlap="replace"))
    desk.claim(0)
    desk.claim(60)
    first, second = desk.store.runs.values()
    assert first.error == f"replaced by run {second.new.id}"


def test_a_run_by_hand_that_is_active_counts() -> None:
    desk = Desk(job(overlap="skip"))
    desk.board.request("j", Selection(), "me")
    assert desk.claim(60) == ["60 overlap"]


@pytest.mark.parametrize("catch_up", ["latest", "all"])
def test_while_a_thread_is_stuck_due_times_are_skipped(catch_up: Policy) -> None:
    desk = Desk(job(catch_up=catch_up, overlap="queue"))
    desk.claim(0)
    (attempt,) = desk.begin()
    desk.board.give_up(desk.board.running[attempt.claim.run_id])
    assert desk.claim(60) == ["60 stuck"]
    assert desk.claim(120, trigger="catch_up") == ["120 stuck"]
    desk.board.ended(attempt, None)
    assert desk.claim(180) == ["180 pending"]


# Many due times at once


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        ("skip", ["0 pending", "60 overlap", "120 overlap"]),
        ("queue", ["0 pending", "60 overlap", "120 overlap"]),
        ("replace", ["0 cancelled", "60 cancelled", "120 pending"]),
    ],
)
def test_due_times_of_a_job_in_one_batch_follow_each_other(
    overlap: Overlap, expected: list[str]
) -> None:
    desk = Desk(job(overlap=overlap))
    assert desk.claim(120, 0, 60) == expected
    assert desk.store.last_due("j") == at(120)
    assert desk.jobs.of("j").memory.last_due == at(120)
    assert len(desk.board.waiting) == 1


@pytest.mark.parametrize("overlap", ["skip", "queue", "replace"])
def test_where_all_is_made_up_for_each_missed_due_time_gets_its_run(overlap: Overlap) -> None:
    desk = Desk(job(overlap=overlap, catch_up="all"))
    found = desk.claim(0, 60, 120, trigger="catch_up")
    assert found == ["0 pending", "60 pending", "120 pending"]


def test_where_the_latest_is_made_up_for_the_overlap_holds() -> None:
    desk = Desk(job(overlap="skip", catch_up="latest"))
    desk.claim(0)
    assert desk.claim(60, trigger="catch_up") == ["60 overlap"]


def test_due_times_of_a_job_that_is_gone_are_left_out() -> None:
    desk = Desk(job("other"))
    assert desk.claim(0) == []
    assert desk.wrote[-1] == ClaimedDues({}, [], [], [])


# Due times that were seen to before


def _lost_answer(desk: Desk, *dues: float) -> None:
    """Claim due times, and lose the answer."""
    desk.store.fault = "unanswered", 0
    with pytest.raises(StoreError):
        desk.claim(*dues)
    desk.board.reread()


@pytest.mark.parametrize("overlap", ["skip", "queue", "replace"])
def test_a_claim_whose_answer_was_lost_makes_and_cancels_nothing_when_repeated(
    overlap: Overlap,
) -> None:
    desk = Desk(job(overlap=overlap))
    _lost_answer(desk, 0)
    assert desk.claim(0, waited=True) == ["0 already_made"]
    assert desk.by_minute() == {0: "pending"}
    assert len(desk.begin()) == 1


@pytest.mark.parametrize("overlap", ["skip", "queue", "replace"])
def test_a_due_time_that_comes_again_leaves_its_run_alone(overlap: Overlap) -> None:
    desk = Desk(job(overlap=overlap))
    desk.claim(0)
    (attempt,) = desk.begin()
    assert desk.claim(0) == ["0 already_made"]
    assert attempt.source.error is None


def test_a_due_time_whose_run_is_over_replaces_nothing() -> None:
    desk = Desk(job(overlap="replace"))
    desk.claim(0)
    desk.end(desk.begin()[0])
    desk.board.request("j", Selection(), "me")
    (by_hand,) = desk.begin()
    waiting = desk.board.request("j", Selection(), "me")
    desk.board.claim([Due("j", NOON, "schedule")], desk.watcher)
    assert by_hand.source.error is None
    assert list(desk.board.waiting) == [waiting]
    assert desk.store.runs[waiting].status == "pending"
    assert desk.watcher.told[-1] == ("skipped", "j", "already_made")


# The store was out of reach


@pytest.mark.parametrize(
    ("deadline", "now", "expected"),
    [
        (None, 59, ["0 pending"]), (None, 60, ["0 cancelled", "0 store"]),
        (minutes(10)[0], 9, ["0 pending"]), (minutes(10)[0], 10, ["0 cancelled", "0 store"]),
        (minutes(90)[0], 89, ["0 pending"]),
    ],
)  # fmt: skip
def test_a_due_time_that_waited_for_the_store_too_long_is_recorded_as_skipped(
    deadline: timedelta | None, now: float, expected: list[str]
) -> None:
    desk = Desk(job(start_deadline=deadline))
    desk.clock.pass_(now * 60)
    assert desk.claim(0, waited=True) == expected
    if len(expected) == 2:
        (row,) = desk.store.runs.values()
        assert row.error == "not started in time (store): the store was out of reach"
        assert desk.board.waiting == {}


def test_a_due_time_that_did_not_wait_for_the_store_is_made_however_late() -> None:
    desk = Desk(job())
    desk.clock.pass_(2 * 3600)
    assert desk.claim(0) == ["0 pending"]


def test_of_several_that_waited_for_the_store_only_the_last_is_made() -> None:
    desk = Desk(job())  # was never due: what is remembered does not tell its grid
    desk.clock.pass_(130 * 60)
    assert desk.claim(0, 60, 120, waited=True) == [
        "0 cancelled", "60 cancelled", "120 pending", "0 store", "60 store",
    ]  # fmt: skip


def test_what_is_made_up_for_does_not_lapse_with_the_store() -> None:
    desk = Desk(job())
    desk.clock.pass_(10 * 3600)
    assert desk.claim(0, trigger="catch_up", waited=True) == ["0 pending"]


def test_a_due_time_that_comes_twice_in_a_batch_is_skipped_once_for_the_store() -> None:
    desk = Desk(job())
    desk.clock.pass_(3 * 3600)
    found = desk.claim(0, 0, waited=True)
    assert found == ["0 cancelled", "0 store", "0 already_made"]


def test_a_due_time_that_had_its_run_is_not_skipped_for_the_store_as_well() -> None:
    desk = Desk(job())
    desk.claim(0)
    desk.end(desk.begin()[0])
    desk.clock.pass_(3 * 3600)
    desk.board.claim([Due("j", NOON, "schedule")], desk.watcher, waited=True)
    assert [each for each in desk.watcher.told if each[0] == "skipped"] == [
        ("skipped", "j", "already_made")
    ]


# How long runs may wait, and with what


@pytest.mark.parametrize(
    ("trigger", "deadline", "gate_by", "start_by"),
    [
        ("schedule", None, 60, None), ("catch_up", None, 120, None),
        ("schedule", minutes(10)[0], 10, 10), ("catch_up", minutes(10)[0], 100, 100),
    ],
)  # fmt: skip
def test_a_run_may_wait_until_the_next_due_time_or_its_deadline(
    trigger: TriggerName, deadline: timedelta | None, gate_by: float, start_by: float | None
) -> None:
    desk = Desk(job(start_deadline=deadline, servers=["s"]))
    desk.clock.pass_(90 * 60)
    desk.claim(0, trigger=trigger)
    (run,) = desk.board.waiting.values()
    assert run.gate_by == at(gate_by)
    assert run.start_by == (None if start_by is None else at(start_by))
    assert run.servers == {"s"}


def test_a_run_that_is_tried_again_uses_what_its_job_uses_by_then() -> None:
    desk = Desk(job(accounts=["old"]))
    desk.claim(0)
    (attempt,) = desk.begin()
    desk.adopt(job(accounts=["new"]))
    desk.end(attempt, outcome=Outcome("pending"), next_attempt_at=at(1))
    (run,) = desk.board.waiting.values()
    assert run.accounts == {"new"}


def test_a_run_of_a_job_that_is_gone_is_cancelled_when_it_would_be_tried_again() -> None:
    desk = Desk(job())
    desk.claim(0)
    (attempt,) = desk.begin()
    desk.adopt(job("other"))
    desk.end(attempt, outcome=Outcome("pending"), next_attempt_at=at(1))
    desk.board.lapse(ROOM, (), desk.watcher)
    assert desk.by_minute() == {0: "cancelled"}


def told(desk: Desk) -> Sequence[Any]:
    return [each for each in desk.watcher.told if each[0] == "skipped"]


@pytest.mark.parametrize(("attempts", "skips"), [(0, [("skipped", "j", "load")]), (1, [])])
def test_a_run_that_a_gate_held_too_long_is_cancelled_and_skipped_if_it_never_began(
    attempts: int, skips: Sequence[Any]
) -> None:
    desk = Desk(job())
    desk.claim(0)
    for _ in range(attempts):
        desk.end(desk.begin()[0], outcome=Outcome("pending"), next_attempt_at=at(1))
    desk.clock.pass_(59 * 60)
    desk.board.lapse(ROOM, ["load"], desk.watcher)
    assert desk.by_minute() == {0: "pending"}
    desk.clock.pass_(60)
    desk.board.lapse(ROOM, ["load"], desk.watcher)
    (row,) = desk.store.runs.values()
    assert (row.status, row.error) == (
        "cancelled", "not started in time (load): the load was too high",
    )  # fmt: skip
    assert told(desk) == skips


# A start of which the answer was lost


def _lost_start(desk: Desk) -> None:
    """Begin what waits, lose the answer, and look at the ledger anew."""
    desk.store.fault = "unanswered", 0
    with pytest.raises(StoreError):
        desk.begin()
    desk.board.reread()


def test_a_run_whose_start_was_not_answered_is_begun_again_at_no_cost() -> None:
    desk = Desk(job())
    desk.claim(0)
    _lost_start(desk)
    (attempt,) = desk.begin()
    left = attempt.max_attempts - attempt.claim.attempt
    assert left == len(job().retries)
    desk.end(attempt)
    assert desk.by_minute() == {0: "success"}


def test_a_run_whose_start_was_not_answered_may_be_given_up() -> None:
    desk = Desk(job())
    desk.claim(0)
    _lost_start(desk)
    desk.clock.pass_(3600)
    desk.board.lapse(ROOM, ["load"], desk.watcher)
    assert desk.by_minute() == {0: "cancelled"}
    assert desk.claim(60) == ["60 pending"]
    assert len(desk.begin()) == 1


def test_a_run_whose_start_was_not_answered_may_be_replaced() -> None:
    desk = Desk(job(overlap="replace"))
    desk.claim(0)
    _lost_start(desk)
    desk.claim(60)
    assert desk.by_minute() == {0: "cancelled", 60: "pending"}
    assert len(desk.begin()) == 1


def test_a_run_whose_start_was_not_answered_is_cancelled_with_its_job() -> None:
    desk = Desk(job())
    desk.claim(0)
    desk.store.fault = "unanswered", 0
    with pytest.raises(StoreError):
        desk.begin()
    desk.adopt(job("other"))
    desk.board.reread()
    desk.board.drop_void()
    assert desk.by_minute() == {0: "cancelled"}


def test_what_runs_is_not_given_back_when_the_ledger_is_read_anew() -> None:
    desk = Desk(job())
    desk.claim(0)
    (attempt,) = desk.begin()
    desk.board.reread()
    assert desk.by_minute() == {0: "running"}
    assert desk.board.waiting == {}
    desk.end(attempt)

"""The board: how long runs may wait and with what, and starts of which the answer was lost."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from board_helpers import ROOM, Desk, job
from dispatch_helpers import minutes
from queue_helpers import at

from syncd.errors import StoreError
from syncd.model.run import Outcome, TriggerName

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

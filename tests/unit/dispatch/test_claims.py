"""What becomes of due times that are handed over: runs, skips, runs that are replaced."""

from datetime import timedelta

import pytest
from board_helpers import Desk, job
from dispatch_helpers import NOON, minutes
from queue_helpers import at

from syncd.dispatch.ledger import ClaimedDues
from syncd.errors import StoreError
from syncd.model.run import Due, Outcome, Overlap, Selection
from syncd.triggers.catch_up import Policy

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


def test_a_due_time_behind_one_that_had_its_run_gets_its_own() -> None:
    desk = Desk(job(overlap="skip"))
    desk.claim(0)
    desk.end(desk.begin()[0])
    assert desk.claim(0, 60) == ["60 pending", "0 already_made"]


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

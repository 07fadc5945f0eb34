"""What is done side by side ends in time, whatever one of it does."""

import threading
import time

from syncd.doctor.side_by_side import Act, Once, side_by_side


def test_one_that_hangs_holds_up_no_other():
    over = threading.Event()
    began = time.monotonic()
    try:
        outcomes = side_by_side([Act(lambda: over.wait(30), 0.2), Act(lambda: "quick", 10)], most=1)
    finally:
        over.set()
    assert time.monotonic() - began < 5
    assert (outcomes[0].late, outcomes[0].result) == (True, None)
    assert (outcomes[1].late, outcomes[1].result) == (False, "quick")


def test_no_more_are_done_at_once_than_allowed():
    lock, running, peak = threading.Lock(), 0, 0

    def act() -> None:
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
        threading.Event().wait(0.01)
        with lock:
            running -= 1

    outcomes = side_by_side([Act(act, 10)] * 12, most=3)
    assert len(outcomes) == 12
    assert 1 < peak <= 3


def test_an_error_is_that_of_its_own_act():
    def fail() -> str:
        raise ValueError("no")

    outcomes = side_by_side([Act(fail, 10), Act(lambda: "yes", 10)], most=2)
    assert isinstance(outcomes[0].error, ValueError)
    assert outcomes[1].result == "yes"
    assert side_by_side([], most=2) == []


def test_a_measurement_is_made_once_by_whoever_asks():
    made = []
    once = Once(lambda: made.append(1) or "found")
    assert [outcome.result for outcome in side_by_side([Act(once, 10)] * 8, most=8)] == [
        "found"
    ] * 8
    assert made == [1]


def test_a_failed_measurement_fails_for_all():
    def fail() -> str:
        made.append(1)
        raise ValueError("no")

    made: list[int] = []
    once = Once(fail)
    outcomes = side_by_side([Act(once, 10)] * 4, most=4)
    assert all(isinstance(outcome.error, ValueError) for outcome in outcomes)
    assert made == [1]

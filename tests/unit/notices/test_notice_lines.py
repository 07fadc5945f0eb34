"""The threads that serve lines: as many as may hang, each line by one at a time."""

import threading

import pytest
from dispatch_helpers import plain_log

from syncd.context import Clock
from syncd.notices.lines import Lines

SECONDS = 10.0


class Served:
    """Serves lines; each waits until the test lets it go on."""

    def __init__(self) -> None:
        self.begun: dict[str, threading.Semaphore] = {}
        self.go_on: dict[str, threading.Semaphore] = {}
        self.at_once: dict[str, int] = {}
        self.most = 0
        for line in "abc":
            self.begun[line], self.go_on[line] = threading.Semaphore(0), threading.Semaphore(0)
            self.at_once[line] = 0

    def __call__(self, line: str) -> float | None:
        self.at_once[line] += 1
        self.most = max(self.most, self.at_once[line])
        self.begun[line].release()
        assert self.go_on[line].acquire(timeout=SECONDS)
        self.at_once[line] -= 1
        return None


@pytest.fixture
def served():
    return Served()


def lines(serve, most):
    return Lines("test-lines", most, serve, Clock(), plain_log())


def test_one_that_hangs_holds_up_no_other(served):
    made = lines(served, 2)
    made.wake("a")
    assert served.begun["a"].acquire(timeout=SECONDS)
    for line in "bc":
        made.wake(line)
        assert served.begun[line].acquire(timeout=SECONDS)
        served.go_on[line].release()
    served.go_on["a"].release()
    made.stop(SECONDS)


def test_there_are_no_more_threads_than_asked_for(served):
    made = lines(served, 2)
    for line in "abc":
        made.wake(line)
    begun = [line for line in "ab" if served.begun[line].acquire(timeout=SECONDS)]
    assert begun == ["a", "b"]
    assert not served.begun["c"].acquire(blocking=False)
    served.go_on["a"].release()
    assert served.begun["c"].acquire(timeout=SECONDS)
    for line in "bc":
        served.go_on[line].release()
    made.stop(SECONDS)


def test_a_line_that_is_woken_while_it_is_served_is_served_again_afterwards(served):
    made = lines(served, 3)
    made.wake("a")
    assert served.begun["a"].acquire(timeout=SECONDS)
    for _ in range(5):
        made.wake("a")
    served.go_on["a"].release()
    assert served.begun["a"].acquire(timeout=SECONDS)
    served.go_on["a"].release()
    made.stop(SECONDS)
    assert served.most == 1
    assert not served.begun["a"].acquire(blocking=False), "five calls are one"


def test_one_that_fails_is_served_again_and_the_others_go_on():
    done = threading.Event()

    def serve(line: str) -> None:
        if line == "a":
            raise ZeroDivisionError
        done.set()

    made = lines(serve, 1)
    made.wake("a")
    made.wake("b")
    assert done.wait(SECONDS)
    made.stop(SECONDS)


def test_what_is_hurried_does_not_wait_for_its_time():
    times, twice = [], threading.Event()

    def serve(line: str) -> float:
        times.append(line)
        if len(times) == 2:
            twice.set()
        waits.set()
        return 3600.0

    waits = threading.Event()
    made = lines(serve, 1)
    made.wake("a")
    assert waits.wait(SECONDS)
    while not twice.is_set():
        made.hurry("a")
    made.stop(SECONDS)
    made.wake("b")
    assert "b" not in times, "after the end nothing is served"

"""Time limits and stuck attempts, seen by a thread that nothing holds up."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from dispatch_helpers import NOON, SECONDS, plain_log, spec

from syncd.context import CancelSource, Deadline
from syncd.dispatch.progress import RunProgress
from syncd.dispatch.runner import Attempt
from syncd.dispatch.supervisor import Supervisor, ailment
from syncd.errors import Cancelled, TimedOut
from syncd.model.run import Claim, RunId, Selection, new_run_id


def attempt(name: str = "j", seconds: float = 3600) -> Attempt:
    """Return an attempt that has so many seconds left."""
    return Attempt(
        spec=spec(name, timeout=timedelta(minutes=5)),
        claim=Claim(RunId(new_run_id(NOON)), "daemon:test", 1, 1), scheduled_for=NOON,
        max_attempts=1, selection=Selection(), source=CancelSource(),
        deadline=Deadline.after(seconds), next_due=lambda: None, progress=RunProgress(), held={},
    )  # fmt: skip


class Watched:
    """Attempts under a supervisor that looks often and soon takes one for stuck."""

    def __init__(self) -> None:
        self.running: list[Attempt] = []
        self.stuck: list[Attempt] = []
        self.looks = 0
        self.supervisor = Supervisor(
            self._look, self._hear, plain_log(), stuck_after=0.05, turn=0.005
        )

    def _look(self) -> list[Attempt]:
        self.looks += 1
        return list(self.running)

    def _hear(self, attempt: Attempt) -> None:
        self.stuck.append(attempt)
        if attempt.spec.name == "troublesome":
            raise RuntimeError("a bug")

    def after_looks(self, count: int) -> None:
        """Wait until it has looked so many times more, from beginning to end."""
        end = self.looks + count + 1
        assert eventually(lambda: self.looks >= end)


def eventually(true: Callable[[], bool]) -> bool:
    end = time.monotonic() + SECONDS
    while not true() and time.monotonic() < end:
        time.sleep(0.002)
    return true()


@pytest.fixture
def watched() -> Iterator[Watched]:
    made = Watched()
    made.supervisor.start()
    yield made
    assert made.supervisor.stop(SECONDS)


def test_an_attempt_is_stopped_when_its_time_is_over_and_not_before(watched: Watched) -> None:
    late, early = attempt("late", 0.1), attempt("early")
    watched.running = [late, early]
    assert late.source.token.wait(SECONDS)
    assert late.deadline.remaining() <= 0
    with pytest.raises(TimedOut, match="time limit of 0:05:00 passed"):
        late.source.token.check()
    assert not early.source.token.is_set()


def test_the_error_that_stopped_an_attempt_first_stays(watched: Watched) -> None:
    late = attempt("late", -1)
    late.source.cancel(Cancelled("by me"))
    watched.running = [late]
    watched.after_looks(2)
    assert isinstance(late.source.error, Cancelled)


def test_one_that_does_not_come_back_is_told_once_and_after_its_time(watched: Watched) -> None:
    stopped, told_late = attempt(), attempt("late", 0)
    watched.running = [stopped, told_late, attempt("well")]
    stopped.source.cancel(Cancelled("by me"))
    assert stopped.source.since is not None
    assert eventually(lambda: len(watched.stuck) == 2)
    assert time.monotonic() - stopped.source.since >= 0.05
    watched.after_looks(5)
    assert watched.stuck == [stopped, told_late]


def test_a_later_attempt_of_a_run_that_was_stuck_is_watched_too(watched: Watched) -> None:
    first = attempt("j", 0)
    second = replace(
        first, claim=replace(first.claim, attempt=2), source=CancelSource(), deadline=Deadline(0.0)
    )
    watched.running = [first]
    assert eventually(lambda: watched.stuck == [first])
    watched.running = [second]
    assert eventually(lambda: watched.stuck == [first, second])


def test_trouble_with_one_attempt_does_not_keep_it_from_the_others(watched: Watched) -> None:
    def explode() -> None:
        raise RuntimeError("a bug")

    bad, good = attempt("troublesome", 0), attempt("good", 0)
    with bad.source.token.watch(explode):
        watched.running = [bad, good]
        assert good.source.token.wait(SECONDS)
        assert eventually(lambda: watched.stuck == [bad, good])


def test_its_age_tells_of_looks_that_hang_or_fail() -> None:
    gate, fails = threading.Event(), True

    def running() -> list[Attempt]:
        gate.wait(SECONDS)
        if fails:
            raise RuntimeError("a bug")
        return []

    supervisor = Supervisor(running, lambda _: None, plain_log(), turn=0.001)
    supervisor.start()
    assert eventually(lambda: supervisor.age() > 0.1)
    gate.set()
    assert eventually(lambda: supervisor.age() > 0.3)
    fails = False
    assert eventually(lambda: supervisor.age() < 0.1)
    assert supervisor.stop(SECONDS)


def test_the_daemon_is_well_until_a_restart_is_all_that_helps() -> None:
    assert ailment(supervisor_age=0.4, stuck=0, workers=3) is None
    assert ailment(supervisor_age=9.9, stuck=3, workers=3) is None
    assert ailment(supervisor_age=0.4, stuck=4, workers=3) == (
        "4 workers are stuck, more than the 3 that can be replaced"
    )
    assert "has not looked for 11 s" in (ailment(supervisor_age=11, stuck=0, workers=3) or "")

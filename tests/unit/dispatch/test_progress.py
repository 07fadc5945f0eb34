"""How far a run is, and how fast it goes."""

import pytest
from dispatch_helpers import HandClock

from syncd.dispatch.progress import RunProgress


def targets(progress):
    return progress.snapshot()["targets"]


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def progress(clock):
    made = RunProgress(clock)
    made.open(["a", "b"])
    made.note("a", state="running")
    return made


def test_speed_and_end_are_known_from_the_second_number_on(clock, progress):
    progress.note("a", done=100, of=1_100)
    known = targets(progress)["a"]
    assert (known["per_second"], known["seconds_left"]) == (None, None)
    clock.pass_(10)
    progress.note("a", done=600, of=1_100)
    assert targets(progress)["a"] == {
        "state": "running", "done": 600, "of": 1_100, "per_second": 50.0, "seconds_left": 10.0,
    }  # fmt: skip
    assert targets(progress)["b"]["per_second"] is None


def test_rows_of_an_earlier_attempt_do_not_make_it_fast(clock, progress):
    progress.note("a", done=1_000_000)
    clock.pass_(2)
    progress.note("a", done=1_000_010)
    known = targets(progress)["a"]
    assert (known["per_second"], known["seconds_left"]) == (5.0, None)


def test_one_that_stands_still_has_no_end_and_one_that_ended_no_speed(clock, progress):
    progress.note("a", done=5, of=10)
    clock.pass_(2)
    progress.note("a", done=5, of=10)
    known = targets(progress)["a"]
    assert (known["per_second"], known["seconds_left"]) == (0.0, None)
    progress.note("a", done=12, of=10)
    assert targets(progress)["a"]["seconds_left"] == 0.0
    progress.note("a", state="success")
    assert targets(progress)["a"]["per_second"] is None

"""The retry ladder."""

import pytest
from dispatch_helpers import NOON, minutes

from syncd.dispatch.retry import next_attempt

LADDER = minutes(1, 5, 15)


@pytest.mark.parametrize(("left", "delay"), [(3, 1), (2, 5), (1, 15)])
def test_each_failure_takes_the_next_step_of_the_ladder(left: int, delay: int) -> None:
    assert next_attempt(LADDER, left, NOON, None) == NOON + minutes(delay)[0]


def test_no_attempt_follows_the_last_one() -> None:
    assert next_attempt(LADDER, 0, NOON, None) is None
    assert next_attempt([], 3, NOON, None) is None


def test_a_ladder_that_was_shortened_gives_its_first_delay() -> None:
    assert next_attempt(minutes(2), 3, NOON, None) == NOON + minutes(2)[0]
    assert next_attempt(minutes(2), 1, NOON, None) == NOON + minutes(2)[0]


def test_the_ladder_ends_at_the_next_due_time() -> None:
    due = NOON + minutes(5)[0]
    assert next_attempt(LADDER, 3, NOON, due) == NOON + minutes(1)[0]
    assert next_attempt(LADDER, 2, NOON, due) is None


def test_a_server_that_asks_for_patience_is_waited_for_a_day_at_most() -> None:
    assert next_attempt(LADDER, 3, NOON, None, 30) == NOON + minutes(1)[0]
    assert next_attempt(LADDER, 3, NOON, None, 90) == NOON + minutes(1.5)[0]
    assert next_attempt(LADDER, 3, NOON, None, 1e300) == NOON + minutes(24 * 60)[0]
    assert next_attempt(LADDER, 3, NOON, NOON + minutes(5)[0], 600) is None

"""From which moment the ages of records are counted, whatever the clocks show."""

from datetime import UTC, datetime, timedelta

import pytest

from syncd.errors import Guarded
from syncd.jobs.retention import agreed, believed

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def test_of_two_clocks_the_earlier_one_counts():
    assert agreed(NOON, NOON + HOUR) == NOON
    assert agreed(NOON + HOUR, NOON) == NOON


@pytest.mark.parametrize("offset", [DAY + HOUR, -DAY - HOUR, 3650 * DAY, -3650 * DAY])
def test_clocks_that_differ_by_more_than_a_day_let_nothing_go(offset):
    with pytest.raises(Guarded, match="until they agree"):
        agreed(NOON, NOON + offset)


def test_in_steady_work_the_clock_is_believed():
    assert believed(NOON, NOON - 8 * DAY) == NOON
    assert believed(NOON, NOON - 14 * DAY) == NOON


def test_without_records_that_are_a_week_old_the_clock_is_believed():
    assert believed(NOON, None) == NOON


def test_a_jump_of_years_is_believed_for_two_weeks():
    last = NOON - 3650 * DAY
    assert believed(NOON, last) == last + 14 * DAY


def test_where_records_are_rare_what_is_held_back_does_not_grow():
    month = 31 * DAY
    for number in range(1, 13):
        now = NOON + number * month
        assert now - believed(now, now - month) == 17 * DAY

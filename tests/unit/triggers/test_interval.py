# ruff: noqa: DTZ001 - Hypothesis adds the zone to its bounds
"""Fixed intervals: no drift, never early."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.triggers.interval import Interval

moments = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))
lengths = st.timedeltas(timedelta(seconds=1), timedelta(days=400))


@given(anchor=moments, every=lengths, moment=moments)
def test_the_next_due_time_is_the_first_later_one_on_the_grid(anchor, every, moment):
    due = Interval(every, anchor).next_after(moment)
    assert moment < due <= moment + every
    assert (due - anchor) % every == timedelta(0)


def test_a_late_question_does_not_move_the_grid():
    anchor = datetime(2024, 1, 1, tzinfo=UTC)
    interval = Interval(timedelta(minutes=30), anchor)
    late = anchor + timedelta(minutes=30, seconds=17)
    assert interval.next_after(late) == anchor + timedelta(minutes=60)
    assert interval.next_after(anchor) == anchor + timedelta(minutes=30)


def test_the_answer_is_in_utc_whatever_the_anchor_is_in():
    anchor = datetime(2024, 1, 1, 8, tzinfo=timezone(timedelta(hours=8)))
    due = Interval(timedelta(hours=1), anchor).next_after(anchor)
    assert due.isoformat() == "2024-01-01T01:00:00+00:00"


def test_an_interval_below_a_second_and_a_naive_anchor_are_refused():
    with pytest.raises(ValueError, match="one second"):
        Interval(timedelta(milliseconds=999), datetime(2024, 1, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="aware"):
        Interval(timedelta(seconds=1), datetime(2024, 1, 1))

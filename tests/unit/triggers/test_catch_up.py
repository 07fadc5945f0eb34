# ruff: noqa: DTZ001 - Hypothesis adds the zone to its bounds
"""Missed due times, against a plain walk and with a bound on the work."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.triggers.catch_up import first_due, latest_due, missed
from syncd.triggers.cron import Cron
from syncd.triggers.interval import Interval

NOW = datetime(2024, 11, 5, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


class Counting:
    """A trigger that counts how often it is asked."""

    def __init__(self, trigger):
        self.trigger, self.asked = trigger, 0

    def next_after(self, moment):
        self.asked += 1
        return self.trigger.next_after(moment)


class Never:
    def next_after(self, moment):
        return None


def cron(text, zone="UTC"):
    return Cron(text, ZoneInfo(zone))


def walk(trigger, last_due, now):
    found, due = [], trigger.next_after(last_due)
    while due <= now:
        found.append(due)
        due = trigger.next_after(due)
    return found


triggers = st.one_of(
    st.builds(
        cron,
        st.sampled_from(["*/10 * * * *", "0 * * * *", "30 1 * * *", "30 2 * * *", "0 9 * * MON"]),
        st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    ),
    st.builds(
        Interval,
        st.timedeltas(timedelta(minutes=5), timedelta(days=3)),
        st.datetimes(datetime(2024, 1, 1), datetime(2024, 12, 1), timezones=st.just(UTC)),
    ),
)


@given(
    trigger=triggers,
    now=st.datetimes(datetime(2024, 10, 20), datetime(2024, 11, 20), timezones=st.just(UTC)),
    back=st.timedeltas(timedelta(0), timedelta(days=4)),
    window=st.timedeltas(timedelta(minutes=1), timedelta(days=5)),
    limit=st.integers(1, 40),
)
def test_the_answers_are_those_of_a_plain_walk(trigger, now, back, window, limit):
    all_missed = walk(trigger, now - back, now)
    assert missed(trigger, now - back, now, "none", window) == []
    assert missed(trigger, now - back, now, "latest", window) == all_missed[-1:]
    recent = [due for due in all_missed if due >= now - window]
    assert missed(trigger, now - back, now, "all", window, limit) == recent[-limit:]


@pytest.mark.parametrize("text", ["* * * * *", "0 0 29 2 *", "0 3 * * *"])
def test_years_of_missed_due_times_cost_bounded_work(text):
    trigger = Counting(cron(text))
    long_ago = NOW - timedelta(days=3650)
    assert len(missed(trigger, long_ago, NOW, "latest", DAY)) == 1
    assert trigger.asked < 80
    assert len(missed(trigger, long_ago, NOW, "all", 5000 * DAY)) <= 100
    assert trigger.asked < 8000


def test_no_more_than_a_hundred_are_made_up_for_the_newest_ones_oldest_first():
    found = missed(cron("* * * * *"), NOW - DAY, NOW, "all", DAY)
    assert len(found) == 100
    assert found == sorted(found)
    assert found[-1] == NOW


def test_latest_is_made_however_old_it_is():
    last = NOW - timedelta(days=40)
    assert missed(cron("@monthly"), last, NOW, "latest", DAY) == [datetime(2024, 11, 1, tzinfo=UTC)]
    assert missed(cron("@monthly"), last, NOW, "all", DAY) == []


def test_nothing_is_missed_when_the_clock_went_back_or_nothing_ever_comes():
    assert missed(cron("* * * * *"), NOW + DAY, NOW, "all", DAY) == []
    assert missed(Never(), NOW - DAY, NOW, "latest", DAY) == []
    assert latest_due(Never(), NOW - DAY, NOW) is None


def test_a_job_that_never_was_due_is_due_at_the_start_itself():
    assert first_due(Interval(timedelta(minutes=30), NOW), NOW) == NOW
    assert first_due(cron("0 12 * * *"), NOW) == NOW
    assert first_due(cron("1 12 * * *"), NOW) == NOW + timedelta(minutes=1)

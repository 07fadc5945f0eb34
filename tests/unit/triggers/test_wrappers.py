"""Spread and calendar: alone, and together over any schedule in any zone."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedules import fields, zones_and_moments

from syncd.triggers.calendars import BadCalendar, Calendar, Except
from syncd.triggers.catch_up import latest_due, missed
from syncd.triggers.cron import Cron
from syncd.triggers.interval import Interval
from syncd.triggers.spread import Shifted, offset_of

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2024, 5, 1, 10, 20, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Counting:
    """A trigger that counts how often it is asked."""

    def __init__(self, trigger):
        self.trigger, self.asked = trigger, 0

    def next_after(self, moment):
        self.asked += 1
        return self.trigger.next_after(moment)


def walk(trigger, start, end):
    found, due = [], trigger.next_after(start)
    while due is not None and due <= end:
        found.append(due)
        due = trigger.next_after(due)
    return found


@st.composite
def rules(draw):
    """Draw a schedule or an interval, perhaps shifted, and dates around a moment to leave out."""
    zone, moment = draw(zones_and_moments())
    plain = Cron(draw(fields()).text, zone) if draw(st.booleans()) else Interval(
        draw(st.timedeltas(timedelta(minutes=7), 2 * DAY)), moment
    )  # fmt: skip
    if draw(st.booleans()):
        plain = Shifted(plain, timedelta(seconds=draw(st.integers(0, 100_000))))
    today = moment.astimezone(zone).date()
    days = draw(st.frozensets(st.integers(-3, 6), max_size=6))
    return plain, Calendar(frozenset(today + timedelta(days=each) for each in days)), zone, moment


@settings(max_examples=150, deadline=None)
@given(rule=rules(), back=st.timedeltas(timedelta(0), DAY), part=st.floats(0, 1))
def test_wrapped_triggers_keep_what_a_trigger_promises(rule, back, part):
    plain, calendar, zone, moment = rule
    trigger, start, end = Except(plain, calendar, zone), moment - back, moment + 2 * DAY
    expected = [
        due for due in walk(plain, start, end) if due.astimezone(zone).date() not in calendar.dates
    ]
    found = walk(trigger, start, end)
    assert found == expected
    assert found == sorted(set(found))
    between = start + (end - start) * part
    later = trigger.next_after(between)
    assert later is None or (later > between and later.tzinfo is UTC)
    assert [later] == [due for due in found if due > between][:1] or later > end
    # What is made up for relies on answers that never get earlier.
    assert missed(trigger, start, end, "all", 9 * DAY, 500) == found[-500:]
    assert latest_due(trigger, start, end) == (found[-1] if found else None)


@given(rule=rules(), one=st.timedeltas(-DAY, DAY), other=st.timedeltas(-DAY, DAY))
def test_a_later_question_never_has_an_earlier_answer(rule, one, other):
    plain, calendar, zone, moment = rule
    trigger = Except(plain, calendar, zone)
    early, late = sorted((moment + one, moment + other))
    first, second = trigger.next_after(early), trigger.next_after(late)
    assert first > early
    assert second > late
    assert first <= second


@given(st.text(max_size=64), st.integers(0, 10_000))
def test_an_offset_is_of_whole_seconds_within_the_spread(name, seconds):
    offset = offset_of(name, timedelta(seconds=seconds))
    assert timedelta(0) <= offset < max(timedelta(seconds=seconds), timedelta(seconds=1))
    assert offset == timedelta(seconds=int(offset.total_seconds()))


def test_offsets_are_the_same_in_another_process_and_spread_out():
    names = [f"job-{number}" for number in range(100)]
    offsets = [offset_of(name, timedelta(minutes=5)) for name in names]
    code = (
        "from datetime import timedelta\nfrom syncd.triggers.spread import offset_of\n"
        "for n in range(100): print(offset_of(f'job-{n}', timedelta(minutes=5)).seconds)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [int(line) for line in done.stdout.split()] == [each.seconds for each in offsets]
    assert all(
        sum(start <= o.seconds < start + 60 for o in offsets) > 5 for start in range(0, 300, 60)
    )


def test_a_shifted_schedule_is_later_by_its_offset():
    trigger = Shifted(Cron("0 * * * *", BERLIN), timedelta(seconds=133))
    assert trigger.next_after(NOW) == datetime(2024, 5, 1, 11, 2, 13, tzinfo=UTC)
    inside = datetime(2024, 5, 1, 11, 1, tzinfo=UTC)
    assert trigger.next_after(inside) == datetime(2024, 5, 1, 11, 2, 13, tzinfo=UTC)


def test_a_calendar_is_read_from_dates_ranges_and_comments():
    text = "# holidays\n\n2024-05-01  # Labour Day\n 2024-12-30 .. 2025-01-02\r\n2024-05-01\n"
    days = (date(2024, 5, 1), date(2024, 12, 30), date(2024, 12, 31))
    assert Calendar.parse(text).dates == {*days, date(2025, 1, 1), date(2025, 1, 2)}
    assert Calendar.parse("") == Calendar(frozenset())
    assert Calendar.parse(text, "one") == Calendar.parse(text, "other")


def test_every_line_that_is_wrong_is_told():
    text = "2024-02-30\n2024-05-01\n2024-5-1\ntoday\n2024-05-02..2024-05-01\n2024-W01-5\n" + (
        "0001-01-01..9999-12-31\n2024-01-01..\n2024-01-01..2024-01-02..2024-01-03"
    )
    with pytest.raises(BadCalendar) as caught:
        Calendar.parse(text)
    assert [number for number, _ in caught.value.lines] == [1, 3, 4, 5, 6, 7, 8, 9]
    assert 'line 1: "2024-02-30" is no date: day is out of range for month' in str(caught.value)
    assert "line 5: the range ends before it begins" in str(caught.value)


@given(st.text(max_size=60) | st.text("0123456789-.# \n", max_size=60))
def test_any_text_is_a_calendar_or_wrong(text):
    try:
        assert isinstance(Calendar.parse(text), Calendar)
    except BadCalendar as error:
        assert error.lines  # noqa: PT017 - both outcomes are right


def test_the_dates_are_those_of_the_zone():
    # 1 May in Berlin begins at 22:00 UTC of 30 April.
    trigger = Except(Cron("0 * * * *", BERLIN), Calendar.parse("2024-05-01"), BERLIN)
    start = datetime(2024, 4, 30, 20, 30, tzinfo=UTC)
    assert trigger.next_after(start) == start.replace(hour=21, minute=0)
    assert trigger.next_after(start + HOUR) == datetime(2024, 5, 1, 22, tzinfo=UTC)


def test_years_without_a_date_are_jumped_over():
    plain = Counting(Interval(timedelta(seconds=1), NOW))
    trigger = Except(plain, Calendar.parse("2024-05-01..2054-04-30"), BERLIN)
    assert trigger.next_after(NOW) == datetime(2054, 4, 30, 22, tzinfo=UTC)
    assert plain.asked == 2


def test_a_calendar_that_leaves_nothing_ends():
    first_of_may = Cron("0 0 1 5 *", BERLIN)
    calendar = Calendar.parse("\n".join(f"{year}-05-01" for year in range(2024, 2124)))
    due = Except(first_of_may, calendar, BERLIN).next_after(NOW)
    assert due == datetime(2124, 4, 30, 22, tzinfo=UTC)


def test_a_day_before_that_comes_back_over_midnight_is_not_left_out():
    # Antarctica/Casey, 5 March 2010: 02:00 +11 becomes 23:00 +08 the day before.
    casey = ZoneInfo("Antarctica/Casey")
    trigger = Except(Cron("*/30 * * * *", casey), Calendar.parse("2010-03-05"), casey)
    found = walk(
        trigger, datetime(2010, 3, 4, 12, 0, tzinfo=UTC), datetime(2010, 3, 5, 16, tzinfo=UTC)
    )
    shown = [due.astimezone(casey).strftime("%d %H:%M%z") for due in found]
    assert shown == ["04 23:30+1100", "04 23:00+0800", "04 23:30+0800", "06 00:00+0800"]

"""Schedules mean what they meant to cron, which is counted out here minute by minute."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from crontab_helpers import imported, job, reason
from hypothesis import given, settings
from hypothesis import strategies as st
from thorough import times

from syncd.crontab.reasons import NotUnderstood
from syncd.crontab.schedule import read_schedule
from syncd.triggers.cron import Cron

BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
CURL = "curl -f https://api.internal/run"


def terms(low, high):
    values = st.integers(low, high)
    ranges = st.tuples(values, values).map(sorted).map(lambda pair: f"{pair[0]}-{pair[1]}")
    steps = st.integers(1, high)
    return st.one_of(
        st.just("*"), values.map(str), ranges, steps.map(lambda step: f"*/{step}"),
        st.builds(lambda span, step: f"{span}/{step}", ranges, steps),
    )  # fmt: skip


FIELDS = [st.lists(terms(*each), min_size=1, max_size=3).map(",".join) for each in BOUNDS]


def members(field, low, high):
    """Return the numbers of a field, as entry.c of Vixie's cron counts them."""
    found = set()
    for term in field.split(","):
        span, _, step = term.partition("/")
        first, _, last = (f"{low}-{high}" if span == "*" else span).partition("-")
        found.update(range(int(first), int(last or first) + 1, int(step or 1)))
    return found


def is_due(fields, moment):
    minute, hour, day, month, weekday = (
        members(field, *bounds) for field, bounds in zip(fields, BOUNDS, strict=True)
    )
    on_day = moment.day in day
    on_weekday = not weekday.isdisjoint({moment.isoweekday() % 7, moment.isoweekday()})
    both = fields[2].startswith("*") or fields[4].startswith("*")
    return (
        moment.minute in minute
        and moment.hour in hour
        and moment.month in month
        and (on_day and on_weekday if both else on_day or on_weekday)
    )


@settings(max_examples=times(40), deadline=None)
@given(st.tuples(*FIELDS), st.integers(0, 3 * 365 * 24 * 60))
def test_a_schedule_is_due_when_cron_would_have_run_the_line(fields, start):
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=start)
    try:
        schedule = read_schedule(" ".join(fields))
    except NotUnderstood:  # it never comes
        minutes = (start + timedelta(hours=n) for n in range(2 * 366 * 24))
        assert not any(is_due(("*", "*", *fields[2:]), moment) for moment in minutes)
        return
    cron = Cron(schedule.expression, ZoneInfo("UTC"))
    minutes = (start + timedelta(minutes=n) for n in range(1, 3 * 24 * 60))
    expected = [moment for moment in minutes if is_due(fields, moment)][:20]
    moment = start
    for each in expected:
        moment = cron.next_after(moment)
        assert moment == each


@pytest.mark.parametrize(
    ("fields", "expression", "spread"),
    [
        ("@daily", "@daily", 0), ("@Midnight", "@midnight", 0), ("*/5 * * * *", "*/5 * * * *", 0),
        ("-0 4 * * *", "0 4 * * *", 0), ("0 4 * JAN-mar Mon,fri", "0 4 * JAN-mar Mon,fri", 0),
        ("~ 4 * * *", "0 4 * * *", 60), ("10~19 4 * * *", "10 4 * * *", 10),
        ("~30 * * * *", "0 * * * *", 31),
    ],
)  # fmt: skip
def test_what_is_understood(fields, expression, spread):
    found = read_schedule(fields)
    assert (found.expression, found.spread) == (expression, timedelta(minutes=spread))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("@reboot", "no time"), ("@every_minute", "no schedule"), ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"), ("0 0 31 2 *", "31"), ("0 0 L * *", '"L"'), ("0 0 * * MON#2", "#"),
        ("5/15 * * * *", "differ"), ("* 0~5 * * *", "random"), ("50~10 * * * *", "no range"),
        ("0 22-2 * * *", "hour"), ("*/0 * * * *", "minute"), ("0 0 * * sunday", "sunday"),
        ("1,~ * * * *", "random"), ("? * * * *", "?"), ("0 0 * * 5L", "5L"),
    ],
)  # fmt: skip
def test_what_is_not(fields, told):
    with pytest.raises(NotUnderstood, match=re.escape(told)):
        read_schedule(fields)


def test_random_delays_are_a_spread():
    assert job(CURL, "RANDOM_DELAY=45\n")["spread"] == "45m"
    assert job(CURL, "RANDOM_DELAY=45\n", schedule="0~9 * * * *")["spread"] == "55m"
    assert job(f"sleep $((RANDOM \\% 90)) && {CURL}")["spread"] == "1m30s"
    assert job(f"sleep $[RANDOM \\% 60]s; {CURL}")["spread"] == "1m"
    assert "RANDOM_DELAY" in reason(CURL, "RANDOM_DELAY=soon\n")


def test_zones():
    text = f"0 1 * * * {CURL}\nCRON_TZ=Asia/Tokyo\n0 2 * * * {CURL}\nCRON_TZ=\n0 3 * * * {CURL}\n"
    found = imported(text, zone="Europe/Berlin")
    assert [each.tables["timezone"] for each in found.jobs] == [
        "Europe/Berlin", "Asia/Tokyo", "Europe/Berlin",
    ]  # fmt: skip
    assert "time zone" in reason(CURL, "CRON_TZ=Mars/Olympus\n")
    found = imported(f"TZ=Asia/Tokyo\n0 1 * * * {CURL}\n")
    assert found.jobs[0].tables["timezone"] == "UTC"
    assert "TZ does not move" in found.remarks[0]

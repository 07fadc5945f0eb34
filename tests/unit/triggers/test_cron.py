# ruff: noqa: DTZ001 - Hypothesis adds the zone to its bounds
"""Cron schedules: daylight saving, strictness, refusals."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.triggers.cron import MACROS, Cron

ZONES = [
    "UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
    "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca",
]  # fmt: skip
EXPRESSIONS = [
    "* * * * *", "*/7 * * * *", "30 * * * *", "*/30 2 * * *", "30 2 * * *", "0 3 * * *",
    "15,45 1-3 * * *", "0 0 * * *", "0 */2 * * *", "30 2 * * SUN", "0 0 L * *", "0 12 * * 5L",
    "0 0 1 * MON", "@hourly", "@weekly",
]  # fmt: skip

moments = st.datetimes(
    datetime(2019, 1, 1), datetime(2031, 1, 1), timezones=st.just(UTC)
)  # fmt: skip
crons = st.builds(
    Cron, st.sampled_from(EXPRESSIONS), st.sampled_from(ZONES).map(ZoneInfo)
)  # fmt: skip


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def due_times(expression, zone, start, count):
    cron, moment, found = Cron(expression, ZoneInfo(zone)), utc(start), []
    for _ in range(count):
        moment = cron.next_after(moment)
        found.append(moment.astimezone(ZoneInfo(zone)).strftime("%d %H:%M%z"))
    return found


@pytest.mark.parametrize(
    ("expression", "zone", "start", "expected"),
    [
        # Berlin, 31 March 2024: 02:00 becomes 03:00 (01:00 UTC).
        ("30 2 * * *", "Europe/Berlin", "2024-03-30T20:00",
         ["31 03:00+0200", "01 02:30+0200"]),
        ("0,30 2 * * *", "Europe/Berlin", "2024-03-30T20:00",
         ["31 03:00+0200", "01 02:00+0200", "01 02:30+0200"]),
        ("*/30 * * * *", "Europe/Berlin", "2024-03-31T00:20",
         ["31 01:30+0100", "31 03:00+0200", "31 03:30+0200"]),
        ("30 2 31 3 *", "Europe/Berlin", "2024-03-01T00:00",
         ["31 03:00+0200", "31 02:30+0200"]),
        # Berlin, 27 October 2024: 03:00 becomes 02:00 (01:00 UTC).
        ("30 2 * * *", "Europe/Berlin", "2024-10-26T20:00",
         ["27 02:30+0200", "28 02:30+0100"]),
        ("*/30 * * * *", "Europe/Berlin", "2024-10-26T23:50",
         ["27 02:00+0200", "27 02:30+0200", "27 02:00+0100", "27 02:30+0100", "27 03:00+0100"]),
        # Asked from inside the second pass of the hour.
        ("45 2 * * *", "Europe/Berlin", "2024-10-27T01:15",
         ["28 02:45+0100"]),
        ("0 3 * * *", "Europe/Berlin", "2024-10-27T01:15", ["27 03:00+0100"]),
        # New York, 10 March and 3 November 2024.
        ("30 2 * * *", "America/New_York", "2024-03-09T20:00", ["10 03:00-0400"]),
        ("30 1 * * *", "America/New_York", "2024-11-02T20:00",
         ["03 01:30-0400", "04 01:30-0500"]),
        # Lord Howe moves by half an hour: 02:00 becomes 02:30 on 6 October 2024.
        ("15 2 * * *", "Australia/Lord_Howe", "2024-10-05T12:00", ["06 02:30+1100"]),
        # Apia had no 30 December 2011.
        ("0 0 * * *", "Pacific/Apia", "2011-12-29T11:00", ["31 00:00+1400", "01 00:00+1400"]),
        # Beirut's day of 31 March 2024 begins at 01:00.
        ("0 0 * * *", "Asia/Beirut", "2024-03-30T10:00", ["31 01:00+0300", "01 00:00+0300"]),
        ("0 9 * * MON-FRI", "Asia/Shanghai", "2024-05-03T02:00", ["06 09:00+0800"]),
        ("0 0 29 2 *", "UTC", "2024-03-01T00:00", ["29 00:00+0000"]),
        ("0 0 * * 7", "UTC", "2024-05-01T00:00", ["05 00:00+0000"]),
        ("0 0 * * MON#2", "UTC", "2024-05-01T00:00", ["13 00:00+0000"]),
        ("@monthly", "UTC", "2024-05-01T00:00", ["01 00:00+0000"]),
    ],
)  # fmt: skip
def test_due_times_follow_debian_cron(expression, zone, start, expected):
    assert due_times(expression, zone, start, len(expected)) == expected


@given(cron=crons, moment=moments)
def test_due_times_are_later_and_in_utc_and_match_the_minute(cron, moment):
    for _ in range(3):
        due = cron.next_after(moment)
        assert due > moment
        assert due.utcoffset() == timedelta(0)
        assert (due.second, due.microsecond) == (0, 0)
        moment = due


@given(cron=crons, moment=moments, part=st.floats(0, 1))
def test_asking_from_between_gives_the_same_due_time(cron, moment, part):
    due = cron.next_after(moment)
    between = moment + (due - moment) * part
    if between < due:
        assert cron.next_after(between) == due


@given(
    st.text("0123456789*/,-#L ", max_size=14).map(lambda text: f"{text} * * * *")
    | st.lists(st.sampled_from(["*", "31", "2", "L", "5L", "1#3", "*/40", "MON", "0-7"]),
               min_size=5, max_size=5).map(" ".join)
)  # fmt: skip
def test_any_text_is_a_schedule_or_a_value_error(expression):
    try:
        cron = Cron(expression, ZoneInfo("Europe/Berlin"))
    except ValueError as error:
        assert str(error)  # noqa: PT017 - both outcomes are right
    else:
        assert cron.next_after(utc("2024-01-01")) > utc("2024-01-01")


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("0 0 31 2 *", "31.*day-of-month that can come"),
        ("0 0 30 2 *", "day-of-month"),
        ("0 0 31 4,6,9,11 *", "day-of-month"),
        ("0 * * * * *", "6 fields.*seconds are not supported"),
        ("* * * *", "4 fields"),
        ("", "0 fields"),
        ("61 * * * *", "minute that can come; allowed: 0 to 59"),
        ("* 24 * * *", "hour"),
        ("* * * FEBR *", "month"),
        ("* * * * 8", "day-of-week"),
        ("*/0 * * * *", "minute"),
        ("@reboot", "unknown name.*@daily"),
        (f"{'1,' * 200}1 * * * *", "longer than"),
    ],
)
def test_what_is_no_schedule_is_refused_with_the_reason(expression, reason):
    with pytest.raises(ValueError, match=reason):
        Cron(expression, ZoneInfo("UTC"))


@pytest.mark.parametrize("name", MACROS)
def test_names_stand_for_their_five_fields(name):
    zone = ZoneInfo("Europe/Berlin")
    moment = utc("2024-02-03T04:05")
    assert Cron(name, zone).next_after(moment) == Cron(MACROS[name], zone).next_after(moment)

"""Exclusion windows: what is inside, when they end, and what clock changes do to them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedules import zones_and_moments

from syncd.triggers.windows import DAYS, Windows

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = timedelta(minutes=1)


def ends(texts, moment, zone=BERLIN):
    """Return when the windows end, as the zone's clock shows it; moments are of that clock too."""
    local = datetime.fromisoformat(moment)
    aware = local if local.tzinfo else local.replace(tzinfo=zone)
    until = Windows.parse(texts).closed_until(aware, zone)
    return until and until.astimezone(zone).strftime("%d %H:%M%z")


@pytest.mark.parametrize(
    ("texts", "moment", "expected"),
    [
        # 1 May 2024 is a Wednesday.
        (["MON-FRI 09:00-12:00"], "2024-05-01T09:00", "01 12:00+0200"),
        (["MON-FRI 09:00-12:00"], "2024-05-01T11:59:59.999999", "01 12:00+0200"),
        (["MON-FRI 09:00-12:00"], "2024-05-01T12:00", None),
        (["MON-FRI 09:00-12:00"], "2024-05-01T08:59:59", None),
        (["MON-FRI 09:00-12:00"], "2024-05-04T10:00", None),
        (["22:00-02:00"], "2024-05-01T23:00", "02 02:00+0200"),
        (["22:00-02:00"], "2024-05-02T01:59", "02 02:00+0200"),
        # Over midnight, the window is of the day on which it starts.
        (["WED 22:00-02:00"], "2024-05-02T01:00", "02 02:00+0200"),
        (["WED 22:00-02:00"], "2024-05-01T01:00", None),
        (["SUN 22:00-02:00"], "2024-05-06T01:00", "06 02:00+0200"),
        (["SAT,SUN 00:00-24:00"], "2024-05-04T00:00", "06 00:00+0200"),
        (["sat,sun 00:00-24:00"], "2024-05-03T23:59", None),
        (["FRI-MON 00:00-24:00"], "2024-05-03T12:00", "07 00:00+0200"),
        # A chain of windows that overlap or adjoin ends with its last.
        (["08:00-09:00", "09:00-10:00", "09:30-11:00"], "2024-05-01T08:30", "01 11:00+0200"),
        (["TUE 00:00-24:00", "WED 00:00-12:00", "MON 12:00-24:00"], "2024-04-29T13:00",
         "01 12:00+0200"),
        ([], "2024-05-01T00:00", None),
        # 31 March 2024: 02:00 becomes 03:00. An end that is skipped comes with the change,
        (["01:00-02:30"], "2024-03-31T01:30", "31 03:00+0200"),
        # a window that is skipped does not come,
        (["02:15-02:45"], "2024-03-31T01:59", None),
        (["02:15-02:45"], "2024-03-31T03:00", None),
        # one whose beginning is skipped begins with the change, and one across it is shorter.
        (["02:30-04:00"], "2024-03-31T03:00", "31 04:00+0200"),
        (["02:30-04:00"], "2024-03-31T01:59", None),
        (["00:00-06:00"], "2024-03-31T01:30", "31 06:00+0200"),
        # 27 October 2024: 03:00 becomes 02:00. A window within the hour comes twice,
        (["02:15-02:45"], "2024-10-27T02:20+02:00", "27 02:45+0200"),
        (["02:15-02:45"], "2024-10-27T02:50+02:00", None),
        (["02:15-02:45"], "2024-10-27T02:20+01:00", "27 02:45+0100"),
        # one that ends in it ends and comes again,
        (["01:00-02:30"], "2024-10-27T01:30", "27 02:30+0200"),
        (["01:00-02:30"], "2024-10-27T02:10+01:00", "27 02:30+0100"),
        # one that begins in it is left when the clock goes back to before it,
        (["02:30-04:00"], "2024-10-27T02:40+02:00", "27 02:00+0100"),
        (["02:30-04:00"], "2024-10-27T02:40+01:00", "27 04:00+0100"),
        # and one across it is longer.
        (["00:00-06:00"], "2024-10-27T01:30", "27 06:00+0100"),
    ],
)  # fmt: skip
def test_when_windows_end(texts, moment, expected):
    assert ends(texts, moment) == expected


def test_other_changes_of_the_clock():
    lord_howe, apia = ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Pacific/Apia")
    assert ends(["01:00-02:15"], "2024-10-06T01:30", lord_howe) == "06 02:30+1100"
    # Friday 30 December 2011 was not.
    assert ends(["THU 12:00-24:00"], "2011-12-29T13:00", apia) == "31 00:00+1400"
    assert ends(["THU-SAT 12:00-24:00"], "2011-12-29T13:00", apia) == "31 00:00+1400"
    assert ends(["THU-FRI 00:00-24:00", "SAT 00:00-01:00"], "2011-12-29T13:00", apia) == (
        "31 01:00+1400"
    )


texts = st.builds(
    lambda days, a, b: f"{','.join(days)} {a // 60:02}:{a % 60:02}-{b // 60:02}:{b % 60:02}",
    st.lists(st.sampled_from(DAYS), min_size=1, max_size=3),
    st.integers(0, 1439),
    st.integers(0, 1440),
)


def inside(text, wall):
    """Tell by the words of a window whether a wall time is inside."""
    days, span = text.split()
    start, end = span.split("-")
    now, today = f"{wall:%H:%M}", DAYS[wall.weekday()]
    yesterday = DAYS[wall.weekday() - 1]
    if start < end:
        return today in days and start <= now < end
    return (today in days and start <= now) or (yesterday in days and now < end)


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(texts, min_size=1, max_size=3), where=zones_and_moments())
def test_a_closed_time_ends_with_the_first_minute_that_is_in_no_window(texts, where):
    zone, moment = where
    try:
        windows = Windows.parse(texts)
    except ValueError as error:
        assert "leave no time" in str(error) or "does not begin before" in str(error)  # noqa: PT017
        return
    until = windows.closed_until(moment, zone)
    walk = moment
    while any(inside(text, walk.astimezone(zone)) for text in texts):
        walk += MINUTE
    assert until == (None if walk == moment else walk)
    assert until is None or windows.closed_until(until, zone) is None


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["00:00-24:00"], "leave no time of the week"),
        (["MON-SAT 00:00-24:00", "SAT 12:00-12:00"], "does not begin before it ends"),
        (["MON-SAT 00:00-24:00", "SAT 12:00-00:00", "SUN 00:00-24:00"], "leave no time"),
        (["9:00-12:00"], "is no window; write"),
        (["09:00"], "is no window"),
        (["MON-FRI09:00-12:00"], "is no window"),
        (["MON - FRI 09:00-12:00"], "is no window"),
        (["FUN 09:00-12:00"], 'unknown day "FUN"; allowed: MON, TUE'),
        (["MON, TUE 09:00-12:00"], "is no window"),
        (["MON- 09:00-12:00"], 'unknown day ""'),
        (["09:00-24:01"], '"24:01" is no time'),
        (["09:60-10:00"], '"09:60" is no time'),
        (["24:00-02:00"], "does not begin before it ends"),
        (["09:00-09:00"], "does not begin before it ends"),
        (["٠٩:00-10:00"], "is no window"),
    ],
)
def test_what_is_no_window_is_refused_with_the_reason(texts, reason):
    with pytest.raises(ValueError, match=reason):
        Windows.parse(texts)


def test_windows_of_the_same_meaning_are_equal():
    assert Windows.parse(["MON-WED 08:00-10:00"]) == Windows.parse(
        ["TUE,WED,MON 08:00-09:30", "MON-WED 09:00-10:00"]
    )
    assert str(Windows.parse(["01:00-02:00"])) == str(Windows.parse([" 01:00-02:00 "]))
    assert Windows.parse(["01:00-02:00"]) != Windows.parse(["01:00-02:01"])
    assert Windows.parse([]) == Windows()
    assert Windows.parse(["01:00-02:00"]).closed_until(
        datetime(2024, 5, 1, 1, 30, tzinfo=UTC), ZoneInfo("UTC")
    ) == datetime(2024, 5, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize("fold", [0, 1])
def test_outside_of_all_windows_nothing_ends_in_a_repeated_hour_either(fold):
    moment = datetime(2026, 10, 25, 2, 31, 38, tzinfo=BERLIN, fold=fold)
    assert Windows.parse(["22:00-23:00"]).closed_until(moment, BERLIN) is None

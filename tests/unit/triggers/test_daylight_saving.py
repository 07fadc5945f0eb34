"""A table of clock changes, written down by hand from cron(8)'s rules (quoted in `cron_judge.py`).

A job for a particular time: skipped by a change of less than three hours, it is due right after the
change; repeated, it is due the first time only. One with `*` in its minute or hour follows the
clock. A change of three hours or more is a correction, by which every job goes at once.
"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from syncd.triggers.cron import Cron

TABLE = [
    # Europe/Berlin, 31 March 2024: 02:00 +01 becomes 03:00 +02.
    ("Europe/Berlin", "30 2 * * *", "2024-03-30T20:00", ["31 03:00+0200", "01 02:30+0200"]),
    ("Europe/Berlin", "0 2 * * *", "2024-03-30T20:00", ["31 03:00+0200", "01 02:00+0200"]),
    ("Europe/Berlin", "0 3 * * *", "2024-03-30T20:00", ["31 03:00+0200", "01 03:00+0200"]),
    # 02:00 and 02:30 are skipped and 03:00 comes: due once, not three times.
    ("Europe/Berlin", "0,30 2,3 * * *", "2024-03-30T20:00",
     ["31 03:00+0200", "31 03:30+0200", "01 02:00+0200"]),
    ("Europe/Berlin", "*/30 2 * * *", "2024-03-30T20:00", ["01 02:00+0200", "01 02:30+0200"]),
    ("Europe/Berlin", "*/30 * * * *", "2024-03-31T00:20", ["31 01:30+0100", "31 03:00+0200"]),
    ("Europe/Berlin", "30 2 * * SUN", "2024-03-30T20:00", ["31 03:00+0200", "07 02:30+0200"]),
    ("Europe/Berlin", "0 */2 * * *", "2024-03-30T22:30", ["31 00:00+0100", "31 04:00+0200"]),
    # Europe/Berlin, 27 October 2024: 03:00 +02 becomes 02:00 +01.
    ("Europe/Berlin", "30 2 * * *", "2024-10-26T20:00", ["27 02:30+0200", "28 02:30+0100"]),
    ("Europe/Berlin", "0 2 * * *", "2024-10-26T20:00", ["27 02:00+0200", "28 02:00+0100"]),
    ("Europe/Berlin", "0 3 * * *", "2024-10-26T20:00", ["27 03:00+0100", "28 03:00+0100"]),
    ("Europe/Berlin", "30 * * * *", "2024-10-27T00:00",
     ["27 02:30+0200", "27 02:30+0100", "27 03:30+0100"]),
    ("Europe/Berlin", "*/30 2 * * *", "2024-10-26T20:00",
     ["27 02:00+0200", "27 02:30+0200", "27 02:00+0100", "27 02:30+0100", "28 02:00+0100"]),
    # America/New_York, 10 March 2024: 02:00 -05 becomes 03:00 -04; 3 November: 02:00 becomes 01:00.
    ("America/New_York", "15 2 * * *", "2024-03-09T20:00", ["10 03:00-0400", "11 02:15-0400"]),
    ("America/New_York", "15 1 * * *", "2024-11-02T20:00", ["03 01:15-0400", "04 01:15-0500"]),
    ("America/New_York", "15 * * * *", "2024-11-03T05:00",
     ["03 01:15-0400", "03 01:15-0500", "03 02:15-0500"]),
    # Australia/Lord_Howe, 6 October 2024: 02:00 +10:30 becomes 02:30 +11; 7 April: 02:00 -> 01:30.
    ("Australia/Lord_Howe", "15 2 * * *", "2024-10-05T12:00", ["06 02:30+1100", "07 02:15+1100"]),
    ("Australia/Lord_Howe", "30 2 * * *", "2024-10-05T12:00", ["06 02:30+1100", "07 02:30+1100"]),
    ("Australia/Lord_Howe", "*/15 2 * * *", "2024-10-05T12:00", ["06 02:30+1100", "06 02:45+1100"]),
    ("Australia/Lord_Howe", "45 1 * * *", "2024-04-06T12:00", ["07 01:45+1100", "08 01:45+1030"]),
    ("Australia/Lord_Howe", "*/15 1 * * *", "2024-04-06T14:20",
     ["07 01:30+1100", "07 01:45+1100", "07 01:30+1030", "07 01:45+1030", "08 01:00+1030"]),
    # America/Sao_Paulo, 4 November 2018: 00:00 -03 becomes 01:00 -02; 18 February: back to 23:00.
    ("America/Sao_Paulo", "0 0 * * *", "2018-11-03T20:00", ["04 01:00-0200", "05 00:00-0200"]),
    ("America/Sao_Paulo", "@daily", "2018-11-03T20:00", ["04 01:00-0200", "05 00:00-0200"]),
    ("America/Sao_Paulo", "0 0 * * SUN", "2018-11-03T20:00", ["04 01:00-0200", "11 00:00-0200"]),
    ("America/Sao_Paulo", "30 23 * * *", "2018-02-17T20:00", ["17 23:30-0200", "18 23:30-0300"]),
    ("America/Sao_Paulo", "30 * * * SAT", "2018-02-18T00:00",
     ["17 22:30-0200", "17 23:30-0200", "17 23:30-0300", "24 00:30-0300"]),
    # Asia/Shanghai: none.
    ("Asia/Shanghai", "30 2 * * *", "2024-03-30T00:00", ["31 02:30+0800", "01 02:30+0800"]),
    # Africa/Casablanca, 10 March 2024 (Ramadan): 03:00 +01 becomes 02:00 +00; 14 April: back.
    ("Africa/Casablanca", "30 2 * * *", "2024-03-09T20:00", ["10 02:30+0100", "11 02:30+0000"]),
    ("Africa/Casablanca", "30 2 * * *", "2024-04-13T20:00", ["14 03:00+0100", "15 02:30+0100"]),
    # Europe/Dublin's winter time is the one that tzdata calls daylight saving, and negative.
    ("Europe/Dublin", "30 1 * * *", "2024-10-26T20:00", ["27 01:30+0100", "28 01:30+0000"]),
    # Antarctica/Troll moves by two hours: 01:00 +00 becomes 03:00 +02 on 31 March 2024.
    ("Antarctica/Troll", "30 1,2 * * *", "2024-03-30T20:00", ["31 03:00+0200", "01 01:30+0200"]),
    # Pacific/Apia had no 30 December 2011: a correction, so what it would have held is gone.
    ("Pacific/Apia", "0 12 * * *", "2011-12-29T10:00", ["29 12:00-1000", "31 12:00+1400"]),
    ("Pacific/Apia", "0 0 * * *", "2011-12-29T10:01", ["31 00:00+1400", "01 00:00+1400"]),
    ("Pacific/Apia", "0 9 * * FRI", "2011-12-29T00:00", ["06 09:00+1400"]),
    # Antarctica/Casey, 5 March 2010: 02:00 +11 becomes 23:00 +08 the day before, three hours.
    ("Antarctica/Casey", "30 23 * * *", "2010-03-04T12:00",
     ["04 23:30+1100", "04 23:30+0800", "05 23:30+0800"]),
    # America/St_Johns, 29 October 2006: 00:01 -02:30 becomes 23:01 -03:30 the day before.
    ("America/St_Johns", "*/30 * * * SUN", "2006-10-29T02:00",
     ["29 00:00-0230", "29 00:00-0330", "29 00:30-0330"]),
    ("America/St_Johns", "0 0 * * *", "2006-10-28T12:00", ["29 00:00-0230", "30 00:00-0330"]),
]  # fmt: skip


@pytest.mark.parametrize(("zone", "expression", "start", "expected"), TABLE)
def test_due_times_around_a_change_of_the_clock(zone, expression, start, expected):
    cron, moment = Cron(expression, ZoneInfo(zone)), datetime.fromisoformat(f"{start}+00:00")
    found = []
    for _ in expected:
        moment = cron.next_after(moment)
        assert moment.tzinfo is UTC
        found.append(moment.astimezone(ZoneInfo(zone)).strftime("%d %H:%M%z"))
    assert found == expected


def test_a_range_of_one_number_has_that_one_whatever_its_step():
    noon = datetime(2024, 5, 1, 12, tzinfo=UTC)
    for text in ("5-5/2 * * * *", "5-05/10 * * * *", "5 * * * *"):
        cron = Cron(text, ZoneInfo("UTC"))
        assert cron.next_after(noon.replace(minute=5)) == noon.replace(hour=13, minute=5)
    names = Cron("0 0 * JAN-jan/3 MON-MON/2", ZoneInfo("UTC"))
    assert names.next_after(noon) == datetime(2025, 1, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 L * *", ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"]),
        ("0 0 L 2 *", ["2024-02-29", "2025-02-28"]),
        ("0 0 LW * *", ["2024-01-31", "2024-02-29", "2024-03-29"]),
        ("0 0 * * 5L", ["2024-01-26", "2024-02-23", "2024-03-29"]),
        ("0 0 * * SUNL", None),
        ("0 0 * * MON#2", ["2024-01-08", "2024-02-12"]),
        ("0 0 * * 1#5", ["2024-01-29", "2024-04-29", "2024-07-29"]),
        ("0 0 * * 0#1,7#3", ["2024-01-07", "2024-01-21", "2024-02-04"]),
        ("0 0 * * 1#6", None),
        ("0 0 * * 1#0", None),
    ],
)
def test_the_last_and_the_numbered_days_of_a_month(expression, expected):
    if expected is None:
        with pytest.raises(ValueError, match="day-of-week"):
            Cron(expression, ZoneInfo("UTC"))
        return
    cron, moment, found = Cron(expression, ZoneInfo("UTC")), datetime(2024, 1, 2, tzinfo=UTC), []
    for _ in expected:
        moment = cron.next_after(moment)
        found.append(moment.date().isoformat())
    assert found == expected

"""Cron schedules before two judges who share nothing with them: cron(8) acted out, and systemd."""

import random
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from cron_judge import lived_through
from hypothesis import given, settings
from schedules import fields, zones_and_moments

from syncd.triggers.cron import Cron

SYSTEMD = shutil.which("systemd-analyze")


def due_between(trigger, start, end):
    found, due = [], trigger.next_after(start)
    while due is not None and due <= end:
        found.append(due)
        due = trigger.next_after(due)
    return found


@settings(max_examples=300, deadline=None)
@given(of=fields(), where=zones_and_moments())
def test_due_times_are_those_of_cron_acted_out_minute_by_minute(of, where):
    zone, start = where
    end = start + timedelta(days=3)
    due = due_between(Cron(of.text, zone), start, end)
    assert due == lived_through(of, zone, start, end)
    assert all(early < late for early, late in pairwise(due))


# What a schedule promises at most between two due times, and by how much a change of the clock of
# less than three hours may stretch it.
GAPS = [
    ("* * * * *", timedelta(minutes=1), timedelta(0)),
    ("*/30 * * * *", timedelta(minutes=30), timedelta(minutes=30)),
    ("7 * * * *", timedelta(hours=1), timedelta(hours=1)),
    ("30 2 * * *", timedelta(days=1), timedelta(hours=3)),
    ("0 0 * * *", timedelta(days=1), timedelta(hours=3)),
    ("15 3 * * SUN", timedelta(days=7), timedelta(hours=3)),
]


@settings(deadline=None)
@given(where=zones_and_moments())
def test_no_gap_is_longer_than_the_schedule_allows(where):
    zone, start = where
    for expression, longest, more in GAPS:
        cron, moment = Cron(expression, zone), start
        for _ in range(5):
            due = cron.next_after(moment)
            assert moment < due <= moment + longest + more, expression
            moment = due


def systemd_says(expression, base, count):
    done = subprocess.run(
        [SYSTEMD, "calendar", f"--iterations={count}", f"--base-time={base:%F %T} UTC", expression],
        capture_output=True, text=True, check=True, env={"TZ": "UTC", "LC_ALL": "C"},
    )  # fmt: skip
    lines = [line.partition(": ")[::2] for line in done.stdout.splitlines()]
    return [
        datetime.strptime(text.strip(), "%a %Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC)
        for name, text in lines
        if name.strip() == "Next elapse" or name.strip().startswith("Iter. #")
    ]


# Due times outside the hours in which these zones' clocks change.
BOTH = [
    ("*/15 9-17 * * *", "*-*-* 09..17:00/15:00"),
    ("0 12 * * MON-FRI", "Mon..Fri *-*-* 12:00:00"),
    ("30 6,18 * * SAT,SUN", "Sat,Sun *-*-* 06,18:30:00"),
    ("5 10 1 * *", "*-*-01 10:05:00"),
    ("0 8 L * *", "*-*~01 08:00:00"),
    ("0 8 29 2 *", "*-02-29 08:00:00"),
    ("20 7 1,15 1,7 *", "*-01,07-01,15 07:20:00"),
    ("0 9 * * MON#2", "Mon *-*-08..14 09:00:00"),
    ("0 9 * * 5L", "Fri *-*~07/1 09:00:00"),
    ("0-59/7 13 * * 3", "Wed *-*-* 13:00..59/7:00"),
    ("@monthly", "*-*-01 00:00:00"),
]


@pytest.mark.skipif(SYSTEMD is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize(("cron", "calendar"), BOTH)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York",
                                  "Australia/Lord_Howe", "Asia/Kathmandu"])  # fmt: skip
def test_due_times_are_those_of_systemd(cron, calendar, zone):
    seed = random.randrange(10**6)
    base = datetime(2021, 1, 1, tzinfo=UTC) + timedelta(
        minutes=random.Random(seed).randrange(10**6)
    )
    expected = systemd_says(f"{calendar} {zone}", base, 30)
    trigger, due, moment = Cron(cron, ZoneInfo(zone)), [], base
    for _ in expected:
        moment = trigger.next_after(moment)
        due.append(moment)
    assert len(expected) == 30
    assert due == expected, f"seed {seed}"

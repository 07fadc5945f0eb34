"""The earliest that clocks show from a moment on, when they are put back."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.engines.mysql.bounds import _in_zone


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("moment", "zone", "wanted"),
    [
        ("2026-07-01T12:00:00", "UTC", "2026-07-01T12:00:00"),
        ("2026-07-01T12:00:00", "Europe/Berlin", "2026-07-01T14:00:00"),
        # the clock of Berlin goes from 3 back to 2 at 1 in UTC
        ("2026-10-25T00:59:59", "Europe/Berlin", "2026-10-25T02:00:00"),
        ("2026-10-25T00:00:00", "Europe/Berlin", "2026-10-25T02:00:00"),
        ("2026-10-24T23:59:59", "Europe/Berlin", "2026-10-25T01:59:59"),
        ("2026-10-25T01:30:00", "Europe/Berlin", "2026-10-25T02:30:00"),
        # and from 2 on to 3 in March
        ("2026-03-29T00:59:59", "Europe/Berlin", "2026-03-29T01:59:59"),
        # half an hour in Lord Howe
        ("2026-04-04T14:45:00", "Australia/Lord_Howe", "2026-04-05T01:30:00"),
    ],
)
def test_no_later_clock_shows_less(moment: str, zone: str, wanted: str) -> None:
    assert _in_zone(at(moment), zone) == at(wanted)


@given(
    st.datetimes(at("2026-10-24T00:00:00"), at("2026-10-26T00:00:00")),
    st.integers(0, 10**6),
    st.sampled_from(["Europe/Berlin", "America/New_York", "UTC", "Asia/Kolkata"]),
)
def test_it_never_falls(moment: datetime, seconds: int, zone: str) -> None:
    assert _in_zone(moment, zone) <= _in_zone(moment + timedelta(seconds=seconds), zone)

"""Durations: a unit always, exact both ways."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.config.durations import LONGEST, format_duration, parse_duration


@given(st.integers(0, int(LONGEST.total_seconds())).map(lambda count: timedelta(seconds=count)))
def test_what_is_written_is_read_back(duration):
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5m", 300), ("1h30m", 5400), ("7d", 604_800), ("0s", 0), ("1d2h3m4s", 93_784)],
)
def test_durations_are_read(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value", ["", "5", "m", "-5m", "5 m", "30m1h", "1.5h", "5M", "5w", "٥m", "5m\n", True, None, []]
)
def test_what_is_no_duration_is_refused(value):
    with pytest.raises(ValueError, match="must be a duration such as"):
        parse_duration(value)


def test_a_bare_number_is_refused_with_what_to_write():
    with pytest.raises(ValueError, match='no unit; write "90s"'):
        parse_duration(90)


@pytest.mark.parametrize("text", ["3651d", "999999999d999999999h"])
def test_more_than_ten_years_is_refused(text):
    with pytest.raises(ValueError, match="at most 3650d"):
        parse_duration(text)


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_a_value_error(text):
    try:
        parse_duration(text)
    except ValueError as error:
        assert "must be" in str(error)  # noqa: PT017 - both outcomes are right

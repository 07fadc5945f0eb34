"""How often a message is tried, and which URL a ping calls."""

from datetime import timedelta

import pytest
from notice_book import DAY, HOUR, MINUTE, NOON, SECOND

from syncd.errors import (
    Authentication,
    BadData,
    ConfigurationError,
    Network,
    SyncdError,
    Throttled,
    Unexpected,
)
from syncd.notices.outlets import ping_url
from syncd.notices.tries import MESSAGES, PINGS, STARTS


def waits(patience, error, until):
    """Return the waits, in minutes, until a message is given up."""
    now, found = NOON, []
    while (at := patience.next_at(error, len(found) + 1, NOON, now)) and at < NOON + until:
        found.append((at - now) / MINUTE)
        now = at
    return found


def test_the_waits_grow_to_a_quarter_of_an_hour():
    assert waits(MESSAGES, Network("x"), HOUR) == [0.25, 0.5, 1, 2, 4, 8, 15, 15]


@pytest.mark.parametrize(
    "error",
    [Unexpected("404"), Authentication("bad signature"), BadData("no notice"), SyncdError("a bug")],
)
def test_what_was_refused_is_tried_slowly(error):
    assert waits(MESSAGES, error, HOUR) == [5, 10, 15, 15]


def test_a_message_is_given_up_after_a_day():
    found = waits(MESSAGES, Network("x"), 2 * DAY)
    assert DAY - 15 * MINUTE < sum(found) * MINUTE <= DAY


def test_patience_that_is_asked_for_is_had():
    assert MESSAGES.next_at(Throttled("", 90), 1, NOON, NOON) == NOON + 90 * SECOND
    assert MESSAGES.next_at(Throttled("", 1e12), 1, NOON, NOON) == NOON + HOUR
    assert MESSAGES.next_at(Throttled(""), 1, NOON, NOON) == NOON + 15 * SECOND


def test_a_message_from_before_the_clock_was_set_back_is_no_older():
    assert MESSAGES.next_at(Network(""), 1, NOON + 400 * DAY, NOON) == NOON + 15 * SECOND


def test_a_ping_is_tried_for_an_hour_and_a_start_for_seconds():
    assert sum(waits(PINGS, Network("x"), DAY)) * MINUTE <= HOUR
    assert len(waits(STARTS, Network("x"), DAY)) == 3
    assert MESSAGES.age == timedelta(days=1)


@pytest.mark.parametrize(
    ("url", "start", "success", "failed"),
    [
        ("https://hc/u", "https://hc/u/start", "https://hc/u", "https://hc/u/fail"),
        ("https://hc/u/", "https://hc/u/start", "https://hc/u/", "https://hc/u/fail"),
        ("https://hc/u?a=1", "https://hc/u/start?a=1", "https://hc/u?a=1", "https://hc/u/fail?a=1"),
        ("http://hc", "http://hc/start", "http://hc", "http://hc/fail"),
        ("http://hc:80/u#x", "http://hc:80/u/start", "http://hc:80/u", "http://hc:80/u/fail"),
    ],
)
def test_what_happened_is_added_to_the_path(url, start, success, failed):
    assert [ping_url(url, what) for what in ("start", "success", "failed")] == [
        start, success, failed,
    ]  # fmt: skip


@pytest.mark.parametrize("url", ["", "hc/u", "ftp://hc/u", "https://", "http://[::1", "s3cr3t"])
def test_what_is_no_url_is_refused_without_being_told(url):
    with pytest.raises(ConfigurationError) as refused:
        ping_url(url, "start")
    assert "s3cr3t" not in str(refused.value)

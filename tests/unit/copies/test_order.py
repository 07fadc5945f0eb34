"""Which watermark is later."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from syncd.copies.order import first, last, present
from syncd.model.copy import Watermark

NOW = datetime(2026, 11, 26, 12, 30, 15, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "ordered"),
    [
        ("integer", ["-10", "-9", "0", "9", "10", "18446744073709551615"]),
        ("decimal", ["-1.5", "0.10", "0.9", "10.25"]),
        ("date", ["0044-03-15 BC", "0044-04-01 BC", "0001-01-01", "2024-02-29", "10000-01-01"]),
        ("timestamp", ["2024-01-01 00:00:00", "2024-01-01 00:00:00.25", "2024-01-01 00:00:00.5"]),
        ("instant", ["0000-00-00 00:00:00", "1999-12-31 23:59:59", "2000-01-01 00:00:00"]),
    ],
)
def test_values_have_their_order(kind, ordered):
    values = [value.encode() for value in ordered]
    for one, other in pairwise(values):
        assert last(kind, [other, one, None], None) == other
        assert first(kind, other, one) == one


def test_a_limit_leaves_out_what_is_later():
    values = [b"2026-01-01 00:00:00", b"2099-01-01 00:00:00", b"infinity", None]
    assert last("timestamp", values, None) == b"2099-01-01 00:00:00"
    assert last("timestamp", values, b"2026-11-26 00:00:00") == b"2026-01-01 00:00:00"
    assert last("timestamp", [None, b"-infinity"], None) is None
    assert last("decimal", [b"NaN", b"Infinity", b"1.5"], None) == b"1.5"


@pytest.mark.parametrize(
    ("kind", "zone", "told"),
    [
        ("instant", "", b"2026-11-26 12:30:15.250000"),
        ("instant", "Asia/Shanghai", b"2026-11-26 12:30:15.250000"),
        ("timestamp", "Asia/Shanghai", b"2026-11-26 20:30:15.250000"),
        ("timestamp", "", b"2026-11-27 02:30:15.250000"),
        ("date", "Asia/Shanghai", b"2026-11-26"),
        ("integer", "", None),
    ],
)
def test_the_present_is_that_of_the_column(kind, zone, told):
    assert present(kind, Watermark("w", zone=zone), NOW) == told

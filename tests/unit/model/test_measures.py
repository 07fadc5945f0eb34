"""What the metrics take from the details of an item."""

from datetime import UTC, datetime

import pytest

from syncd.model.measures import Measures, measured

AT = datetime(2026, 3, 1, 12, 0, 5, 250_000, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("watermark", "zone", "moment"),
    [
        ("2026-03-01 12:00:05.25", None, AT),
        ("2026-03-01 12:00:05.250000", None, AT),
        ("2026-03-01 12:00:05.2500009", None, AT),
        ("2026-03-01T12:00:05.25", None, AT),
        ("2026-03-01 20:00:05.25", "Asia/Shanghai", AT),
        ("2026-03-01", None, datetime(2026, 3, 1, tzinfo=UTC).timestamp()),
        ("1969-12-31 23:59:59", None, -1),
        *((text, None, None) for text in (
            "17", "", "infinity", "0000-00-00", "2026-02-30", "0044-03-15 BC", "10000-01-01",
            "2026-03-01 24:00:00", "x" * 1000, "2026-03-01 12:00:05+08",
        )),
        ("2026-03-01", "No/Where", None),
    ],
)  # fmt: skip
def test_a_watermark_of_time_is_a_moment(watermark, zone, moment):
    details = {"watermark": watermark} | ({"watermark_zone": zone} if zone else {})
    assert measured(details).watermark == moment


@pytest.mark.parametrize(
    ("details", "differences"),
    [
        ({}, None),
        ({"equal": True, "left_rows": 5, "right_rows": 5}, 0),
        ({"equal": False, "differing": 7, "left_rows": 5, "right_rows": 5}, 7),
        ({"equal": False, "differing": 0, "left_rows": 5, "right_rows": 9}, 4),
        ({"equal": False, "differing": 0, "aggregates": {"a": {}, "b": {}}}, 2),
        ({"equal": False, "differing": 0, "differing_ranges_skipped": 3}, 1),
        ({"equal": False}, 1),
        ({"equal": "yes", "differing": 7}, None),
        ({"equal": None}, None),
    ],
)
def test_differences_are_never_0_where_it_is_not_equal(details, differences):
    assert measured(details).differences == differences


def test_of_other_items_nothing_is_shown():
    assert not measured({"pages": 7, "bytes": "many"})
    assert measured({"bytes": 12}) == Measures(bytes=12)

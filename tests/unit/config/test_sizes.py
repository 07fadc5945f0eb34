"""Sizes with their units."""

import pytest

from syncd.config.sizes import parse_size


@pytest.mark.parametrize(
    ("text", "count"),
    [("0B", 0), ("100MiB", 100 * 1024**2), ("1GB", 10**9), ("5 kB", 5000), ("2TiB", 2 * 1024**4)],
)
def test_sizes_are_read_as_bytes(text, count):
    assert parse_size(text) == count


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (100, 'a bare number has no unit; write "100B"'),
        (True, "must be a size"),
        ("100", "must be a size"),
        ("100MB ", "must be a size"),
        ("1.5GB", "must be a size"),
        ("1gb", "allowed units: B, kB, MB, GB, TB, KiB, MiB, GiB, TiB"),
        ("-1GB", "must be a size"),
        ("١GB", "must be a size"),
        (None, "must be a size"),
    ],
)
def test_what_is_no_size_is_refused(value, message):
    with pytest.raises(ValueError, match=r"must be a size|bare number") as caught:
        parse_size(value)
    assert message in str(caught.value)

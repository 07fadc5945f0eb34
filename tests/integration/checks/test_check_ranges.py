"""Differences are found in ranges of keys of every kind, in all combinations of engines."""

import pytest
from check_helpers import Place, compare

from syncd.model.table import Key

Pair = tuple[Place, Place]

KEYS = {
    "integer": (
        "bigint", "bigint", [(-(2**63),), (2**63 - 1,), *((n * n * 1000,) for n in range(300))],
    ),
    "skewed": (
        "bigint", "bigint", [*((2**n,) for n in range(62)), *((10**18 + n,) for n in range(300))],
    ),
    "text": ("text", "varchar(100)", [(f"{'aAäÄzZß😀 _'[n % 10]}{n}",) for n in range(300)]),
    "bytes": ("bytea", "varbinary(100)", [(bytes([n % 256, 0, n // 7]),) for n in range(300)]),
    "date": ("date", "date", [(f"20{n % 90 + 10}-01-{n // 90 + 10}",) for n in range(300)]),
    "time": (
        "timestamp", "datetime(6)",
        [(f"2024-02-29 {n % 24:02}:00:{n % 60:02}.{n:03}5",) for n in range(300)],
    ),
    "uuid": (
        "uuid", "char(36)",
        [(f"{n * 7919 % 65536:04x}0000-0000-4000-8000-{n:012x}",) for n in range(300)],
    ),
}  # fmt: skip


def _fill(place: Place, kind: str, leave: int | None = None, change: int | None = None) -> None:
    """Make a table with a key of a kind, one row left out, another changed."""
    mine = KEYS[kind][0 if place.engine == "postgresql" else 1]
    place.execute(f"create table t (k {mine} primary key, v int)")
    rows = [
        (*key, -1 if at == change else at)
        for at, key in enumerate(KEYS[kind][2]) if at != leave
    ]  # fmt: skip
    marks = ", ".join(["(%s, %s)"] * len(rows))
    place.execute(f"insert into t values {marks}", values=[each for row in rows for each in row])


def _told(kind: str, at: int) -> Key:
    value = KEYS[kind][2][at][0]
    return (value if isinstance(value, bytes) else str(value).encode(),)


@pytest.mark.parametrize("kind", KEYS)
def test_equal_tables_are_equal(pair: Pair, kind: str) -> None:
    for place in pair:
        _fill(place, kind)
    result = compare(*pair)
    assert result.equal, result
    assert result.left_rows == result.right_rows == len(KEYS[kind][2])


@pytest.mark.parametrize("kind", KEYS)
def test_each_kind_of_difference_is_found(pair: Pair, kind: str) -> None:
    left, right = pair
    _fill(left, kind, leave=70)
    _fill(right, kind, leave=140, change=210)
    found = compare(left, right).found
    assert found.left == [_told(kind, 140)]
    assert found.right == [_told(kind, 70)]
    assert found.differ == [_told(kind, 210)]


@pytest.mark.parametrize("kind", KEYS)
def test_one_side_is_empty(pair: Pair, kind: str) -> None:
    left, right = pair
    _fill(left, kind)
    mine = KEYS[kind][0 if right.engine == "postgresql" else 1]
    right.execute(f"create table t (k {mine} primary key, v int)")
    for one, other, name in (left, right, "left"), (right, left, "right"):
        result = compare(one, other)
        assert len(getattr(result.found, name)) == len(result.found) == len(KEYS[kind][2])

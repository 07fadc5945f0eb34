"""Differences are found in ranges of keys of every kind, in all combinations of engines."""

from typing import Any

import pytest
from check_helpers import Place, compare

from syncd.model.table import Key

Pair = tuple[Place, Place]

KEYS = {
    "integer": (
        "bigint", "bigint", [(-(2**63),), (2**63 - 1,), *((n * n * 1000,) for n in range(298))],
    ),
    "skewed": (
        "bigint", "bigint", [*((2**n,) for n in range(62)), *((10**18 + n,) for n in range(238))],
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


COMPOSITE = ("integer", "text"), ("text", "integer"), ("uuid", "date"), ("bytes", "time", "integer")


def _made(place: Place, kinds: tuple[str, ...]) -> None:
    """Make a table with a key of some kinds; of several the first ones have few values."""
    of = 0 if place.engine == "postgresql" else 1
    columns = [f"k{at} {KEYS[kind][of]} not null" for at, kind in enumerate(kinds)]
    names = ", ".join(f"k{at}" for at in range(len(kinds)))
    place.execute(f"create table t ({', '.join(columns)}, v int, primary key ({names}))")
    rows = [[*_key(kinds, at), at] for at in range(300)]
    marks = ", ".join([f"({', '.join(['%s'] * len(rows[0]))})"] * len(rows))
    place.execute(f"insert into t values {marks}", values=[each for row in rows for each in row])


def _key(kinds: tuple[str, ...], at: int) -> list[Any]:
    """Return the values of a key."""
    *first, last = kinds
    return [*(KEYS[kind][2][2 + at // 150][0] for kind in first), KEYS[last][2][at][0]]


def _told(kinds: tuple[str, ...], at: int) -> Key:
    return tuple(
        value if isinstance(value, bytes) else str(value).encode() for value in _key(kinds, at)
    )


@pytest.mark.parametrize("kinds", [*((kind,) for kind in KEYS), *COMPOSITE], ids="-".join)
def test_all_kinds_of_differences_are_found(pair: Pair, kinds: tuple[str, ...]) -> None:
    for place in pair:
        _made(place, kinds)
    left, right = pair
    result = compare(left, right)
    assert result.equal, result
    assert result.left_rows == result.right_rows == 300
    left.execute("delete from t where v = 70")
    right.execute("delete from t where v = 140", "update t set v = -1 where v = 210")
    found = compare(left, right).found
    assert found.left == [_told(kinds, 140)]
    assert found.right == [_told(kinds, 70)]
    assert found.differ == [_told(kinds, 210)]
    right.execute("delete from t")
    for one, other, name in (left, right, "left"), (right, left, "right"):
        found = compare(one, other).found
        assert len(getattr(found, name)) == len(found) == 299

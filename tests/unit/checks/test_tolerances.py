"""When two numbers are near enough, and what is no number at all."""

from decimal import Decimal

import pytest

from syncd.checks.findings import Found, Result
from syncd.checks.judging import same_float, tolerable
from syncd.jobs.consistency_check import _mended
from syncd.model.check import Tolerance
from syncd.model.table import Key

NONE = Tolerance()
TENTH = Tolerance(percent=Decimal(10))
TWO = Tolerance(absolute=Decimal(2))


@pytest.mark.parametrize(
    ("left", "right", "tolerance", "same"),
    [
        (b"1", b"1.00", NONE, True),
        (b"1", b"1.01", NONE, False),
        (b"0", b"0", TENTH, True),
        (b"0", b"0.0001", TENTH, False),
        (b"9", b"10", TENTH, True),
        (b"10", b"9", TENTH, True),
        (b"8.99", b"10", TENTH, False),
        (b"-9", b"-10", TENTH, True),
        (b"-1", b"1", TENTH, False),
        (b"1", b"3", TWO, True),
        (b"1", b"3.0000000000000000000000000000001", TWO, False),
        (b"-1", b"1", TWO, True),
        (b"NaN", b"NaN", TWO, True),
        (b"NaN", b"1", TWO, False),
        (b"Infinity", b"-Infinity", TENTH, False),
        (b"Infinity", b"1", TENTH, False),
        (b"1e300", b"1.05e300", TENTH, True),
        (None, b"0", TWO, False),
        (None, None, TWO, True),
        (b"", b"0", TWO, False),
        (b"sNaN", b"1", TWO, False),
        (b"1_000", b"1000", TWO, False),
        ("１".encode(), b"1", TWO, False),
        (b"9e999999", b"1", TENTH, False),
        (b"\xff", b"1", TWO, False),
    ],
)
def test_two_numbers(
    left: bytes | None, right: bytes | None, tolerance: Tolerance, same: bool
) -> None:  # fmt: skip
    assert tolerable(left, right, tolerance) is same
    assert tolerable(right, left, tolerance) is same


class _Mend:
    """Notes what it is told to do."""

    def __init__(self) -> None:
        self.told: tuple[list[Key], list[Key], int] | None = None

    def rows(self, keys: list[Key], gone: list[Key], standing: int) -> int:
        self.told = keys, gone, standing
        return 0


@pytest.mark.parametrize(
    ("left_rows", "skipped", "gone"),
    [(500_000, 0, [(b"3",)]), (0, 0, []), (None, 0, []), (500_000, 7, [])],
)
def test_nothing_is_deleted_when_not_all_is_known(
    left_rows: int | None, skipped: int, gone: list[Key]
) -> None:
    """Of 1,000,000 rows 100,000 pass the guard, and the next check would find the next ones."""
    found = Found(left=[(b"1",)], right=[(b"3",)], differ=[(b"2",)])
    result = Result(left_rows, 1_000_000, found, skipped=skipped)
    mend = _Mend()
    _mended(mend, result)  # type: ignore[arg-type] # all that it does is noted
    assert mend.told == ([(b"1",), (b"2",)], gone, 1_000_000)


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (b"7.1316584121190416e16", b"7.131658412119042e+16", True),
        (b"71316584121190416", b"71316584121190424", False),
        (b"0.1", b"0.10000000000000001", True),
        (b"0.1", b"0.10000000000000002", False),
        (b"NaN", b"NaN", True),
        (b"Infinity", b"1e999", False),
        (b"1e998", b"1e999", False),
        (b"1", b"one", False),
        (b"1", None, False),
        (None, None, True),
    ],
)
def test_floats_are_the_same_double(left, right, same):
    assert same_float(left, right) is same
    assert same_float(right, left) is same

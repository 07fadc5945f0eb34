"""Keys that one side alone can have stand at the ends of ranges, and no row between gets lost."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from check_helpers import Place, compare

from syncd.checks.ranges import Sizes
from syncd.model.table import Key

Pair = tuple[Place, Place]

STEPS = Sizes(chunk=3, leaf=1, per_bucket=1)
DAYS = [f"2024-02-{day:02}" for day in range(1, 29)]
UUIDS = [f"{n * 7919 % 65536:04x}0000-0000-4000-8000-{n:012x}" for n in range(30)]

KINDS: dict[str, tuple[str, str, list[str], list[str], list[str]]] = {
    "unsigned": (
        "numeric(20)", "bigint unsigned", [str(n) for n in (*range(20), 2**63, 2**64 - 1)],
        [str(n) for n in (*range(-5, 0), *range(2**64, 2**64 + 5))],
        [str(n) for n in range(2**63 + 1, 2**63 + 9)],
    ),
    "small": (
        "integer", "tinyint unsigned", [str(n) for n in range(0, 256, 7)],
        [str(n) for n in (*range(-9, 0), *range(256, 290, 5), -(2**31), 2**31 - 1)],
        [str(n) for n in range(1, 256, 14)],
    ),
    "signed": (
        "bigint", "mediumint", [str(n) for n in range(-40, 40, 3)],
        [str(n) for n in (-(2**63), -(2**33), -(2**23) - 1, 2**23, 2**40, 2**63 - 1)],
        [str(n) for n in (-(2**23), 2**23 - 1, 6, 9)],
    ),
    "decimal": (
        "numeric(12,4)", "decimal(6,2)", [f"{n}.5" for n in range(-12, 12)],
        ["1.0001", "1.0049", "1.005", "1.0051", "9999.9999", "-9999.995", "12345.5", "-0.001"],
        ["1", "1.01", "9999.99", "-9999.99", "0"],
    ),
    "seconds": (
        "timestamp(6)", "datetime", [f"{day} 10:00:00" for day in DAYS],
        [f"2024-02-{day:02} {time}" for day in (3, 9, 20)
         for time in ("09:59:59.5", "09:59:59.999999", "10:00:00.000001", "10:00:00.5")]
        + ["0001-01-01 00:00:00", "infinity", "-infinity", "0044-03-15 10:00:00 BC",
           "10000-01-01 00:00:00"],
        ["0000-00-00 00:00:00", "2024-00-00 00:00:00", "2024-02-00 00:00:00",
         "2024-02-31 10:00:00", "9999-12-31 23:59:59", "2024-02-03 09:59:59"],
    ),
    "moments": (
        "timestamp(6)", "timestamp", [f"{day} 10:00:00" for day in DAYS],
        ["1901-01-01 00:00:00", "1970-01-01 00:00:00", "1969-12-31 23:59:59.5",
         "2038-01-19 03:14:08", "2107-01-01 00:00:00", "9999-12-31 23:59:59.999999",
         "2024-02-03 09:59:59.5", "2024-02-03 10:00:00.5"],
        ["0000-00-00 00:00:00", "1970-01-01 00:00:01", "2038-01-19 03:14:07"],
    ),
    "zoned": (
        "timestamptz(6)", "timestamp(3)", [f"{day} 10:00:00.25" for day in DAYS],
        ["1901-01-01 00:00:00", "2038-01-19 03:14:08", "2024-02-03 10:00:00.2501", "infinity"],
        ["0000-00-00 00:00:00", "1970-01-01 00:00:00.001", "2024-02-03 10:00:00.249"],
    ),
    "date": (
        "date", "date", DAYS,
        ["0001-01-01", "infinity", "-infinity", "0044-03-15 BC", "10000-01-01", "294276-12-31"],
        ["0000-00-00", "2024-00-00", "2024-02-00", "2024-02-31", "9999-12-31"],
    ),
    "fixed bytes": (
        "bytea", "binary(2)", [f"{n:02x}00" for n in range(30)],
        ["", "03", "030000", "0300ff", "ff", "1d"], ["0301", "1dff", "ffff"],
    ),
    "bytes": (
        "bytea", "varbinary(9)", [f"{n:02x}00" for n in range(30)],
        ["", "03", "030000", "0300ff", "ff" * 20, "1d00" * 5], ["0301", "1dff", "ff" * 9],
    ),
    "uuid": ("uuid", "char(36)", UUIDS, [UUIDS[3][:-1] + "f"], ["", "x", "80", "zzz", "~"]),
    "year": (
        "smallint", "year", [str(n) for n in range(1990, 2030)],
        ["-1", "1", "69", "70", "99", "100", "1900", "2156", "32767"], ["0", "1901", "2155"],
    ),
}  # fmt: skip


def _fill(place: Place, kind: str, keys: Sequence[str]) -> None:
    native = KINDS[kind][0 if place.engine == "postgresql" else 1]
    place.execute(f"create table t (k {native} primary key, v int)")
    values = ", ".join(f"({_literal(place, kind, key)}, 1)" for key in keys)
    lenient = ["set sql_mode = 'ALLOW_INVALID_DATES'"] if place.engine == "mariadb" else []
    place.execute(*lenient, f"insert into t values {values}")


def _literal(place: Place, kind: str, key: str) -> str:
    if "bytes" in kind:
        return rf"'\x{key}'" if place.engine == "postgresql" else f"x'{key}'"
    return key if kind == "year" else f"'{key}'"  # of texts, 0 is the year 2000


def _told(kind: str, keys: Sequence[str] | Sequence[Key]) -> set[object]:
    """Return keys as they are compared here, of a list above or as they were found."""
    texts = [key[0] if isinstance(key, tuple) else _bytes(kind, key) for key in keys]
    return {Decimal(text.decode()) if kind == "decimal" else text for text in texts}


def _bytes(kind: str, key: str) -> bytes:
    return bytes.fromhex(key) if "bytes" in kind else key.encode()


@pytest.mark.parametrize("kind", KINDS)
def test_no_row_is_lost_between_ranges(pair: Pair, kind: str) -> None:
    both, by_engine = KINDS[kind][2], {"postgresql": KINDS[kind][3], "mariadb": KINDS[kind][4]}
    left, right = pair
    alone = [by_engine[place.engine] for place in pair]
    if left.engine == right.engine:
        alone = [alone[0][::2], alone[1][1::2]]
    _fill(left, kind, [*both, *alone[0]])
    _fill(right, kind, [*both[:10], *both[11:], *alone[1]])
    right.execute(f"update t set v = 2 where k = {_literal(right, kind, both[12])}")
    found = compare(left, right, sizes=STEPS).found
    assert _told(kind, found.left) == _told(kind, [both[10], *alone[0]])
    assert _told(kind, found.right) == _told(kind, alone[1])
    assert _told(kind, found.differ) == _told(kind, [both[12]])

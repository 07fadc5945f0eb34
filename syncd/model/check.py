"""What is asked of a consistency check, and what it found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Literal

from syncd.model.table import Key, Relation

Comparison = Literal["count", "aggregate", "checksum"]
OnDifference = Literal["fail", "report"]
SideName = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class RedisKeys:
    """Keys of Redis: `stock:{sku}` is a pattern, whose part in braces is the key of a row.

    The value is that of a string, or of `field` of a hash. `name` is the value's, as a column.
    """

    server: str
    database: int
    pattern: str
    field: str = ""
    name: str = "value"

    def __str__(self) -> str:
        """Return how they are called: `cache stock:{sku} qty`."""
        return f"{self.server} {self.pattern}{' ' if self.field else ''}{self.field}"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far two numbers may be apart: by an amount, or by a share of the larger one."""

    absolute: Decimal = Decimal(0)
    percent: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class CheckRules:
    """The comparison of two sides. `name` is that of its item.

    `key` tells rows apart, by names of the left side; empty: the primary key. `columns` are left
    columns, empty: all that both sides have; `rename` goes from left to right names. Rows whose
    `age_column` (of the left) is younger than `min_age` are left out. `masked` are columns whose
    values are not told. Rows of the right side whose `soft_column` is set are left out: a copy
    has marked them as deleted; "" where there is none. `alone`: no other item has these rules, so
    that each column that they name has to be there. `repair`: the copy whose item has the same name
    mends differing rows.
    """

    name: str
    left: Relation | RedisKeys
    right: Relation | RedisKeys
    key: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    compare: tuple[Comparison, ...] = ("checksum",)
    tolerance: Mapping[str, Tolerance] = field(default_factory=dict)
    age_column: str = ""
    min_age: timedelta = timedelta(0)
    recheck: timedelta = timedelta(seconds=5)
    report_limit: int = 100
    masked: frozenset[str] = frozenset()
    soft_column: str = ""
    on_difference: OnDifference = "fail"
    repair: bool = False
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """A key that is on one side only, or the columns in which its rows differ, with both values."""

    key: Key
    only: SideName | None = None
    columns: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)

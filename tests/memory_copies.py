"""Copies between tables in memory: a source `orders`, a target, and runs that are killed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from memory_tables import MemoryServer, MemoryTable

from syncd.context import CancelSource, Clock, Deadline, RunContext
from syncd.copies.copying import Copied, Copy
from syncd.errors import SyncdError
from syncd.model.copy import CopyRules, CopyState, RejectedRow, Watermark
from syncd.model.deletion import DeletionPolicy
from syncd.model.run import Claim, RunId, Selection, new_run_id
from syncd.model.table import Column, Relation, Row, Type

BEGAN = datetime(2026, 11, 26, tzinfo=UTC)
COLUMNS = [
    Column("id", Type("integer", 8), "bigint", nullable=False),
    Column("changed", Type("timestamp", scale=6), "timestamp(6)"),
    Column("note", Type("text"), "text"),
]
EAGER = DeletionPolicy(max_percent=100.0, max_count=1_000_000)


class Died(BaseException):
    """The process is no more."""


class MovedClock(Clock):
    """A clock that tests move."""

    def __init__(self) -> None:
        self.at = BEGAN

    def now(self) -> datetime:
        return self.at


@dataclass
class Report:
    """What an item reports."""

    details: dict[str, Any] = field(default_factory=dict)
    seen: list[tuple[int, int | None]] = field(default_factory=list)
    standing: list[tuple[str, object]] = field(default_factory=list)

    def progress(self, done: int, of: int | None = None) -> None:
        self.seen.append((done, of))

    def error(self, resource_id: str, error: SyncdError) -> None:
        raise AssertionError

    def detail(self, name: str, value: object) -> None:
        self.details[name] = value

    def meanwhile(self, name: str, value: object) -> None:
        self.standing.append((name, value))


def at(seconds: float) -> bytes:
    """Return a value of the watermark."""
    return (
        f"{BEGAN + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S.%f}".rstrip("0")
        .rstrip(".")
        .encode()
    )


class Copies:
    """Both sides, and runs one after another; `report` is that of the last attempt."""

    @property
    def same(self) -> bool:
        """Tell whether the target has the rows of the source."""
        return bool(self.copied.rows == self.orders.rows)

    def __init__(self, **rules: Any) -> None:
        self.source, self.target, self.clock = MemoryServer(), MemoryServer(), MovedClock()
        self.source.tables["orders"] = MemoryTable(list(COLUMNS), ("id",))
        self.configure(**rules)
        self.rejected: dict[str, RejectedRow] = {}
        self.run_id, self.attempts = self._new_run()
        self.report = Report()
        self.cancel = CancelSource()

    def configure(self, **rules: Any) -> None:
        told: dict[str, Any] = {"page_rows": 4, "deletions": EAGER, **rules}
        if told.get("mode") == "incremental":
            told.setdefault("watermark", Watermark("changed", timedelta(0)))
        self.rules = CopyRules(
            "orders", Relation("shop", "shop", "public", "orders"),
            Relation("house", "house", "public", "copied"), "public", **told,
        )  # fmt: skip

    def _new_run(self) -> tuple[RunId, int]:
        return new_run_id(datetime.now(UTC)), 0

    @property
    def orders(self) -> MemoryTable:
        return self.source.tables["orders"]

    @property
    def copied(self) -> MemoryTable:
        return self.target.tables["copied"]

    @property
    def state(self) -> CopyState | None:
        return next(iter(self.target.states.values()), None)

    def fill(self, *rows: Row) -> None:
        for row in rows:
            self.orders.put(*row)

    def numbered(self, count: int, first: int = 1) -> None:
        """Write rows with watermarks in the order of their keys."""
        for n in range(first, first + count):
            self.orders.put(str(n).encode(), at(n), b"note")

    def run(self, **how: Any) -> Copied:
        """Make the first attempt of a new run."""
        self.run_id, self.attempts = self._new_run()
        return self.attempt(**how)

    def attempt(
        self, die_at: int | None = None, step: Callable[[str], None] | None = None
    ) -> Copied:
        """Make the next attempt of the run; it dies at a step, or others do something at each."""
        self.attempts += 1
        return self._make(self.attempts, die_at, step)

    def plan(self) -> Copied:
        self.run_id, self.attempts = self._new_run()
        return self._make(0, None, None)

    def _make(self, number: int, die_at: int | None, step: Callable[[str], None] | None) -> Copied:
        self.report, self.steps = Report(), list[str]()

        def each(name: str) -> None:
            self.steps.append(name)
            if len(self.steps) - 1 == die_at:
                raise Died(name)
            if step:
                step(name)

        self.source.step = self.target.step = each
        ctx = RunContext(
            Claim(self.run_id, "test", 1, number), "copy", BEGAN, Deadline.after(60),
            self.cancel.token, Selection(), {}, structlog.get_logger(), self.report,
        )  # fmt: skip
        servers = {"shop": self.source, "house": self.target}
        copy = Copy(ctx, self.clock, self.rules, servers.__getitem__, self._reject)
        copied = copy.make()
        counts = copied.counts
        assert counts.total == counts.added + counts.updated + counts.unchanged + counts.errors
        return copied

    def _reject(self, rows: Any) -> None:
        self.rejected |= {row.key: row for row in rows}


def refuse(*numbers: int) -> Callable[[dict[str, Any]], str | None]:
    """Return what a target says of rows with these ids."""
    bad = {str(number).encode() for number in numbers}
    return lambda row: "that is no good" if row["id"] in bad else None


def incremental(bound: float | None = None, **rules: Any) -> Copies:
    """Return incremental copies whose source tells a bound, or none."""
    copies = Copies(mode="incremental", **rules)
    copies.source.bound = lambda: None if bound is None else at(bound)
    return copies

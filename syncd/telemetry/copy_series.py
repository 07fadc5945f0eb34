"""The metrics of table copies and consistency checks: of the job, and of each of its tables."""

from collections.abc import Collection
from datetime import datetime
from typing import Final, get_args

from syncd.model.measures import Measures
from syncd.model.run import Counts
from syncd.telemetry.families import Copied, Families

COPY: Final = "table_copy"
CHECK: Final = "consistency_check"


class CopySeries:
    """What a job that copies counts beside its items; all from the start."""

    def __init__(self, families: Families, job: str) -> None:
        self._families, self._job = families, job
        self.bytes = families.copied_bytes.labels(job)
        self._rows = {each: families.copied_rows.labels(job, each) for each in get_args(Copied)}

    def count(self, counts: Counts) -> None:
        """Count rows."""
        rows = (counts.added, counts.updated, counts.unchanged, counts.deleted, counts.errors)
        for series, number in zip(self._rows.values(), rows, strict=True):
            series.inc(number)

    def forget(self) -> None:
        """Remove all series."""
        self._families.copied_bytes.remove(self._job)
        for outcome in self._rows:
            self._families.copied_rows.remove(self._job, outcome)


class ItemSeries:
    """What is shown of each table of a job; of one that is gone nothing."""

    def __init__(self, families: Families, job: str) -> None:
        self._job = job
        self._equal = families.last_equal
        self._watermark, self._differences = families.watermark, families.differences
        self._known: frozenset[str] = frozenset()

    def describe(self, items: Collection[str], *, checked: bool) -> None:
        """Show exactly these tables; of those that stay what was shown is kept."""
        for gone in self._known.difference(items):
            for family in (self._equal, self._watermark, self._differences):
                family.remove(self._job, gone)
        for item in items if checked else ():
            self._equal.labels(self._job, item)
        self._known = frozenset(items)

    def show(self, item: str, measures: Measures, equal_at: datetime | None) -> None:
        """Show what is known of a table; what is not stays."""
        if item not in self._known:
            return
        if measures.watermark is not None:
            self._watermark.labels(self._job, item).set(measures.watermark)
        if measures.differences is not None:
            self._differences.labels(self._job, item).set(measures.differences)
        if equal_at is not None:
            self._equal.labels(self._job, item).set(equal_at.timestamp())

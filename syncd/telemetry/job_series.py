"""The metrics of one job, all made at once: a job that did nothing yet shows zeros."""

from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from prometheus_client import Counter, Gauge, Histogram

from syncd.errors import ErrorClass
from syncd.model.measures import Measures
from syncd.model.run import Counts, ItemOutcome, RunOutcome, SkipReason
from syncd.telemetry.copy_series import CHECK, COPY, CopySeries, ItemSeries
from syncd.telemetry.families import Families, Family


@dataclass(frozen=True, slots=True)
class MeasuredJob:
    """What the metrics show of a job's configuration; times in seconds.

    What an `upkeep` job counts are no resources. `items` are the tables of a copy or a check.
    """

    name: str
    kind: str
    timeout: float
    upkeep: bool = False
    items: tuple[str, ...] = ()


class JobSeries:
    """The series of one job; of a job that is gone they go on counting, unseen."""

    def __init__(self, families: Families, job: str) -> None:
        self._families = families
        self._job = job
        self._kind = ""
        self._upkeep = False
        self._copies: CopySeries | None = None
        self._tables = ItemSeries(families, job)
        self._made: list[tuple[Counter | Gauge | Histogram, tuple[str, ...]]] = []
        make = self._make
        self.last_success = make(families.last_success)
        self.last_completion = make(families.last_completion)
        self.running_since = make(families.running_since)
        self.retries = make(families.retries)
        self.duration = make(families.duration)
        self.delay = make(families.delay)
        self._timeout = make(families.timeout)
        self._runs = {name: make(families.runs, name) for name in get_args(RunOutcome)}
        self._items = {name: make(families.items, name) for name in get_args(ItemOutcome)}
        self._skips = {name: make(families.skipped, name) for name in get_args(SkipReason)}
        self._errors = {name: make(families.errors, name) for name in get_args(ErrorClass)}
        self._added, self._updated, self._deleted = (
            make(families.changes, change) for change in ("added", "updated", "deleted")
        )

    def _make(self, family: Family, *more: str) -> Family:
        """Make a series of the job, and remember it: to search for it would take all series."""
        self._made.append((family, (self._job, *more)))
        return family.labels(self._job, *more)

    def describe(self, job: MeasuredJob) -> None:
        """Show the job's configuration, in place of what was shown of an earlier one."""
        self._families.info.remove(self._job, self._kind)
        self._kind, self._upkeep = job.kind, job.upkeep
        self._families.info.labels(self._job, job.kind).set(1)
        self._timeout.set(job.timeout)
        if self._copies and job.kind != COPY:
            self._copies.forget()
            self._copies = None
        elif not self._copies and job.kind == COPY:
            self._copies = CopySeries(self._families, self._job)
        self._tables.describe(job.items, checked=job.kind == CHECK)

    def forget(self) -> None:
        """Remove all series of the job."""
        for family, labels in self._made:
            family.remove(*labels)
        self._families.info.remove(self._job, self._kind)
        self._tables.describe((), checked=False)
        if self._copies:
            self._copies.forget()

    def ended(self, outcome: RunOutcome, finished: datetime, seconds: float) -> None:
        """Count a run's end; an interrupted run is taken up again, so it is not complete."""
        self.running_since.set(0)
        self._runs[outcome].inc()
        if outcome == "interrupted":
            return
        self.duration.observe(seconds)
        self.last_completion.set(finished.timestamp())
        if outcome == "success":
            self.last_success.set(finished.timestamp())

    def skipped(self, reason: SkipReason) -> None:
        """Count a due time that got no run."""
        self._skips[reason].inc()

    def item_ended(self, outcome: ItemOutcome) -> None:
        """Count an item."""
        self._items[outcome].inc()

    def error_recorded(self, error_class: ErrorClass) -> None:
        """Count an error."""
        self._errors[error_class].inc()

    def changed(self, counts: Counts) -> None:
        """Count what was changed in the inventory, or in the target of a copy."""
        if self._copies:
            self._copies.count(counts)
        if self._upkeep or self._copies:
            return
        self._added.inc(counts.added)
        self._updated.inc(counts.updated)
        self._deleted.inc(counts.deleted)

    def measured(self, item: str, measures: Measures, at: datetime) -> None:
        """Show what an item that ended tells beside its counts."""
        if self._copies:
            self._copies.bytes.inc(measures.bytes)
        self._tables.show(item, measures, at if measures.differences == 0 else None)

    def remembered(self, item: str, measures: Measures, equal_at: datetime | None) -> None:
        """Show what an item told before this process; its bytes were counted there."""
        self._tables.show(item, measures, equal_at)

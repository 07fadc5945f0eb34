"""The metrics of one job, all made at once: a job that did nothing yet shows zeros."""

from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from syncd.errors import ErrorClass
from syncd.model.run import Counts, ItemOutcome, RunOutcome, SkipReason
from syncd.telemetry.families import Families


@dataclass(frozen=True, slots=True)
class MeasuredJob:
    """What the metrics show of a job's configuration; times in seconds.

    `interval` is the longest time between two of its due times, None if it has no rhythm.
    """

    name: str
    kind: str
    timeout: float
    interval: float | None


class JobSeries:
    """The series of one job; of a job that is gone they go on counting, unseen."""

    def __init__(self, families: Families, job: str) -> None:
        self._families = families
        self._job = job
        self.next_run = families.next_run.labels(job)
        self.last_success = families.last_success.labels(job)
        self.last_completion = families.last_completion.labels(job)
        self.running_since = families.running_since.labels(job)
        self.retries = families.retries.labels(job)
        self.duration = families.duration.labels(job)
        self.delay = families.delay.labels(job)
        self._runs = {name: families.runs.labels(job, name) for name in get_args(RunOutcome)}
        self._items = {name: families.items.labels(job, name) for name in get_args(ItemOutcome)}
        self._skips = {name: families.skipped.labels(job, name) for name in get_args(SkipReason)}
        self._errors = {name: families.errors.labels(job, name) for name in get_args(ErrorClass)}
        self._added, self._updated, self._deleted = (
            families.changes.labels(job, change) for change in ("added", "updated", "deleted")
        )

    def describe(self, job: MeasuredJob) -> None:
        """Show the job's configuration, in place of what was shown of an earlier one."""
        families, only = self._families, {"job_name": self._job}
        families.info.remove_by_labels(only)
        families.info.labels(self._job, job.kind).set(1)
        families.timeout.labels(self._job).set(job.timeout)
        if job.interval is None:
            families.interval.remove_by_labels(only)
        else:
            families.interval.labels(self._job).set(job.interval)

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
        """Count what was changed in the inventory."""
        self._added.inc(counts.added)
        self._updated.inc(counts.updated)
        self._deleted.inc(counts.deleted)

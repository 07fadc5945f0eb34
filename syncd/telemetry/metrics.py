"""The metrics as the rest of the program sees them: say what happened, and render the page.

Everything here may be called from any thread, takes microseconds and never fails for a job or
account that is gone: observing must not disturb what is observed.
"""

import threading
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import get_args

from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from syncd.errors import ErrorClass
from syncd.model.measures import Measures
from syncd.model.run import Counts, ItemOutcome, RunOutcome, SkipReason
from syncd.telemetry.families import Families, NoticeOutcome
from syncd.telemetry.job_series import JobSeries, MeasuredJob
from syncd.telemetry.probes import Probe, Probes, Reading


class Metrics:
    """All metrics of one daemon, in a registry of their own. Moments are aware, times seconds."""

    def __init__(self, version: str, started: datetime) -> None:
        # Else each counter has a second series. The library left this function without annotations.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._families = Families(self._registry)
        self._probes = Probes()
        self._registry.register(self._probes)
        ProcessCollector(registry=self._registry)
        self._jobs: dict[str, JobSeries] = {}
        self._gone = JobSeries(Families(CollectorRegistry()), "gone")
        self._resources: frozenset[tuple[str, str, str]] = frozenset()
        self._databases: frozenset[tuple[str, str]] = frozenset()
        self._channels: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._families.build.labels(version).set(1)
        self._families.start.set(started.timestamp())

    def render(self, accept: str) -> tuple[str, bytes]:
        """Return content type and body of the page, in the format that the Accept header asks."""
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self._registry)

    def watch(self, probe: Probe, read: Reading) -> None:
        """Let a gauge be read by calling `read` at each scrape; `read` must not block."""
        self._probes.watch(probe, read)

    # The daemon

    def ticked(self, now: datetime) -> None:
        """Note a turn of the timetable."""
        self._families.tick.set(now.timestamp())

    def reloaded(self, now: datetime, *, successful: bool) -> None:
        """Note that a configuration was read, at the start too, and whether it was taken over."""
        self._families.reload_ok.set(successful)
        if successful:
            self._families.reload.set(now.timestamp())

    def leads(self, *, leader: bool) -> None:
        """Note whether this daemon makes the runs."""
        self._families.leader.set(leader)

    # Jobs

    def set_jobs(self, jobs: Iterable[MeasuredJob]) -> None:
        """Show exactly these jobs; what those that stay have counted is kept."""
        wanted = {job.name: job for job in jobs}
        with self._lock:
            for gone in self._jobs.keys() - wanted.keys():
                self._jobs[gone].forget()
            self._jobs = {
                name: self._jobs.get(name) or JobSeries(self._families, name) for name in wanted
            }
            for name, job in wanted.items():
                self._jobs[name].describe(job)

    def preload(
        self, job: str, last_success: datetime | None, last_completion: datetime | None
    ) -> None:
        """Take over from the records what was before this process; None is never, shown as 0."""
        series = self._of(job)
        series.last_success.set(last_success.timestamp() if last_success else 0)
        series.last_completion.set(last_completion.timestamp() if last_completion else 0)

    def skipped(self, job: str, reason: SkipReason) -> None:
        """Count a due time that got no run."""
        self._of(job).skipped(reason)

    def run_started(self, job: str, now: datetime, delay: float | None) -> None:
        """Note the start of an attempt; `delay` since the due time counts for first attempts."""
        series = self._of(job)
        series.running_since.set(now.timestamp())
        if delay is not None:
            series.delay.observe(max(delay, 0))

    def run_retried(self, job: str) -> None:
        """Note that an attempt failed and another one will be made."""
        series = self._of(job)
        series.running_since.set(0)
        series.retries.inc()

    def run_ended(self, job: str, outcome: RunOutcome, now: datetime, seconds: float) -> None:
        """Count a run whose last attempt took `seconds`."""
        self._of(job).ended(outcome, now, seconds)

    def item_ended(self, job: str, outcome: ItemOutcome, counts: Counts) -> None:
        """Count an item and the changes that were committed with it."""
        series = self._of(job)
        series.item_ended(outcome)
        series.changed(counts)

    def item_measured(self, job: str, item: str, measures: Measures, at: datetime) -> None:
        """Show what an item that ended tells beside its counts."""
        self._of(job).measured(item, measures, at)

    def preload_item(
        self, job: str, item: str, measures: Measures, equal_at: datetime | None
    ) -> None:
        """Take over from the records what an item told before this process."""
        self._of(job).remembered(item, measures, equal_at)

    def error_recorded(self, job: str, error_class: ErrorClass) -> None:
        """Count an error of a run, an item or a resource."""
        self._of(job).error_recorded(error_class)

    def _of(self, job: str) -> JobSeries:
        return self._jobs.get(job, self._gone)

    # Notifications

    def set_channels(self, channels: Iterable[str]) -> None:
        """Show exactly these channels, from the start; what those that stay counted is kept."""
        wanted = frozenset(channels)
        with self._lock:
            for outcome in get_args(NoticeOutcome):
                for gone in self._channels - wanted:
                    self._families.notices.remove(gone, outcome)
                for channel in wanted:
                    self._families.notices.labels(channel, outcome)
            self._channels = wanted

    def notified(self, channel: str, outcome: NoticeOutcome) -> None:
        """Count a try of a notification; one that failed and is given up counts as both."""
        if channel in self._channels:
            self._families.notices.labels(channel, outcome).inc()

    # What jobs work with

    def set_resources(self, counts: Mapping[tuple[str, str, str], int]) -> None:
        """Show the inventory's sizes by account, type and state; what is not named is gone."""
        with self._lock:
            for labels in self._resources - counts.keys():
                self._families.resources.remove(*labels)
            for labels, count in counts.items():
                self._families.resources.labels(*labels).set(count)
            self._resources = frozenset(counts)

    def set_database_sizes(self, sizes: Mapping[tuple[str, str], int]) -> None:
        """Show the bytes of databases by server and name; what is not named is gone."""
        with self._lock:
            for labels in self._databases - sizes.keys():
                self._families.database_size.remove(*labels)
            for labels, size in sizes.items():
                self._families.database_size.labels(*labels).set(size)
            self._databases = frozenset(sizes)

    def observe_api(self, provider: str, api: str, outcome: str, seconds: float) -> None:
        """Count a request to others; `outcome` is `ok` or an error class."""
        self._families.api.labels(provider, api, outcome).inc()
        self._families.api_seconds.labels(provider, api).observe(seconds)
        throttled = self._families.throttled.labels(provider, api)  # known as soon as the api is
        if outcome == "throttled":
            throttled.inc()

    def observe_statement(self, operation: str, seconds: float) -> None:
        """Count an operation of the store; `operation` is of a fixed set."""
        self._families.statement.labels(operation).observe(seconds)

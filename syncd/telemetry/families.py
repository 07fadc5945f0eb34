"""The metrics that syncd counts itself: their names, texts, labels and fixed sets of values.

Names and labels are a promise to dashboards and rules. A label holds nothing that grows: no ids, no
texts. Of a job every series exists from the start, so that "never" is a value (0), not an absence.
"""

from typing import Final, Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Change = Literal["added", "updated", "deleted"]
Copied = Literal["added", "updated", "unchanged", "deleted", "rejected"]
NoticeOutcome = Literal["sent", "failed", "given_up"]

RUN_SECONDS: Final = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400)
DELAY_SECONDS: Final = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3_600)
API_SECONDS: Final = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
STATEMENT_SECONDS: Final = (0.001, 0.005, 0.02, 0.1, 0.5, 1, 5, 30)

Family = TypeVar("Family", Counter, Gauge, Histogram)


class Families:
    """All metrics, by the name they have without prefix, unit and `_total`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        one, job = self._gauge, self._job_gauge
        self.build = one("build_info", "1, with the version that runs.", "version")
        self.start = one("start_timestamp_seconds", "When the daemon started.")
        self.tick = one("scheduler_last_tick_timestamp_seconds", "When the timetable last turned.")
        self.reload_ok = one("config_last_reload_successful", "1 unless the last reload failed.")
        self.reload = one(
            "config_last_reload_success_timestamp_seconds",
            "When the configuration was last taken over.",
        )
        self.leader = one("leader", "1 when this daemon makes the runs, 0 when it stands by.")
        self.resources = one("resources", "Resources in the inventory.", "account", "type", "state")
        self.database_size = one(
            "db_size_bytes", "Newest size, where metrics.database_sizes asks.", "server", "database"
        )
        self.info = one("job_info", "1 for each configured job.", "job_name", "kind")
        self.last_success = job("last_success", "When a run last succeeded; 0 if never.")
        self.last_completion = job("last_completion", "When a run last ended; 0 if never.")
        self.running_since = job("running_since", "When the running run started; 0 if none runs.")
        self.timeout = one("job_timeout_seconds", "Time limit of one attempt.", "job_name")
        count = self._count
        self.runs = count("job_runs", "Runs that ended.", "job_name", "outcome")
        self.retries = count("job_retries", "Attempts that will be repeated.", "job_name")
        self.skipped = count("job_skipped", "Due times without a run.", "job_name", "reason")
        self.items = count("items", "Items that ended.", "job_name", "outcome")
        self.errors = count("errors", "Errors recorded.", "job_name", "error_class")
        self.changes = count("resource_changes", "Changes recorded.", "job_name", "change")
        self.copied_rows = count("copy_rows", "Rows of table copies.", "job_name", "outcome")
        self.copied_bytes = count("copy_bytes", "Bytes that table copies read.", "job_name")
        self.watermark = one(
            "copy_watermark_timestamp_seconds",
            "Up to when a table is copied, where its watermark is a time.",
            "job_name",
            "item",
        )
        self.differences = one(
            "check_differences", "Rows that a check last found to differ.", "job_name", "item"
        )
        self.last_equal = one(
            "check_last_equal_timestamp_seconds",
            "When a check last found no difference; 0 if never.",
            "job_name",
            "item",
        )
        self.api = count(
            "api_requests",
            "Requests to clouds; of provider token: logins, of http: calls of jobs.",
            "provider",
            "api",
            "outcome",
        )
        self.notices = count("notifications", "Tries of notifications.", "channel", "outcome")
        self.throttled = count("api_throttled", "Requests refused as too many.", "provider", "api")
        self.duration = self._histogram(
            "job_run_duration_seconds", "Time of a run's last attempt.", RUN_SECONDS, "job_name"
        )
        self.delay = self._histogram(
            "job_start_delay_seconds", "From due time to start.", DELAY_SECONDS, "job_name"
        )
        self.api_seconds = self._histogram(
            "api_request_duration_seconds",
            "Time a request to a cloud took.",
            API_SECONDS,
            "provider",
            "api",
        )
        self.statement = self._histogram(
            "store_statement_duration_seconds",
            "Time an operation of the store took.",
            STATEMENT_SECONDS,
            "operation",
        )

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"syncd_{name}", text, labels, registry=self._registry)

    def _job_gauge(self, name: str, text: str) -> Gauge:
        return self._gauge(f"job_{name}_timestamp_seconds", text, "job_name")

    def _count(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"syncd_{name}_total", text, labels, registry=self._registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(f"syncd_{name}", text, labels, buckets=buckets, registry=self._registry)

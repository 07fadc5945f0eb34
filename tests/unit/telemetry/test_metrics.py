import shutil
import subprocess
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse

from syncd.errors import ErrorClass
from syncd.model.measures import Measures
from syncd.model.run import Counts
from syncd.telemetry.job_series import MeasuredJob
from syncd.telemetry.metrics import Metrics

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
HOSTS = MeasuredJob("hosts", "cloud", timeout=600)
SIZES = MeasuredJob("db-sizes", "db_sizes", timeout=60)


@pytest.fixture
def metrics() -> Metrics:
    metrics = Metrics("1.2.3", NOON)
    metrics.set_jobs([HOSTS])
    return metrics


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    _, page = metrics.render("")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in parse(page.decode())
        for sample in family.samples
    }


def of_job(metrics: Metrics, job: str) -> set[tuple[str, ...]]:
    return {key for key in samples(metrics) if job in key}


def fill(metrics: Metrics) -> None:
    metrics.ticked(NOON)
    metrics.reloaded(NOON, successful=True)
    metrics.leads(leader=True)
    metrics.run_started("hosts", NOON, 0.2)
    metrics.run_ended("hosts", "success", NOON, 12.5)
    metrics.item_ended("hosts", "success", Counts(total=7, added=4, updated=2, deleted=1))
    metrics.set_resources({("main", "host", "Running"): 7})
    metrics.observe_api("aliyun", "DescribeInstances", "success", 0.3)
    metrics.observe_statement("reconcile", 0.02)
    metrics.watch("ready", lambda: True)
    metrics.watch("store_pool_connections", lambda: {"idle": 2, "used": 1})
    metrics.watch("workers", lambda: {"busy": 1, "idle": 2, "stuck": 0})
    metrics.watch("queue_length", lambda: {"normal": 3})
    metrics.watch("queue_waiting", lambda: {"load": 3})
    metrics.watch("job_next_run_timestamp_seconds", lambda: {"hosts": NOON.timestamp()})
    metrics.watch("job_paused", lambda: {"hosts": False})
    metrics.watch("job_held", lambda: {"hosts": False})
    metrics.watch("job_stuck", lambda: {"hosts": False})
    metrics.watch("job_adaptive_interval_seconds", lambda: {"hosts": 600.0})
    metrics.watch("job_expected_interval_seconds", lambda: {"hosts": 1_800.0})
    metrics.watch("disk_free_bytes", lambda: {'/var/lib/"x"\n主': 1e9})
    metrics.watch("load_per_cpu", lambda: 0.5)
    metrics.watch("memory_available_bytes", lambda: 2**33)
    metrics.watch("records_incomplete", lambda: 0)
    metrics.watch("outbox_records", lambda: 0)


def test_promtool_finds_nothing_to_say(metrics):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian package prometheus)")
    fill(metrics)
    _, page = metrics.render("")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=page, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_promised_names_are_there(metrics):
    fill(metrics)
    names = {key[0] for key in samples(metrics)}
    assert {name for name in names if not name.endswith(("_bucket", "_sum", "_count"))} >= {
        "syncd_build_info", "syncd_start_timestamp_seconds",
        "syncd_scheduler_last_tick_timestamp_seconds", "syncd_config_last_reload_successful",
        "syncd_config_last_reload_success_timestamp_seconds", "syncd_leader", "syncd_ready",
        "syncd_job_info", "syncd_job_next_run_timestamp_seconds",
        "syncd_job_expected_interval_seconds", "syncd_job_last_success_timestamp_seconds",
        "syncd_job_last_completion_timestamp_seconds", "syncd_job_running_since_timestamp_seconds",
        "syncd_job_timeout_seconds", "syncd_job_runs_total", "syncd_job_retries_total",
        "syncd_job_skipped_total", "syncd_items_total", "syncd_errors_total", "syncd_resources",
        "syncd_resource_changes_total", "syncd_api_requests_total", "syncd_api_throttled_total",
        "syncd_store_pool_connections", "syncd_workers", "syncd_queue_length",
        "syncd_disk_free_bytes", "syncd_load_per_cpu", "syncd_memory_available_bytes",
        "syncd_records_incomplete", "syncd_outbox_records", "process_resident_memory_bytes",
        "syncd_queue_waiting", "syncd_job_paused", "syncd_job_held", "syncd_job_stuck",
        "syncd_job_adaptive_interval_seconds",
    }  # fmt: skip
    assert names >= {
        "syncd_job_run_duration_seconds_bucket",
        "syncd_job_start_delay_seconds_bucket",
        "syncd_api_request_duration_seconds_bucket",
        "syncd_store_statement_duration_seconds_bucket",
    }
    assert not {name for name in names if name.endswith("_created")}


def test_a_scraper_that_asks_for_openmetrics_gets_it(metrics):
    fill(metrics)
    content_type, page = metrics.render("application/openmetrics-text; version=1.0.0; q=0.5")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert "syncd_job_runs" in {family.name for family in parse_openmetrics(page.decode())}
    assert metrics.render("")[0] == "text/plain; version=0.0.4; charset=utf-8"


def test_a_configured_job_is_known_before_it_did_anything(metrics):
    seen = samples(metrics)
    assert seen["syncd_job_info", "hosts", "cloud"] == 1
    assert seen["syncd_job_timeout_seconds", "hosts"] == 600
    for outcome in ("success", "failed", "cancelled", "interrupted"):
        assert seen["syncd_job_runs_total", "hosts", outcome] == 0
    for error_class in get_args(ErrorClass):
        assert seen["syncd_errors_total", error_class, "hosts"] == 0
    for name in ("last_success", "last_completion", "running_since"):
        assert seen[f"syncd_job_{name}_timestamp_seconds", "hosts"] == 0


def test_what_was_before_the_start_is_taken_over(metrics):
    metrics.preload("hosts", NOON, None)
    seen = samples(metrics)
    assert seen["syncd_job_last_success_timestamp_seconds", "hosts"] == NOON.timestamp()
    assert seen["syncd_job_last_completion_timestamp_seconds", "hosts"] == 0
    assert seen["syncd_job_runs_total", "hosts", "success"] == 0


def test_a_run_is_seen_while_it_runs_and_counted_when_it_ended(metrics):
    metrics.run_started("hosts", NOON, -0.001)
    seen = samples(metrics)
    assert seen["syncd_job_running_since_timestamp_seconds", "hosts"] == NOON.timestamp()
    assert seen["syncd_job_start_delay_seconds_bucket", "hosts", "0.1"] == 1
    metrics.run_ended("hosts", "success", NOON, 45)
    seen = samples(metrics)
    assert seen["syncd_job_running_since_timestamp_seconds", "hosts"] == 0
    assert seen["syncd_job_runs_total", "hosts", "success"] == 1
    assert seen["syncd_job_run_duration_seconds_bucket", "hosts", "30.0"] == 0
    assert seen["syncd_job_run_duration_seconds_bucket", "hosts", "60.0"] == 1
    assert seen["syncd_job_last_success_timestamp_seconds", "hosts"] == NOON.timestamp()
    assert seen["syncd_job_last_completion_timestamp_seconds", "hosts"] == NOON.timestamp()


@pytest.mark.parametrize(
    ("outcome", "completed"), [("failed", True), ("cancelled", True), ("interrupted", False)]
)
def test_only_a_success_moves_the_last_success(metrics, outcome, completed):
    metrics.run_started("hosts", NOON, None)
    metrics.run_ended("hosts", outcome, NOON, 5)
    seen = samples(metrics)
    assert seen["syncd_job_runs_total", "hosts", outcome] == 1
    assert seen["syncd_job_last_success_timestamp_seconds", "hosts"] == 0
    assert bool(seen["syncd_job_last_completion_timestamp_seconds", "hosts"]) == completed
    assert seen["syncd_job_running_since_timestamp_seconds", "hosts"] == 0
    assert seen["syncd_job_start_delay_seconds_count", "hosts"] == 0


def test_retries_skips_errors_items_and_changes_are_counted(metrics):
    metrics.run_started("hosts", NOON, None)
    metrics.run_retried("hosts")
    metrics.skipped("hosts", "overlap")
    metrics.error_recorded("hosts", "throttled")
    metrics.item_ended("hosts", "failed", Counts())
    metrics.item_ended("hosts", "success", Counts(total=9, added=3, updated=2, deleted=1))
    seen = samples(metrics)
    assert seen["syncd_job_running_since_timestamp_seconds", "hosts"] == 0
    assert seen["syncd_job_retries_total", "hosts"] == 1
    assert seen["syncd_job_skipped_total", "hosts", "overlap"] == 1
    assert seen["syncd_errors_total", "throttled", "hosts"] == 1
    assert seen["syncd_items_total", "hosts", "failed"] == 1
    assert seen["syncd_items_total", "hosts", "success"] == 1
    assert [
        seen["syncd_resource_changes_total", change, "hosts"]
        for change in ("added", "updated", "deleted")
    ] == [3, 2, 1]


def test_a_reload_shows_exactly_the_jobs_there_are_and_keeps_their_counts(metrics):
    metrics.run_ended("hosts", "failed", NOON, 5)
    metrics.set_jobs([MeasuredJob("hosts", "http", 60), SIZES])
    seen = samples(metrics)
    assert seen["syncd_job_runs_total", "hosts", "failed"] == 1
    assert seen["syncd_job_info", "hosts", "http"] == 1
    assert ("syncd_job_info", "hosts", "cloud") not in seen
    assert seen["syncd_job_runs_total", "db-sizes", "success"] == 0
    metrics.set_jobs([SIZES])
    assert not of_job(metrics, "hosts")
    assert of_job(metrics, "db-sizes")


def test_a_run_that_outlives_its_job_does_not_bring_it_back(metrics):
    metrics.run_started("hosts", NOON, 1)
    metrics.set_jobs([])
    metrics.run_ended("hosts", "success", NOON, 5)
    metrics.item_ended("hosts", "success", Counts(added=1))
    metrics.preload("hosts", NOON, NOON)
    assert not of_job(metrics, "hosts")


def test_a_failed_reload_keeps_the_moment_of_the_last_good_one(metrics):
    metrics.reloaded(NOON, successful=True)
    metrics.reloaded(NOON.replace(hour=13), successful=False)
    seen = samples(metrics)
    assert seen["syncd_config_last_reload_successful",] == 0
    assert seen["syncd_config_last_reload_success_timestamp_seconds",] == NOON.timestamp()


def test_the_sizes_of_the_inventory_are_replaced_as_a_whole(metrics):
    metrics.set_resources({("a", "host", "Running"): 5, ("a", "host", "Stopped"): 1})
    metrics.set_resources({("a", "host", "Running"): 6, ("b", "host", "Running"): 2})
    found = {key: value for key, value in samples(metrics).items() if key[0] == "syncd_resources"}
    assert found == {
        ("syncd_resources", "a", "Running", "host"): 6,
        ("syncd_resources", "b", "Running", "host"): 2,
    }


def test_the_sizes_of_databases_are_replaced_as_a_whole(metrics):
    metrics.set_database_sizes({("s", "shop"): 1 << 40, ("s", "gone"): 1})
    metrics.set_database_sizes({("s", "shop"): 3, ("t", "shop"): 2})
    found = {
        key: value for key, value in samples(metrics).items() if key[0] == "syncd_db_size_bytes"
    }
    assert found == {
        ("syncd_db_size_bytes", "shop", "s"): 3,
        ("syncd_db_size_bytes", "shop", "t"): 2,
    }
    metrics.set_database_sizes({})
    assert not [key for key in samples(metrics) if key[0] == "syncd_db_size_bytes"]


def test_requests_to_clouds_and_statements_are_observed(metrics):
    metrics.observe_api("aliyun", "DescribeInstances", "success", 0.3)
    assert samples(metrics)["syncd_api_throttled_total", "DescribeInstances", "aliyun"] == 0
    metrics.observe_api("aliyun", "DescribeInstances", "throttled", 0.1)
    metrics.observe_statement("claim", 0.002)
    seen = samples(metrics)
    api = ("DescribeInstances", "aliyun")
    assert seen["syncd_api_throttled_total", *api] == 1
    assert seen["syncd_api_request_duration_seconds_count", *api] == 2
    assert seen["syncd_api_requests_total", "DescribeInstances", "throttled", "aliyun"] == 1
    assert seen["syncd_store_statement_duration_seconds_bucket", "0.005", "claim"] == 1


def test_a_gauge_is_read_at_each_scrape_and_one_that_fails_is_left_out(metrics):
    waiting = {"normal": 1}
    metrics.watch("queue_length", lambda: waiting)
    metrics.watch("workers", lambda: 1 / 0)
    waiting["normal"] = 4
    seen = samples(metrics)
    assert seen["syncd_queue_length", "normal"] == 4
    assert not {key for key in seen if key[0] in {"syncd_workers", "syncd_outbox_records"}}
    assert ("syncd_build_info", "1.2.3") in seen


def test_counting_rendering_and_reloading_at_once_lose_nothing(metrics):
    def count() -> None:
        for _ in range(500):
            metrics.error_recorded("hosts", "network")
            metrics.observe_api("aliyun", "DescribeInstances", "success", 0.1)

    def reload() -> None:
        for _ in range(50):
            metrics.set_jobs([HOSTS, SIZES])
            metrics.set_jobs([HOSTS])
            metrics.render("")

    threads = [threading.Thread(target=work) for work in (count, count, count, reload, reload)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = samples(metrics)
    assert seen["syncd_errors_total", "network", "hosts"] == 1_500
    assert not of_job(metrics, "db-sizes")


def test_what_upkeep_removes_is_no_change_of_the_inventory(metrics):
    metrics.set_jobs([MeasuredJob("retention", "retention", timeout=60, upkeep=True)])
    metrics.item_ended("retention", "success", Counts(total=7, deleted=7))
    seen = samples(metrics)
    assert seen["syncd_items_total", "retention", "success"] == 1
    assert seen["syncd_resource_changes_total", "deleted", "retention"] == 0


COPY = MeasuredJob("orders", "table_copy", timeout=60, items=("orders", "lines"))
CHECK = MeasuredJob("same", "consistency_check", timeout=60, items=("orders", "lines"))


def test_rows_of_copies_are_no_resources(metrics):
    metrics.set_jobs([COPY])
    seen = samples(metrics)
    for outcome in ("added", "updated", "unchanged", "deleted", "rejected"):
        assert seen["syncd_copy_rows_total", "orders", outcome] == 0
    assert seen["syncd_copy_bytes_total", "orders"] == 0
    counts = Counts(total=15, added=1, updated=2, deleted=3, unchanged=4, errors=8)
    metrics.item_ended("orders", "success", counts)
    metrics.item_measured("orders", "lines", Measures(bytes=100, watermark=5.5), NOON)
    metrics.item_measured("orders", "lines", Measures(bytes=10), NOON)
    seen = samples(metrics)
    rows = {key[2]: value for key, value in seen.items() if key[0] == "syncd_copy_rows_total"}
    assert rows == {"added": 1, "updated": 2, "unchanged": 4, "deleted": 3, "rejected": 8}
    assert seen["syncd_copy_bytes_total", "orders"] == 110
    assert seen["syncd_resource_changes_total", "added", "orders"] == 0
    assert seen["syncd_copy_watermark_timestamp_seconds", "lines", "orders"] == 5.5
    assert ("syncd_copy_watermark_timestamp_seconds", "orders", "orders") not in seen
    assert not [key for key in seen if key[0].startswith("syncd_check")]


def test_a_check_tells_how_much_differs_and_when_nothing_last_did(metrics):
    metrics.set_jobs([CHECK])
    assert samples(metrics)["syncd_check_last_equal_timestamp_seconds", "lines", "same"] == 0
    assert ("syncd_check_differences", "lines", "same") not in samples(metrics)
    metrics.item_measured("same", "lines", Measures(differences=0), NOON)
    metrics.item_measured("same", "lines", Measures(differences=7), NOON + timedelta(hours=1))
    metrics.item_measured("same", "orders", Measures(differences=0), NOON)
    seen = samples(metrics)
    assert seen["syncd_check_differences", "lines", "same"] == 7
    assert seen["syncd_check_differences", "orders", "same"] == 0
    assert seen["syncd_check_last_equal_timestamp_seconds", "lines", "same"] == NOON.timestamp()
    assert not [key for key in seen if key[0].startswith("syncd_copy")]


def test_tables_that_are_gone_are_not_shown_any_more(metrics):
    metrics.set_jobs([COPY, CHECK])
    for job in ("orders", "same"):
        metrics.item_measured(job, "lines", Measures(1, 5.5, 0), NOON)
        metrics.item_measured(job, "orders", Measures(1, 5.5, 0), NOON)
    metrics.set_jobs([replace(COPY, items=("orders",)), replace(CHECK, items=("orders",))])
    metrics.item_measured("orders", "lines", Measures(1, 5.5, 0), NOON)
    seen = samples(metrics)
    assert not [key for key in seen if "lines" in key]
    assert seen["syncd_copy_bytes_total", "orders"] == 3
    assert ("syncd_check_differences", "orders", "same") in seen
    metrics.set_jobs([replace(COPY, kind="cloud"), replace(CHECK, kind="http", items=())])
    metrics.item_ended("orders", "success", Counts(added=1))
    seen = samples(metrics)
    assert not [key for key in seen if key[0].startswith("syncd_copy_rows")]
    assert seen["syncd_resource_changes_total", "added", "orders"] == 1
    metrics.set_jobs([])
    assert not [key for key in samples(metrics) if key[0].startswith(("syncd_copy", "syncd_check"))]


def test_what_was_before_this_process_is_shown_and_no_bytes_are_counted_twice(metrics):
    metrics.set_jobs([COPY, CHECK])
    metrics.preload_item("orders", "lines", Measures(bytes=9, watermark=5.5), None)
    metrics.preload_item("same", "lines", Measures(differences=7), NOON)
    seen = samples(metrics)
    assert seen["syncd_copy_bytes_total", "orders"] == 0
    assert seen["syncd_copy_watermark_timestamp_seconds", "lines", "orders"] == 5.5
    assert seen["syncd_check_differences", "lines", "same"] == 7
    assert seen["syncd_check_last_equal_timestamp_seconds", "lines", "same"] == NOON.timestamp()


def test_a_job_that_is_gone_measures_nothing(metrics):
    metrics.item_measured("nosuch", "lines", Measures(1, 5.5, 0), NOON)
    assert not of_job(metrics, "nosuch")

"""The daemon from start to stop: readiness, what it tells, stopping in order."""

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from urllib.request import urlopen

import pytest
from daemon_helpers import (
    Manager,
    Site,
    check_records,
    inventory,
    job,
    neighbour,
    site,
    truth,
    until,
)

from syncd.errors import Conflict, NotFound, Unreachable
from syncd.model.run import Selection

EVERYTHING = Selection()


@pytest.fixture
def place(dsn: str) -> Iterator[Site]:
    """Give a site whose store is a database of its own on the server of the tests."""
    with site(dsn) as made:
        yield made


@pytest.fixture
def manager(place: Site) -> Iterator[Manager]:
    """Give a service manager."""
    manager = Manager(place.directory / "notify")
    try:
        yield manager
    finally:
        manager.close()


def test_the_service_manager_hears_of_start_reload_and_stop(place: Site, manager: Manager) -> None:
    place.configure({"hosts": job(every="1s"), "by-hand": job()})
    process = place.up(manager.environment)
    until(lambda: manager.heard("READY"), 5, "READY")
    until(lambda: len(manager.heard("WATCHDOG")) >= 3, 10, "WATCHDOG from the timetable")
    until(lambda: any("2 jobs" in text for text in manager.heard("STATUS")), 5, "STATUS")
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    process.send(signal.SIGHUP)
    until(lambda: len(manager.heard("READY")) >= 2, 10, "READY after the reload")
    (moment,) = manager.heard("MONOTONIC_USEC")
    assert before <= int(moment) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    place.fault("latency", seconds=1.5)
    place.client.trigger("by-hand", EVERYTHING, "me")
    until(lambda: place.runs("job = 'by-hand' and status = 'running'"), 10, "a run")
    assert process.stop() == 0
    keys = [next(iter(message)) for message in manager.messages()]
    assert keys.index("RELOADING") < keys.index("STOPPING") < len(keys)
    assert manager.heard("EXTEND_TIMEOUT_USEC")
    assert "READY" not in keys[keys.index("STOPPING") :]


def test_a_start_from_nothing_becomes_ready_and_a_stop_leaves_nothing_running() -> None:
    with site() as place:
        place.configure({"hosts": job(every="1s")})
        process = place.up()
        until(lambda: place.runs("status = 'success'"), 20, "a run")
        assert inventory(place) == truth(place.emulator)
        assert process.ready_answer()[0] == 200
        assert process.get("/healthz")[0] == 200
        address = process.await_line("event=listening").rpartition("http=")[2]
        with urlopen(f"http://{address}/readyz", timeout=5) as answer:
            assert answer.status == 200
        postmaster = place.server.pid
        assert postmaster is not None
        assert process.stop() == 0
        assert place.server.pid is None
        assert place.leftovers() == []
        assert process.lines("level=error") + process.lines("level=critical") == []


PROMISED = [
    "build_info",
    "start_timestamp_seconds",
    "scheduler_last_tick_timestamp_seconds",
    "config_last_reload_successful",
    "config_last_reload_success_timestamp_seconds",
    "leader",
    "ready",
    "job_info",
    "job_next_run_timestamp_seconds",
    "job_expected_interval_seconds",
    "job_last_success_timestamp_seconds",
    "job_last_completion_timestamp_seconds",
    "job_running_since_timestamp_seconds",
    "job_timeout_seconds",
    "job_runs_total",
    "job_retries_total",
    "job_skipped_total",
    "job_run_duration_seconds_bucket",
    "job_start_delay_seconds_bucket",
    "items_total",
    "errors_total",
    "resources",
    "resource_changes_total",
    "api_requests_total",
    "api_request_duration_seconds_bucket",
    "api_throttled_total",
    "store_pool_connections",
    "workers",
    "queue_length",
    "disk_free_bytes",
    "load_per_cpu",
    "memory_available_bytes",
    "records_incomplete",
    "outbox_records",
]


def test_every_promised_metric_is_there_and_true(place: Site) -> None:
    place.configure({"hosts": job(every="1s")})
    process = place.up()
    until(lambda: place.runs("status = 'success'"), 20, "a run")
    until(lambda: process.metric("syncd_job_runs_total", outcome="success") >= 1, 5, "counted")
    page = process.get("/metrics")[1]
    names = {line.split("{")[0].split(" ")[0] for line in page.splitlines() if line[:1] != "#"}
    assert [name for name in PROMISED if f"syncd_{name}" not in names] == []
    assert process.metric("syncd_ready") == process.metric("syncd_leader") == 1
    assert process.metric("syncd_resource_changes_total", change="added") == 10
    assert process.metric("syncd_job_last_success_timestamp_seconds") > time.time() - 60
    until(lambda: process.metric("syncd_job_next_run_timestamp_seconds") > 0, 5, "the next run")


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_has_nothing_to_say_about_the_metrics(place: Site) -> None:
    place.configure({"hosts": job(every="1s")})
    process = place.up()
    place.fault("throttled", probability=0.3)
    until(lambda: len(place.runs("finished_at is not null")) >= 2, 20, "runs")
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=process.get("/metrics")[1], text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_lets_a_run_end_within_the_grace(place: Site, number: signal.Signals) -> None:
    place.configure({"hosts": job()})
    process = place.up()
    place.fault("latency", seconds=0.4)
    run = place.client.trigger("hosts", EVERYTHING, "me")
    process.await_line("run started")
    process.send(number)
    assert process.wait() == 0
    (record,) = place.runs()
    assert (record["id"], record["status"], record["attempt"]) == (run, "success", 1)
    assert inventory(place) == truth(place.emulator)


def test_a_second_signal_hurries_and_the_run_is_taken_up_at_the_next_start(place: Site) -> None:
    place.configure({"hosts": job()}, shutdown_grace="60s")
    process = place.up()
    place.fault("hang", action="DescribeInstances")
    place.client.trigger("hosts", EVERYTHING, "me")
    until(lambda: place.rows("select from syncd.run_item where status = 'running'"), 10, "an item")
    process.send(signal.SIGTERM)
    process.await_line("event=stopping")
    with pytest.raises(Conflict, match="the daemon stops"):
        place.client.reload("me")
    asked = time.monotonic()
    process.send(signal.SIGTERM)
    assert process.wait() == 0
    assert time.monotonic() - asked < 10
    (record,) = place.runs()
    assert (record["status"], record["error_class"]) == ("pending", "interrupted")
    assert record["attempt"] < record["max_attempts"]  # it cost no attempt
    items = place.rows("select status, error_class from syncd.run_item")
    assert {(i["status"], i["error_class"]) for i in items} == {("failed", "interrupted")}
    check_records(place)
    place.emulator.faults.clear()
    place.up()
    until(lambda: place.runs("status = 'success'"), 20, "the same run")
    assert [run["id"] for run in place.runs()] == [record["id"]]
    assert inventory(place) == truth(place.emulator)
    check_records(place)


def test_when_the_grace_is_over_the_run_is_put_back(place: Site) -> None:
    place.configure({"hosts": job()}, shutdown_grace="1s")
    process = place.up()
    place.fault("drip", action="DescribeInstances", seconds=0.2)
    place.client.trigger("hosts", EVERYTHING, "me")
    until(lambda: place.rows("select from syncd.run_item where status = 'running'"), 10, "an item")
    asked = time.monotonic()
    assert process.stop() == 0
    assert 1 <= time.monotonic() - asked < 10
    assert [run["status"] for run in place.runs()] == ["pending"]
    assert process.lines("level=error") == []  # it was asked for
    check_records(place)


def test_a_stop_before_it_is_ready_is_a_clean_stop() -> None:
    with site() as place:
        place.configure({"hosts": job()})
        process = place.start()
        until(place.state_dir.exists, 20, "the state directory")
        process.send(signal.SIGTERM)
        assert process.wait() == 0
        assert "Traceback" not in process.text
        assert place.leftovers() == []


def test_a_second_daemon_on_the_same_state_directory_is_refused(place: Site) -> None:
    place.configure({"hosts": job(every="1s")})
    first = place.up()
    until(lambda: place.runs("status = 'success'"), 20, "a run")
    second = place.start()
    assert second.wait(10) == 1  # most of which is the start of Python
    (line,) = second.text.splitlines()
    assert str(place.state_dir) in line
    assert f"pid {first.pid}" in line
    done = len(place.runs("status = 'success'"))
    until(lambda: len(place.runs("status = 'success'")) > done, 10, "the first goes on")
    assert first.ready_answer()[0] == 200
    assert first.lines("level=error") == []


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
def test_another_daemon_on_the_store_stands_by_and_takes_over(place: Site, killed: bool) -> None:
    place.configure({"hosts": job(every="1s")})
    first = place.up()
    until(lambda: place.runs("status = 'success'"), 20, "a run")
    with neighbour(place) as beside:
        beside.configure({"hosts": job(every="1s")})
        second = beside.start()
        second.await_line("another daemon leads")
        status, answer = until(second.ready_answer, 5, "an answer")
        assert status == 503
        assert "standing by" in answer["reason"]
        assert second.get("/healthz")[0] == 200
        assert second.metric("syncd_leader") == 0
        assert beside.client.status()["ready"] is False
        assert not second.lines("event=ready")
        if killed:
            first.kill()
        else:
            assert first.stop() == 0
        second.await_ready(20)
        last = place.rows("select max(scheduled_for) at from syncd.run")[0]["at"]
        until(lambda: place.runs("status = 'success' and scheduled_for > %s", last), 15, "a run")
        epochs = {run["owner_epoch"] for run in place.runs("owner is not null")}
        assert len(epochs) == 2
        assert second.stop() == 0
    check_records(place)


def test_a_daemon_that_was_frozen_does_no_harm_when_it_goes_on(place: Site) -> None:
    place.configure({"hosts": job(every="1s", retries=["1m"])})
    first = place.up()
    number = place.fault("hang", action="DescribeInstances")
    until(lambda: place.rows("select from syncd.run_item where status = 'running'"), 10, "an item")
    (run,) = place.runs("status = 'running'")
    with neighbour(place) as beside:
        beside.configure({"hosts": job(every="1s", retries=["1m"])})
        second = beside.start()
        second.await_line("another daemon leads")
        first.send(signal.SIGSTOP)
        place.emulator.faults.clear(number)
        second.await_ready(20)
        until(lambda: place.runs("id = %s and status = 'success'", run["id"]), 15, "its run")
        first.send(signal.SIGCONT)
        assert first.wait() == 1
        assert first.lines("leadership lost")
        assert "Traceback" not in first.text
        done = len(place.runs("status = 'success'"))
        until(lambda: len(place.runs("status = 'success'")) > done, 10, "the second goes on")
        assert second.ready_answer()[0] == 200
        assert second.stop() == 0
    assert inventory(place) == truth(place.emulator)
    check_records(place)


def test_a_stop_while_standing_by_or_waiting_for_the_store_is_quick(place: Site) -> None:
    place.configure({"hosts": job()})
    place.up()
    with neighbour(place) as beside:
        beside.configure({"hosts": job()})
        second = beside.start()
        second.await_line("another daemon leads")
        assert second.stop() == 0
        beside.dsn = "host=/nowhere dbname=none"
        beside.configure({"hosts": job()})
        third = beside.start()
        third.await_line("out of reach")
        asked = time.monotonic()
        assert third.stop() == 0
        assert time.monotonic() - asked < 8
        assert "Traceback" not in second.text + third.text


def test_a_time_limit_ends_a_run_that_hangs_and_harms_no_other(place: Site) -> None:
    aliyun, tencent = place.emulator.world.accounts
    place.configure(
        {
            "hung": job(accounts=[aliyun], timeout="2s", every="1m"),
            "dripping": job(accounts=[aliyun], timeout="2s"),
            "well": job(accounts=[tencent], every="1s"),
        }
    )
    number = place.fault("hang", provider="aliyun")
    process = place.up()
    (run,) = until(lambda: place.runs("job = 'hung' and finished_at is not null"), 20, "an end")
    assert (run["status"], run["error_class"]) == ("failed", "timeout")
    assert run["duration_seconds"] < 4
    place.emulator.faults.clear(number)
    place.fault("drip", provider="aliyun", seconds=0.1)
    place.client.trigger("dripping", EVERYTHING, "me")
    (run,) = until(lambda: place.runs("job = 'dripping' and finished_at is not null"), 20, "an end")
    assert (run["status"], run["error_class"]) == ("failed", "timeout")
    assert run["duration_seconds"] < 4
    assert len(place.runs("job = 'well' and status = 'success'")) >= 2
    assert place.runs("job = 'well' and status = 'failed'") == []
    assert process.stop() == 0
    check_records(place)


def test_a_running_run_is_cancelled_over_the_socket(place: Site) -> None:
    place.configure({"hosts": job()})
    process = place.up()
    place.fault("hang", action="DescribeInstances")
    run = place.client.trigger("hosts", EVERYTHING, "me")
    until(lambda: place.rows("select from syncd.run_item where status = 'running'"), 10, "an item")
    asked = time.monotonic()
    place.client.cancel(run, "me")
    assert place.client.wait(run, 10)
    assert time.monotonic() - asked < 3
    record = place.client.run(str(run))
    assert record["status"] == "cancelled"
    assert {item["status"] for item in record["items"]} == {"cancelled"}
    with pytest.raises(Conflict):
        place.client.cancel(run, "me")
    with pytest.raises(NotFound):
        place.client.trigger("nothing", EVERYTHING, "me")
    place.emulator.faults.clear()
    again = place.client.trigger("hosts", EVERYTHING, "me")
    until(lambda: place.client.wait(again, 5), 10, "the next run")
    assert place.client.run(str(again))["status"] == "success"
    assert process.stop() == 0
    with pytest.raises(Unreachable):
        place.client.status()


def test_files_threads_and_memory_do_not_grow_with_runs(place: Site) -> None:
    place.configure({"hosts": job(every="1s")})
    process = place.up()
    until(lambda: len(place.runs("status = 'success'")) >= 2, 20, "runs")
    threads, files, resident = len(process.threads()), process.files(), process.resident()
    until(lambda: len(place.runs("status = 'success'")) >= 8, 20, "more runs")
    place.fault("reset", probability=0.5)
    until(lambda: len(place.runs("finished_at is not null")) >= 14, 40, "bad runs")
    place.emulator.faults.clear()
    until(lambda: process.files() <= files + 4, 10, f"{files} files, not {process.files()}")
    until(lambda: len(process.threads()) <= threads + 2, 10, f"{threads} threads")
    assert process.resident() < resident + 20e6

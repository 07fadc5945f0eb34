"""Reloads of a running daemon: the whole new configuration, or none of it."""

import signal
from collections.abc import Iterator

import pytest
from daemon_helpers import Process, Site, check_records, inventory, job, site, truth, until
from toml_text import toml

from syncd.errors import ConfigurationError
from syncd.model.run import Selection

RELOADS = 100


@pytest.fixture
def place(dsn: str) -> Iterator[Site]:
    """Give a site whose store is a database of its own on the server of the tests."""
    with site(dsn) as made:
        yield made


def hang_up(process: Process, outcome: str) -> None:
    """Send SIGHUP and wait until the daemon has told of one more outcome."""
    before = len(process.lines(outcome))
    process.send(signal.SIGHUP)
    until(lambda: len(process.lines(outcome)) > before, 20, outcome)


def test_a_hundred_reloads_under_runs_harm_nothing(place: Site) -> None:
    jobs = {"hosts": job(every="1s"), "yearly": job(schedule="@yearly")}
    place.configure(jobs)
    process = place.up()
    until(lambda: place.runs("status = 'success'"), 20, "a run")
    place.fault("latency", seconds=0.05)
    hang_up(process, "event=reloaded")
    threads, files = len(process.threads()), process.files()
    due = place.client.jobs()[1]["next_run"]
    for number in range(RELOADS):
        good = number % 2 == 0
        if good:
            changed = job(every="1s", group=f"group-{number}")
            place.configure({**jobs, "hosts": changed})
        else:
            place.write("[jobs.hosts]\nevry = '1s'\n" if number % 4 == 1 else b"\x00\xff" * 100)
        hang_up(process, "event=reloaded" if good else "reload failed")
        if number % 20 in (0, 1):
            assert process.metric("syncd_config_last_reload_successful") == good
            assert place.client.jobs()[1]["next_run"] == due
    place.emulator.faults.clear()
    until(lambda: process.files() <= files + 3, 10, f"{files} files")
    until(lambda: len(process.threads()) <= threads + 2, 10, f"{threads} threads")
    place.configure(jobs)
    hang_up(process, "event=reloaded")
    run = place.client.trigger("hosts", Selection(), "me")
    until(lambda: place.client.wait(run, 5), 20, "a run")
    assert inventory(place) == truth(place.emulator)
    assert process.stop() == 0
    check_records(place)
    assert place.runs("status in ('failed', 'cancelled', 'running')") == []
    assert "Traceback" not in process.text


def test_a_storm_of_signals_ends_with_the_last_configuration(place: Site) -> None:
    place.configure({"hosts": job(every="1s")})
    process = place.up()
    for number in range(RELOADS):
        place.configure({"hosts": job(every="1s"), f"job-{number}": job()})
        process.send(signal.SIGHUP)
    last = f"job-{RELOADS - 1}"
    until(lambda: [j["name"] for j in place.client.jobs()] == ["hosts", last], 60, last)
    assert process.stop() == 0
    assert "Traceback" not in process.text


def test_a_bad_file_changes_nothing_and_is_told_line_by_line(place: Site) -> None:
    place.configure({"hosts": job(every="1s")})
    process = place.up()
    tables = place.tables({"hosts": job(every="1x", retires=[]), "more": job(kind="clod")})
    place.write(toml(tables))
    with pytest.raises(ConfigurationError) as refused:
        place.client.reload("me")
    assert len(str(refused.value).splitlines()) >= 3
    hang_up(process, "reload failed")
    lines = process.lines("reload failed", "level=error")
    for key in ("jobs.hosts.every", "jobs.hosts.retires", "jobs.more.kind"):
        assert len([line for line in lines if key in line]) == 2, key
    assert process.lines("level=critical") == []
    assert [j["name"] for j in place.client.jobs()] == ["hosts"]
    assert "the last reload failed" in place.client.status()["status"]
    assert process.metric("syncd_config_last_reload_successful") == 0
    done = len(place.runs("status = 'success'"))
    until(lambda: len(place.runs("status = 'success'")) > done, 10, "the old job goes on")
    place.configure({"hosts": job(every="1s")})
    assert place.client.reload("me") == []
    assert process.metric("syncd_config_last_reload_successful") == 1
    assert "reload" not in place.client.status()["status"]


def test_an_emptied_file_is_refused(place: Site) -> None:
    place.configure({"hosts": job(every="1s")})
    place.up()
    place.write("")
    with pytest.raises(ConfigurationError, match="no account, no server and no job any more"):
        place.client.reload("me")
    assert [j["name"] for j in place.client.jobs()] == ["hosts"]


def test_unchanged_jobs_keep_their_next_run_and_changed_ones_get_another(place: Site) -> None:
    jobs = {
        "kept": job(every="1h"),
        "changed": job(every="2h"),
        "timed": job(schedule="0 3 * * *"),
        "gone": job(every="1h"),
    }
    place.configure(jobs, max_concurrent_runs=1)
    process = place.up()
    until(lambda: len(place.runs("status = 'success'")) == 3, 30, "the first runs")
    before = {j["name"]: j["next_run"] for j in place.client.jobs()}
    del jobs["gone"]
    jobs |= {"changed": job(every="3h"), "timed": job(schedule="0 4 * * *"), "new": job(every="1h")}
    place.configure(jobs, max_concurrent_runs=1)
    assert place.client.reload("me") == []
    until(lambda: place.runs("job = 'new' and status = 'success'"), 20, "the new job at once")
    after = {j["name"]: j["next_run"] for j in place.client.jobs()}
    assert after.keys() == {"kept", "changed", "timed", "new"}
    assert after["kept"] == before["kept"]
    assert after["changed"] > before["changed"]
    assert "T04:00" in after["timed"]
    assert len(place.runs("job = 'changed'")) == 1
    assert 'job_name="gone"' not in process.get("/metrics")[1]
    assert process.metric("syncd_job_runs_total", job_name="kept", outcome="success") == 1
    assert process.metric("syncd_job_runs_total", job_name="new", outcome="success") == 1
    gone = place.rows("select from syncd.job_state where job = 'gone'")
    assert gone == []


def test_what_needs_a_restart_is_named(place: Site) -> None:
    place.configure({"hosts": job()})
    process = place.up()
    tables = place.tables({"hosts": job()}, state_dir="/elsewhere", max_concurrent_runs=5)
    tables["listen"]["http"] = "127.0.0.1:1"
    tables["store"]["pool_max"] = 30  # for more runs, and taken up with them
    place.write(toml(tables))
    named = ["listen.http", "listen.control", "daemon.state_dir"]
    assert place.client.reload("me") == named
    for key in named:
        process.await_line("needs a restart", key)


def test_the_waiting_run_of_a_job_that_goes_is_cancelled(place: Site) -> None:
    retried = job(retries=["1h"])
    place.configure({"failing": retried, "late": retried, "other": job()})
    process = place.up()
    refused = place.fault("permission", code="InternalError", action="DescribeInstances")
    place.emulator.faults.clear(refused)
    place.fault("internal_error", action="DescribeInstances")
    waiting = place.client.trigger("failing", Selection(), "me")
    until(lambda: place.runs("status = 'pending' and attempt = 1"), 60, "a run that waits")
    place.emulator.faults.clear()
    hung = place.fault("hang", action="DescribeInstances")
    running = place.client.trigger("late", Selection(), "me")
    items = "select from syncd.run_item where status = 'running'"
    until(lambda: len(place.rows(items)) == 2, 10, "a run under way")
    place.configure({"other": job()})
    place.client.reload("me")
    (cancelled,) = place.runs("id = %s", waiting)
    assert (cancelled["status"], cancelled["error"]) == ("cancelled", "the job is gone")
    place.fault("internal_error", action="DescribeInstances")
    place.emulator.faults.clear(hung)
    until(lambda: place.runs("id = %s and status = 'cancelled'", running), 60, "the end of late")
    assert process.stop() == 0
    check_records(place)
    assert "Traceback" not in process.text

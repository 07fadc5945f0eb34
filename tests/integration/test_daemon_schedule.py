"""The schedule of a real daemon as people see and steer it: pauses, windows, gates, priorities."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon_helpers import Process, Row, Site, job, site, until
from toml_text import toml

from syncd.model.run import Selection

ALL = Selection()


@pytest.fixture
def place(dsn: str) -> Iterator[Site]:
    with site(dsn) as made:
        yield made


def row(place: Site, name: str) -> Row:
    """Return what is told of a job."""
    return next(each for each in place.client.jobs() if each["name"] == name)


def await_wait(place: Site, name: str, reason: str) -> None:
    """Wait until a run of a job waits for a reason."""

    def reasons() -> list[str]:
        return [each["reason"] for each in row(place, name)["waiting"]]

    until(lambda: reasons() == [reason], 15, f"a run of {name} waits: {reason}")


def children(process: Process) -> list[str]:
    """Return the command lines of the attempts in processes of their own."""
    found = []
    for task in Path("/proc").glob("[0-9]*"):
        try:
            parent = (task / "stat").read_text().rsplit(")", 1)[1].split()[1]
            line = (task / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if int(parent) == process.pid and "syncd.attempt" in line:
            found.append(line)
    return found


def test_a_job_that_asks_for_it_runs_in_a_process_of_its_own(place: Site) -> None:
    place.configure({"hosts": job(isolation="process")})
    process = place.up()
    place.fault("latency", seconds=1.0)
    run_id = place.client.trigger("hosts", ALL, "me")
    until(lambda: children(process), 15, "the process of the attempt")
    place.emulator.faults.clear()
    until(lambda: place.client.wait(run_id, 5), 30, "the end of the run")
    assert place.runs()[0]["status"] == "success"
    until(lambda: not children(process), 10, "the end of the process")
    assert "secret" not in "".join(process.lines("syncd.attempt"))


def test_a_pause_outlives_the_daemon_and_a_run_by_hand_passes_it(place: Site) -> None:
    place.configure({"hosts": job(every="1h"), "other": job()})
    process = place.up()
    until(lambda: place.runs("status = 'success'"), 20, "the first run")
    assert place.client.pause("hosts", None, "me")["paused"]["until"] is None
    place.configure({"hosts": job(every="1s"), "other": job()})
    place.client.reload("me")
    await_wait(place, "hosts", "paused")
    until(lambda: row(place, "hosts")["last_skip"], 15, "the due time that was given up")
    assert row(place, "hosts")["last_skip"]["reason"] == "paused"
    assert process.metric("syncd_job_paused", job_name="hosts") == 1
    assert process.metric("syncd_job_skipped_total", job_name="hosts", reason="paused") >= 1
    process.kill()
    process = place.up()
    assert row(place, "hosts")["paused"]["since"]
    by_hand = place.client.trigger("hosts", ALL, "me")
    assert until(lambda: place.client.wait(by_hand, 5), 20, "the run by hand")
    assert place.client.resume("hosts", "me") == {"job": "hosts", "was_paused": True, "freed": []}
    until(lambda: place.runs("trigger <> 'manual' and status = 'success'")[1:], 20, "a run")
    assert row(place, "hosts")["paused"] is None


@pytest.mark.parametrize(
    ("daemon", "keys", "reason"),
    [
        ({"load_limit": 0.000001}, {}, "load"),
        ({"min_free_disk": "4096TB"}, {}, "disk"),
        ({}, {"windows": ["00:00-12:00", "12:00-23:59"], "timezone": "UTC"}, "window"),
    ],
)
def test_a_closed_gate_is_told_with_its_reason_and_a_reload_opens_it(
    place: Site, daemon: Row, keys: dict[str, Any], reason: str
) -> None:
    place.configure({"hosts": job(every="1h", **keys)}, **daemon)
    process = place.up()
    await_wait(place, "hosts", reason)
    assert process.metric("syncd_queue_waiting", reason=reason) == 1
    process.await_line("a run waits", f"reason={reason}", "job=hosts")
    scheduler = place.client.scheduler()
    assert [each["reason"] for each in scheduler["waiting"]] == [reason]
    if reason != "window":
        assert scheduler["gates"][reason]["closed"]
    assert bool(place.client.jobs()[0]["window_until"]) == (reason == "window")
    assert place.runs()[0]["status"] == "pending"
    place.configure({"hosts": job(every="1h")})
    place.client.reload("me")
    until(lambda: place.runs("status = 'success'"), 20, "the run that waited")


def test_an_urgent_run_interrupts_a_running_one_which_then_ends_well(place: Site) -> None:
    place.configure(
        {"slow": job(priority="low"), "fast": job()}, max_concurrent_runs=1, max_per_account=2
    )
    place.up()
    place.fault("latency", seconds=5.0)
    slow = place.client.trigger("slow", ALL, "me")
    until(lambda: place.runs("job = 'slow' and status = 'running'"), 10, "the slow run")
    fast = place.client.trigger("fast", ALL, "me")
    await_wait(place, "fast", "worker")
    place.client.prioritise(fast, "urgent", "me")
    until(lambda: place.runs("job = 'fast' and status = 'running'"), 10, "the urgent run")
    place.emulator.faults.clear()
    for run_id in (fast, slow):
        until(lambda run_id=run_id: place.client.wait(run_id, 5), 30, "the end")
    ends = {run["job"]: run for run in place.runs()}
    assert [ends[name]["status"] for name in ("fast", "slow")] == ["success", "success"]
    assert (ends["slow"]["interruptions"], ends["slow"]["attempt"]) == (1, 2)
    assert ends["slow"]["max_attempts"] == 2


def test_refused_credentials_hold_the_job_over_a_restart_until_the_secret_is_right(
    place: Site,
) -> None:
    tables = place.tables({"hosts": job(every="2s", accounts=["aliyun-demo"])})
    good = tables["accounts"]["aliyun-demo"]["access_key_secret"]
    secret = place.directory / "secret"
    secret.write_text("wrong")
    tables["accounts"]["aliyun-demo"]["access_key_secret"] = {"file": str(secret)}
    place.write(toml(tables))
    process = place.up()
    await_wait(place, "hosts", "held")
    (held,) = row(place, "hosts")["held"]
    assert held["account"] == "aliyun-demo"
    assert process.metric("syncd_job_held", job_name="hosts") == 1
    process.kill()
    place.up()
    assert row(place, "hosts")["held"]
    refused = place.runs("error_class = 'authentication'")
    assert len(refused) == 1  # it was not tried again
    secret.write_text(good)
    until(lambda: place.runs("status = 'success'"), 40, "the run with the right secret")
    assert row(place, "hosts")["held"] == []

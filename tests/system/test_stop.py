"""A stop drains within the grace, can be hurried, and leaves nothing behind."""

import re
import time

import pytest
from daemon_helpers import until
from service import RUNTIME, STATE, Service

SHORT_STOP = "10s"
CYCLES = 50


def running(service: Service) -> bool:
    """Tell whether a run is under way."""
    return bool(service.runs("--status", "running"))


def stop_result(service: Service) -> str:
    """Return how the unit ended, as systemd sees it."""
    return service.machine.show("syncd", "Result")["Result"]


def trigger(service: Service) -> None:
    """Begin a run and see it under way."""
    service.syncd("trigger", "hosts")
    until(lambda: running(service), 20, "the run is under way")


def test_a_run_under_way_is_finished_before_the_daemon_stops(service: Service) -> None:
    service.configure({"hosts": {}}, daemon={"shutdown_grace": "60s"})
    service.start()
    service.clouds.fault("latency", seconds=2.0, action="DescribeRegions")
    trigger(service)
    service.stop()
    assert stop_result(service) == "success"
    service.start()
    assert service.runs("--job", "hosts")[0]["status"] == "success"


def test_the_store_serves_from_before_readiness_until_after_the_last_write(
    service: Service,
) -> None:
    service.configure({"hosts": {"every": "1s"}})
    service.start()
    ready = service.machine.show("syncd", "ActiveEnterTimestampMonotonic")
    psql = f"/opt/syncd/bin/psql -At 'host={STATE}/postgresql/run user=syncd dbname=syncd' -c"
    began = "extract(epoch from now() - pg_postmaster_start_time())"
    up = service.machine.shell(f'{psql} "select {began}, count(*) from syncd.migration"')
    age, migrations = up.split("|")
    uptime = float(service.machine.shell("cut -d' ' -f1 /proc/uptime"))
    assert uptime - float(age) < int(ready["ActiveEnterTimestampMonotonic"]) / 1e6
    assert int(migrations) > 0
    until(lambda: running(service) or service.runs("--status", "success"), 20, "runs are made")
    service.stop()
    (tool,) = service.machine.path("/opt/syncd/lib").rglob("pg_controldata")
    inside = f"/{tool.relative_to(service.machine.root)} {STATE}/postgresql/data"
    assert re.search(r"cluster state: +shut down$", service.machine.shell(inside), re.MULTILINE)


def test_a_drain_longer_than_the_stop_limit_extends_it(service: Service) -> None:
    service.drop_in(TimeoutStopSec="3s")
    service.configure({"hosts": {}}, daemon={"shutdown_grace": "60s"})
    service.start()
    service.clouds.fault("latency", seconds=8.0, action="DescribeRegions", times=2)
    trigger(service)
    began = time.monotonic()
    service.stop()
    assert time.monotonic() - began > 3.0
    assert stop_result(service) == "success"
    service.start()
    assert service.runs("--job", "hosts")[0]["status"] == "success"


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_hanging_run_is_broken_off_at_the_end_of_the_grace_and_taken_up_again(
    service: Service, isolation: str
) -> None:
    service.configure({"hosts": {"isolation": isolation}})
    service.start()
    service.clouds.fault("hang")
    trigger(service)
    began = time.monotonic()
    service.stop()
    assert 4.0 < time.monotonic() - began < 20.0
    assert stop_result(service) == "success"
    service.clouds.clear()
    service.start()
    until(lambda: service.runs("--job", "hosts")[0]["status"] == "success", 30, "it is made good")
    assert len(service.runs("--job", "hosts")) == 1


def test_a_second_signal_hurries_the_stop(service: Service) -> None:
    service.configure({"hosts": {}}, daemon={"shutdown_grace": "60s"})
    service.start()
    service.clouds.fault("hang")
    trigger(service)
    began = time.monotonic()
    service.machine.run("systemctl", "stop", "--no-block", "syncd")
    until(lambda: service.state.startswith("deactivating"), 10, "it is stopping")
    service.machine.run("systemctl", "kill", "--kill-whom=main", "syncd")
    until(lambda: service.state.startswith("inactive"), 20, "it has stopped")
    assert time.monotonic() - began < 30.0
    assert stop_result(service) == "success"


def test_cycles_of_start_reload_and_stop_under_load_leave_nothing(service: Service) -> None:
    jobs = {f"hosts-{n}": {"every": "1s", "isolation": "process"} if n else {"every": "1s"}
            for n in range(3)}  # fmt: skip
    service.configure(jobs, daemon={"max_per_account": 1})  # they share their scopes
    machine = service.machine
    service.start()
    service.stop()
    kept = machine.shell(f"find {STATE} -maxdepth 2 -not -path '{STATE}/logs/*' | sort")
    for cycle in range(CYCLES):
        service.start()
        machine.run("systemctl", "reload", "syncd")
        assert machine.processes_of("syncd"), cycle
        service.stop()
        assert stop_result(service) == "success", cycle
        until(lambda: not machine.processes_of("syncd"), 2, "no process is left")
        assert machine.shell(f"ls -A {RUNTIME} 2>/dev/null", check=False) == "", cycle
    assert machine.processes_of("syncd") == []
    assert machine.shell("ls -A /dev/shm") == ""
    assert machine.shell("ls -A /tmp /var/tmp | grep -i -e syncd -e pgsql", check=False) == ""
    now = machine.shell(f"find {STATE} -maxdepth 2 -not -path '{STATE}/logs/*' | sort")
    assert [line for line in now.splitlines() if "/config/" not in line] == [
        line for line in kept.splitlines() if "/config/" not in line
    ]
    service.start()
    runs = [r for n in range(3) for r in service.runs("--job", f"hosts-{n}")]
    assert not [r for r in runs if r["status"] == "failed"]

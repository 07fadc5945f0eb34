"""systemd starts a daemon again whose loop hangs, and leaves one alone that has much to do."""

import pytest
from daemon_helpers import until
from service import Service

LIMIT = "4s"
LEFT_ALONE = 2 * 4_000_000
"""Microseconds, of twice the limit, that a daemon has to show signs of life for."""
FAULT = "/run/syncd/deadlock"
SITE = "/opt/syncd/lib"
INJECTED = f'''
import os, threading, time
def deadlock():
    while not os.path.exists("{FAULT}"):
        time.sleep(0.1)
    from syncd.dispatch.timetable import Timetable
    lock = threading.Lock()
    lock.acquire()
    Timetable.turn = lambda self: lock.acquire()
threading.Thread(target=deadlock, daemon=True).start()
'''
"""A deadlock of the daemon's loop, once a file is there."""


def signs_of_life(service: Service) -> int:
    """Return when systemd last had a sign of life, in microseconds."""
    return int(
        service.machine.show("syncd", "WatchdogTimestampMonotonic")["WatchdogTimestampMonotonic"]
    )


def await_signs(service: Service) -> None:
    """Wait for signs of life over more than one time limit."""
    first = until(lambda: signs_of_life(service), 10, "a sign of life")
    until(lambda: signs_of_life(service) - first > LEFT_ALONE, 30, "signs of life")


def test_the_limit_as_shipped_is_half_a_minute(service: Service) -> None:
    assert service.machine.show("syncd", "WatchdogUSec")["WatchdogUSec"] == "30s"


def test_a_stopped_process_is_started_again(service: Service) -> None:
    service.drop_in(WatchdogSec=LIMIT)
    service.configure({"hosts": {}})
    service.start()
    before = service.pid
    service.machine.signal("STOP", before)
    until(lambda: service.restarts == 1, 60, "systemd has started it again")
    service.await_active()
    assert service.pid != before
    assert service.sync("hosts")["status"] == "success"


def test_a_deadlocked_loop_is_started_again(service: Service) -> None:
    (site,) = service.machine.path(SITE).glob("python3*/site-packages")
    (site / "zz_fault.pth").write_text("import syncd_test_fault\n")
    (site / "syncd_test_fault.py").write_text(INJECTED)
    try:
        service.drop_in(WatchdogSec=LIMIT)
        service.configure({"hosts": {"every": "1s"}})
        service.start()
        before, after = service.pid, service.machine.cursor()
        service.machine.shell(f"touch {FAULT}")
        until(lambda: service.restarts >= 1, 60, "systemd has started it again")
    finally:
        for file in (site / "zz_fault.pth", site / "syncd_test_fault.py"):
            file.unlink()
        service.machine.shell(f"rm -f {FAULT}")
    service.await_active()
    assert service.pid != before
    told = [str(entry["MESSAGE"]) for entry in service.machine.journal(after=after)]
    assert any("Watchdog timeout" in line for line in told), told
    assert service.sync("hosts")["status"] == "success"


@pytest.mark.parametrize("trouble", ["a long job", "a dead store", "a full queue"])
def test_a_daemon_with_trouble_elsewhere_is_left_alone(service: Service, trouble: str) -> None:
    service.drop_in(WatchdogSec=LIMIT)
    many = {f"hosts-{n}": {"every": "1s"} for n in range(20)}
    jobs = many if trouble == "a full queue" else {"hosts": {}}
    service.configure(jobs, daemon={"max_concurrent_runs": 1})
    service.start()
    before = service.pid
    if trouble == "a dead store":
        postgres = [pid for pid, line in service.processes().items() if "postgres" in line]
        service.machine.signal("STOP", *postgres)
    else:
        service.clouds.fault("hang")
        if "hosts" in jobs:
            service.syncd("trigger", "hosts")
    await_signs(service)
    if trouble == "a dead store":
        service.machine.signal("CONT", *postgres)
    service.clouds.clear()
    assert service.pid == before
    assert service.restarts == 0
    until(lambda: service.ask("status")["ready"], 30, "it is well")

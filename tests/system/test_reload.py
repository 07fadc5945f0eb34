"""`systemctl reload` tells the truth, changes nothing on a bad file, and costs nothing."""

import re

from daemon_helpers import until
from service import CONFIG, Service

RELOADS = 500
WARM = 50
"""Reloads before the first measurement: the allocator's pools fill up in them."""
SLACK_KIB = 4096


def resident_kib(service: Service) -> int:
    """Return the daemon's resident memory."""
    status = service.machine.shell(f"cat /proc/{service.pid}/status")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1])


def descriptors(service: Service) -> int:
    """Return how many files the daemon has open."""
    return int(service.machine.shell(f"ls /proc/{service.pid}/fd | wc -l"))


def test_a_reload_takes_over_what_was_added(service: Service) -> None:
    service.configure({"hosts": {}})
    service.start()
    before = service.pid
    service.configure({"hosts": {}, "more": {}})
    done = service.machine.run("systemctl", "reload", "syncd")
    assert done.returncode == 0
    assert {job["name"] for job in service.ask("jobs")} >= {"hosts", "more"}
    assert service.pid == before


def test_a_reload_of_a_bad_file_fails_and_the_daemon_goes_on_with_the_old_one(
    service: Service,
) -> None:
    service.configure({"hosts": {"every": "1h"}})
    service.start()
    before, after = service.pid, service.machine.cursor()
    service.write('[jobs.hosts]\nkind = "cluod"\nevery = "often"\n')
    failed = service.machine.run("systemctl", "reload", "syncd", check=False)
    assert failed.returncode != 0
    assert service.state == "active (running)"
    assert service.pid == before
    assert "last reload failed" in service.status_text
    told = [e["MESSAGE"] for e in service.machine.journal(after=after)]
    assert any('syncd.toml:2: jobs.hosts.kind: unknown kind "cluod"' in line for line in told)
    metrics = service.machine.get("http://127.0.0.1:9464/metrics")
    assert "syncd_config_last_reload_successful 0.0" in metrics
    assert service.sync("hosts")["status"] == "success"
    service.configure({"hosts": {"every": "1h"}})
    service.machine.run("systemctl", "reload", "syncd")
    assert "reload failed" not in service.status_text
    metrics = service.machine.get("http://127.0.0.1:9464/metrics")
    assert "syncd_config_last_reload_successful 1.0" in metrics


def test_a_hangup_signal_reloads_too(service: Service) -> None:
    service.configure({"hosts": {}})
    service.start()
    service.configure({"hosts": {}, "more": {}})
    service.machine.run("systemctl", "kill", "--signal=HUP", "--kill-whom=main", "syncd")
    until(lambda: "more" in {job["name"] for job in service.ask("jobs")}, 10, "it has reloaded")


def test_memory_and_descriptors_are_flat_over_500_reloads(service: Service) -> None:
    for name, kept in ("one", 10), ("other", 8):  # jobs come, go and change with each
        service.configure({f"hosts-{n}": {"every": f"{n + kept}h"} for n in range(kept)})
        service.machine.run("cp", "--preserve", CONFIG, f"{CONFIG}.{name}")
    service.start()
    reload = (
        f"f=one; for i in $(seq {{}}); do cp --preserve {CONFIG}.$f {CONFIG}; "
        "systemctl reload syncd || exit 1; [ $f = one ] && f=other || f=one; done"
    )
    service.machine.shell(reload.format(WARM))
    memory, files = resident_kib(service), descriptors(service)
    service.machine.shell(reload.format(RELOADS - WARM), seconds=900)
    assert descriptors(service) <= files + 2
    assert resident_kib(service) <= memory + SLACK_KIB
    assert service.restarts == 0

"""The installed unit: hardened, everything works under it, and the journal holds no secret."""

import json
import re
from collections.abc import Mapping
from typing import Any

from daemon_helpers import until
from machine import Machine
from service import Service

from syncd.demo.emulator import KEYS

WORST_EXPOSURE = 1.3
JOBS = {"hosts": {}, "isolated": {"isolation": "process"}}
UPKEEP = ("retention", "backup")


def text_of(entry: Mapping[str, Any]) -> str:
    """Return the message of a journal entry."""
    return str(entry["MESSAGE"])


def test_the_unit_is_valid_and_its_exposure_is_low(machine: Machine) -> None:
    verified = machine.run("systemd-analyze", "verify", "--man=no", "syncd.service")
    assert verified.stdout + verified.stderr == ""
    told = machine.run("systemd-analyze", "security", "syncd").stdout
    exposure = re.search(r"Overall exposure level for syncd\.service: ([\d.]+)", told)
    assert exposure is not None, told
    assert float(exposure[1]) <= WORST_EXPOSURE, told


def test_all_job_kinds_run_under_the_unit(service: Service) -> None:
    service.configure(JOBS)
    service.start()
    hosts = 2 * service.clouds.hosts
    assert service.sync("hosts")["added"] == hosts
    assert service.sync("isolated")["unchanged"] == hosts
    for job in UPKEEP:
        assert service.sync(job)["status"] == "success"
    for job in UPKEEP:  # in a process of its own, under the same sandbox
        service.configure({job: {"kind": job, "isolation": "process"}})
        service.machine.run("systemctl", "reload", "syncd")
        assert service.sync(job)["status"] == "success"
    assert service.syncd("doctor")
    health = service.ask("status")
    assert health["ready"], health


def test_the_status_line_tells_what_the_daemon_does(service: Service) -> None:
    service.configure({"hosts": {"every": "1h"}})
    service.start()
    assert re.fullmatch(r"3 jobs(, 1 running \(hosts .*\))?, next \S+ in \w+", service.status_text)
    service.clouds.fault("permission")
    service.machine.run("syncd", "sync", "hosts", check=False)
    until(lambda: "last failure" in service.status_text, 10, "the status line tells the failure")
    assert re.fullmatch(
        r"3 jobs, next \S+ in \w+; last failure hosts \d+s ago", service.status_text
    )
    shown = service.machine.run("systemctl", "status", "syncd").stdout
    assert 'Status: "3 jobs, next ' in shown


def test_the_journal_has_the_right_priorities_the_fields_and_no_secret(service: Service) -> None:
    after = service.machine.cursor()
    service.configure(JOBS)
    service.start()
    good = service.sync("isolated")["id"]
    service.clouds.fault("permission", provider="tencent")
    failed = service.machine.run("syncd", "sync", "hosts", "--json", check=False)
    assert failed.returncode == 1
    service.stop()
    entries = service.machine.journal(after=after)
    ours = [e for e in entries if e.get("_SYSTEMD_UNIT") == "syncd.service"]
    assert {e["SYSLOG_IDENTIFIER"] for e in ours} == {"syncd"}
    assert not [e for e in ours if text_of(e).startswith("<")], "a priority was not understood"
    of_run = [text_of(e) for e in ours if f"run={good}" in text_of(e)]
    kept = [json.loads(line) for line in service.syncd("logs", good, "--json").splitlines()]
    assert len(of_run) == len(kept) > 0
    assert all("job=isolated" in line for line in of_run)
    of_items = [line for line in of_run if " item=" in line]
    assert len({re.search(r" item=(\S+)", line)[1] for line in of_items}) == 6  # type: ignore[index]
    assert all(" account=" in line and " region=" in line for line in of_items)
    levels = {"info": "6", "warning": "4", "error": "3", "debug": "7", "critical": "2"}
    for entry in ours:
        level = re.match(r"level=(\w+)", text_of(entry))
        if level:
            assert entry["PRIORITY"] == levels[level[1]], entry
    errors = [text_of(e) for e in ours if e["PRIORITY"] == "3"]
    assert any("job=hosts" in line for line in errors)
    everything = json.dumps(entries)  # what journald adds too, such as command lines
    for _, secret, _ in KEYS.values():
        assert secret not in everything


def test_nobody_but_root_and_the_group_gets_at_configuration_and_socket(service: Service) -> None:
    service.configure({"hosts": {}})
    service.start()
    machine = service.machine
    machine.shell(
        "id nosy 2>/dev/null || useradd nosy; id helpful 2>/dev/null || useradd -G syncd helpful"
    )
    for file in ("/etc/syncd/syncd.toml", "/run/syncd/control.sock", "/var/lib/syncd/lock"):
        machine.run("test", "-e", file)
        assert machine.run("runuser", "-u", "nosy", "--", "cat", file, check=False).returncode
    refused = machine.run("runuser", "-u", "nosy", "--", "syncd", "status", check=False)
    assert refused.returncode == 69
    assert "ermission" in refused.stderr
    assert "ready" in machine.run("runuser", "-u", "helpful", "--", "syncd", "status").stdout
    run = machine.run("runuser", "-u", "helpful", "--", "syncd", "trigger", "hosts", "--wait")
    assert run.returncode == 0
    assert service.runs("--job", "hosts")[0]["requested_by"] == "helpful"

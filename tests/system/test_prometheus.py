"""A real Prometheus scrapes the service, loads the rules and raises an alert."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon_helpers import until
from machine import Machine
from service import Service

SOURCES = Path(__file__).parents[2] / "packaging" / "prometheus"
RULES = "/usr/share/syncd/prometheus/syncd.rules.yml"
URL = "http://127.0.0.1:9090/api/v1"
CONFIG = f"""
global:
  scrape_interval: 1s
  evaluation_interval: 1s
rule_files: [{RULES}]
scrape_configs:
  - job_name: syncd
    static_configs: [{{targets: ["127.0.0.1:9464"]}}]
"""


@pytest.fixture(scope="module")
def prometheus(machine: Machine) -> Iterator[Machine]:
    """Give the machine with Debian's Prometheus on it."""
    machine.run("apt-get", "install", "--yes", "--no-install-recommends", "prometheus")
    machine.path("/etc/prometheus/prometheus.yml").write_text(CONFIG)
    machine.run("systemctl", "restart", "prometheus")
    yield machine
    machine.run("systemctl", "disable", "--now", "prometheus")


def answer(machine: Machine, path: str) -> Any:
    """Ask Prometheus."""
    return json.loads(machine.get(f"{URL}/{path}"))["data"]


def test_the_rules_and_the_metrics_are_sound(service: Service, prometheus: Machine) -> None:
    prometheus.run("promtool", "check", "rules", RULES)
    for file in SOURCES.glob("*.yml"):
        shutil.copy(file, prometheus.path(f"/root/{file.name}"))
    prometheus.run("promtool", "test", "rules", "/root/syncd.rules.test.yml")
    service.configure({"hosts": {"every": "1h"}})
    service.start()
    service.sync("hosts")
    metrics = service.machine.get("http://127.0.0.1:9464/metrics")
    checked = prometheus.run("promtool", "check", "metrics", given=metrics)
    assert checked.stdout + checked.stderr == ""


def test_the_service_is_scraped_and_a_failing_job_raises_an_alert(
    service: Service, prometheus: Machine
) -> None:
    service.configure({"hosts": {"every": "1s"}})
    service.start()
    until(
        lambda: [t["health"] for t in answer(prometheus, "targets")["activeTargets"]] == ["up"],
        30, "the target is up",
    )  # fmt: skip

    def healths() -> set[str]:
        groups = answer(prometheus, "rules")["groups"]
        return {rule["health"] for group in groups for rule in group["rules"]}

    until(lambda: "unknown" not in healths(), 30, "each rule was evaluated")
    assert healths() == {"ok"}
    service.clouds.fault("permission")

    def alerts() -> set[str]:
        return {a["labels"]["alertname"] for a in answer(prometheus, "alerts")["alerts"]}

    until(lambda: "SyncdJobFailing" in alerts(), 60, "the alert is pending or firing")

"""A real Prometheus scrapes the service, loads the rules and raises an alert."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon_helpers import until
from machine import Machine
from service import STATE, Service

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


RUN = f"{STATE}/postgresql/run"
OWN = {"engine": "postgresql", "host": RUN, "user": "syncd", "database": "syncd"}
TABLES = {
    "copy": {
        "kind": "table_copy", "source": {"server": "own", "schema": "shop", "tables": ["orders"]},
        "target": {"server": "own", "schema": "house"}, "mode": "incremental", "watermark": "at",
    },
    "look": {
        "kind": "consistency_check", "copy": "copy", "recheck": "0s", "on_difference": "report"
    },
}  # fmt: skip


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
    until(lambda: "SyncdJobFailing" in alerts(prometheus), 60, "the alert is pending or firing")


def alerts(machine: Machine) -> set[str]:
    """Return the names of the alerts that are pending or firing."""
    return {each["labels"]["alertname"] for each in answer(machine, "alerts")["alerts"]}


def test_tables_that_differ_raise_an_alert_until_they_are_equal(
    service: Service, prometheus: Machine
) -> None:
    def execute(*statements: str) -> None:
        psql = ("/opt/syncd/bin/psql", "-Xqd", f"host={RUN} user=syncd dbname=syncd")
        service.machine.run(*psql, *(word for each in statements for word in ("-c", each)))

    service.configure(TABLES, servers={"own": OWN})
    service.start()
    execute(
        "create schema shop", "create schema house",
        "create table shop.orders (id int primary key, at timestamptz)",
        "insert into shop.orders select n, now() - interval '1 d' from generate_series(1, 9) n",
    )  # fmt: skip
    for job in TABLES:
        assert service.sync(job)["status"] == "success"
    metrics = service.machine.get("http://127.0.0.1:9464/metrics")
    for name in ("copy_watermark_timestamp", "check_last_equal_timestamp"):
        assert f"\nsyncd_{name}_seconds{{" in metrics
    checked = prometheus.run("promtool", "check", "metrics", given=metrics)
    assert checked.stdout + checked.stderr == ""
    execute("delete from house.orders where id = 3")
    service.sync("look")
    until(lambda: "SyncdTablesDiffer" in alerts(prometheus), 30, "the alert is firing")
    execute("insert into house.orders select * from shop.orders where id = 3")
    service.sync("look")
    until(lambda: "SyncdTablesDiffer" not in alerts(prometheus), 30, "the alert is over")

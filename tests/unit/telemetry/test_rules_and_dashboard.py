"""The shipped alerts and the dashboard ask for metrics that exist, in expressions that hold."""

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.parser import text_string_to_metric_families as parse

from syncd.model.measures import Measures
from syncd.model.run import Counts
from syncd.telemetry.job_series import MeasuredJob
from syncd.telemetry.metrics import Metrics
from syncd.telemetry.probes import Probes

PACKAGING = Path(__file__).parents[3] / "packaging"
RULES = PACKAGING / "prometheus" / "syncd.rules.yml"
CASES = PACKAGING / "prometheus" / "syncd.rules.test.yml"
DASHBOARD = json.loads((PACKAGING / "grafana" / "syncd.json").read_text())
OF_PROMETHEUS = {"job", "instance"}

needs_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool is not installed (Debian package prometheus)"
)


def promised():
    """Return the labels of each sample of a daemon's page, by its name."""
    now = datetime(2026, 3, 1, tzinfo=UTC)
    metrics = Metrics("1.2.3", now)
    copy = MeasuredJob("orders", "table_copy", timeout=600, items=("lines",))
    check = MeasuredJob("same", "consistency_check", timeout=600, items=("lines",))
    metrics.set_jobs([MeasuredJob("hosts", "cloud", timeout=600), copy, check])
    for job in ("orders", "same"):
        metrics.item_measured(job, "lines", Measures(1, 1, 0), now)
    metrics.item_ended("hosts", "success", Counts(added=1))
    metrics.set_channels(["oncall"])
    metrics.set_resources({("main", "host", "running"): 7})
    metrics.observe_api("aliyun", "DescribeInstances", "ok", 0.3)
    metrics.observe_statement("reconcile", 0.02)
    families = [*parse(metrics.render("")[1].decode()), *_probes(), *_process()]
    found = {}
    for family in families:
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def _probes():
    families = list(Probes().describe())
    for family in families:
        family.add_metric(["one"] * len(family._labelnames), 1)
    return families


def _process():
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry.collect()


def rule_expressions():
    """Return the alerts' expressions by name, as promtool reads their folded lines."""
    text = RULES.read_text()
    found = re.findall(r"- alert: (\w+)\n +expr: (.*?)\n {8}(?:for|labels):", text, re.DOTALL)
    return {name: " ".join(expr.removeprefix(">-").split()) for name, expr in found}


def panels():
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def dashboard_expressions():
    return [target["expr"] for panel in panels() for target in panel["targets"]] + [
        each["expr"] for each in DASHBOARD["annotations"]["list"]
    ]


def filled(expr):
    """Return an expression with what Grafana puts in place of its variables."""
    return re.sub(r"\$\w+", ".+", expr.replace("$__rate_interval", "5m"))


ALERTS = rule_expressions()
PROMISED = promised()
EXPRESSIONS = [*ALERTS.values(), *dashboard_expressions()]


def test_every_alert_was_found():
    assert len(ALERTS) == RULES.read_text().count("- alert: ") > 15


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_metrics_and_their_labels_exist(expr):
    selectors = re.findall(r"\b((?:syncd|process)_\w+)(?:\{([^}]*)\})?", expr)
    assert selectors or "up{" in expr
    known = set(OF_PROMETHEUS)
    for name, matchers in selectors:
        assert name in PROMISED, name
        labels = PROMISED[name] | OF_PROMETHEUS
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) <= labels
        known |= labels
    grouped = re.findall(r"\b(?:by|without|on|ignoring) \(([^)]*)\)", expr)
    assert {label.strip() for group in grouped for label in group.split(",")} <= known


def test_variables_of_the_dashboard_ask_for_labels_that_exist():
    queries = [
        each["definition"] for each in DASHBOARD["templating"]["list"] if "definition" in each
    ]
    assert len(queries) == 3
    for query in queries:
        name, label = re.fullmatch(r"label_values\((\w+)(?:\{.*\})?, (\w+)\)", query).groups()
        assert label in PROMISED[name] | OF_PROMETHEUS


def test_variables_that_expressions_use_are_defined():
    defined = {each["name"] for each in DASHBOARD["templating"]["list"]} | {"__rate_interval"}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps([panels(), DASHBOARD["annotations"]])))
    assert used == defined


def test_panels_have_their_own_place_and_say_what_they_show():
    places = set()
    for panel in panels():
        assert panel["title"]
        assert panel["description"]
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not places & cells, panel["title"]
        places |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_each_alert_has_a_case_in_which_it_fires():
    cases = CASES.read_text()
    fired = set(re.findall(r'alertname="(\w+)"[^\n]*value: 1', cases))
    fired |= set(re.findall(r"alertname: (\w+)\n +exp_alerts:\n +- exp_labels", cases))
    assert fired == set(ALERTS)


@needs_promtool
def test_promtool_takes_the_rules_and_their_cases_hold():
    checked = subprocess.run(
        ["promtool", "check", "rules", "--lint=all", "--lint-fatal", RULES],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    tested = subprocess.run(
        ["promtool", "test", "rules", CASES.name], cwd=CASES.parent,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert tested.returncode == 0, tested.stdout + tested.stderr


@needs_promtool
def test_promtool_takes_the_expressions_of_the_dashboard(tmp_path):
    rules = [
        {"record": f"panel:{number}", "expr": filled(expr)}
        for number, expr in enumerate(dashboard_expressions())
    ]
    file = tmp_path / "dashboard.json"  # which is YAML too
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", file],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"{len(rules)} rules found" in done.stdout

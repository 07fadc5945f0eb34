"""The manual pages say what the program does, and are what the program would write now."""

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import click
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from syncd.cli.main import cli
from syncd.config.configuration import Tables
from syncd.config.jobs import KINDS
from syncd.config.load import load
from syncd.config.schema import Account
from syncd.config.servers import Server
from syncd.model.measures import Measures
from syncd.telemetry.job_series import MeasuredJob
from syncd.telemetry.metrics import Metrics
from syncd.telemetry.probes import Probes

ROOT = Path(__file__).parents[2]
MAN = ROOT / "packaging" / "man"
PAGES = sorted(MAN.glob("*.[1-8]"))


def needs(program):
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} is not installed")


def text_of(page):
    return (MAN / page).read_text()


def unescaped(text):
    """Return roff as the characters that a reader sees and can type."""
    text = re.sub(r"\\f[BIRP]|\\&", "", text)
    return text.replace(r"\-", "-").replace(r"\(aq", "'").replace(r"\ ", " ").replace(r"\e", "\\")


def section(page, heading):
    """Return what stands under a heading, up to the next one."""
    lines = iter(text_of(page).splitlines())
    assert any(unescaped(line) == heading for line in lines), f"{page} has no {heading}"
    found = []
    for line in lines:
        if line.startswith((".SH", ".SS")):
            break
        found.append(unescaped(line))
    return found


def leaves(command=cli, path="syncd"):
    """Return every command that can be run, with what is typed for it."""
    context = click.Context(command)
    if not isinstance(command, click.Group):
        return [(path, command)]
    below = [(name, command.get_command(context, name)) for name in command.list_commands(context)]
    found = [leaf for name, each in below for leaf in leaves(each, f"{path} {name}")]
    return [(path, command), *found] if command.invoke_without_command else found


def keys():
    """Return every key of the configuration with the heading it stands under."""
    found = [(".SH TOP LEVEL", "timezone")]
    for name, info in Tables.model_fields.items():
        if hasattr(info.annotation, "model_fields"):
            found += [(f".SS [{name}]", key) for key in info.annotation.model_fields]
    found += [(".SS [accounts.NAME]", key) for key in Account.model_fields]
    found += [(".SS [servers.NAME]", key) for key in Server.model_fields]
    common = set.intersection(*(set(kind.model_fields) for kind in KINDS.values()))
    defaults = set(Tables.model_fields["defaults"].annotation.model_fields)
    found += [(".SS [jobs.NAME]", key) for key in sorted(common - defaults)]
    found += [
        (f".SS Jobs of the kind {name}", info.alias or key)
        for name, kind in KINDS.items()
        for key, info in kind.model_fields.items()
        if key not in common
    ]
    return found


def examples(page):
    """Return the lines of a page that are examples."""
    found = re.findall(r"^\.EX\n(.*?)^\.EE", text_of(page), re.DOTALL | re.MULTILINE)
    return [unescaped(line) for block in found for line in block.splitlines()]


def test_the_pages_are_as_they_would_be_made():
    done = subprocess.run(
        [sys.executable, MAN / "build.py", "--check"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
    assert [page.name for page in PAGES] == [
        "syncd-control.7", "syncd-metrics.7", "syncd.8", "syncd.toml.5",
    ]  # fmt: skip


@pytest.mark.parametrize(("path", "command"), leaves(), ids=str)
def test_each_command_and_option_has_its_line(path, command):
    lines = section("syncd.8", f".SS {path}")
    shown = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    usage = " ".join(lines[: lines.index(".PP")])
    for option in shown:
        assert max(option.opts, key=len) in usage
        if option.help != "Print JSON.":
            at = lines.index(".TP", lines.index(".PP"))
            tags = [lines[n + 1] for n in range(at, len(lines)) if lines[n] == ".TP"]
            assert [tag for tag in tags if tag.split(" ")[0].rstrip(",") in option.opts]


@pytest.mark.parametrize(("heading", "key"), keys())
def test_each_key_has_its_line(heading, key):
    lines = section("syncd.toml.5", heading)
    tags = [after for line, after in pairwise(lines) if line == ".TP"]
    assert [tag for tag in tags if tag.startswith(f"{key} = ")]


def test_each_route_has_its_line():
    lines = text_of("syncd-control.7").splitlines()
    tags = {unescaped(after) for line, after in pairwise(lines) if line == ".TP"}
    routes = re.findall(r"^\| `((?:GET|POST) [^`]+)`", (ROOT / "docs/control.md").read_text(), re.M)
    assert len(routes) > 15
    assert [route for route in routes if not any(tag.startswith(route) for tag in tags)] == []


def test_each_metric_has_its_line_with_its_labels():
    metrics = Metrics("1.2.3", datetime(2026, 3, 1, tzinfo=UTC))
    copy = MeasuredJob("orders", "table_copy", timeout=600, items=("lines",))
    check = MeasuredJob("same", "consistency_check", timeout=600, items=("lines",))
    metrics.set_jobs([MeasuredJob("hosts", "cloud", timeout=600), copy, check])
    for job in ("orders", "same"):
        metrics.item_measured(job, "lines", Measures(1, 1, 0), datetime.now(UTC))
    metrics.set_database_sizes({("orders-db", "shop"): 1})
    lines = {unescaped(line) for line in text_of("syncd-metrics.7").splitlines()}
    shown = {
        line.partition("{")[0]: set(re.findall(r"\w+", line.partition("{")[2]))
        for line in lines
        if line.startswith("syncd_")
    }
    families = [*parse(metrics.render("")[1].decode()), *Probes().describe()]
    ours = {
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in families
        if family.name.startswith("syncd_")
    }
    assert shown.keys() == ours.keys()
    for name, family in ours.items():
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == shown[name]


def test_the_commands_of_the_examples_exist():
    lines = [line for page in PAGES for line in examples(page.name) if line.startswith("syncd ")]
    assert len(lines) > 8
    for line in lines:
        _, name, *arguments = line.split()
        context = click.Context(cli)
        command = cli.get_command(context, name)
        assert command, line
        command.make_context(name, arguments, context)  # raises UsageError for what is wrong


def test_the_example_of_a_configuration_is_valid(tmp_path):
    lines = examples("syncd.toml.5")
    text = "\n".join(lines[next(n for n, line in enumerate(lines) if "timezone" in line) :])
    (tmp_path / "syncd.toml").write_text(text)
    assert {"hosts", "db-accounts", "orders", "orders-check"} <= load(
        tmp_path / "syncd.toml", {}
    ).enabled_jobs().keys()


@needs("mandoc")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mandoc_finds_nothing_to_say(page):
    done = subprocess.run(
        ["mandoc", "-T", "lint", page], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs("man")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_man_shows_the_page_without_a_warning_and_breaks_no_word(page):
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", page],
        env={"PATH": "/usr/bin:/bin", "MANWIDTH": "72", "LC_ALL": "C.UTF-8"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "NAME" in done.stdout
    assert "\N{HYPHEN}\n" not in done.stdout

"""What docs/copies.md and docs/checks.md show is valid, and what they name is there."""

import re
from pathlib import Path

import pytest
from click import Context

from syncd.cli.main import cli
from syncd.config.copy_rules import check_rules, copy_rules
from syncd.config.toml_secrets import hide
from syncd.copies import details
from syncd.model.check import RedisKeys

ROOT = Path(__file__).parents[3]
COPIES, CHECKS = ((ROOT / "docs" / f"{name}.md").read_text() for name in ("copies", "checks"))
SHOWN = "\n".join(re.findall(r"```toml\n(.*?)```", COPIES + CHECKS, re.DOTALL))
COMMANDS = re.findall(r"^    syncd ([a-z]+)((?: --[a-z]+| [\w-]+)*)", COPIES + CHECKS, re.MULTILINE)


def table_of_details(page):
    body = page.partition("| detail of an item |")[2].partition("\n\n")[0]
    cells = re.findall(r"^\| (`.+?) \|", body, re.MULTILINE)
    return set(re.findall(r"`([a-z_]+)`", " ".join(cells)))


def test_their_examples_are_valid_together(folder):
    folder.write(SHOWN)
    config = folder.load()
    assert config.warnings == ()
    copied = copy_rules(config.jobs["shop-copy"], config.servers)
    assert [each.name for each in copied] == ["orders", "order_lines"]
    assert len(check_rules(config.jobs["shop-check"], config.servers)) == 2
    (stock,) = check_rules(config.jobs["stock-check"], config.servers)
    assert stock.left == RedisKeys("cache", 0, "stock:{sku}", "qty", "qty")


def test_two_jobs_that_write_one_table_are_warned_of(folder):
    again = SHOWN.partition("[jobs.shop-copy]")[2].partition("\n[")[0]
    folder.write(f"{SHOWN}\n[jobs.again]\n{again}")
    for table, warning in zip(["orders", "order_lines"], folder.load().warnings, strict=True):
        assert f'both sync table "warehouse.shop.{table}" of server "warehouse"' in warning


def test_a_diff_shows_their_examples_whole():
    assert hide(SHOWN, "***").lines == SHOWN.split("\n")


def test_each_detail_of_a_copy_is_named():
    kept = re.findall(r"^\| ([a-z_, ]+) \|", details.__doc__, re.MULTILINE)
    words = {word for line in kept for word in line.split(", ")} - {"detail"}
    assert len(words) > 15
    assert words <= table_of_details(COPIES)


def test_each_detail_of_a_check_is_named():
    findings = (ROOT / "syncd" / "checks" / "findings.py").read_text()
    body = findings.partition("told: dict[str, object] = {")[2].partition("}")[0]
    told = set(re.findall(r'"([a-z_]+)": ', body))
    assert len(told) > 10
    assert told <= table_of_details(CHECKS)


def test_the_tables_name_no_detail_that_nobody_tells():
    told = "".join((ROOT / "syncd" / name).read_text() for name in (
        "copies/details.py", "checks/findings.py", "jobs/consistency_check.py",
        "engines/redis/sides.py",
    ))  # fmt: skip
    for page in (COPIES, CHECKS):
        names = table_of_details(page)
        assert len(names) > 15
        assert {name for name in names if not re.search(rf"\b{name}\b", told)} == set()


@pytest.mark.parametrize(("name", "rest"), COMMANDS)
def test_the_commands_that_they_show_are_there(name, rest):
    command = cli.get_command(Context(cli), name)
    options = {each for one in command.params for each in one.opts}
    assert {word for word in rest.split() if word.startswith("--")} <= options

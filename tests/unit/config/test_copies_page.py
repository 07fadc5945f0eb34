"""What docs/copies.md shows is valid, and what it names is there."""

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
PAGE = (ROOT / "docs" / "copies.md").read_text()
SHOWN = "\n".join(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL))


def test_its_examples_are_valid_together(folder):
    folder.write(SHOWN)
    config = folder.load()
    assert config.warnings == ()
    copied = copy_rules(config.jobs["orders"], config.servers)
    assert [each.name for each in copied] == ["orders", "order_lines"]
    assert len(check_rules(config.jobs["orders-check"], config.servers)) == 2
    (stock,) = check_rules(config.jobs["stock-check"], config.servers)
    assert stock.right == RedisKeys("cache", 0, "stock:{sku}", "qty", "qty")


def test_a_diff_shows_its_examples_whole():
    assert hide(SHOWN, "***").lines == SHOWN.split("\n")


def test_it_names_each_detail_that_is_kept():
    named = set(re.findall(r"`([a-z_]+)`", PAGE))
    kept = re.findall(r"^\| ([a-z_, ]+) \|", details.__doc__, re.MULTILINE)
    words = {word for line in kept for word in line.split(", ")} - {"detail"}
    assert len(words) > 15
    assert words <= named
    findings = (ROOT / "syncd" / "checks" / "findings.py").read_text()
    body = findings.partition("told: dict[str, object] = {")[2].partition("}")[0]
    told = set(re.findall(r'"([a-z_]+)": ', body))
    assert len(told) > 10
    assert told - {"differing_ranges_skipped", "cut"} <= named


@pytest.mark.parametrize(
    "words", re.findall(r"^    syncd ([a-z]+)((?: --[a-z]+| \w+)*)", PAGE, re.M)
)
def test_the_commands_that_it_shows_are_there(words):
    name, rest = words
    command = cli.get_command(Context(cli), name)
    options = {each for one in command.params for each in one.opts}
    assert {word for word in rest.split() if word.startswith("--")} <= options

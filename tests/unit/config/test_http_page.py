"""What docs/http.md shows is valid, and its signature is the one that is sent."""

import hashlib
import hmac
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click import Context

from syncd.calls.compose import compose
from syncd.cli.main import cli
from syncd.config.http import Request
from syncd.config.toml_secrets import hide

PAGE = (Path(__file__).parents[3] / "docs" / "http.md").read_text()
SHOWN = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
NOW = datetime.fromtimestamp(1764063000, UTC)


def test_its_examples_are_valid_together(folder):
    folder.write("\n".join(SHOWN), mode=0o644)
    config = folder.load()
    assert config.warnings == ()
    assert len(config.enabled_jobs()) == 9
    assert set(config.tokens) == {"iam", "sso"}
    assert not config.jobs["invoice"].steps[0].request.safe_to_repeat


def test_a_diff_shows_its_examples_whole():
    text = "\n".join(SHOWN)
    assert hide(text, "***").lines == text.split("\n")


def test_the_commands_that_it_names_are_there():
    named = set(re.findall(r"`syncd ([a-z-]+)((?: [a-zA-Z]+)?)((?: --[a-z-]+)?)`", PAGE))
    assert {command for command, *_ in named} == {"check", "import-crontab", "sync"}
    for name, _, option in named:
        command = cli.get_command(Context(cli), name)
        options = {each for one in command.params for each in one.opts}
        assert not option or option.strip() in options


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_its_command_makes_the_signature_that_is_sent():
    request = Request(url="https://a/v1/state?a=1", hmac={"secret": "the key"})
    sent = compose(request, {}, key="k", now=NOW).headers
    assert sent["X-Timestamp"] == "1764063000"
    (command,) = re.findall(r"(?m)^    printf .*\n.*$", PAGE)
    made = subprocess.run(
        ["sh", "-c", command], env={"KEY": "the key", "PATH": "/usr/bin:/bin"}, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    assert made.stdout.split()[-1] == sent["X-Signature"]


def test_the_lines_that_are_signed_are_those_of_the_page():
    request = Request(
        url="https://a", method="POST", body="x", query={"b": "1 2"}, hmac={"secret": "k"}
    )
    lines = ["POST", "/?b=1+2", "1764063000", hashlib.sha256(b"x").hexdigest()]
    signed = hmac.new(b"k", "\n".join(lines).encode(), hashlib.sha256).hexdigest()
    assert compose(request, {}, key="k", now=NOW).headers["X-Signature"] == signed

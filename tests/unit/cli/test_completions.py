"""The completions of the shells, in the shells."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.shell_completion import BashComplete
from shells import Shell

from syncd.cli import completion
from syncd.cli.main import COMMANDS, cli

SCRIPTS = Path(__file__).parents[3] / "packaging" / "completions"
BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")

CONFIGURATION = """
[accounts.prod-aliyun]
provider = "aliyun"
access_key_id = "id"
access_key_secret = { env = "SYNCD_TEST_NO_SUCH_SECRET" }
[accounts.retired]
provider = "tencent"
access_key_id = "id"
access_key_secret = { env = "SYNCD_TEST_NO_SUCH_SECRET" }
enabled = false
[servers.orders-db]
engine = "mysql"
host = "127.0.0.1"
user = "syncd"
[servers.retired-db]
engine = "mysql"
host = "127.0.0.1"
user = "syncd"
enabled = false
[jobs.hosts]
kind = "cloud"
accounts = ["prod-aliyun"]
schedule = "0 3 * * *"
[jobs.hosts-once]
kind = "cloud"
accounts = ["prod-aliyun"]
enabled = false
[jobs.copied]
kind = "table_copy"
source = { server = "orders-db", schema = "shop", tables = ["orders", "order lines"] }
target = { server = "orders-db", schema = "copy" }
[jobs.compared]
kind = "consistency_check"
copy = "copied"
tables = ["orders"]
"""


def needs(shell):
    return pytest.mark.skipif(not shutil.which(shell), reason=f"{shell} is not installed")


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "syncd.toml"
    file.write_text(CONFIGURATION)
    file.chmod(0o600)
    return file


@pytest.fixture
def environ(tmp_path):
    """An environment whose `syncd` is the one under test."""
    folder = tmp_path / "bin"
    folder.mkdir()
    root = Path(__file__).parents[3]
    program = folder / "syncd"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={root} exec {sys.executable} -m syncd "$@"\n')
    program.chmod(0o755)
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL") if name in os.environ}
    return kept | {
        "PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(tmp_path), "TERM": "xterm",
        "XDG_DATA_DIRS": "/usr/share", "PS1": "> ", "INPUTRC": "/dev/null",
    }  # fmt: skip


def offered(file, *words):
    """Return what is offered for the last of the words, without a shell."""
    *args, incomplete = words
    asked = BashComplete(cli, {}, "syncd", "_SYNCD_COMPLETE")
    found = asked.get_completions(["--config", str(file), *args], incomplete)
    return [item.value for item in found]


def in_bash(environ, *words):
    script = (
        f'. {SCRIPTS}/syncd.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _syncd syncd;'
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", "syncd", *words],
        env=environ, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


def in_fish(environ, line):
    script = f"source {SCRIPTS}/syncd.fish; complete -C $argv[1]"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script, line],
        env=environ, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


@pytest.fixture
def shell(environ):
    shells = []

    def start(command, *setup):
        shells.append(Shell(command, environ))
        for number, line in enumerate(setup):
            shells[-1].typed(f"{line}; echo ready-$(({number} + 100))\n", f"ready-{number + 100}\n")
        return shells[-1]

    yield start
    for each in shells:
        each.close()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["tri"], ["trigger"]),
        ([""], list(COMMANDS)),
        (["trigger", ""], ["hosts", "copied", "compared", "retention", "backup"]),
        (["sync", "copied", "--table", ""], ["orders", "order lines"]),
        (["trigger", "compared", "--table", "ord"], ["orders", "order lines"]),
        (["trigger", "h"], ["hosts"]),
        (["pause", "h"], ["hosts"]),
        (["resume", "h"], ["hosts"]),
        (["approve", "h"], ["hosts"]),
        (["jobs", "h"], ["hosts"]),
        (["runs", "--job", "h"], ["hosts"]),
        (["check", "--job", "h"], ["hosts"]),
        (["sync", "h"], ["hosts"]),
        (["sync", "hosts", ""], ["copied", "compared", "retention", "backup"]),
        (["sync", "hosts", "--account", ""], ["prod-aliyun"]),
        (["resources", "--account", "p"], ["prod-aliyun"]),
        (["sync", "hosts", "--server", ""], ["orders-db"]),
        (["trigger", "hosts", "--server", "o"], ["orders-db"]),
        (["db"], ["db-accounts"]),
        (["db-accounts", "--server", ""], ["orders-db"]),
        (["db-accounts", "--with", "su"], ["superuser"]),
        (["sizes", "--server", "o"], ["orders-db"]),
        (["sizes", "--period", "m"], ["month"]),
        (["runs", "--status", "fa"], ["failed"]),
        (["runs", "--sta"], ["--status"]),
        (["trigger", "hosts", "--priority", "u"], ["urgent"]),
        (["nonsense", "h"], []),
    ],
)
def test_names_commands_and_choices_are_offered(file, words, expected):
    assert offered(file, *words) == expected


def test_a_file_in_the_home_directory_is_found(file, monkeypatch):
    monkeypatch.setenv("HOME", str(file.parent))
    assert offered("~/syncd.toml", "trigger", "h") == ["hosts"]


def test_jobs_and_runs_are_asked_of_the_daemon_where_the_file_can_not_be_used(served):
    served.file.write_text(f'[listen]\ncontrol = "{served.path}"\n[jobs.half]\n')
    assert offered(served.file, "trigger", "") == ["hosts"]
    (run,) = offered(served.file, "show", "")
    assert run.startswith("0189")


def test_nothing_is_offered_and_nothing_said_where_nobody_answers(file, capfd, tmp_path):
    file.write_text(f'[listen]\ncontrol = "{tmp_path}/none.sock"\n[jobs.half]\n')
    assert offered(file, "trigger", "") == []
    assert offered(file, "show", "") == []
    assert offered(file, "sync", "hosts", "--account", "") == []
    assert capfd.readouterr() == ("", "")


def test_a_daemon_that_hangs_is_not_waited_for(served, monkeypatch):
    served.file.write_text(f'[listen]\ncontrol = "{served.path}"\n[jobs.half]\n')
    monkeypatch.setattr(completion, "PATIENCE", 0.2)
    monkeypatch.setattr(type(served.commands), "jobs", lambda self: self.ended.wait(20) and [])
    started = time.monotonic()
    assert offered(served.file, "trigger", "") == []
    assert time.monotonic() - started < 10
    served.commands.ended.set()


@needs("bash")
def test_bash_offers_what_the_program_tells(environ, file):
    assert in_bash(environ, "tri") == ["trigger"]
    assert in_bash(environ, "--config", str(file), "pause", "h") == ["hosts"]
    assert in_bash(environ, "--config", "=", str(file), "pause", "h") == ["hosts"]
    assert in_bash(environ, "runs", "--status", "=") == [
        "pending", "running", "success", "failed", "cancelled",
    ]  # fmt: skip
    assert in_bash(environ, "runs", "--status", "=", "fa") == ["failed"]
    since = ["--since", "2026-03-01T12", ":", "00"]
    assert in_bash(environ, "runs", *since, "--sta") == ["--status"]


@needs("bash")
def test_bash_completes_at_a_prompt(shell, file):
    loaded = [f". {BASH_COMPLETION}"] if BASH_COMPLETION.exists() else []
    bash = shell(["bash", "--norc", "-i"], *loaded, f". {SCRIPTS}/syncd.bash")
    bash.typed("syncd tri\t", "syncd trigger ")
    bash.typed(f"\x15syncd --config {file} approve h\t", "approve hosts ")
    bash.typed(f"\x15syncd --config {file.parent}/sy\t", "syncd.toml ")


@needs("zsh")
def test_zsh_completes_at_a_prompt(shell, file):
    load = [f"fpath=({SCRIPTS} $fpath)", "autoload -Uz compinit", "compinit -u -D"]
    zsh = shell(["zsh", "-f", "-i"], *load)
    zsh.typed("syncd tri\t", "syncd tri.*gger ")
    zsh.typed(f"\x15syncd --config {file} approve h\t", "h.*osts ")
    zsh.typed("\x15syncd runs --status=fa\t", "ailed ")
    zsh.typed(f"\x15syncd --config {file.parent}/sy\t", "ncd.toml ")


@needs("fish")
def test_fish_offers_what_the_program_tells(environ, file):
    assert in_fish(environ, "syncd tri") == ["trigger"]
    assert in_fish(environ, "syncd ") == list(COMMANDS)
    assert in_fish(environ, f"syncd --config {file} resume h") == ["hosts"]
    assert in_fish(environ, "syncd runs --status=fa") == ["--status=failed"]
    assert in_fish(environ, f"syncd --config {file.parent}/sy") == [str(file)]
    assert in_fish(environ, f"syncd --config={file.parent}/sy") == [f"--config={file}"]

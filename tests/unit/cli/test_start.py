"""The program as it is started: what it imports, how it ends, what it checks."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from syncd import __version__
from syncd.cli.main import COMMANDS, cli

GOOD = """
timezone = "Asia/Shanghai"
[accounts.prod]
provider = "aliyun"
access_key_id = "id"
access_key_secret = { env = "SYNCD_TEST_NO_SUCH_SECRET" }
[jobs.hosts]
kind = "cloud"
accounts = ["prod"]
schedule = "0 3 * * *"
"""


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "syncd.toml"
    file.write_text(GOOD)
    file.chmod(0o600)
    return file


def check(file, *arguments):
    return CliRunner().invoke(cli, ["--config", str(file), "check", *arguments])


def test_starting_imports_nothing_heavy():
    script = (
        "import sys, syncd.cli.main;"
        "heavy = ('rich', 'psycopg', 'pydantic', 'werkzeug', 'waitress', 'aliyunsdkcore',"
        " 'tencentcloud', 'prometheus_client');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


def test_help_names_every_command():
    result = CliRunner().invoke(cli, ["--help"])
    assert result.exit_code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in result.output
        assert CliRunner().invoke(cli, [name, "--help"]).exit_code == 0
    assert CliRunner().invoke(cli, ["--version"]).output == f"syncd {__version__}\n"


def test_check_prints_the_next_runs_in_the_zone_of_the_job(file):
    result = check(file, "--without-secrets", "--from", "2026-03-01T00:00+08:00")
    assert result.exit_code == 0, result.output
    assert "2026-03-01 03:00+08:00, 2026-03-02 03:00+08:00, 2026-03-03 03:00" in result.stdout


def test_check_json_has_the_documented_shape(file):
    result = check(
        file, "--without-secrets", "--json", "--next", "1", "--job", "hosts",
        "--from", "2026-03-01T00:00+08:00",
    )  # fmt: skip
    assert json.loads(result.stdout) == {
        "jobs": [{
            "name": "hosts", "kind": "cloud", "schedule": "0 3 * * *", "timezone": "Asia/Shanghai",
            "next_runs": ["2026-03-01T03:00:00+08:00"],
        }],
        "problems": [],
    }  # fmt: skip


def test_check_quiet_prints_only_problems(file):
    assert check(file, "--quiet", "--without-secrets").output == ""
    result = check(file, "--quiet")
    assert result.exit_code == 78
    assert "SYNCD_TEST_NO_SUCH_SECRET" in result.stderr


def test_check_reports_all_problems(file):
    file.write_text(GOOD.replace('kind = "cloud"', 'kind = "clouds"') + "nonsense = 1\n[wat]\n")
    result = check(file, "--json", "--without-secrets")
    assert result.exit_code == 78
    problems = json.loads(result.stdout)["problems"]
    assert len(problems) >= 2
    assert set(problems[0]) == {"file", "line", "key", "message"}
    assert len(result.stderr.splitlines()) == len(problems)


def test_check_of_a_missing_file_and_an_unknown_job(file, tmp_path):
    assert check(tmp_path / "none.toml").exit_code == 78
    result = check(file, "--without-secrets", "--job", "nosuch")
    assert result.exit_code == 1
    assert "nosuch" in result.stderr


def test_a_reader_that_leaves_early_is_no_error(file):
    command = [sys.executable, "-c", "from syncd.cli.main import main; main()"]
    command += ["--config", str(file), "check", "--without-secrets", "--next", "1000", "--json"]
    syncd = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert syncd.stdout is not None
    syncd.stdout.close()
    _, errors = syncd.communicate(timeout=30)
    assert errors == b""


def test_due_times_between_whole_minutes_are_shown_with_their_seconds(file):
    file.write_text(GOOD.replace('schedule = "0 3 * * *"', 'every = "20s"'))
    result = check(file, "--without-secrets", "--next", "2", "--from", "2026-03-01T00:00+08:00")
    assert "2026-03-01 00:00:00+08:00, 2026-03-01 00:00:20+08:00" in result.output


@pytest.mark.parametrize("redirect", [">/dev/full", ">&-", ">&- 2>&-"])
@pytest.mark.parametrize("arguments", ["", " --json"])
def test_an_output_that_can_not_be_written_is_no_traceback(file, redirect, arguments):
    syncd = f"{sys.executable} -m syncd --config {file} check --without-secrets"
    done = subprocess.run(
        ["sh", "-c", f"{syncd}{arguments} {redirect}"], capture_output=True, text=True, check=False
    )
    full = "full" in redirect
    assert done.returncode == (1 if full else 0), done.stderr
    assert done.stderr == ("Error: standard output: No space left on device\n" if full else "")


def test_check_passes_over_credentials_that_only_the_service_has(file, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    file.write_text(GOOD.replace("env = ", "credential = "))
    result = check(file)
    assert result.exit_code == 0, result.output
    assert (
        "not read, since systemd gives it to the service alone: credential SYNCD" in result.stderr
    )
    assert "not read" not in check(file, "--without-secrets").output
    assert check(file, "--quiet").output == ""


def test_check_reads_the_other_secrets_and_inside_a_service_its_credentials(
    file, monkeypatch, tmp_path
):
    assert "SYNCD_TEST_NO_SUCH_SECRET is not set" in check(file).stderr
    file.write_text(GOOD.replace("env = ", "credential = "))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert "not among those that the service was started with" in check(file).stderr

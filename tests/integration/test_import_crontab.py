"""`syncd import-crontab` as a process, and `syncd check` on what it printed."""

import json
import os
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
MAIN = """
timezone = "Asia/Shanghai"
[tokens.iam]
login = { url = "https://iam.internal/login", body = { user = "svc" } }
"""
SECRETS = ("s3cr3t-operations-token", "hunter2", "m0nthly", "k-12345678", "pa55word", "0f3b9a52")
LINE = "0 * * * * curl -f https://api.internal/run\n"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def crontab(tmp_path):
    file = tmp_path / "ops.crontab"
    file.write_text(blocks("crontab")[0])
    return file


def syncd(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "syncd", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60, check=False, **options,
    )  # fmt: skip


def of_readme(crontab, *arguments):
    """Import the README's crontab as the README says."""
    words = [
        "--wrapper", "api-call.sh ENDPOINT [LOG]", "--base-url", "https://api.internal/api/v1",
        "--method", "POST", "--token", "iam", "--timezone", "Asia/Shanghai",
    ]  # fmt: skip
    return syncd("import-crontab", *words, *arguments, crontab)


def test_twenty_lines_are_imported_and_checked(tmp_path, crontab):
    output = tmp_path / "conf.d" / "crontab.toml"
    output.parent.mkdir()
    done = of_readme(crontab, "--output", output)
    assert (done.returncode, done.stdout) == (65, "")
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert not any(secret in output.read_text() + done.stderr for secret in SECRETS)

    output.chmod(0o644)  # for others to read: no secret may be found in it
    main = tmp_path / "syncd.toml"
    main.write_text(MAIN)
    checked = syncd("--config", main, "check", "--json", "--next", "1")
    assert checked.returncode == 0, checked.stderr + checked.stdout
    jobs = {each["name"]: each for each in json.loads(checked.stdout)["jobs"]}
    assert len(jobs) == 12 + 2  # and the upkeep
    assert jobs["queue-drain"]["schedule"] == "*/10 8-18 * * MON-FRI"
    assert jobs["queue-drain"]["timezone"] == "Asia/Shanghai"


def test_the_readme_shows_what_is_printed(crontab):
    done = of_readme(crontab)
    told, printed = blocks("text")
    assert told == done.stderr
    assert printed in done.stdout


def test_json_says_the_same(crontab):
    done = of_readme(crontab, "--json")
    document = json.loads(done.stdout)
    assert (len(document["jobs"]), len(document["not_understood"])) == (12, 7)
    assert len(document["disabled"]) == 1
    assert tomllib.loads(document["toml"])["jobs"] == {
        j["name"]: j["job"] for j in document["jobs"]
    }
    assert not any(secret in done.stdout for secret in SECRETS)


def test_secrets_go_to_files_that_check_finds(tmp_path, crontab):
    folder = tmp_path / "new" / "secrets"
    done = of_readme(crontab, "--secrets", folder)
    assert done.returncode == 65
    names = {each.name: each.read_text() for each in folder.iterdir()}
    assert names["queue-drain-token"] == "s3cr3t-operations-token"
    assert names["reports-password"] == "hunter2"
    assert not any(secret in done.stdout + done.stderr for secret in SECRETS)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o600}
    main = tmp_path / "syncd.toml"
    main.write_text(MAIN + done.stdout)
    assert syncd("--config", main, "check").returncode == 0

    for each in folder.iterdir():
        if each.name != "queue-drain-token":
            each.unlink()
    again = of_readme(crontab, "--secrets", folder)
    assert (again.returncode, again.stdout) == (2, "")
    assert "queue-drain-token already" in again.stderr
    assert [each.name for each in folder.iterdir()] == ["queue-drain-token"]


def test_exit_statuses(tmp_path):
    file = tmp_path / "crontab"
    assert syncd("import-crontab", file).returncode == 78
    assert syncd("import-crontab", tmp_path).returncode == 78
    file.write_text(LINE)
    assert syncd("import-crontab", file).returncode == 0
    assert syncd("import-crontab", "-", input=f"{LINE}0 1 * * * rm x\n").returncode == 65
    assert syncd("import-crontab", "-", input="").returncode == 0
    for wrong in (
        ["--wrapper", "x"], ["--timezone", "Mars"], ["--prefix", "-"], ["--prefix", "x" * 33],
        ["--wrapper", "x ENDPOINT", "--token", "a b"],
        ["--wrapper", "x ENDPOINT", "--method", "GO"],
    ):  # fmt: skip
        assert syncd("import-crontab", *wrong, file).returncode == 2


def test_a_file_is_replaced_by_force_alone(tmp_path):
    output = tmp_path / "jobs.toml"
    output.write_text("kept")
    done = syncd("import-crontab", "--output", output, "-", input=LINE)
    assert (done.returncode, output.read_text()) == (2, "kept")
    assert syncd("import-crontab", "--output", output, "--force", "-", input=LINE).returncode == 0
    assert "[jobs.run]" in output.read_text()
    assert [each.name for each in tmp_path.iterdir()] == ["jobs.toml"]
    missing = syncd("import-crontab", "--output", tmp_path / "no" / "x", "-", input=LINE)
    assert missing.returncode == 78


def test_users_of_a_system_crontab_are_passed_over():
    done = syncd("import-crontab", "--system", "-", input=LINE.replace("curl", "root curl"))
    assert (done.returncode, "[jobs.run]" in done.stdout) == (0, True)


def test_what_goes_to_the_terminal_holds_no_escape():
    text = "0 * * * * curl -f 'https://a/\x1b]0;x\x07'\n0 1 * * * \x1b[31m\n#\u202e\n" + LINE
    done = syncd("import-crontab", "-", input=text)
    assert done.returncode == 65
    assert all(each.isprintable() for each in (done.stdout + done.stderr).splitlines())

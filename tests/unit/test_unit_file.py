"""What the service manager is promised, as far as it can be seen without one."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from syncd.cli.main import CONFIGURATION
from syncd.config.schema import Daemon

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNIT = (SYSTEMD / "syncd.service").read_text()
ANALYZE = shutil.which("systemd-analyze")


def release() -> int:
    """Return which systemd is installed; 0 for none."""
    if not ANALYZE:
        return 0
    told = subprocess.run([ANALYZE, "--version"], capture_output=True, text=True, check=True).stdout
    return int(re.findall(r"\d+", told)[0])


needs_systemd = pytest.mark.skipif(release() < 250, reason="no systemd-analyze, or one before 250")


def values(key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", UNIT, re.MULTILINE)


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ANALYZE, *arguments], capture_output=True, text=True, check=False)


def test_the_manager_hears_of_readiness_and_life_from_the_main_process_alone():
    assert values("Type") == ["notify"]
    assert values("NotifyAccess") == ["main"]
    assert values("WatchdogSec") == ["30"]


def test_a_reload_is_a_command_that_tells_the_verdict():
    assert values("ExecReload") == ["/usr/bin/syncd reload --wait"]


def test_a_configuration_that_cannot_be_used_is_not_started_again():
    assert values("Restart") == ["on-failure"]
    assert values("RestartPreventExitStatus") == [str(CONFIGURATION)]


def test_the_default_grace_of_a_stop_fits_into_the_manager_s_time():
    (seconds,) = values("TimeoutStopSec")
    assert int(seconds) > Daemon().shutdown_grace.total_seconds() + 30


def test_the_directories_are_closed_to_others():
    for kind, mode in (("Configuration", "0750"), ("State", "0700"), ("Runtime", "0750")):
        assert values(f"{kind}Directory") == ["syncd"]
        assert values(f"{kind}DirectoryMode") == [mode]


def test_persons_on_the_control_socket_keep_their_names_and_the_gates_their_numbers():
    assert not values("PrivateUsers")
    assert not values("ProcSubset")


def test_the_user_is_made_and_owns_the_state():
    assert re.search(r"^u syncd ", (SYSTEMD / "syncd.sysusers").read_text(), re.MULTILINE)
    line = "d /var/lib/syncd 0700 syncd syncd -"
    assert line in (SYSTEMD / "syncd.tmpfiles").read_text().splitlines()


def test_the_drop_in_for_newer_managers_leaves_the_verdict_to_the_command():
    text = (SYSTEMD / "notify-reload.conf").read_text()
    assert re.findall(r"^[^#\n].*$", text, re.MULTILINE) == ["[Service]", "Type=notify-reload"]


@needs_systemd
def test_the_unit_is_exposed_as_little_as_promised():
    done = analyze("security", "--offline=yes", "--threshold=13", str(SYSTEMD / "syncd.service"))
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


@needs_systemd
def test_the_manager_finds_nothing_wrong_with_the_unit(tmp_path):
    unit = tmp_path / "syncd.service"  # with programs that are installed here
    unit.write_text(re.sub(r"/usr/bin/syncd [a-z -]*", "/bin/true", UNIT))
    done = analyze("verify", "--man=no", "--recursive-errors=no", str(unit))
    assert "syncd.service" not in done.stderr
    assert done.returncode == 0

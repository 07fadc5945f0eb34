"""The package from its installation on a bare Debian to its purge, on a machine of its own."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import boot, install
from daemon_helpers import until
from machine import Machine
from service import CONFIG, STATE

GONE = ("/etc/syncd", STATE, "/opt/syncd", "/run/syncd", "/usr/bin/syncd", "/var/cache/syncd")
NEXT = "99.0.0"
UPGRADE = ("apt-get", "install", "--yes", "--option=Dpkg::Options::=--force-confold")
"""Nobody is there to be asked about a configuration file that was changed, and ships changed."""
MIGRATION = "-- requires: 0.1.0\n\nalter table syncd.run add column of_the_future text;\n"


@pytest.fixture(scope="module")
def debian(bare: Path, folder: Path) -> Iterator[Machine]:
    """Give a machine for installing and purging."""
    machine = boot(bare, folder, "debian")
    yield machine
    machine.off()


@pytest.fixture
def blank(debian: Machine) -> Iterator[Machine]:
    """Give the machine without the package or a trace of it."""
    yield debian
    debian.run("apt-get", "purge", "--yes", "syncd", check=False)


@pytest.fixture(scope="module")
def next_package(package: Path, folder: Path) -> Path:
    """Make the package of a later version, which brings a migration of its own."""
    tree = folder / "next"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    lines = control.read_text().splitlines()
    control.write_text(
        "\n".join(f"Version: {NEXT}" if x.startswith("Version:") else x for x in lines) + "\n"
    )
    (program,) = (tree / "opt/syncd/lib").glob("python3*/site-packages/syncd")
    (program / "store" / "migrations" / "9000_future.sql").write_text(MIGRATION)
    source = program / "__init__.py"
    source.write_text(source.read_text().replace("__version__ = ", f"__version__ = '{NEXT}'  # "))
    with (tree / CONFIG.lstrip("/")).open("a") as shipped:
        shipped.write("# A key of the future.\n")
    made = folder / f"syncd_{NEXT}.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, made], check=True)
    shutil.rmtree(tree)
    return made


def is_active(machine: Machine) -> bool:
    """Tell whether the service is active (running)."""
    shown = machine.show("syncd", "ActiveState", "SubState")
    return shown == {"ActiveState": "active", "SubState": "running"}


def test_lintian_finds_no_error(package: Path) -> None:
    command = ["lintian", "--allow-root", "--fail-on", "error", "--tag-display-limit", "0"]
    checked = subprocess.run([*command, package], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_installing_on_a_bare_debian_gives_a_service_that_runs(
    blank: Machine, package: Path
) -> None:
    install(blank, package)
    blank.run("systemctl", "start", "syncd")
    assert is_active(blank)
    assert "ready" in blank.run("syncd", "status").stdout
    assert blank.run("systemctl", "is-enabled", "syncd").stdout.strip() == "enabled"
    assert blank.shell("stat -c '%a %U %G' /etc/syncd /etc/syncd/syncd.toml") == (
        "750 root syncd\n640 root syncd"
    )
    assert blank.shell(f"stat -c '%a %U' {STATE}") == "700 syncd"
    assert blank.shell("id -un $(stat -c %u /proc/$(systemctl show -P MainPID syncd))") == "syncd"
    assert blank.run("syncd", "--version").stdout.startswith("syncd ")
    assert blank.run("dpkg", "--verify", "syncd").stdout == ""
    for file in ("man/man8/syncd.8.gz", "man/man5/syncd.toml.5.gz", "man/man7/syncd-control.7.gz",
                 "bash-completion/completions/syncd", "zsh/vendor-completions/_syncd",
                 "fish/vendor_completions.d/syncd.fish"):  # fmt: skip
        assert blank.path(f"/usr/share/{file}").is_file()


def test_the_service_is_there_after_a_boot(bare: Path, folder: Path, package: Path) -> None:
    machine = boot(bare, folder, "reboot")
    try:
        install(machine, package)
        machine.run("syncd", "sync", "retention")
    finally:
        machine.off()
    again = Machine(machine.root, folder / "reboot-2.log")
    again.boot()
    try:
        until(lambda: is_active(again), 30, "the service is active")
        assert "retention" in again.run("syncd", "runs").stdout
    finally:
        again.off()


def test_removal_keeps_the_data_and_a_purge_leaves_nothing(blank: Machine, package: Path) -> None:
    install(blank, package)
    blank.run("syncd", "sync", "retention")
    blank.run("apt-get", "remove", "--yes", "syncd")
    assert not blank.path("/opt/syncd").exists()
    assert not blank.path("/usr/bin/syncd").exists()
    assert blank.path(CONFIG).exists()
    assert blank.path(STATE).exists()
    assert blank.processes_of("syncd") == []
    install(blank, package)
    blank.run("systemctl", "start", "syncd")
    assert "retention" in blank.run("syncd", "runs").stdout
    blank.run("apt-get", "purge", "--yes", "syncd")
    assert [path for path in GONE if blank.path(path).exists()] == []
    assert blank.shell("find /etc /usr /opt /var/lib/systemd -name '*syncd*'", check=False) == ""
    assert blank.shell("systemctl list-unit-files 'syncd*' --no-legend", check=False) == ""


def test_an_upgrade_keeps_data_configuration_and_history_and_can_be_rolled_back(
    blank: Machine, package: Path, next_package: Path
) -> None:
    install(blank, package)
    blank.run("syncd", "sync", "retention")
    text = '[jobs.mine]\nkind = "retention"\nschedule = "@yearly"\n'  # no run of its own here
    with blank.path(CONFIG).open("a") as file:
        file.write(text)
    blank.run("systemctl", "reload", "syncd")
    before = blank.run("syncd", "runs", "--json").stdout
    history = blank.run("syncd", "config", "history", "--json").stdout
    shutil.copy(next_package, blank.path("/root/next.deb"))
    blank.run(*UPGRADE, "/root/next.deb")
    assert is_active(blank)
    assert NEXT in blank.run("syncd", "--version").stdout
    assert blank.path(CONFIG).read_text().endswith(text)
    assert blank.run("syncd", "runs", "--json").stdout == before
    assert blank.run("syncd", "config", "history", "--json").stdout == history
    blank.run("syncd", "sync", "mine")
    # and back again, on the store that the later version has migrated
    blank.run(*UPGRADE, "--allow-downgrades", f"/root/{package.name}")
    assert is_active(blank)
    assert NEXT not in blank.run("syncd", "--version").stdout
    assert blank.run("syncd", "sync", "mine").returncode == 0
    assert "mine" in blank.run("syncd", "runs").stdout


def test_a_bad_configuration_does_not_leave_the_package_half_installed(
    blank: Machine, package: Path, next_package: Path
) -> None:
    install(blank, package)
    with blank.path(CONFIG).open("a") as file:
        file.write('[jobs.mine]\nkind = "nonsense"\n')
    shutil.copy(next_package, blank.path("/root/next.deb"))
    done = blank.run(*UPGRADE, "/root/next.deb")
    assert blank.run("dpkg", "--audit").stdout == ""
    assert (
        "nonsense"
        in done.stdout + done.stderr + blank.run("journalctl", "--unit=syncd", "--quiet").stdout
    )
    blank.shell(f"sed -i '/mine/,$d' {CONFIG}")
    blank.run("systemctl", "restart", "syncd")
    assert is_active(blank)


def test_a_stopped_service_is_not_started_by_an_upgrade(
    blank: Machine, package: Path, next_package: Path
) -> None:
    install(blank, package)
    blank.run("systemctl", "disable", "--now", "syncd")
    shutil.copy(next_package, blank.path("/root/next.deb"))
    blank.run(*UPGRADE, "/root/next.deb")
    assert not is_active(blank)
    assert blank.run("systemctl", "is-enabled", "syncd", check=False).stdout.strip() == "disabled"

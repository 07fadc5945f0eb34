"""One booted machine with the package installed, and the service on it in a known state."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from clouds import Clouds, clouds
from debian import bare_root, copy_root
from machine import Machine
from service import DROP_IN, STATE, Service

PACKAGE = Path(os.environ.get("SYNCD_PACKAGE", ""))
HOSTS = 20
"""Hosts in each region of each cloud."""


@pytest.fixture(scope="session")
def package() -> Path:
    """Give the package that is tested; skips where the tests can't be run."""
    if os.geteuid() != 0:
        pytest.skip("the system tests boot a Debian with systemd-nspawn, which only root can do")
    for program in ("systemd-nspawn", "debootstrap", "nsenter", "openssl", "lintian"):
        if not shutil.which(program):
            pytest.skip(f"the system tests need {program}, of Debian's packages")
    assert PACKAGE.is_file(), "SYNCD_PACKAGE must name the package; make system-test does"
    return PACKAGE.resolve()


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Give a folder on a disk (not in memory) for the machines."""
    with tempfile.TemporaryDirectory(prefix="syncd-system-test-", dir="/var/tmp") as made:
        yield Path(made)


@pytest.fixture(scope="session")
def bare(package: Path) -> Path:
    """Give the root that machines are copied from."""
    depends = subprocess.run(
        ["dpkg-deb", "--field", str(package), "Depends"], capture_output=True, text=True, check=True
    ).stdout
    names = [each.split("|")[0].split("(")[0].strip() for each in depends.split(",")]
    return bare_root([*names, "mariadb-server", "postgresql", "prometheus"])


def boot(bare: Path, folder: Path, name: str) -> Machine:
    """Copy the root and boot it."""
    machine = Machine(copy_root(bare, folder / name), folder / f"{name}.log")
    machine.boot()
    return machine


def install(machine: Machine, package: Path) -> None:
    """Install the package as its README says."""
    shutil.copy(package, machine.path(f"/root/{package.name}"))
    machine.run("apt-get", "install", "--yes", "--no-install-recommends", f"/root/{package.name}")


@pytest.fixture(scope="session")
def machine(package: Path, bare: Path, folder: Path) -> Iterator[Machine]:
    """Give a machine with the package installed, as it came."""
    booted = boot(bare, folder, "machine")
    try:
        install(booted, package)
        yield booted
    finally:
        booted.off()


@pytest.fixture(scope="session")
def emulated(machine: Machine, folder: Path) -> Iterator[Clouds]:
    """Give the emulated clouds on the machine."""
    with clouds(machine, folder, HOSTS) as served:
        yield served


@pytest.fixture
def service(machine: Machine, emulated: Clouds) -> Iterator[Service]:
    """Give the service, stopped, without state, with the secrets of the clouds."""
    made = Service(machine, emulated)
    _clear(machine)
    made.drop_in()
    yield made
    emulated.clear()
    _clear(machine)


def _clear(machine: Machine) -> None:
    """Stop the service, whatever state it is in, and remove what it knows."""
    machine.run("systemctl", "kill", "--signal=CONT", "syncd", check=False)
    machine.run("systemctl", "stop", "syncd")
    machine.run("systemctl", "reset-failed", "syncd", check=False)
    machine.shell(f"find {STATE} -mindepth 1 -delete; rm -f {DROP_IN}")
    machine.run("systemctl", "daemon-reload")

"""A booted Debian: systemd-nspawn runs it, commands enter its first process's namespaces."""

import ctypes
import json
import os
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from daemon_helpers import until

T = TypeVar("T")

BOOT_SECONDS = 60.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CGROUP = Path("/sys/fs/cgroup")
_IN_GROUPS = """
while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs"; shift; done
shift; exec "$@"
"""
"""Enter control groups, then become a program."""


class Machine:
    """One machine with a private network (loopback alone), from `boot` to `off`."""

    def __init__(self, root: Path, log: Path) -> None:
        self.root, self._log = root, log
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: list[Path] = []
        self.leader = 0
        """The machine's first process, as the host numbers it."""

    def boot(self) -> None:
        """Start the machine and wait until its systemd is done; it is off when that fails."""
        name = f"syncd-{os.getpid()}-{self._log.stem}"  # of each boot: scopes outlive machines
        command = ["systemd-nspawn", "--quiet", "--register=no", "--private-network"]
        if not Path("/run/systemd/system").exists():  # no systemd here that could make a scope
            self._groups = _control_groups(name)
            command = ["sh", "-c", _IN_GROUPS, "sh", *map(str, self._groups), "--", *command]
            command.append("--keep-unit")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, f"--machine={name}", f"--directory={self.root}", "--boot"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )
        try:
            self._await_boot()
        except BaseException as error:
            error.add_note(f"the machine said:\n{self._log.read_text(errors='replace')[-2000:]}")
            self.off()
            raise

    def _await_boot(self) -> None:
        self.leader = until(self._first_process, BOOT_SECONDS, "the machine has a first process")
        until(
            lambda: (
                self.run("systemctl", "is-system-running", check=False).stdout.strip()
                in ("running", "degraded")
            ),
            BOOT_SECONDS,
            "the machine is up",
        )

    def off(self) -> None:
        """Shut the machine down."""
        if self._process is None:
            return
        if self.leader:
            self.run("systemctl", "poweroff", check=False)
        try:
            self._process.wait(BOOT_SECONDS if self.leader else 0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        for group in self._groups:
            for folder, _, _ in os.walk(group, topdown=False):
                Path(folder).rmdir()

    def _first_process(self) -> int:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text(errors="replace")
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        # nspawn's own helper becomes the first process once it runs systemd
        return next((int(c) for c in children if _name_of(int(c)) == "systemd"), 0)

    def enter(self, *command: str) -> list[str]:
        """Return what runs a command inside the machine."""
        inside = ["nsenter", f"--target={self.leader}", "--all", "--", "env", "-i", f"PATH={_PATH}"]
        return [*inside, "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", *command]

    def beside(self, *command: str) -> list[str]:
        """Return what runs a program of the host in the machine's network."""
        return ["nsenter", f"--target={self.leader}", "--net", "--", *command]

    def in_network(self, work: Callable[[], T]) -> T:
        """Do something of the tests' own, such as opening a port, in the machine's network.

        A thread goes there for it, and the threads that it starts stay; sockets do anyway.
        """

        def there() -> T:
            libc = ctypes.CDLL(None, use_errno=True)  # os.setns is not in Python 3.11
            with Path(f"/proc/{self.leader}/ns/net").open() as network:
                if libc.setns(network.fileno(), 0):
                    raise OSError(ctypes.get_errno(), "setns")
            return work()

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(there).result()

    def run(
        self, *command: str, check: bool = True, seconds: float = 120.0, given: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside; fails, with what it printed, on another exit status than 0."""
        done = subprocess.run(
            self.enter(*command),
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        if check:
            assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def shell(self, script: str, *, check: bool = True, seconds: float = 120.0) -> str:
        """Run a script inside and return what it printed."""
        return self.run("sh", "-c", script, check=check, seconds=seconds).stdout.strip()

    def path(self, inside: str) -> Path:
        """Return where a file of the machine is on the host."""
        return self.root / inside.lstrip("/")

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Return properties of a unit."""
        printed = self.run("systemctl", "show", unit, f"--property={','.join(names)}").stdout
        return dict(line.partition("=")[::2] for line in printed.splitlines())

    def get(self, url: str) -> str:
        """Fetch a page over the machine's loopback; raises for any status but 200."""
        script = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())"
        return subprocess.run(
            self.beside("python3", "-c", script, url), capture_output=True, text=True, check=True
        ).stdout

    def cursor(self) -> str:
        """Return the place in the journal that `journal` can go on from."""
        printed = self.run("journalctl", "--quiet", "--lines=0", "--show-cursor").stdout
        return printed.partition("-- cursor: ")[2].strip()

    def journal(self, unit: str = "syncd", after: str = "") -> list[Mapping[str, Any]]:
        """Return the journal's entries of a unit."""
        command = ["journalctl", "--quiet", "--output=json", f"--unit={unit}"]
        if after:
            command.append(f"--after-cursor={after}")
        self.run("journalctl", "--sync")
        return [json.loads(line) for line in self.run(*command).stdout.splitlines()]

    def processes_of(self, user: str) -> list[str]:
        """Return the processes of a user; a bare Debian has no pgrep."""
        found = self.shell(f"find /proc -maxdepth 1 -name '[0-9]*' -user {user}", check=False)
        return found.split()

    def signal(self, name: str, *pids: int) -> None:
        """Send a signal, such as KILL, to processes as the machine numbers them."""
        self.shell(f"kill -{name} {' '.join(map(str, pids))}")


def _control_groups(name: str) -> list[Path]:
    """Make groups for one machine: two in the same would share their services' groups too."""
    hierarchies = [h for h in (_CGROUP, _CGROUP / "unified", _CGROUP / "systemd")
                   if (h / "cgroup.procs").exists()]  # fmt: skip
    for hierarchy in hierarchies:
        (hierarchy / name).mkdir(exist_ok=True)
    return [hierarchy / name for hierarchy in hierarchies]


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""

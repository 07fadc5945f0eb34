"""The installed service as an administrator has it: unit, files, commands, journal."""

import json
from collections.abc import Mapping
from typing import Any

from clouds import Clouds
from daemon_helpers import until
from machine import Machine
from toml_text import toml

from syncd.demo.emulator import KEYS

CONFIG, DROP_IN = "/etc/syncd/syncd.toml", "/etc/systemd/system/syncd.service.d/50-test.conf"
STATE, RUNTIME = "/var/lib/syncd", "/run/syncd"
Row = dict[str, Any]


class Service:
    """syncd.service on one machine."""

    def __init__(self, machine: Machine, clouds: Clouds) -> None:
        self.machine, self.clouds = machine, clouds

    # The administrator's files

    def configure(self, jobs: Mapping[str, Row], **tables: Row) -> None:
        """Write the configuration: all emulated accounts, and these jobs."""
        accounts = self.clouds.accounts()
        of_jobs = {
            name: {"kind": "cloud", "accounts": list(accounts), "retries": [], **keys}
            if keys.get("kind", "cloud") == "cloud"
            else keys
            for name, keys in jobs.items()
        }
        self.write(
            toml(
                {
                    **tables,
                    "daemon": {"shutdown_grace": "5s", "load_limit": 0.0, "max_per_account": 10}
                    | tables.get("daemon", {}),
                    "accounts": accounts,
                    "jobs": of_jobs,
                }
            )
        )

    def write(self, text: str) -> None:
        """Replace the configuration file as an editor does: at once."""
        file = self.machine.path(CONFIG)
        fresh = file.with_suffix(".new")
        fresh.write_text(text)
        self.machine.run("chown", "root:syncd", "/etc/syncd/syncd.new")
        fresh.chmod(0o640)
        fresh.replace(file)

    def drop_in(self, credentials: Mapping[str, str] | None = None, **settings: str) -> None:
        """Add settings to the unit, besides the clouds' secrets and others as its credentials."""
        secrets = {f"{provider}-secret": secret for provider, (_, secret, _) in KEYS.items()}
        secrets |= credentials or {}
        for name, secret in secrets.items():
            file = self.machine.path(f"/etc/syncd/{name}")
            file.write_text(secret)
            file.chmod(0o600)
        loaded = [f"LoadCredential={name}:/etc/syncd/{name}" for name in secrets]
        lines = ["[Service]", *loaded, *(f"{k}={v}" for k, v in settings.items())]
        file = self.machine.path(DROP_IN)
        file.parent.mkdir(exist_ok=True)
        file.write_text("\n".join(lines) + "\n")
        self.machine.run("systemctl", "daemon-reload")

    # What the administrator does

    def start(self) -> None:
        """Start the service; it is ready then."""
        self.machine.run("systemctl", "start", "syncd")

    def stop(self) -> None:
        """Stop the service; it is gone then."""
        self.machine.run("systemctl", "stop", "syncd")

    def syncd(self, *arguments: str) -> str:
        """Run a command of syncd's as root and return what it prints."""
        return self.machine.run("syncd", *arguments).stdout

    def ask(self, *arguments: str) -> Any:
        """Run a command with `--json` and return what it says."""
        return json.loads(self.syncd(*arguments, "--json"))

    # What the administrator sees

    @property
    def pid(self) -> int:
        """The daemon's process, 0 when there is none."""
        return int(self.machine.show("syncd", "MainPID")["MainPID"])

    @property
    def state(self) -> str:
        """The unit's state and sub-state: `active (running)`."""
        shown = self.machine.show("syncd", "ActiveState", "SubState")
        return f"{shown['ActiveState']} ({shown['SubState']})"

    @property
    def restarts(self) -> int:
        """How often systemd has started the service again."""
        return int(self.machine.show("syncd", "NRestarts")["NRestarts"])

    @property
    def status_text(self) -> str:
        """The line that `systemctl status` shows."""
        return self.machine.show("syncd", "StatusText")["StatusText"]

    def processes(self) -> dict[int, str]:
        """Return what runs in the service's control group: the command line by process."""
        group = self.machine.show("syncd", "ControlGroup")["ControlGroup"]
        listed = self.machine.shell(
            f"cat /sys/fs/cgroup{group}/cgroup.procs 2>/dev/null" if group else "true", check=False
        )
        return {
            int(pid): self.machine.shell(f"tr '\\0' ' ' < /proc/{pid}/cmdline", check=False)
            for pid in listed.split()
            if pid != "0"  # one that is just being buried
        }

    def kill_all(self) -> None:
        """Kill every process of the service at the same moment (cgroup.kill of the kernel)."""
        group = self.machine.show("syncd", "ControlGroup")["ControlGroup"]
        self.machine.shell(f"echo 1 > /sys/fs/cgroup{group}/cgroup.kill")

    def await_active(self, seconds: float = 30.0) -> None:
        """Wait until the service is active (running)."""
        until(lambda: self.state == "active (running)", seconds, "the service is active")

    def sync(self, job: str) -> Row:
        """Run a job now and return its run."""
        run: Row = self.ask("sync", job)[0]
        return run

    def runs(self, *arguments: str) -> list[Row]:
        """Return the runs that the store has."""
        found: list[Row] = self.ask("runs", *arguments)
        return found

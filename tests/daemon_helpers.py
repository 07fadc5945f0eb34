"""The daemon as a real process, with emulated clouds, a configuration file and a state directory.

Nothing here sleeps for a fixed time: everything is waited for by its condition, with a deadline.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import psycopg
from databases import reachable_directory
from psycopg.rows import dict_row
from toml_text import toml

from syncd.control.client import Client, _Connection
from syncd.demo.emulator import KEYS, Emulator, Fault, World
from syncd.demo.emulator.world import Provider
from syncd.errors import StoreError, Unreachable
from syncd.store.embedded import EmbeddedPostgres

T = TypeVar("T")
Row = dict[str, Any]

EMBEDDED = "embedded"
READY_SECONDS = 40.0
_DAEMON = {"shutdown_grace": "20s", "max_per_account": 10, "load_limit": 0.0}
_SLICE = 0.02
_KEPT_OUT = ("SYNCD_", "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "NOTIFY_", "WATCHDOG_", "JOURNAL_")


def until(condition: Callable[[], T], seconds: float, what: str) -> T:
    """Return the first true value of a condition; fail when it does not come in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(_SLICE)
    return value


def job(**keys: Any) -> Row:
    """Return a cloud job of all accounts; without retries, due by hand only."""
    return {"kind": "cloud", "retries": [], **keys}


_NO_UPKEEP: Mapping[str, Row] = {
    kind: {"kind": kind, "enabled": False} for kind in ("retention", "backup")
}
"""Most tests are about the jobs that they name alone."""


@dataclass
class Site:
    """A state directory, a configuration file and the processes of daemons started on them."""

    emulator: Emulator
    directory: Path
    dsn: str = EMBEDDED
    processes: list["Process"] = field(default_factory=list)

    @property
    def config(self) -> Path:
        return self.directory / "syncd.toml"

    @property
    def state_dir(self) -> Path:
        return self.directory / "state"

    @cached_property
    def server(self) -> EmbeddedPostgres:
        """The embedded store, as another process sees it."""
        return EmbeddedPostgres(self.state_dir)

    @property
    def client(self) -> Client:
        return Client(self.state_dir / "control.sock", timeout=20.0)

    def tables(self, jobs: Mapping[str, Row], **daemon: Any) -> Row:
        """Return the configuration: all emulated accounts, and these jobs on them."""
        accounts = {
            name: {
                "provider": account.provider,
                "access_key_id": account.key_id,
                "access_key_secret": account.secret,
                "endpoint": self.emulator.url,
                "requests_per_second": 10_000.0,
            }
            for name, account in self.emulator.world.accounts.items()
        }
        return {
            "store": {"dsn": self.dsn, "pool_min": 1},
            "daemon": {"state_dir": str(self.state_dir), **_DAEMON, **daemon},
            "listen": {"http": "127.0.0.1:0"},
            "accounts": accounts,
            "jobs": {name: {"accounts": list(accounts), **keys} for name, keys in jobs.items()}
            | _NO_UPKEEP,
        }

    def configure(self, jobs: Mapping[str, Row], **daemon: Any) -> None:
        """Write the configuration file."""
        self.write(toml(self.tables(jobs, **daemon)))

    def write(self, text: str | bytes) -> None:
        """Replace the configuration file as an editor does: at once."""
        fresh = self.directory / "syncd.toml.new"
        fresh.write_bytes(text.encode() if isinstance(text, str) else text)
        fresh.chmod(0o600)
        fresh.replace(self.config)

    def start(self, environment: Mapping[str, str] | None = None) -> "Process":
        """Start a daemon; it may not be ready yet."""
        process = Process(self, environment or {})
        self.processes.append(process)
        return process

    def up(self, environment: Mapping[str, str] | None = None) -> "Process":
        """Start a daemon and wait until it is ready."""
        return self.start(environment).await_ready()

    def rows(self, query: str, *arguments: object) -> list[Row]:
        """Ask the store."""
        dsn = self.server.dsn if self.dsn == EMBEDDED else self.dsn
        with psycopg.connect(dsn, row_factory=dict_row) as connection:
            return connection.execute(query.encode(), arguments or None).fetchall()

    def runs(self, where: str = "true", *arguments: object) -> list[Row]:
        return self.rows(f"select * from syncd.run where {where} order by created_at", *arguments)

    def fault(self, kind: str, **rest: Any) -> int:
        return self.emulator.faults.add(Fault(kind=kind, **rest))

    def put_away(self) -> None:
        """End every daemon, and an embedded server that one left running."""
        self.emulator.faults.clear()
        for process in self.processes:
            process.end()
        if self.state_dir.exists():
            with suppress(StoreError):
                self.server.stop(10)

    def leftovers(self) -> list[str]:
        """Return the command lines of processes that work for this site."""
        mark = os.fsencode(self.directory)
        found = []
        for process in Path("/proc").iterdir():
            if process.name.isdecimal() and int(process.name) != os.getpid():
                with suppress(OSError):
                    line = (process / "cmdline").read_bytes()
                    if mark in line or mark in os.fsencode((process / "cwd").readlink()):
                        found.append(line.replace(b"\0", b" ").decode())
        return found


class Process:
    """One daemon process of a site."""

    def __init__(self, site: Site, environment: Mapping[str, str]) -> None:
        self.site = site
        self.log = site.directory / f"daemon-{len(site.processes) + 1}.log"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(_KEPT_OUT)}
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "syncd", "--config", str(site.config), "run"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**kept, **environment},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def text(self) -> str:
        """What it has logged so far."""
        return self.log.read_text()

    def lines(self, *parts: str) -> list[str]:
        """Return the log's lines that have all of some parts."""
        return [line for line in self.text.splitlines() if all(part in line for part in parts)]

    def await_ready(self, seconds: float = READY_SECONDS) -> "Process":
        until(lambda: self._ready() or self.popen.poll() is not None, seconds, "ready")
        assert self.popen.returncode is None, self.text
        return self

    def _ready(self) -> bool:
        return bool(self.lines("event=ready"))

    def await_line(self, *parts: str, seconds: float = 20.0) -> str:
        try:
            return until(lambda: self.lines(*parts), seconds, f"a line with {parts}")[0]
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.text}") from None

    def send(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def wait(self, seconds: float = 40.0) -> int:
        """Wait for its end and return its exit status."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end\n{self.text}") from None

    def stop(self) -> int:
        """Ask it to stop and return its exit status."""
        self.send(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait(10)

    def end(self) -> None:
        if self.popen.poll() is None:
            self.kill()

    def threads(self) -> list[str]:
        """Return the names of its threads."""
        names = []
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            with suppress(OSError):
                names.append((task / "comm").read_text().strip())
        return names

    def files(self) -> int:
        """Return how many files it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def resident(self) -> int:
        """Return its resident memory in bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of a path of the control socket."""
        connection = _Connection(self.site.state_dir / "control.sock", 10.0)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError as error:
            raise Unreachable(str(error)) from error
        finally:
            connection.close()

    def ready_answer(self) -> tuple[int, Row]:
        status, body = self.get("/readyz")
        return status, msgspec.json.decode(body)

    def metric(self, name: str, **labels: str) -> float:
        """Return the value of a series."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        for line in self.get("/metrics")[1].splitlines():
            if line.split("{")[0].split(" ")[0] == name and all(one in line for one in wanted):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"no series {name} {labels}")


class Manager:
    """A service manager's end of sd_notify(3): a real datagram socket."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self.environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "4000000"}
        self._heard: list[dict[str, str]] = []

    def heard(self, key: str) -> list[str]:
        """Return all values of an assignment so far, in order."""
        with suppress(BlockingIOError):
            while True:
                lines = self._socket.recv(8192).decode().splitlines()
                self._heard.append(dict(line.split("=", 1) for line in lines))
        return [message[key] for message in self._heard if key in message]

    def messages(self) -> Sequence[Mapping[str, str]]:
        self.heard("")
        return list(self._heard)

    def close(self) -> None:
        self._socket.close()


@contextmanager
def site(
    dsn: str = EMBEDDED,
    *,
    hosts: int = 5,
    regions: int = 1,
    providers: Sequence[Provider] = ("aliyun", "tencent"),
) -> Iterator[Site]:
    """Give a site on a small world; all that was started on it is ended, and checked to be gone."""
    world = World.sized(hosts, regions, providers=providers)
    with reachable_directory() as directory, Emulator(world) as emulator:
        made = Site(emulator, directory, dsn)
        try:
            yield made
        except BaseException:
            print(*(process.text for process in made.processes), sep="\n")
            raise
        finally:
            made.put_away()
            until(lambda: not made.leftovers(), 10, "every process of the site has ended")


@contextmanager
def neighbour(of: Site) -> Iterator[Site]:
    """Give another site, with a state directory of its own, on the same clouds and store."""
    with reachable_directory() as directory:
        made = Site(of.emulator, directory, of.dsn)
        try:
            yield made
        finally:
            for process in made.processes:
                process.end()


def truth(emulator: Emulator) -> set[tuple[str, str]]:
    """Return account and id of every host that exists."""
    return {
        (account.name, host["InstanceId"])
        for account in emulator.world.accounts.values()
        for region in account.regions.values()
        for host in region.truth()
    }


def inventory(site: Site) -> set[tuple[str, str]]:
    """Return account and id of every living host in the store."""
    rows = site.rows(
        "select account, resource_id from syncd.resource where type = 'host' and deleted_at is null"
    )
    return {(row["account"], row["resource_id"]) for row in rows}


def secrets_of(site: Site) -> list[str]:
    """Return the secrets in the site's configuration."""
    return [KEYS[account.provider][1] for account in site.emulator.world.accounts.values()]


def check_records(site: Site) -> None:
    """Check what must hold whenever no run is under way: nothing lost, doubled or contradicted."""
    doubled = site.rows(
        """select job, scheduled_for from syncd.run where trigger in ('schedule', 'catch_up')
           group by 1, 2 having count(*) > 1"""
    )
    assert doubled == []
    open_items = site.rows(
        """select i.status, r.status as run
           from syncd.run_item i join syncd.run r on r.id = i.run_id
           where i.status in ('pending', 'running')
             and (r.status in ('success', 'failed', 'cancelled') or i.status = 'running')
             and r.status <> 'running'"""
    )
    assert open_items == []
    sums = site.rows(
        """select r.id from syncd.run r
           left join (select run_id, sum(total) t, sum(added) a, sum(updated) u, sum(deleted) d,
                             count(*) n from syncd.run_item group by 1) i on i.run_id = r.id
           where r.status <> 'running' and (r.total, r.added, r.updated, r.deleted, r.items_total)
             is distinct from (coalesce(i.t, 0), coalesce(i.a, 0), coalesce(i.u, 0),
                               coalesce(i.d, 0), coalesce(i.n, 0))"""
    )
    assert sums == []
    changes = site.rows(
        """select r.id, r.added, r.updated, r.deleted, c.* from syncd.run r
           left join (select run_id, count(*) filter (where change in ('added', 'restored')) a,
                             count(*) filter (where change = 'updated') u,
                             count(*) filter (where change = 'deleted') d
                      from (select run_id, change from syncd.resource_change union all
                            select run_id, change from syncd.db_account_change) told
                      group by 1) c on c.run_id = r.id
           where r.status <> 'running' and r.kind in ('cloud', 'db_accounts')
             and (r.added, r.updated, r.deleted)
             is distinct from (coalesce(c.a, 0), coalesce(c.u, 0), coalesce(c.d, 0))"""
    )
    assert changes == []

"""Where the demonstration lives: its directory, its configuration, its ports, how to look at it."""

import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from syncd.demo.emulator import Account, Emulator, World
from syncd.demo.sql import psql
from syncd.store.embedded import EmbeddedPostgres

USUAL_PORT: Final = 9464
EVERY: Final = 5  # seconds between two runs of the jobs of one cloud

_HEAD: Final = """\
# Made by `syncd demo`: two emulated clouds, an API with login, their jobs; conf.d/ adds database
# servers, and a table that is copied.

[daemon]
state_dir = {state_dir}
shutdown_grace = "5s"
load_limit = 0.0  # shown on a busy machine too
max_concurrent_runs = 4
max_per_server = 3  # each look is short, and the copy goes on while the check waits

[store]
pool_max = 24  # as so many runs may need

[listen]
http = "127.0.0.1:{port}"
control = {socket}

[defaults]
timeout = "1m"
api_timeout = "5s"
retries = ["1s", "2s"]
"""
_ACCOUNT: Final = """
[accounts.{name}]
provider = "{provider}"
access_key_id = "{key_id}"
access_key_secret = "{secret}"
endpoint = "{url}"
"""
_JOBS: Final = """
[jobs.aliyun-hosts]
kind = "cloud"
accounts = ["aliyun-demo"]
every = "{every}s"
group = "demo"

[jobs.tencent-hosts]
kind = "cloud"
accounts = ["tencent-demo"]
every = "{every}s"
group = "demo"

[jobs.staging-hosts]
kind = "cloud"
accounts = ["aliyun-staging"]
every = "{every}s"
group = "staging"
"""
_SERVER: Final = """
[servers.{name}]
engine = "{engine}"
host = {host}
user = "{user}"
exclude_databases = ["syncd"]  # the store itself
connect_timeout = "2s"
capacity = "100MiB"
"""
_FLEET_JOBS: Final = """
[jobs.db-accounts]
kind = "db_accounts"
every = "4s"

[jobs.db-sizes]
kind = "db_sizes"
every = "10s"

[jobs.size-rollups]
kind = "size_rollups"
every = "1m"
"""
_ENGINES: Final = {"postgresql": ("postgresql", "syncd"), "mariadb": ("mysql", "root")}
"""The database servers of the demonstration: their engines, and who logs in over a socket."""


@dataclass(frozen=True, slots=True)
class Place:
    """The directory of a demonstration and what stands in it."""

    directory: Path
    port: int

    @property
    def config(self) -> Path:
        """The configuration file; only its owner can read it."""
        return self.directory / "syncd.toml"

    @property
    def log(self) -> Path:
        """The daemon's log."""
        return self.directory / "syncd.log"

    @property
    def socket(self) -> Path:
        """The daemon's control socket."""
        return self.directory / "control.sock"

    @property
    def server(self) -> EmbeddedPostgres:
        """The daemon's embedded store."""
        return EmbeddedPostgres(self.directory / "state")

    @property
    def fleet(self) -> Path:
        """The configuration of the database servers."""
        return self.directory / "conf.d" / "fleet.toml"

    @property
    def copies(self) -> Path:
        """The configuration of the copied table."""
        return self.fleet.with_name("copies.toml")

    def configure_copies(self, text: str) -> None:
        """Write the configuration of the copied table."""
        _write(self.copies, text)

    def configure_fleet(self, sockets: Mapping[str, Path]) -> None:
        """Write the configuration of the database servers, by their names and sockets."""
        servers = [
            _SERVER.format(name=name, engine=engine, user=user, host=json.dumps(str(socket)))
            for name, socket in sockets.items()
            for engine, user in [_ENGINES[name]]
        ]
        self.fleet.parent.mkdir(exist_ok=True)
        _write(self.fleet, "".join([*servers, _FLEET_JOBS]))

    def hints(self) -> list[tuple[str, str]]:
        """Return what to type in another terminal, each with what it shows."""
        syncd = f"{_program()} --config {self.config}"
        return [
            ("hosts", f"{syncd} resources"),
            ("runs", f"{syncd} runs"),
            ("calls", f"{syncd} runs --job stat-daily"),
            ("fleet", f"{syncd} db-accounts --changed-since 10m"),
            ("copies", f"{syncd} runs --job sales-copy"),
            ("SQL", f"{psql()} '{self.server.dsn}' -c 'table syncd.hosts'"),
            ("metrics", f"curl http://127.0.0.1:{self.port}/metrics"),
            ("files", f"{self.config} {self.log}"),
        ]


@contextmanager
def prepared(emulator: Emulator, more: str, keep: Path | None) -> Iterator[Place]:
    """Give a directory with the demonstration's configuration: a temporary one, or one to keep.

    `more` is the text of further tables of the configuration.

    Others may pass through it, though not look into it: started by root, the store runs under an
    account of its own.
    """
    directory = keep.absolute() if keep else Path(tempfile.mkdtemp(prefix="syncd-demo-"))
    try:
        directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        if keep is None:
            directory.chmod(0o711)
        place = Place(directory, _free_port())
        for file in (place.copies, place.fleet):  # of last time: their servers don't stand yet
            file.unlink(missing_ok=True)
        _write(place.config, _configuration(place, emulator) + more)
        yield place
    finally:
        if keep is None:
            shutil.rmtree(directory, ignore_errors=True)


def demo_world(seed: int, hosts: int) -> World:
    """Return what the demonstration shows: an account of each cloud, and a small second one."""
    world = World.demo(seed, hosts)
    staging = Account(
        "aliyun-staging",
        "aliyun",
        "LTAI5tEmulatedKeyAliyun2",
        "emulated-secret-staging",
        "2345678901234567",
    )
    staging.open("cn-shenzhen", seed).add(hosts // 2)
    world.accounts[staging.name] = staging
    return world


def _configuration(place: Place, emulator: Emulator) -> str:
    """Return the text of the configuration."""
    head = _HEAD.format(
        state_dir=json.dumps(str(place.directory / "state")),
        socket=json.dumps(str(place.socket)),
        port=place.port,
    )
    accounts = [
        _ACCOUNT.format(
            name=account.name, provider=account.provider,
            key_id=account.key_id, secret=account.secret, url=emulator.url,
        )
        for account in emulator.world.accounts.values()
    ]  # fmt: skip
    return "".join([head, *accounts, _JOBS.format(every=EVERY)])


def _write(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first byte on."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _free_port() -> int:
    """Return the usual port of the metrics, another one where that is taken."""
    for port in (USUAL_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no port is free on 127.0.0.1")


def _program() -> str:
    """Return how to call syncd from where we are."""
    beside = Path(sys.executable).with_name("syncd")
    if not beside.exists():
        return f"{sys.executable} -m syncd"
    here = Path.cwd()
    return str(beside.relative_to(here) if beside.is_relative_to(here) else beside)

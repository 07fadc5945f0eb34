"""Cloud jobs as they really run, without a daemon: emulator, store, configuration and Runner."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from job_runs import JobRuns, Row
from token_helpers import no_tokens

from syncd import assembly
from syncd.config.configuration import Config, Tables
from syncd.demo.emulator import Emulator, Fault, World
from syncd.demo.emulator.world import REGIONS
from syncd.http_client import HttpClient
from syncd.jobs.accounts import CloudAccount
from syncd.providers.base import AccountAccess
from syncd.providers.calls import Patience
from syncd.store import resources
from syncd.store.database import Store

HASTE = Patience(tries=3, throttled_tries=3, base=0.001, cap=0.001, quota=0.001)
HOSTS = 30  # in each of two regions of each cloud
BOTH = pytest.mark.parametrize("provider", ["aliyun", "tencent"])


class HastyAccounts(assembly.Accounts):
    """The accounts of a configuration, with an HTTP client to close and no waiting."""

    def __init__(self, store: Store, http: HttpClient) -> None:
        super().__init__(store, lambda *_: None, b"key")
        self._http = http

    def open(self, name: str, account: Any, api_timeout: float) -> CloudAccount:
        before = assembly.providers.build

        def build(access: AccountAccess, http: HttpClient, **rest: Any) -> Any:
            return before(access, self._http, patience=HASTE, **rest)

        assembly.providers.build = build
        try:
            return super().open(name, account, api_timeout)
        finally:
            assembly.providers.build = before


class Clouds(JobRuns):
    """Emulated clouds, a store, and jobs over them that run when they are told to.

    The one job is `hosts`, of all accounts of the world; `configure` changes it and the accounts.
    """

    main = "hosts"

    def __init__(self, world: World, emulator: Emulator, dsn: str, directory: Path) -> None:
        super().__init__(dsn, directory)
        self.world, self.emulator = world, emulator
        self.http = HttpClient()
        self.accounts = HastyAccounts(self.store, self.http)
        self.configure()

    def configure(
        self,
        accounts: Mapping[str, Mapping[str, Any]] | None = None,
        jobs: Mapping[str, Mapping[str, Any]] | None = None,
        **job: Any,
    ) -> None:
        """Put a configuration in force: changes to accounts by name (None takes one out), to jobs.

        `job` are keys of the job `hosts`.
        """
        changed = dict(accounts or {})
        tables = {
            name: self._account(name) | dict(changed.pop(name, {})) for name in self.world.accounts
        } | changed
        named = {"hosts": job, **(jobs or {})}
        common = {"kind": "cloud", "accounts": list(tables), "retries": []}
        config = {
            "daemon": {"state_dir": str(self.directory)},
            "accounts": tables,
            "jobs": {n: common | dict(j) for n, j in named.items()},
        }
        self.config = Config.of(Tables.model_validate(config))
        self.specs = assembly.job_specs(self.config, self.store, self.accounts, no_tokens())

    def _account(self, name: str) -> dict[str, Any]:
        account = self.world.accounts[name]
        return {
            "provider": account.provider,
            "access_key_id": account.key_id,
            "access_key_secret": account.secret,
            "endpoint": self.emulator.url,
            "requests_per_second": 10_000.0,
        }

    def manage(self) -> None:
        """Tell the store what the configuration in force looks after, as a start does."""
        with self.store.transaction() as tx:
            resources.replace_managed(tx, assembly.managed(self.config))

    def fault(self, kind: str, **rest: Any) -> int:
        return self.emulator.faults.add(Fault(kind=kind, **rest))

    def living(self, account: str, region: str) -> dict[str, Row]:
        """Return the living hosts of a region by id."""
        rows = self.rows(
            """select * from syncd.resource
               where (account, region, type) = (%s, %s, 'host') and deleted_at is null""",
            account, region,
        )  # fmt: skip
        return {row["resource_id"]: row for row in rows}

    def approve(self, job: str = "hosts") -> int:
        with self.store.transaction() as tx:
            return resources.approve(tx, job, "somebody")

    def close(self) -> None:
        super().close()
        self.http.close()


@contextmanager
def emulated_clouds(world: World, dsn: str, directory: Path) -> Iterator[Clouds]:
    """Give emulated clouds over a migrated store, and put them away."""
    with Emulator(world) as emulator:
        clouds = Clouds(world, emulator, dsn, directory)
        clouds.store.open()
        try:
            yield clouds
            assert clouds.rows("select 1 from syncd.resource_stage") == []
        finally:
            clouds.close()


class Place:
    """The first region of a provider's account, in the emulator and in the store."""

    def __init__(self, clouds: Clouds, provider: str) -> None:
        self.clouds, self.account = clouds, f"{provider}-demo"
        self.name, self.second = REGIONS[provider][:2]
        self.region = clouds.world.region(self.account, self.name)
        self.target = f"{self.account}/{self.name}/host"

    @property
    def where(self) -> dict[str, str]:
        return {"account": self.account, "region": self.name}

    def living(self) -> dict[str, dict]:
        return self.clouds.living(self.account, self.name)

    def run(self):
        """Run the job; return this region's item and the others' statuses."""
        result = self.clouds.run()
        return result.items[self.target], result

    def others_are_well(self, result) -> None:
        for target, item in result.items.items():
            if target != self.target:
                assert (item["status"], item["errors"], item["deleted"]) == ("success", 0, 0)

    def equals_the_cloud(self) -> None:
        assert set(self.living()) == set(self.region.ids())

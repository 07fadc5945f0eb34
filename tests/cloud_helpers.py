"""Cloud jobs as they really run, without a daemon: emulator, store, configuration and Runner."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from dispatch_helpers import plain_log
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads

from syncd import assembly
from syncd.config.configuration import Config, Tables
from syncd.context import CancelSource, Clock, Deadline
from syncd.demo.emulator import Emulator, Fault, World
from syncd.demo.emulator.world import REGIONS
from syncd.dispatch.holds import Holds
from syncd.dispatch.planner import Planned, plan
from syncd.dispatch.progress import RunProgress
from syncd.dispatch.recorder import Recorder
from syncd.dispatch.runner import Attempt, Runner
from syncd.dispatch.service import rehearsal
from syncd.dispatch.work import Items
from syncd.http_client import HttpClient
from syncd.jobs.accounts import CloudAccount
from syncd.model.run import RunId, Selection, new_run_id
from syncd.providers.base import AccountAccess
from syncd.providers.calls import Patience
from syncd.store import resources, runs
from syncd.store.database import Store
from syncd.store.outbox import Outbox
from syncd.telemetry.metrics import Metrics

HASTE = Patience(tries=3, throttled_tries=3, base=0.001, cap=0.001, quota=0.001)
HOSTS = 30  # in each of two regions of each cloud
BOTH = pytest.mark.parametrize("provider", ["aliyun", "tencent"])
COUNTS = ("total", "added", "updated", "deleted", "unchanged", "errors")
Row = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """What the store says of a run once an attempt of it is over."""

    run: Row
    items: Mapping[str, Row]
    errors: Sequence[Row]

    @property
    def counts(self) -> dict[str, int]:
        return {name: self.run[name] for name in COUNTS}

    def of(self, target: str) -> tuple[str, str | None]:
        """Return how an item ended: its status and its class of error."""
        return self.items[target]["status"], self.items[target]["error_class"]


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


class Clouds:
    """Emulated clouds, a store, and jobs over them that run when they are told to.

    The one job is `hosts`, of all accounts of the world; `configure` changes it and the accounts.
    """

    def __init__(self, world: World, emulator: Emulator, dsn: str, directory: Path) -> None:
        self.world, self.emulator, self.dsn, self.directory = world, emulator, dsn, directory
        self.store = Store(dsn, pool_min=1)
        self.http = HttpClient()
        self.accounts = HastyAccounts(self.store, self.http)
        self.outbox = Outbox(directory / "outbox")
        log = plain_log("warning")
        self.recorder = Recorder(self.store, self.outbox, log)
        observer = Metrics("0", datetime.now(UTC))
        work = Items(self.store, self.recorder, observer, Clock())
        self.runner = Runner(
            {"thread": work}, self.recorder, observer, Holds(self.store, Clock(), log), Clock(), log
        )
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
        config = {"accounts": tables, "jobs": {n: common | dict(j) for n, j in named.items()}}
        self.config = Config.of(Tables.model_validate(config))
        self.specs = assembly.job_specs(self.config, self.store, self.accounts)

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

    def record(self, job: str = "hosts") -> RunId:
        """Record a run that waits."""
        spec, now = self.specs[job], datetime.now(UTC)
        new = runs.NewRun(
            new_run_id(now),
            job,
            spec.kind,
            "manual",
            now,
            len(spec.retries) + 1,
            "test",
            spec.priority,
        )
        with self.store.transaction() as tx:
            runs.insert(tx, [new], now)
        return new.id

    def attempt(
        self,
        run_id: RunId,
        job: str = "hosts",
        selection: Selection | None = None,
        source: CancelSource | None = None,
        seconds: float = 60.0,
        held: Mapping[str, str] | None = None,
    ) -> Result:
        """Make the next attempt of a run in this thread."""
        now = datetime.now(UTC)
        with self.store.transaction() as tx:
            claim = runs.start(tx, run_id, "test", 1, now)
        assert claim is not None
        self.runner.run(
            Attempt(
                spec=self.specs[job],
                claim=claim,
                scheduled_for=now,
                max_attempts=len(self.specs[job].retries) + 1,
                selection=selection or Selection(),
                source=source or CancelSource(),
                deadline=Deadline.after(seconds),
                next_due=lambda: None,
                progress=RunProgress(),
                held=held or {},
            )
        )
        return self.result(run_id)

    def run(self, job: str = "hosts", **rest: Any) -> Result:
        """Record a run and make its first attempt."""
        return self.attempt(self.record(job), job, **rest)

    def plan(self, job: str = "hosts") -> list[Planned]:
        """Find out what a run would change."""
        context = rehearsal(self.specs[job], Selection(), Clock(), plain_log("warning"))
        return plan(self.store, self.specs[job], context, RunProgress())

    def result(self, run_id: RunId) -> Result:
        """Return what the store says of a run; its counts have to add up to the tables."""
        (run,) = self.rows("select * from syncd.run where id = %s", run_id)
        items = self.rows("select * from syncd.run_item where run_id = %s order by id", run_id)
        errors = self.rows("select * from syncd.run_error where run_id = %s order by id", run_id)
        result = Result(run, {item["target"]: item for item in items}, errors)
        self.check(result)
        return result

    def check(self, result: Result) -> None:
        """Compare the counts of a run with each other, and with the changes and errors it left."""
        for counts in (result.run, *result.items.values()):
            parts = (counts[name] for name in ("added", "updated", "unchanged", "errors"))
            assert counts["total"] == sum(parts)
        for name in COUNTS:
            assert result.run[name] == sum(item[name] for item in result.items.values())
        changes = {
            change["change"]: change["n"]
            for change in self.rows(
                """select change, count(*) n from syncd.resource_change
                   where run_id = %s group by change""",
                result.run["id"],
            )
        }
        assert result.run["added"] == changes.get("added", 0) + changes.get("restored", 0)
        assert result.run["updated"] == changes.get("updated", 0)
        assert result.run["deleted"] == changes.get("deleted", 0)

    def rows(self, query: str, *arguments: object) -> list[Row]:
        with psycopg.connect(self.dsn, row_factory=dict_row) as connection:
            set_json_loads(msgspec.json.decode, connection)
            return connection.execute(query.encode(), arguments or None).fetchall()

    def execute(self, query: str, *arguments: object) -> int:
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(query.encode(), arguments or None).rowcount

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

    def dump(self) -> dict[str, list[Any]]:
        """Return every row of every table of the schema, with where it lies and who wrote it."""
        with psycopg.connect(self.dsn) as connection:
            tables = connection.execute(
                "select tablename from pg_tables where schemaname = 'syncd' order by 1"
            ).fetchall()
            select = sql.SQL("select ctid::text, xmin::text, t.* from syncd.{} t order by ctid")
            return {
                name: connection.execute(select.format(sql.Identifier(name))).fetchall()
                for (name,) in tables
            }

    def close(self) -> None:
        self.store.close()
        self.http.close()
        self.outbox.close()


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

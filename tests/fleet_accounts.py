"""Jobs over the accounts of servers as they really run, without a daemon: store and Runner.

The servers are scripted, unless a configuration of real ones is given: what a reading may hold is
more than real servers can be brought to.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from dispatch_helpers import plain_log
from psycopg.rows import dict_row

from syncd import assembly
from syncd.config.configuration import Config, Tables
from syncd.context import CancelSource, Clock, Deadline, RunContext
from syncd.dispatch.holds import Holds
from syncd.dispatch.planner import Planned, plan
from syncd.dispatch.progress import ItemReport, RunProgress
from syncd.dispatch.recorder import Recorder
from syncd.dispatch.runner import Attempt, Runner
from syncd.dispatch.service import rehearsal
from syncd.dispatch.work import Items
from syncd.jobs import registry
from syncd.model.db_account import AccountReading, DbAccount, Objects, Unread
from syncd.model.privilege import Privilege
from syncd.model.run import Selection, Target, new_run_id
from syncd.store import resources, runs
from syncd.store.database import Store
from syncd.store.outbox import Outbox
from syncd.telemetry.metrics import Metrics

JOB = "db-accounts"
COUNTS = ("total", "added", "updated", "deleted", "unchanged", "errors")
Row = dict[str, Any]


def account(name: str, *privileges: Privilege, **changed: Any) -> DbAccount:
    """Return a user that can log in, with these privileges."""
    attributes = changed.pop("attributes", {"connection_limit": -1})
    return replace(
        DbAccount(name, "user", True, attributes, (), tuple(sorted(privileges))), **changed
    )


def table(name: str, privilege: str = "SELECT", database: str = "shop", **rest: Any) -> Privilege:
    return Privilege("table", (database, "public", name), privilege, **rest)


def tables(privilege: str = "SELECT", database: str = "shop", **rest: Any) -> Privilege:
    return Privilege("all_tables", (database, "public"), privilege, **rest)


def named(*names: str, database: str = "shop") -> Objects:
    return {(database, "public", "table"): names}


@dataclass
class Scripted:
    """An engine that answers what the test has written down."""

    accounts_now: list[DbAccount] = field(default_factory=list)
    unread: Sequence[Unread] = ()
    objects: Objects = field(default_factory=dict)
    engine: str = "postgresql"
    before_answer: Callable[[], None] = lambda: None

    def accounts(self, ctx: RunContext) -> AccountReading:
        self.before_answer()
        return AccountReading(
            self.engine, tuple(self.accounts_now), tuple(self.unread), self.objects
        )


class Fleet:
    """A store, and one job over servers that runs when it is told to."""

    def __init__(self, dsn: str, directory: Path) -> None:
        self.dsn = dsn
        self.store = Store(dsn, pool_min=1)
        self.outbox = Outbox(directory / "outbox")
        self.log = log = plain_log("warning")
        recorder, metrics = Recorder(self.store, self.outbox, log), Metrics("0", datetime.now(UTC))
        work = Items(self.store, recorder, metrics, Clock())
        holds = Holds(self.store, Clock(), log)
        self.runner = Runner({"thread": work}, recorder, metrics, holds, Clock(), log)

    def configure(
        self,
        servers: Mapping[str, Mapping[str, Any]],
        engines: Callable[[str], Any] | None,
        **job: Any,
    ) -> None:
        """Put servers and keys of the job in force; engines None means the real ones."""
        kind = {"kind": "db_accounts", "retries": [], **job}
        self.config = Config.of(Tables.model_validate({"servers": servers, "jobs": {JOB: kind}}))
        accounts = assembly.Accounts(self.store, lambda *_: None, b"key")
        self.spec = assembly.job_specs(self.config, self.store, accounts)[JOB]
        if engines is not None:
            services = replace(self.spec.build.services, engine=engines)
            build = lambda: registry.build(self.config.jobs[JOB], services)  # noqa: E731
            self.spec = replace(self.spec, build=build)

    def scripted(self, *names: str, **job: Any) -> list[Scripted]:
        """Put scripted servers in force, and return them."""
        engines = {name: Scripted() for name in names}
        servers = {name: {"engine": "postgresql", "host": "h", "user": "u"} for name in names}
        self.configure(servers, engines.__getitem__, **job)
        return list(engines.values())

    def run(self, selection: Selection | None = None, source: CancelSource | None = None) -> Row:
        """Record a run, make its first attempt, and return it with its items and errors."""
        now = datetime.now(UTC)
        run_id = new_run_id(now)
        new = runs.NewRun(run_id, JOB, self.spec.kind, "manual", now, 1, "test", "normal")
        with self.store.transaction() as tx:
            runs.insert(tx, [new], now)
        return self.attempt(new.id, selection, source)

    def attempt(self, run_id: Any, selection: Selection | None, source: CancelSource | None) -> Row:
        now = datetime.now(UTC)
        with self.store.transaction() as tx:
            claim = runs.start(tx, run_id, "test", 1, now)
        assert claim is not None
        self.runner.run(
            Attempt(
                spec=self.spec, claim=claim, scheduled_for=now, max_attempts=1,
                selection=selection or Selection(), source=source or CancelSource(),
                deadline=Deadline.after(60), next_due=lambda: None, progress=RunProgress(), held={},
            )
        )  # fmt: skip
        (run,) = self.rows("select * from syncd.run where id = %s", run_id)
        items = self.rows("select * from syncd.run_item where run_id = %s", run_id)
        errors = self.rows("select * from syncd.run_error where run_id = %s order by id", run_id)
        self.check(run, items)
        return {**run, "items": {item["target"]: item for item in items}, "errors_of": errors}

    def check(self, run: Row, items: Sequence[Row]) -> None:
        """Compare the counts of a run with each other and with the changes it left."""
        for counts in (run, *items):
            parts = (counts[name] for name in ("added", "updated", "unchanged", "errors"))
            assert counts["total"] == sum(parts)
        told = self.rows(
            "select change, count(*) n from syncd.db_account_change where run_id = %s group by 1",
            run["id"],
        )
        changes = {row["change"]: row["n"] for row in told}
        assert run["added"] == changes.get("added", 0) + changes.get("restored", 0)
        assert run["updated"] == changes.get("updated", 0)
        assert run["deleted"] == changes.get("deleted", 0)
        assert self.rows("select 1 from syncd.db_account_stage") == []

    def plan(self) -> list[Planned]:
        context = rehearsal(self.spec, Selection(), Clock(), self.log)
        return plan(self.store, self.spec, context, RunProgress())

    def apply_beside(self, server: str) -> None:
        """Read a server and write what was found, as an attempt of another job does."""
        job = self.spec.build()
        context = rehearsal(self.spec, Selection(), Clock(), self.log)
        ctx = context(ItemReport(RunProgress(), server))
        staged = job.read(ctx, Target(server, server=server))
        with self.store.transaction() as tx:
            job.apply(tx, ctx, staged)

    def approve(self) -> int:
        with self.store.transaction() as tx:
            return resources.approve(tx, JOB, "somebody")

    def rows(self, query: str, *arguments: object) -> list[Row]:
        with psycopg.connect(self.dsn, row_factory=dict_row) as connection:
            return connection.execute(query.encode(), arguments or None).fetchall()

    def changes(self, run: Row) -> dict[str, Row]:
        """Return the changes of a run by account."""
        query = "select * from syncd.db_account_change where run_id = %s"
        return {row["account"]: row for row in self.rows(query, run["id"])}

    def living(self, server: str = "db1") -> dict[str, Row]:
        query = "select * from syncd.db_accounts where server = %s"
        return {row["account"]: row for row in self.rows(query, server)}

    def versions(self, *names: str) -> dict[str, list[Row]]:
        """Return where each row of tables lies and who wrote it: the same when nothing was."""
        return {
            name: self.rows(f"select ctid::text, xmin::text from syncd.{name} order by ctid")
            for name in names
        }

    def close(self) -> None:
        self.store.close()
        self.outbox.close()


@contextmanager
def fleet_over(dsn: str, directory: Path) -> Iterator[Fleet]:
    """Give a fleet over a migrated store, and put it away."""
    fleet = Fleet(dsn, directory)
    fleet.store.open()
    try:
        yield fleet
    finally:
        fleet.close()

"""Jobs over the accounts of servers as they really run, without a daemon: store and Runner.

The servers are scripted, unless a configuration of real ones is given: what a reading may hold is
more than real servers can be brought to.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dispatch_helpers import plain_log
from job_runs import JobRuns, Row
from token_helpers import no_tokens

from syncd import assembly
from syncd.config.configuration import Config, Tables
from syncd.context import Clock, RunContext
from syncd.dispatch.progress import ItemReport, RunProgress
from syncd.dispatch.service import rehearsal
from syncd.jobs import registry
from syncd.model.db_account import AccountReading, DbAccount, Objects, Unread
from syncd.model.privilege import Privilege
from syncd.model.run import Selection, Target
from syncd.store import resources

JOB = "db-accounts"


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


class Fleet(JobRuns):
    """A store, and one job over servers that runs when it is told to."""

    main = JOB

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
        spec = assembly.job_specs(self.config, self.store, accounts, no_tokens())[JOB]
        if engines is not None:
            services = replace(spec.build.services, engine=engines)
            build = lambda: registry.build(self.config.jobs[JOB], services)  # noqa: E731
            spec = replace(spec, build=build)
        self.specs = {JOB: spec}

    def scripted(self, *names: str, **job: Any) -> list[Scripted]:
        """Put scripted servers in force, and return them."""
        engines = {name: Scripted() for name in names}
        servers = {name: {"engine": "postgresql", "host": "h", "user": "u"} for name in names}
        self.configure(servers, engines.__getitem__, **job)
        return list(engines.values())

    def run(self, **rest: Any) -> Row:
        """Record a run, make its first attempt, and return it with its items and errors."""
        result = super().run(**rest)
        assert self.rows("select 1 from syncd.db_account_stage") == []
        return {**result.run, "items": result.items, "errors_of": result.errors}

    def apply_beside(self, server: str) -> None:
        """Read a server and write what was found, as an attempt of another job does."""
        job = self.specs[JOB].build()
        context = rehearsal(self.specs[JOB], Selection(), Clock(), plain_log())
        ctx = context(ItemReport(RunProgress(), server))
        staged = job.read(ctx, Target(server, server=server))
        with self.store.transaction() as tx:
            job.apply(tx, ctx, staged)

    def approve(self) -> int:
        with self.store.transaction() as tx:
            return resources.approve(tx, JOB, "somebody")

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


@contextmanager
def fleet_over(dsn: str, directory: Path) -> Iterator[Fleet]:
    """Give a fleet over a migrated store, and put it away."""
    fleet = Fleet(dsn, directory)
    fleet.store.open()
    try:
        yield fleet
    finally:
        fleet.close()

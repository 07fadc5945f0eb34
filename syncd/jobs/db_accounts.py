"""The `db_accounts` kind: keeps the accounts of database servers and their privileges true."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import UUID

from syncd.context import RunContext
from syncd.engines.base import Engine
from syncd.errors import BadData, Guarded, SyncdError, describe
from syncd.jobs.base import Applied, Change
from syncd.model.account_merge import Hidden, merged, merged_objects
from syncd.model.account_row import AccountEntry, changes, parts_of
from syncd.model.db_account import AccountReading, DbAccount, Objects
from syncd.model.deletion import DeletionPlan, DeletionPolicy, plan_deletions
from syncd.model.diff import Difference
from syncd.model.privilege import describe_change
from syncd.model.resource import Scope
from syncd.model.run import Counts, Target
from syncd.store import db_accounts, resources
from syncd.store.database import Store, Transaction
from syncd.store.reconcile import Reconcile, Standing, Write

_BATCH: Final = 1_000  # accounts compared and staged at once


@dataclass(frozen=True, slots=True)
class DbAccountsSettings:
    """What a job of this kind is told by its configuration: its servers, and when to stop.

    `excluded` are the databases of each server that nobody looks into.
    """

    servers: Mapping[str, Callable[[], Engine]]
    excluded: Mapping[str, Collection[str]]
    policy: DeletionPolicy


@dataclass(slots=True)
class ServerAccounts:
    """The accounts of one server as they were read: what is staged, and what is gone."""

    scope: Scope
    before: UUID | None  # the run that had written the server's accounts when they were loaded
    objects_before: Objects
    reconcile: Reconcile
    standing: Standing
    reading: AccountReading
    objects: Objects
    bad: list[tuple[str, SyncdError]] = field(default_factory=list)
    plan: DeletionPlan = field(default_factory=DeletionPlan)

    @property
    def gaps(self) -> list[tuple[str, SyncdError]]:
        """The parts of the server that could not be read, and why."""
        return parts_of(self.reading.unread)

    @property
    def server(self) -> str:
        """The name of the server."""
        return self.scope.account

    def discard(self) -> None:
        """Drop what was staged."""
        self.reconcile.discard()


class DbAccountsJob:
    """Reads all accounts of each server and reconciles them with the store."""

    def __init__(self, store: Store, settings: DbAccountsSettings) -> None:
        self._store, self._settings = store, settings

    def targets(self, ctx: RunContext) -> list[Target]:
        """Return the servers."""
        return [
            Target(name, server=name, problem=_problem(ctx, name, engine))
            for name, engine in self._settings.servers.items()
        ]

    def read(self, ctx: RunContext, target: Target) -> ServerAccounts:
        """Read the accounts of a server, stage what differs, and decide what is gone.

        Raises what the engine raises: a server that could not be read keeps all its accounts.
        """
        server = str(target.server)
        scope = Scope(server, "", "db_account")
        reconcile = Reconcile(self._store, db_accounts.DB_ACCOUNTS, {"server": server})
        with self._store.transaction(ctx.deadline, ctx.cancel) as tx:
            before = resources.last_writer(tx, scope)
            objects = db_accounts.load_objects(tx, server)
        standing = reconcile.begin(ctx)
        reading = self._settings.servers[server]().accounts(ctx)
        if not reading.accounts:
            raise BadData("the server lists no account, not even the one that syncd logs in as")
        hidden = Hidden(reading.unread)
        read = ServerAccounts(
            scope, before, objects, reconcile, standing, reading,
            merged_objects(reading, objects, hidden),
        )  # fmt: skip
        try:
            self._compare(ctx, read, hidden)
            self._conclude(ctx, read)
        except BaseException:
            read.discard()
            raise
        _report(ctx, read)
        return read

    def _compare(self, ctx: RunContext, read: ServerAccounts, hidden: Hidden) -> None:
        """Compare all accounts with the store, and stage those that differ with their changes."""
        names = Counter(account.account for account in read.reading.accounts)
        comparison, done = read.standing.comparison, 0
        for accounts in _batches(read.reading.accounts):
            doubtful = [a.account for a in accounts if hidden.concerning(a.account)]
            stored = self._stored(ctx, read.server, doubtful)
            entries = [
                AccountEntry(
                    merged(account, stored.get(account.account), hidden),
                    read.reading.engine,
                    hidden.concerning(account.account),
                    repeated=names[account.account] > 1,
                )
                for account in accounts
            ]
            differences = list(comparison.offer(entries))
            unasked = {each.row.key for each in differences}.difference(doubtful)
            stored |= self._stored(ctx, read.server, unasked)
            now = {entry.key: entry.account for entry in entries}
            staged = [self._with_changes(each, stored, now, read) for each in differences]
            read.bad += read.reconcile.stage(ctx, staged)
            done += len(accounts)
            ctx.report.progress(done, len(read.reading.accounts))
        read.bad += comparison.bad

    def _with_changes(
        self,
        difference: Difference,
        stored: Mapping[str, DbAccount],
        now: Mapping[str, DbAccount],
        read: ServerAccounts,
    ) -> Difference:
        """Return a row to be staged with what changed of it, if the store holds a living one.

        What is in a database that nobody looks into any more was not revoked.
        """
        row, excluded = difference.row, self._settings.excluded[read.server]
        before = stored.get(row.key)
        if before is None:
            return difference
        was, has = (_without(account, excluded) for account in (before, now[row.key]))
        told = changes(was, has, read.objects_before, read.objects)
        return replace(difference, row=replace(row, values={**row.values, **told}))

    def _stored(self, ctx: RunContext, server: str, names: Collection[str]) -> dict[str, DbAccount]:
        """Return what the store holds of living accounts."""
        if not names:
            return {}
        with self._store.transaction(ctx.deadline, ctx.cancel, operation="load") as tx:
            return db_accounts.load(tx, server, names)

    def _conclude(self, ctx: RunContext, read: ServerAccounts) -> None:
        """Plan what becomes of the accounts that the server has no more."""
        standing = read.standing
        with self._store.transaction(ctx.deadline, ctx.cancel) as tx:
            approved = resources.approved_deletions(tx, read.scope)
        read.plan = plan_deletions(
            standing.comparison.unseen(),
            standing=standing.size,
            missing=standing.missing,
            approved=approved,
            policy=self._settings.policy,
            now=standing.now,
        )

    def apply(self, tx: Transaction, ctx: RunContext, staged: ServerAccounts) -> Applied:
        """Write what differs, what is gone and what is held back; say how many of each."""
        scope, plan, comparison = staged.scope, staged.plan, staged.standing.comparison
        resources.lock(tx, scope, staged.before)
        written = staged.reconcile.apply(
            tx,
            Write(
                run_id=ctx.run_id,
                constants={"engine": staged.reading.engine},
                returned=comparison.returned,
                mark=plan.mark,
                delete=plan.delete,
            ),
        )
        db_accounts.replace_objects(tx, staged.server, staged.objects_before, staged.objects)
        resources.note_listing(tx, scope, ctx.run_id, complete=True, lossy=False)
        resources.replace_guarded(tx, scope, ctx.job_name, ctx.run_id, plan.guarded)
        unread = len(staged.gaps)
        counts = Counts(
            total=comparison.total + unread,
            added=written.added + written.restored,
            updated=written.updated,
            deleted=written.deleted,
            unchanged=comparison.unchanged + written.same,
            errors=len(staged.bad) + unread,
        )
        return Applied(counts, self._failure(ctx.job_name, staged))

    def _failure(self, job: str, read: ServerAccounts) -> SyncdError | None:
        """Return why the item fails although what it found is kept."""
        guarded, policy = len(read.plan.guarded), self._settings.policy
        if not guarded:
            return None
        return Guarded(
            f"{guarded} of {read.standing.size} accounts are gone, more than"
            f" max_delete_percent = {policy.max_percent:g} and max_delete_count ="
            f" {policy.max_count} allow: none of them was deleted;"
            f" `syncd approve {job}` lets them go in the next run"
        )

    def changes(
        self, tx: Transaction, ctx: RunContext, staged: ServerAccounts, limit: int | None
    ) -> list[Change]:
        """Return the changes of the server's accounts that this run wrote, privileges in words."""
        rows = staged.reconcile.changes(tx, ctx.run_id, limit)
        return [
            Change(change, key, "", _in_words(fields), "account") for change, key, _, fields in rows
        ]


def _without(account: DbAccount, databases: Collection[str]) -> DbAccount:
    """Return an account without what it may do inside of some databases, or pass on to others."""
    if not databases:
        return account
    privileges = tuple(each for each in account.privileges if each.database not in databases)
    words = set(account.capabilities)
    if "superuser" not in words and not any(each.grantable for each in privileges):
        words.discard("grant")
    return replace(account, privileges=privileges, capabilities=tuple(sorted(words)))


def _in_words(fields: Mapping[str, Any]) -> dict[str, object]:
    """Return what a change tells, for people: granted, revoked, and the attributes by name."""
    return {
        "granted": [describe_change(privilege) for privilege in fields["granted"]],
        "revoked": [describe_change(privilege) for privilege in fields["revoked"]],
        **fields["attributes_changed"],
    }


def _batches(accounts: Sequence[DbAccount]) -> Iterator[Sequence[DbAccount]]:
    """Yield accounts, some at a time."""
    for start in range(0, len(accounts), _BATCH):
        yield accounts[start : start + _BATCH]


def _problem(ctx: RunContext, server: str, engine: Callable[[], Engine]) -> SyncdError | None:
    """Return why a server's engine can't be made; a bug is told with its traceback."""
    try:
        engine()
    except SyncdError as error:
        return error
    except Exception as error:  # whatever befalls a server leaves the others
        ctx.log.exception("an engine failed", server=server)
        problem = SyncdError(describe(error))
        problem.__cause__ = error
        return problem
    return None


def _report(ctx: RunContext, read: ServerAccounts) -> None:
    """Keep what is worth knowing about a reading."""
    for name, error in [*read.bad, *read.gaps]:
        ctx.report.error(name, error)
    if read.gaps:
        ctx.log.warning("what could not be read stays as it was", parts=len(read.gaps))
    if read.plan.guarded:
        ctx.report.detail("guarded", len(read.plan.guarded))
        ctx.log.error("deletions are held back", accounts=sorted(read.plan.guarded)[:50])

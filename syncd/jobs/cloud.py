"""The `cloud` kind: keeps the inventory of cloud resources true, and deletes with care."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from syncd.context import RunContext
from syncd.errors import (
    Authentication,
    BadData,
    ConfigurationError,
    Conflict,
    Guarded,
    Permission,
    SyncdError,
    describe,
)
from syncd.jobs.accounts import CloudAccount
from syncd.jobs.base import Applied, Change
from syncd.model.deletion import DeletionPlan, DeletionPolicy, plan_deletions
from syncd.model.diff import Entry
from syncd.model.resource import ResourceType, Scope
from syncd.model.run import Counts, Target
from syncd.providers.base import ListMoved, Provider, RegionNotOpen
from syncd.store import resources
from syncd.store.database import Store, Transaction
from syncd.store.reconcile import Reconcile, Standing, Write
from syncd.telemetry.logging import bound

_PASSES: Final = 3  # over a list that moves while it is read
_WITNESSES: Final = 3  # listed resources that a lookup by id must find too, or one of them


@dataclass(frozen=True, slots=True)
class CloudSettings:
    """What a job of this kind is told by its configuration."""

    accounts: Mapping[str, CloudAccount]
    problems: Mapping[str, SyncdError]  # of accounts that could not be opened
    types: Sequence[ResourceType]
    group: str | None
    policy: DeletionPolicy
    max_errors: int


@dataclass(slots=True)
class Listing:
    """One scope as it was listed: what is staged, and what may be concluded from it.

    `doubt` says why the listing is no ground for a deletion; None is the completeness certificate.
    """

    scope: Scope
    before: UUID | None  # the run that had written the scope when its state was loaded
    reconcile: Reconcile
    standing: Standing
    doubt: str | None = None
    skipped: bool = False  # the account has not opened the region
    failure: SyncdError | None = None
    found: int = 0
    nameless: int = 0
    bad: list[tuple[str, SyncdError]] = field(default_factory=list)
    plan: DeletionPlan = field(default_factory=DeletionPlan)

    @property
    def errors(self) -> int:
        """How many resources could not be taken."""
        return len(self.bad) + self.nameless

    def discard(self) -> None:
        """Drop what was staged."""
        self.reconcile.discard()


class CloudJob:
    """Lists each scope of the job's accounts and reconciles it with the store."""

    def __init__(self, store: Store, settings: CloudSettings) -> None:
        self._store, self._settings = store, settings

    def targets(self, ctx: RunContext) -> list[Target]:
        """Return the scopes: each resource type in each region of each account."""
        return [
            Target(f"{name}/*", account=name, problem=problem)
            for name, problem in self._settings.problems.items()
        ] + [
            target
            for account in self._settings.accounts.values()
            if not ctx.selection.accounts or account.name in ctx.selection.accounts
            for target in self._targets_of(ctx, account)
        ]

    def _targets_of(self, ctx: RunContext, account: CloudAccount) -> list[Target]:
        name, provider = account.name, account.provider_name

        def lost(problem: SyncdError) -> list[Target]:
            return [Target(f"{name}/*", account=name, provider=provider, problem=problem)]

        if name in ctx.held:
            return lost(Authentication(f"not tried: {ctx.held[name]}"))
        try:
            with bound(account=name):
                account.check_owner(ctx)
                regions = account.open_regions(ctx)
        except Exception as error:  # noqa: BLE001 - whatever befalls an account leaves the others
            ctx.check()
            return lost(_problem(ctx, name, error))
        return [
            Target(f"{name}/{region}/{kind}", name, provider, region, kind)
            for region in regions
            for kind in self._settings.types
        ]

    def read(self, ctx: RunContext, target: Target) -> Listing:
        """List one scope, again when the list moved under way, and decide what is gone."""
        account = self._settings.accounts[str(target.account)]
        scope = Scope(account.name, str(target.region), "host")
        for attempt in range(1, _PASSES + 1):
            listing = self._open(ctx, scope)
            try:
                self._pass(ctx, account, listing)
            except ListMoved as error:
                if attempt < _PASSES:
                    listing.discard()
                    continue
                listing.doubt = str(error)
                listing.failure = Conflict(f"{error}, in each of {_PASSES} readings")
            except BaseException:
                listing.discard()
                raise
            break
        _report(ctx, listing)
        return listing

    def _open(self, ctx: RunContext, scope: Scope) -> Listing:
        """Load what the store holds of the scope."""
        columns = {"account": scope.account, "region": scope.region, "type": scope.type}
        reconcile = Reconcile(self._store, resources.RESOURCES, columns)
        with self._store.transaction(ctx.deadline, ctx.cancel) as tx:
            before = resources.last_writer(tx, scope)
        return Listing(scope, before, reconcile, reconcile.begin(ctx))

    def _pass(self, ctx: RunContext, account: CloudAccount, listing: Listing) -> None:
        """Read the list once, and look for what it lacks."""
        try:
            for page in account.provider.list(ctx, listing.scope, None):
                self._offer(ctx, listing, page.entries)
                ctx.report.progress(listing.standing.comparison.total, page.total)
                if page.nameless:
                    listing.doubt = "the list holds resources without an id"
                    listing.nameless += page.nameless
        except RegionNotOpen as error:
            if account.regions is not None:  # named by the configuration, perhaps misspelt
                raise ConfigurationError(f"the account can't use this region: {error}") from error
            listing.doubt, listing.skipped = str(error), True
            return
        if listing.standing.comparison.total == 0 and not listing.doubt:
            listing.doubt = _doubt_empty(ctx, account.provider, listing.scope)
        if not listing.doubt:
            self._conclude(ctx, account, listing)

    def _offer(self, ctx: RunContext, listing: Listing, entries: Iterable[Entry]) -> None:
        """Compare entries with the store and stage what differs; keep aside what is bad."""
        comparison = listing.standing.comparison
        differences = list(comparison.offer(entries))
        listing.bad += listing.reconcile.stage(ctx, differences)
        listing.bad += comparison.bad
        comparison.bad.clear()

    def _conclude(self, ctx: RunContext, account: CloudAccount, listing: Listing) -> None:
        """Look up by id what a complete list lacks, and plan what becomes of it.

        Some that are listed are looked up too: where not even one of those is found, the lookup
        says nothing (the permission for it may be missing or just have been taken away).
        """
        comparison = listing.standing.comparison
        unseen, witnesses = comparison.unseen(), comparison.seen(_WITNESSES)
        if not unseen:
            return
        known = account.provider.lookup(ctx, listing.scope, [*unseen, *witnesses])
        if witnesses and not any(known[key] for key in witnesses):
            listing.doubt = "a lookup by id does not find what is listed"
            return
        living = [entry for key in unseen if (entry := known[key]) is not None]
        listing.found = len(living)
        self._offer(ctx, listing, living)
        with self._store.transaction(ctx.deadline, ctx.cancel) as tx:
            approved = resources.approved_deletions(tx, listing.scope)
        listing.plan = plan_deletions(
            comparison.unseen(),
            standing=listing.standing.size,
            missing=listing.standing.missing,
            approved=approved,
            policy=self._settings.policy,
            now=listing.standing.now,
        )
        _check_owner(ctx, account, listing)

    def apply(self, tx: Transaction, ctx: RunContext, staged: Listing) -> Applied:
        """Write what differs, what is gone and what is held back; say how many of each."""
        scope, plan, comparison = staged.scope, staged.plan, staged.standing.comparison
        settings = self._settings
        resources.lock(tx, scope, staged.before)
        written = staged.reconcile.apply(
            tx,
            Write(
                run_id=ctx.run_id,
                constants={
                    "provider": settings.accounts[scope.account].provider_name,
                    "group_name": settings.group,
                },
                returned=comparison.returned,
                mark=plan.mark,
                delete=plan.delete,
            ),
        )
        resources.set_group(tx, scope, settings.group)
        resources.note_listing(
            tx, scope, ctx.run_id, complete=staged.doubt is None, lossy=staged.found > 0
        )
        if staged.doubt is None:
            resources.replace_guarded(tx, scope, ctx.job_name, ctx.run_id, plan.guarded)
        counts = Counts(
            total=comparison.total + staged.nameless,
            added=written.added + written.restored,
            updated=written.updated,
            deleted=written.deleted,
            unchanged=comparison.unchanged + written.same,
            errors=staged.errors,
        )
        return Applied(counts, staged.failure or self._failure(ctx.job_name, staged))

    def _failure(self, job: str, listing: Listing) -> SyncdError | None:
        """Return why the item fails although what it found is kept."""
        guarded = len(listing.plan.guarded)
        if guarded:
            policy = self._settings.policy
            return Guarded(
                f"{guarded} of {listing.standing.size} resources are gone, more than"
                f" max_delete_percent = {policy.max_percent:g} and max_delete_count ="
                f" {policy.max_count} allow: none of them was deleted;"
                f" `syncd approve {job}` lets them go in the next run"
            )
        if listing.errors > self._settings.max_errors:
            return BadData(f"{listing.errors} resources have bad data, more than max_errors")
        return None

    def changes(
        self, tx: Transaction, ctx: RunContext, staged: Listing, limit: int | None
    ) -> list[Change]:
        """Return the changes of the scope that this run wrote."""
        rows = staged.reconcile.changes(tx, ctx.run_id, limit)
        return [Change(change, key, name or "", fields) for change, key, name, fields in rows]


def _problem(ctx: RunContext, account: str, error: Exception) -> SyncdError:
    """Return what an account's target fails with; a bug is told with its traceback."""
    if isinstance(error, SyncdError):
        return error
    ctx.log.error("an account failed", account=account, error=describe(error), exc_info=error)
    problem = SyncdError(describe(error))
    problem.__cause__ = error
    return problem


def _check_owner(ctx: RunContext, account: CloudAccount, listing: Listing) -> None:
    """Raise Guarded where the list may be another account's: not only to delete would be wrong.

    Where the owner can't be told, a resource that stood here before tells the account too. What is
    added must not be stored either, since it would look like such a resource in the next run.
    """
    gone = len(listing.standing.comparison.unseen())
    sure = not gone or account.check_owner(ctx, again=bool(listing.plan.delete))
    if sure:
        return
    if gone < listing.standing.size:
        account.trust(ctx)
    else:
        raise Guarded(
            f"none of the {gone} resources is left, and the access key is another one, whose owner"
            " can't be told: allow GetCallerIdentity, or give another account another name"
        )


def _doubt_empty(ctx: RunContext, provider: Provider, scope: Scope) -> str | None:
    """Return why an empty answer can't be trusted, None when it can; raises Permission."""
    allowed = provider.can_list(ctx, scope)
    if allowed is False:
        raise Permission(f"the account may not list {scope.type}s in {scope.region}")
    return None if allowed else "an empty answer that could not be confirmed"


def _report(ctx: RunContext, listing: Listing) -> None:
    """Keep what is worth knowing about a listing."""
    for resource_id, error in listing.bad:
        ctx.report.error(resource_id, error)
    if listing.nameless:
        ctx.report.error("", BadData(f"{listing.nameless} resources have no id"))
    if listing.skipped:
        ctx.report.detail("skipped", listing.doubt)
        ctx.log.info("region skipped", why=listing.doubt)
    elif listing.doubt:
        ctx.report.detail("incomplete", listing.doubt)
        ctx.log.warning("no deletion: the listing is not certified", why=listing.doubt)
    if listing.found:
        ctx.report.detail("lossy", listing.found)
        ctx.log.warning("the list lacked living resources", found_by_id=listing.found)
    if listing.plan.guarded:
        ctx.report.detail("guarded", len(listing.plan.guarded))
        ctx.log.error("deletions are held back", resources=sorted(listing.plan.guarded)[:50])

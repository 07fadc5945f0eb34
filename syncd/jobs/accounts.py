"""A cloud account as a job sees it: its provider, its regions, and whether it is still the same."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from syncd.context import RunContext
from syncd.errors import BadData, Guarded
from syncd.model.diff import short_hash
from syncd.providers.base import Provider
from syncd.store import accounts
from syncd.store.database import Store, Transaction


@dataclass(frozen=True, slots=True)
class CloudAccount:
    """One enabled account of the configuration; `regions` None means all that it has opened."""

    name: str
    provider_name: str
    provider: Provider
    key_id: str
    regions: Sequence[str] | None
    excluded: Collection[str]
    store: Store

    @property
    def _key_hash(self) -> str:
        return short_hash(self.key_id.encode()).hex()

    def open_regions(self, ctx: RunContext) -> list[str]:
        """Return the regions to be listed, asking the cloud once a day."""
        named = self.regions if self.regions is not None else self._discovered(ctx)
        return sorted(set(named) - set(self.excluded))

    def _discovered(self, ctx: RunContext) -> Sequence[str]:
        with self.store.transaction(ctx.deadline, ctx.cancel) as tx:
            known = accounts.load(tx, self.name)
        if known.regions and known.regions_are_fresh(self.provider_name):
            return known.regions
        regions = self.provider.regions(ctx)
        if not regions:
            raise BadData(f"the cloud names no region for account {self.name!r}")
        with self._saving(ctx) as tx:
            accounts.save_regions(tx, self.name, self.provider_name, regions)
        return regions

    def check_owner(self, ctx: RunContext, *, again: bool = False) -> bool:
        """Tell whether the cloud's own account behind the name is surely the one it always was.

        Raises Guarded when it is another one: its listings would be complete and wrong. The cloud
        is asked once a day, and with `again`, before anything is deleted, once a run. Where it
        can't tell, the same access key is the same account, since keys never change theirs.
        """
        with self.store.transaction(ctx.deadline, ctx.cancel) as tx:
            known = accounts.load(tx, self.name)
        if known.owner_is_fresh(self._key_hash, ctx.scheduled_for if again else None):
            return True
        owner = self.provider.identity(ctx)
        if owner and known.owner_id and owner != known.owner_id:
            raise Guarded(
                f"account {self.name!r} is the cloud's account {owner} now, and was"
                f" {known.owner_id}: give another account another name"
            )
        same_key = known.key_hash in (None, self._key_hash)
        if not same_key and (owner is None or known.owner_id is None):
            return False
        with self._saving(ctx) as tx:
            accounts.save_owner(tx, self.name, self.provider_name, owner, self._key_hash)
        return True

    def trust(self, ctx: RunContext) -> None:
        """Take the account behind the access key for the remembered one: a resource proved it."""
        owner = self.provider.identity(ctx)
        with self._saving(ctx) as tx:
            accounts.save_owner(tx, self.name, self.provider_name, owner, self._key_hash)

    @contextmanager
    def _saving(self, ctx: RunContext) -> Iterator[Transaction]:
        """Give a transaction to save in what an attempt has learnt; that of a plan is rolled back.

        Raises Fenced when the attempt is over.
        """
        with self.store.transaction(ctx.deadline, ctx.cancel, rehearse=ctx.rehearsal) as tx:
            if not ctx.rehearsal:
                accounts.check_attempt(tx, ctx.run_id, ctx.attempt)
            yield tx

"""A cloud account as a job sees it: its provider, its regions, and whether it is still the same."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from syncd.context import RunContext
from syncd.errors import Guarded
from syncd.model.diff import short_hash
from syncd.providers.base import Provider
from syncd.store import accounts
from syncd.store.database import Store


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
        if known.regions and known.regions_are_fresh:
            return known.regions
        regions = self.provider.regions(ctx)
        with self.store.transaction(ctx.deadline, ctx.cancel) as tx:
            accounts.save_regions(tx, self.name, self.provider_name, regions)
        return regions

    def check_owner(self, ctx: RunContext, *, again: bool = False) -> None:
        """Raise Guarded when the cloud's own account behind the name is not the remembered one.

        Its listings would be complete and wrong. Asked once a day, when the access key is another
        one, and with `again` before anything is deleted. An owner that can't be told is no owner.
        """
        with self.store.transaction(ctx.deadline, ctx.cancel) as tx:
            known = accounts.load(tx, self.name)
        if known.owner_is_fresh(self._key_hash) and not again:
            return
        owner = self.provider.identity(ctx)
        if owner and known.owner_id and owner != known.owner_id:
            raise Guarded(
                f"account {self.name!r} is the cloud's account {owner} now, and was"
                f" {known.owner_id}: give another account another name"
            )
        with self.store.transaction(ctx.deadline, ctx.cancel) as tx:
            accounts.save_owner(tx, self.name, self.provider_name, owner, self._key_hash)

"""What was learnt of each cloud account, with its age: who owns it, and its regions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from psycopg.rows import class_row

from syncd.errors import Fenced
from syncd.model.run import RunId
from syncd.store.database import Transaction

FRESH: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is known of an account; `now` is the store's clock."""

    provider: str | None = None
    owner_id: str | None = None
    owner_at: datetime | None = None
    key_hash: str | None = None
    regions: list[str] | None = None
    regions_at: datetime | None = None
    now: datetime | None = None

    def regions_are_fresh(self, provider: str) -> bool:
        """Tell whether the list of regions is of this provider and younger than a day."""
        return self.provider == provider and _is_fresh(self.regions_at, self.now)

    def owner_is_fresh(self, key_hash: str, since: datetime | None) -> bool:
        """Tell whether the owner was asked for with the same access key: since then, or a day."""
        if self.key_hash != key_hash:
            return False
        if since is not None:
            return self.owner_at is not None and self.owner_at >= since
        return _is_fresh(self.owner_at, self.now)


def _is_fresh(moment: datetime | None, now: datetime | None) -> bool:
    return moment is not None and now is not None and now - moment < FRESH


def load(tx: Transaction, account: str) -> Knowledge:
    """Return what is known of an account."""
    cursor = tx.cursor(row_factory=class_row(Knowledge))
    row = cursor.execute(
        """select provider, owner_id, owner_at, key_hash, regions, regions_at, now()
           from syncd.account_state where account = %s""",
        (account,),
    ).fetchone()
    return row or Knowledge()


def check_attempt(tx: Transaction, run_id: RunId, attempt: int) -> None:
    """Hold an attempt for the rest of the transaction; raise Fenced when it is over.

    What it has learnt since may be old: others may have learnt better.
    """
    row = tx.execute(
        "select from syncd.run where id = %s and attempt = %s and status = 'running' for share",
        (run_id, attempt),
    ).fetchone()
    if row is None:
        raise Fenced(f"run {run_id}, attempt {attempt}: it is over")


def save_regions(tx: Transaction, account: str, provider: str, regions: Sequence[str]) -> None:
    """Remember the regions of an account."""
    tx.execute(
        """insert into syncd.account_state (account, provider, regions, regions_at)
           values (%s, %s, %s, now())
           on conflict (account) do update
           set provider = excluded.provider, regions = excluded.regions, regions_at = now()""",
        (account, provider, list(regions)),
    )


def save_owner(
    tx: Transaction, account: str, provider: str, owner_id: str | None, key_hash: str
) -> None:
    """Remember who owns an account; one that could not be told leaves what is known."""
    tx.execute(
        """insert into syncd.account_state as s (account, provider, owner_id, owner_at, key_hash)
           values (%s, %s, %s, now(), %s)
           on conflict (account) do update
           set provider = excluded.provider, owner_id = coalesce(excluded.owner_id, s.owner_id),
               owner_at = now(), key_hash = excluded.key_hash,
               regions = case when s.provider = excluded.provider then s.regions end""",
        (account, provider, owner_id, key_hash),
    )

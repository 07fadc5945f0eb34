"""The accounts whose credentials were refused, kept over restarts."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from syncd.store.database import Transaction


@dataclass(frozen=True, slots=True)
class HeldAccount:
    """An account whose credentials were refused; `fingerprint` tells whether they are the same."""

    account: str
    held_at: datetime
    reason: str
    fingerprint: str | None
    probed_at: datetime


def load(tx: Transaction) -> list[HeldAccount]:
    """Return the held accounts."""
    return (
        tx.cursor(row_factory=class_row(HeldAccount))
        .execute("select account, held_at, reason, fingerprint, probed_at from syncd.held_account")
        .fetchall()
    )


def hold(tx: Transaction, held: HeldAccount) -> None:
    """Hold an account; one that is held already stays held since then."""
    tx.execute(
        """insert into syncd.held_account as h (account, held_at, reason, fingerprint, probed_at)
           values (%s, %s, %s, %s, %s)
           on conflict (account) do update
           set reason = excluded.reason, fingerprint = excluded.fingerprint,
               probed_at = excluded.probed_at""",
        (held.account, held.held_at, held.reason, held.fingerprint, held.probed_at),
    )


def free(tx: Transaction, accounts: Collection[str]) -> None:
    """Hold some accounts no longer."""
    tx.execute("delete from syncd.held_account where account = any (%s)", (list(accounts),))


def forget_others(tx: Transaction, accounts: Collection[str]) -> None:
    """Forget the accounts that no job of the configuration in force uses."""
    tx.execute("delete from syncd.held_account where account <> all (%s)", (list(accounts),))

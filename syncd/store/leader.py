"""Leadership of the schedule: one lease on the store, whose epoch grows with each takeover.

The lease runs by the store's clock alone, so that daemons need not agree on the time. Losing it is
only noticed late by a process that was frozen; therefore every commit is fenced by the epoch too.
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

from syncd.errors import Fenced
from syncd.store.database import Store, Transaction

LEASE_SECONDS: Final = 10
RENEW_SECONDS: Final = 3.0
_PATIENCE: Final = 3.0
"""Seconds for a renewal; a store that hangs has two more (`Store.transaction`)."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run the schedule: who has it, and since which takeover."""

    holder: str
    epoch: int

    def check(self, tx: Transaction) -> None:
        """Raise Fenced, inside a transaction, when somebody else has taken over."""
        row = tx.execute(
            "select from syncd.leader where holder = %s and epoch = %s for share",
            (self.holder, self.epoch),
        ).fetchone()
        if row is None:
            raise Fenced("another daemon leads the schedule now")

    def renew(self, store: Store) -> None:
        """Extend the lease; raises Fenced when somebody else has taken over."""
        with store.transaction(limit=_PATIENCE, operation="lease") as tx:
            row = tx.execute(
                """update syncd.leader set expires_at = now() + make_interval(secs => %s)
                   where holder = %s and epoch = %s returning epoch""",
                (LEASE_SECONDS, self.holder, self.epoch),
            ).fetchone()
        if row is None:
            raise Fenced("another daemon leads the schedule now")

    def release(self, store: Store) -> None:
        """Give the lease back, so that another daemon need not wait for its end."""
        with store.transaction(limit=_PATIENCE) as tx:
            tx.execute(
                "update syncd.leader set expires_at = now() where holder = %s and epoch = %s",
                (self.holder, self.epoch),
            )


def session_of(holder: str) -> str:
    """Return a name for the connections of one process of a holder: the holder's, and its own."""
    return f"{_mark(holder)} {secrets.token_hex(4)}"


def _mark(holder: str) -> str:
    return hashlib.sha256(holder.encode()).hexdigest()[:16]


def acquire(store: Store, holder: str) -> Lease | None:
    """Take the lease if it is free or was this holder's; None while another has it.

    A holder is a state directory, whose lock this process has: an unexpired lease of the same
    holder is that of a predecessor that is dead. The connections of whoever had the lease before
    are cut, since a frozen process, or one that a network no longer reaches, may hold locks.
    """
    with store.transaction() as tx:
        before = tx.execute(
            "select holder from syncd.leader where holder = %s or expires_at < now()", (holder,)
        ).fetchone()
        if before:
            tx.execute(
                """select pg_terminate_backend(pid) from pg_stat_activity
                   where usename = current_user and pid <> pg_backend_pid()
                     and strpos(application_name, %s) > 0 and strpos(application_name, %s) = 0""",
                (_mark(before[0]), store.session or "-"),
            )
        row = tx.execute(
            """insert into syncd.leader as l (holder, epoch, acquired_at, expires_at)
               values (%(holder)s, 1, now(), now() + make_interval(secs => %(lease)s))
               on conflict (only_row) do update
               set holder = excluded.holder, epoch = l.epoch + 1, acquired_at = now(),
                   expires_at = excluded.expires_at
               where l.holder = excluded.holder or l.expires_at < now()
               returning epoch""",
            {"holder": holder, "lease": LEASE_SECONDS},
        ).fetchone()
    return Lease(holder, row[0]) if row else None


def expire(tx: Transaction) -> None:
    """End the lease of a restored store, whose holder is dead: by another clock it may last."""
    tx.execute("update syncd.leader set expires_at = now() where expires_at > now()")

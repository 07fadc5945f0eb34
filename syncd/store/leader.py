"""Leadership of the schedule: one lease on the store, whose epoch grows with each takeover.

The lease runs by the store's clock alone, so that daemons need not agree on the time. Losing it is
only noticed late by a process that was frozen; therefore every commit is fenced by the epoch too.
"""

from syncd.store.database import Store, Transaction

LEASE_SECONDS = 10
RENEW_SECONDS = 3.0

_ACQUIRE = """
    insert into syncd.leader as l (holder, epoch, acquired_at, expires_at)
    values (%(holder)s, 1, now(), now() + make_interval(secs => %(lease)s))
    on conflict (only_row) do update
    set holder = excluded.holder, epoch = l.epoch + 1, acquired_at = now(),
        expires_at = excluded.expires_at
    where l.holder = excluded.holder or l.expires_at < now()
    returning epoch"""

_RENEW = """
    update syncd.leader set expires_at = now() + make_interval(secs => %(lease)s)
    where holder = %(holder)s and epoch = %(epoch)s
    returning epoch"""

_RELEASE = """
    update syncd.leader set expires_at = now() where holder = %(holder)s and epoch = %(epoch)s"""


def acquire(store: Store, holder: str) -> int | None:
    """Take the lease if it is free or was this holder's; return its epoch, or None.

    A holder is a state directory, whose lock this process has: an unexpired lease of the same
    holder is that of a predecessor that is dead.
    """
    with store.transaction() as tx:
        row = tx.execute(_ACQUIRE, {"holder": holder, "lease": LEASE_SECONDS}).fetchone()
    return row[0] if row else None


def renew(store: Store, holder: str, epoch: int) -> bool:
    """Extend the lease; False when another daemon has taken over."""
    with store.transaction() as tx:
        arguments = {"holder": holder, "epoch": epoch, "lease": LEASE_SECONDS}
        return tx.execute(_RENEW, arguments).fetchone() is not None


def release(store: Store, holder: str, epoch: int) -> None:
    """Give the lease back, so that another daemon need not wait for its end."""
    with store.transaction() as tx:
        tx.execute(_RELEASE, {"holder": holder, "epoch": epoch})


def current_holder(store: Store) -> str | None:
    """Return who holds the lease now."""
    with store.transaction() as tx:
        row = tx.execute("select holder from syncd.leader where expires_at >= now()").fetchone()
    return row[0] if row else None


def leads(tx: Transaction, holder: str, epoch: int) -> bool:
    """Tell, inside a transaction, whether the lease is still this one's."""
    row = tx.execute(
        "select from syncd.leader where holder = %s and epoch = %s for share", (holder, epoch)
    ).fetchone()
    return row is not None

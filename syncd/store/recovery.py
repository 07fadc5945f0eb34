"""What a new leader does with the runs that its dead predecessors left behind."""

from datetime import datetime

from syncd.model.run import RunId
from syncd.store.database import Transaction
from syncd.store.runs import close_items, sum_up

_DIED = "the process that ran it died"


def recover(tx: Transaction, *, owner: str, epoch: int, local: str, now: datetime) -> list[RunId]:
    """Close what dead processes left running; return the runs.

    Those of a daemon go back to pending while they have attempts left. Those of a command line are
    over; only such of our own state directory (owner `local`) are known to be dead, by its lock.
    """
    rows = tx.execute(
        """update syncd.run r
           set status = case when d.again then 'pending' else 'failed' end,
               next_attempt_at = case when d.again then %(now)s::timestamptz end,
               finished_at = case when d.again then null else %(now)s::timestamptz end,
               error_class = 'interrupted', error = %(reason)s
           from (select id, owner not like 'cli:%%' and attempt < max_attempts as again
                 from syncd.run
                 where status = 'running' and (owner = %(local)s or owner not like 'cli:%%')
                   and (owner, owner_epoch) is distinct from (%(owner)s, %(epoch)s::bigint)
                 for update) d
           where r.id = d.id
           returning r.id""",
        {"owner": owner, "epoch": epoch, "local": local, "now": now, "reason": _DIED},
    ).fetchall()
    ids = [RunId(row[0]) for row in rows]
    close_items(tx, ids, "failed", _DIED, now)
    sum_up(tx, ids)
    return ids


def close_commands(tx: Transaction, owner: str, now: datetime) -> list[RunId]:
    """Close the runs that a killed command line of our state directory left running."""
    rows = tx.execute(
        """update syncd.run set status = 'failed', finished_at = %s, error_class = 'interrupted',
               error = %s
           where status = 'running' and owner = %s returning id""",
        (now, _DIED, owner),
    ).fetchall()
    ids = [RunId(row[0]) for row in rows]
    close_items(tx, ids, "failed", _DIED, now)
    sum_up(tx, ids)
    return ids

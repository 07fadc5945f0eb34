"""What a new leader does with the runs that its dead predecessors left behind."""

from datetime import datetime
from typing import LiteralString

from syncd.model.run import RunId
from syncd.store import http_calls
from syncd.store.database import Transaction
from syncd.store.runs import close_items, sum_up

_DIED = "the process that ran it died"
_DUMPED = "its end is not in the dump that was restored"


def recover(
    tx: Transaction, *, owner: str, epoch: int, local: str, now: datetime
) -> dict[RunId, str]:
    """Close what dead processes left running; return the runs, with their jobs.

    Those of a daemon go back to pending while they have attempts left. Those of a command line are
    over; only such of our own state directory (owner `local`) are known to be dead, by its lock.
    """
    dead = """(owner = %(local)s or owner not like 'cli:%%')
              and (owner, owner_epoch) is distinct from (%(owner)s, %(epoch)s::bigint)"""
    return _close(tx, dead, now, owner=owner, epoch=epoch, local=local)


def close_own(tx: Transaction, *, daemon: str, local: str, now: datetime) -> dict[RunId, str]:
    """Close what the killed daemon or command line of our own state directory left running.

    Its lock tells that both are dead; what other daemons run is not looked at.
    """
    return _close(tx, "owner in (%(daemon)s, %(local)s)", now, daemon=daemon, local=local)


def close_foreign(tx: Transaction, *, local: str, now: datetime) -> dict[RunId, str]:
    """Close what the command lines of other state directories ran when the store was dumped.

    Of a restored store all processes are dead; daemons' and our own are closed by the next one.
    """
    return _close(tx, "owner like 'cli:%%' and owner <> %(local)s", now, local=local)


def end_backups(tx: Transaction, now: datetime) -> None:
    """End what made the dump that was restored: a dump is made in the middle of its own run.

    To try it again, or to call it failed, would be wrong: the dump is there.
    """
    rows = tx.execute(
        """update syncd.run set status = 'cancelled', finished_at = %s, error = %s
           where status = 'running' and kind = 'backup' returning id""",
        (now, _DUMPED),
    ).fetchall()
    ids = [RunId(run_id) for (run_id,) in rows]
    close_items(tx, ids, "cancelled", _DUMPED, now)
    sum_up(tx, ids)


def _close(
    tx: Transaction, dead: LiteralString, now: datetime, **values: object
) -> dict[RunId, str]:
    """Close the running runs for which a condition holds."""
    rows = tx.execute(
        f"""update syncd.run r
            set status = case when d.again then 'pending' else 'failed' end,
                next_attempt_at = case when d.again then %(now)s::timestamptz end,
                finished_at = case when d.again then null else %(now)s::timestamptz end,
                error_class = 'interrupted', error = %(reason)s
            from (select id, owner not like 'cli:%%' and attempt < max_attempts as again
                  from syncd.run where status = 'running' and {dead} for update) d
            where r.id = d.id
            returning r.id, r.job""",  # noqa: S608 - two conditions of this module
        {"now": now, "reason": _DIED, **values},
    ).fetchall()
    jobs = {RunId(run_id): job for run_id, job in rows}
    close_items(tx, list(jobs), "failed", _DIED, now)
    http_calls.tell_unknown(tx, list(jobs))
    sum_up(tx, list(jobs))
    return jobs

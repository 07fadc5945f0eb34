"""Records how items and runs ended: in the store, or in the outbox while the store is gone."""

from typing import Final

from syncd.context import BoundLogger
from syncd.errors import TEXT_LIMIT, Fenced, StoreError, TimedOut, describe, storable
from syncd.store import items, runs
from syncd.store.database import Store, Transaction
from syncd.store.outbox import Outbox, Owed

_LIMIT: Final = 10.0
"""Seconds that a record may take; one that the store does not take in time waits in the outbox."""


class Recorder:
    """The way of a record that must not be lost; safe for threads."""

    def __init__(self, store: Store, outbox: Outbox, log: BoundLogger) -> None:
        self._store, self._outbox, self._log = store, outbox, log

    @property
    def owed(self) -> int:
        """How many records the store is owed."""
        return len(self._outbox)

    @property
    def incomplete_runs(self) -> int:
        """How many runs have a record that the store is owed."""
        return self._outbox.runs_owed()

    def record(self, owed: Owed) -> None:
        """Record an end; a record of a claim of which one is owed already waits behind it.

        Raises Fenced when the claim is void.
        """
        why = None
        if not self._outbox.owes(owed.claim):
            try:
                self._write(owed)
            except (StoreError, TimedOut) as error:
                why = error
            else:
                return
        try:
            self._outbox.add(owed)
        except StoreError as error:
            self._log.error("a record is kept in memory alone", error=describe(error))
        else:
            if why:  # told once it is safe: who reads it may kill us
                self._log.warning("a record is kept in the outbox", error=describe(why))

    def flush(self) -> None:
        """Record what is owed, oldest first; raises StoreError when the store is gone again."""
        if taken := self._outbox.flush(self._late):
            self._log.info("records of the outbox were recorded", records=taken)

    def _write(self, owed: Owed) -> None:
        """Write a record in a transaction; that it stands already is no error.

        It does when the connection broke after its commit, or when the outbox was emptied twice.
        """
        try:
            with self._store.transaction(limit=_LIMIT, operation="record") as tx:
                write(tx, owed)
        except Fenced:
            with self._store.transaction(limit=_LIMIT) as tx:
                if not _stands(tx, owed):
                    raise

    def _late(self, owed: Owed) -> None:
        """Record an owed end; one that is refused becomes an error of its run.

        Whatever refuses it: one that can't be recorded would hold up all behind it for good.
        """
        try:
            self._write(owed)
        except (StoreError, TimedOut):
            raise
        except Exception as error:  # noqa: BLE001 - kept as an error
            with self._store.transaction() as tx:
                job = _keep_refused(tx, owed, error)
            run = str(owed.claim.run_id)
            self._log.error("a record was refused", job=job, run=run, error=describe(error))


def write(tx: Transaction, owed: Owed) -> None:
    """Write a record; raises Fenced when the claim is void."""
    if owed.item:
        items.end_item(tx, owed.claim, owed.item)
    if owed.run:
        runs.end_run(tx, owed.claim, owed.run)


def _keep_refused(tx: Transaction, owed: Owed, error: Exception) -> str | None:
    """Keep a refused record as an error of its run, if the store has the run; return its job."""
    claim, end = owed.claim, owed.item or owed.run
    row = tx.execute("select job from syncd.run where id = %s", (claim.run_id,)).fetchone()
    if end is None or row is None:
        return None
    what = f"item {owed.item.item_id}" if owed.item else "run"
    said = f"{end.outcome.status} {end.outcome.error or ''}".strip()
    text = f"record refused ({describe(error)}): {what} {said}"
    refused = items.ResourceError(None, "conflict", storable(text)[:TEXT_LIMIT])
    items.add_errors(tx, claim.run_id, None, claim.attempt, [refused], end.finished_at)
    return str(row[0])


def _stands(tx: Transaction, owed: Owed) -> bool:
    """Tell whether the store has this very end, or that the item succeeded after all.

    What recovery closed in the place of a process that it took for dead has no duration.
    """
    claim = owed.claim
    if owed.item:
        query = """select from syncd.run_item where id = %s and attempt = %s
                   and (status = 'success' or status = %s and duration_seconds = %s)"""
        item = owed.item
        values = (item.item_id, claim.attempt, item.outcome.status, item.seconds)
        return tx.execute(query, values).fetchone() is not None
    if owed.run is None:
        return False
    query = """select from syncd.run where id = %s and owner = %s and owner_epoch = %s
               and attempt = %s and status = %s and duration_seconds = %s"""
    end = owed.run
    key = (claim.run_id, claim.owner, claim.epoch, claim.attempt, end.outcome.status, end.seconds)
    return tx.execute(query, key).fetchone() is not None

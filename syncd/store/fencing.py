"""Whether an attempt may still write: every commit of one asks."""

from syncd.errors import Fenced
from syncd.model.run import Claim
from syncd.store.database import Transaction


def fence(tx: Transaction, claim: Claim) -> None:
    """Hold the run for the rest of the transaction; raise Fenced when the claim is void."""
    row = tx.execute(
        """select from syncd.run where id = %s and status = 'running' and owner = %s
           and owner_epoch = %s and attempt = %s for share""",
        (claim.run_id, claim.owner, claim.epoch, claim.attempt),
    ).fetchone()
    if row is None:
        raise Fenced(f"run {claim.run_id}, attempt {claim.attempt}: no longer ours to record")

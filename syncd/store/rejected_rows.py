"""Rows that the target of a copy refused, put aside before the page without them is committed."""

from collections.abc import Sequence
from datetime import datetime

from syncd.model.copy import RejectedRow
from syncd.model.run import Claim
from syncd.store.database import Transaction
from syncd.store.fencing import fence


def put_aside(
    tx: Transaction,
    claim: Claim,
    item: str,
    relation: str,
    rows: Sequence[RejectedRow],
    now: datetime,
) -> None:
    """Keep rows; one that was refused before in the same run is kept as it is now.

    Raises Fenced when the claim is void.
    """
    fence(tx, claim)
    unique = {row.key: row for row in rows}.values()
    tx.execute(
        """insert into syncd.rejected_row (run_id, item, key, relation, error, row, rejected_at)
           select %s, %s, t.key, %s, t.error, t.row, %s
           from unnest(%s::text[], %s::text[], %s::text[]) as t (key, error, row)
           on conflict (run_id, item, key) do update
           set relation = excluded.relation, error = excluded.error, row = excluded.row,
               rejected_at = excluded.rejected_at""",
        (
            claim.run_id, item, relation, now,
            [row.key for row in unique], [row.error for row in unique],
            [row.row for row in unique],
        ),
    )  # fmt: skip

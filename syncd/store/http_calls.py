"""The records of HTTP calls: each is written before its first byte is sent, and ended after."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from syncd.errors import storable
from syncd.model.http_call import Before, Found, Sending
from syncd.model.run import Claim, RunId
from syncd.store.database import Transaction
from syncd.store.fencing import fence

_FOUND: Final = tuple(Found.__dataclass_fields__)

LOST: Final = """
    exists (select from syncd.http_call c
            where c.run_id = r.id and not c.safe and c.finished_at is null
              and not (c.outcome = 'accepted' and c.poll_url is not null)) """
"""Holds for a run `r` with a call that may have taken effect and must not be sent again."""


def before(tx: Transaction, run_id: RunId) -> dict[int, Before]:
    """Return the calls that attempts of a run have sent, each as the last one left it."""
    cursor = tx.cursor(row_factory=dict_row)
    rows = cursor.execute(
        """select distinct on (position) * from syncd.http_call where run_id = %s
           order by position, attempt desc""",
        (run_id,),
    )
    return {row["position"]: _before(row) for row in rows}


def _before(row: dict[str, Any]) -> Before:
    found = Found(**{name: row[name] for name in _FOUND})
    return Before(row["position"], row["attempt"], row["name"], row["safe"], found)


def begin(tx: Transaction, claim: Claim, sending: Sending, now: datetime) -> None:
    """Note that a call is about to be sent; raises Fenced when the claim is void."""
    fence(tx, claim)
    tx.execute(
        """insert into syncd.http_call (run_id, position, attempt, name, method, url, safe,
                                        request_sent_at)
           values (%s, %s, %s, %s, %s, %s, %s, %s)""",
        (claim.run_id, sending.position, claim.attempt, sending.name, sending.method,
         storable(sending.url), sending.safe, now),
    )  # fmt: skip


def note(tx: Transaction, claim: Claim, position: int, attempt: int, found: Found) -> None:
    """Record what became of the call that an attempt sent, this one or an earlier one.

    Raises Fenced when the claim is void.
    """
    fence(tx, claim)
    values = asdict(found) | {"saved": Jsonb(dict(found.saved))}
    columns = ", ".join(f"{name} = %({name})s" for name in _FOUND)
    tx.execute(
        f"""update syncd.http_call set {columns}
            where run_id = %(run_id)s and position = %(position)s and attempt = %(attempt)s""",  # noqa: S608 - names of columns
        values | {"run_id": claim.run_id, "position": position, "attempt": attempt},
    )


def tell_unknown(tx: Transaction, ids: Sequence[UUID]) -> None:
    """Have runs that failed otherwise say that a call of theirs has an unknown outcome.

    A process that was killed, or a thread that never came back, could not tell itself.
    """
    tx.execute(
        f"""update syncd.run r
            set error_class = 'outcome_unknown',
                error = left('a call was sent, and what came of it is not known; '
                             || coalesce(error, ''), 2000)
            where id = any (%s) and status = 'failed' and error_class <> 'outcome_unknown'
              and {LOST}""",  # noqa: S608 - a condition of this module
        (list(ids),),
    )

"""Which configurations the daemons took up, by number: a digest each, never their contents.

The numbers are of the store: no two daemons give one to different configurations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from syncd.errors import storable
from syncd.store.database import Transaction

KEPT: Final = 1000
"""Numbers that are remembered; the copies themselves are fewer."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A configuration that a daemon took up; the digests are of its meaning and of its files."""

    digest: str
    content_digest: str
    at: datetime
    by: str
    instance: str
    files: Sequence[str]


def record(tx: Transaction, accepted: Accepted, above: int) -> int:
    """Record a configuration; return its number, the next one that is also larger than `above`."""
    tx.execute("lock table syncd.config_version in share row exclusive mode")
    row = tx.execute(
        """insert into syncd.config_version
               (number, digest, content_digest, accepted_at, accepted_by, instance, files)
           select greatest(coalesce(max(number), 0), %s) + 1, %s, %s, %s, %s, %s, %s
           from syncd.config_version
           returning number""",
        (above, *_values(accepted)),
    ).fetchone()
    (number,) = row or (0,)
    tx.execute("delete from syncd.config_version where number <= %s", (number - KEPT,))
    return int(number)


def remember(tx: Transaction, number: int, accepted: Accepted) -> None:
    """Record a configuration that has its number, in a store that may not know of it."""
    tx.execute(
        """insert into syncd.config_version
               (number, digest, content_digest, accepted_at, accepted_by, instance, files)
           values (%s, %s, %s, %s, %s, %s, %s)
           on conflict (number) do nothing""",
        (number, *_values(accepted)),
    )


def _values(accepted: Accepted) -> tuple[object, ...]:
    return (
        accepted.digest,
        accepted.content_digest,
        accepted.at,
        storable(accepted.by),
        accepted.instance,
        [storable(name) for name in accepted.files],
    )

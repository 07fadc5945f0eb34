"""Keeps what is known of an item while it runs: of one that is killed nobody tells any more."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from syncd.context import Clock, RunContext
from syncd.errors import Fenced, SyncdError, describe
from syncd.store import items
from syncd.store.database import Store

_LIMIT: Final = 2.0  # seconds that the store may take for it
_SPARED: Final = 30
"""So many times as long as the store took it is left in peace: the item need not wait for it."""


@dataclass(slots=True)
class Meanwhile:
    """Writes the details of an item that runs into its record."""

    store: Store
    ctx: RunContext
    clock: Clock
    item_id: int
    due: float = 0.0
    """From when on the next ones are written, of the monotonic clock."""

    def __call__(self, details: Mapping[str, Any]) -> None:
        """Write details, unless some were written just now; raises Fenced.

        That the store is out of reach does not end the item, whose end waits in the outbox then.
        """
        began = self.clock.monotonic()
        if began < self.due:
            return
        ctx = self.ctx
        try:
            with self.store.transaction(ctx.deadline, ctx.cancel, limit=_LIMIT) as tx:
                items.keep_details(tx, ctx.claim, self.item_id, details)
        except Fenced:
            raise
        except SyncdError as error:
            ctx.check()
            ctx.log.debug("how far the item is was not recorded", error=describe(error))
        ended = self.clock.monotonic()
        self.due = ended + _SPARED * (ended - began)

"""Keeps the record of one HTTP call: before it is sent, and as soon as more is known."""

from dataclasses import dataclass, field, replace
from typing import Final

from syncd.context import Clock, Deadline, RunContext
from syncd.errors import BadData, StoreError, TimedOut, describe, storable
from syncd.model.http_call import Before, Found, Sending
from syncd.store import http_calls
from syncd.store.database import Store

_LIMIT: Final = 10.0  # seconds for one try to record
_PATIENCE: Final = 30.0
"""Seconds for which a store that is away is tried: what is not recorded is not known later."""
_PAUSE: Final = 0.5


@dataclass(slots=True)
class Journal:
    """The record of a call; `found` is what is known of it."""

    store: Store
    ctx: RunContext
    clock: Clock
    position: int
    attempt: int
    found: Found = field(default_factory=Found)

    @classmethod
    def of(cls, store: Store, ctx: RunContext, clock: Clock, before: Before) -> "Journal":
        """Return the record of a call that an earlier attempt has sent, to go on with it."""
        return cls(store, ctx, clock, before.position, before.attempt, before.found)

    def begin(self, sending: Sending) -> None:
        """Record that a call is about to be sent; raises Fenced, and what else keeps it back."""
        with self.store.transaction(self.ctx.deadline, self.ctx.cancel, operation="record") as tx:
            http_calls.begin(tx, self.ctx.claim, sending, self.clock.now())

    def note(self, **changes: object) -> None:
        """Record what has become known; neither a cancel nor the run's deadline keeps it back.

        Raises Fenced when the attempt is over, StoreError or TimedOut when the store stays away.
        """
        self.found = replace(self.found, **changes)  # type: ignore[arg-type]
        try:
            self._write(_storable(self.found))
        except BadData as error:
            self.ctx.log.warning("an answer can't be recorded as it came", error=describe(error))
            self._write(_storable(replace(self.found, answer=None, request_id=None, saved={})))

    def _write(self, found: Found) -> None:
        until = Deadline.after(_PATIENCE)
        while True:
            try:
                with self.store.transaction(limit=_LIMIT, operation="record") as tx:
                    http_calls.note(tx, self.ctx.claim, self.position, self.attempt, found)
            except (StoreError, TimedOut) as error:
                if self.ctx.cancel.is_set() or until.remaining() <= 0:
                    raise
                self.ctx.log.warning("a call is not recorded yet", error=describe(error))
                self.ctx.cancel.wait(_PAUSE)
            else:
                return


def _storable(found: Found) -> Found:
    """Return what PostgreSQL can hold."""

    def clean(text: str | None) -> str | None:
        return None if text is None else storable(text)

    saved = {name: storable(value) for name, value in found.saved.items()}
    return replace(
        found, request_id=clean(found.request_id), answer=clean(found.answer), saved=saved,
        poll_url=clean(found.poll_url), error=clean(found.error),
    )  # fmt: skip

"""Keeps the record of one HTTP call: before it is sent, and as soon as more is known of it.

What becomes known is told in the log too, a line for each call.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from syncd.calls.base import Answer
from syncd.calls.masked import KEPT, recorded, request_id
from syncd.config.http import Call
from syncd.context import Clock, Deadline, RunContext
from syncd.errors import (
    BadData,
    Conflict,
    Fenced,
    StoreError,
    SyncdError,
    TimedOut,
    describe,
    error_class,
)
from syncd.http_call import Trace
from syncd.model.http_call import Before, Found, Sending, storable_found
from syncd.store import http_calls
from syncd.store.database import Store

_LIMIT: Final = 10.0  # seconds for one try to record
_PATIENCE: Final = 30.0
"""Seconds for which a store that is away is tried: what is not recorded is not known later."""
_PAUSE: Final = 0.5


def call_name(call: Call, position: int) -> str:
    """Return what the records call a call."""
    return call.name or f"call-{position}"


@dataclass(slots=True)
class Journal:
    """The record of a call that `attempt` has sent or sends; `found` is what is known of it.

    `url` is the call's as it may be shown, `began` is of the monotonic clock.
    """

    store: Store
    ctx: RunContext
    clock: Clock
    call: Call
    position: int
    attempt: int
    began: float
    url: str = ""
    found: Found = field(default_factory=Found)

    @property
    def name(self) -> str:
        """Return what the records call it."""
        return call_name(self.call, self.position)

    @property
    def masked(self) -> frozenset[str]:
        """Return the names whose values are not recorded, beside those known as secrets."""
        return frozenset(name.lower() for name in self.call.request.mask)

    def resume(self, before: Before, url: str) -> None:
        """Go on with the record of an earlier attempt."""
        self.attempt, self.found, self.url = before.attempt, before.found, url
        self.began -= before.found.total_seconds or 0.0

    def begin(self, method: str, url: str, *, safe: bool) -> None:
        """Record that a call is about to be sent; raises Fenced, and what else keeps it back."""
        self.url = url
        sending, ctx = Sending(self.position, self.name, method, url, safe), self.ctx
        try:
            with self.store.transaction(ctx.deadline, ctx.cancel, operation="record") as tx:
                http_calls.begin(tx, ctx.claim, sending, self.clock.now())
        except Conflict:  # fenced, or a record that is there is another's
            raise
        except SyncdError as error:
            self._withdraw(error)
            raise

    def _withdraw(self, error: SyncdError) -> None:
        """Record that nothing was sent: a commit that nobody confirmed may have come about."""
        found = replace(
            self.found, outcome="failed", finished_at=self.clock.now(),
            error_class=error_class(error), error=describe(error),
        )  # fmt: skip
        with (
            suppress(SyncdError),
            self.store.transaction(limit=_LIMIT, operation="record") as tx,
        ):
            http_calls.note(tx, self.ctx.claim, self.position, self.attempt, found)

    def accepted(self, answer: Answer, poll_url: str | None, saved: Mapping[str, str]) -> None:
        """Record that it is under way elsewhere, and where its status is told."""
        self._note(
            outcome="accepted", answered_at=self.clock.now(), poll_url=poll_url, saved=saved,
            **self._told(answer),
        )  # fmt: skip
        self._log("call accepted")

    def succeeded(self, answer: Answer, saved: Mapping[str, str]) -> None:
        """Record its end."""
        now = self.clock.now()
        self._note(
            outcome="success", answered_at=self.found.answered_at or now, finished_at=now,
            saved=saved, error_class=None, error=None, **self._told(answer),
        )  # fmt: skip
        self._log("call ended", outcome="success")

    def failed(self, error: SyncdError, *, over: bool, heard: bool = False) -> None:
        """Record a failure: that of a call that is `over`, or one that leaves its end open.

        `heard` tells that it was answered. A store that is away must not hide why it failed.
        Raises Fenced.
        """
        now = self.clock.now()
        known: dict[str, Any] = {"error_class": error_class(error), "error": describe(error)}
        known |= {"outcome": "failed", "finished_at": now} if over else {}
        known |= {"answered_at": now} if heard else {}
        try:
            self._note(**known)
        except Fenced:
            raise
        except SyncdError as lost:
            self.ctx.log.warning("how a call failed is not recorded", error=describe(lost))
        self._log("call ended", outcome="failed" if over else "unknown")

    def tell(
        self, *, answer: Answer | None = None, trace: Trace | None = None, **counts: int
    ) -> None:
        """Take note of what the next record will say: an answer, or how far it came without."""
        known: dict[str, Any] = dict(counts)
        if answer is not None:
            known |= self._told(answer)
        elif trace is not None:
            known |= self._times(trace.connect, trace.first_byte)
        self.found = replace(self.found, **known)

    def _told(self, answer: Answer) -> dict[str, Any]:
        times = answer.times
        return {
            "status": answer.status,
            "request_id": request_id(answer.headers),
            "answer": recorded(answer, self.masked),
            "answer_cut": answer.cut or len(answer.body) > KEPT,
            **self._times(times.connect, times.first_byte),
        }

    def _times(self, connect: float | None, first_byte: float | None) -> dict[str, Any]:
        return {
            "connect_seconds": connect,
            "first_byte_seconds": first_byte,
            "total_seconds": self._seconds(),
        }

    def _seconds(self) -> float:
        return self.clock.monotonic() - self.began

    def _log(self, event: str, **more: object) -> None:
        self.ctx.log.info(
            event, call=self.name, method=self.call.request.method, url=self.url,
            status=self.found.status, seconds=round(self._seconds(), 3), **more,
        )  # fmt: skip

    def _note(self, **known: Any) -> None:  # noqa: ANN401 - the fields of `Found`
        """Record what has become known; neither a cancel nor the run's deadline keeps it back.

        Raises Fenced when the attempt is over, StoreError or TimedOut when the store stays away.
        """
        self.found = replace(self.found, **known)
        try:
            self._write(storable_found(self.found))
        except BadData as error:
            self.ctx.log.warning("an answer can't be recorded as it came", error=describe(error))
            self._write(storable_found(replace(self.found, answer=None, request_id=None)))

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

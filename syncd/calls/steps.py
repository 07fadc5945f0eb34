"""Does one call of a run: sends it, or goes on with what an earlier attempt has sent.

The record is there before the first byte leaves, and what becomes known is recorded at once, so
that a further attempt, after a crash too, knows what may still be done. What must be sent once and
may have taken effect unheard ends as OutcomeUnknown: nobody but a person can tell.
"""

from dataclasses import dataclass, field
from typing import Final

from syncd.calls.base import Answer, Composed
from syncd.calls.compose import compose
from syncd.calls.expectations import judge, met
from syncd.calls.following import Following, Values, all_saved, unknown, what_is_there
from syncd.calls.journal import Journal
from syncd.calls.masked import public_url
from syncd.calls.polling import is_accepted, status_url
from syncd.calls.sending import Line, Means, Sender
from syncd.config.http import Call, Poll
from syncd.context import Clock, RunContext
from syncd.errors import (
    Cancelled,
    Interrupted,
    OutcomeUnknown,
    SyncdError,
    Unexpected,
    final,
)
from syncd.model.http_call import Before, next_step
from syncd.store.database import Store

_GATEWAY: Final = (502, 504)
"""Statuses by which a gateway says that it does not know what the server behind it has done."""


def call_key(ctx: RunContext, position: int) -> str:
    """Return the key by which a server knows a call again, the same in all attempts of a run."""
    return str(ctx.run_id) if position == 1 else f"{ctx.run_id}-{position}"


@dataclass(slots=True)
class Step:
    """One call of the job in one attempt of a run."""

    ctx: RunContext
    store: Store
    means: Means
    clock: Clock
    call: Call
    position: int
    values: Values
    """What may stand for the names in the call."""
    line: Line = field(init=False)
    journal: Journal = field(init=False)

    def __post_init__(self) -> None:
        ctx, began = self.ctx, self.clock.monotonic()
        self.line = Line(ctx, self.means, fresh=True)
        self.journal = Journal(
            self.store, ctx, self.clock, self.call, self.position, ctx.attempt, began
        )

    def do(self, before: Before | None) -> Values:
        """Return what later calls may take from the answer.

        Raises OutcomeUnknown when it may have taken effect and must not be sent again, and what
        else it ends with: final where it must not be repeated.
        """
        name, safe = self.journal.name, self.call.request.safe_to_repeat
        step = next_step(self.position, name, safe, before)
        if before is None or step == "send":
            return self._send()
        if step == "skip":
            self.ctx.log.info("call done before", call=name, attempt=before.attempt)
            return before.found.saved
        url = str(before.found.poll_url)
        self.journal.resume(before, public_url(url))
        return Following(self.journal, self.means, self.values).end(url)

    def _send(self) -> Values:
        composed, journal = self._composed(), self.journal
        sender = Sender(self.line, journal.name, composed, self.clock)
        sender.log_in()  # what fails before the record has not been sent for sure
        shown = public_url(composed.url, composed.masked)
        journal.begin(composed.method, shown, safe=composed.safe)
        try:
            answer = sender.answered(self._judge)
            url, values = self._read(answer)
        except SyncdError as error:
            raise self._failed(sender, error) from error
        journal.tell(tries=self.line.requests)
        if url is None:
            journal.succeeded(answer, values)
            return values
        hides = public_url(url, composed.masked) != url  # then it is in no record
        journal.accepted(answer, None if hides else url, values)
        return Following(journal, self.means, self.values).end(url)

    def _composed(self) -> Composed:
        key = call_key(self.ctx, self.position)
        return compose(self.call.request, self.values, key=key, now=self.clock.now())

    def _judge(self, answer: Answer) -> None:
        """Raise for an answer that is not what must come back, or that says it is not yet over."""
        poll, expect, now = self.call.poll or Poll(), self.call.expect, self.clock.now()
        masked = self.journal.masked
        if not is_accepted(self.call, answer):
            judge(expect, answer, now, masked)
            return
        if poll.until is not None:  # else the expectation is about the end
            codes = (*expect.status, 202) if expect.status else ()
            judge(expect.model_copy(update={"status": codes}), answer, now, masked)
        if poll.failed is not None and met(poll.failed, answer, now):
            raise Unexpected("its answer says that it failed")

    def _read(self, answer: Answer) -> tuple[str | None, Values]:
        """Return the status URL of what was accepted, if it was, and what is to be saved.

        Of that the first answer may lack what the last one has. Raises Unexpected.
        """
        if not is_accepted(self.call, answer):
            return None, all_saved(self.call, answer, {})
        values = what_is_there(self.call, answer)
        return status_url(self.call, answer, {**self.values, **values}), values

    def _failed(self, sender: Sender, error: SyncdError) -> SyncdError:
        """Record how a call failed that was sent or was about to be; return what to raise."""
        line, meant = self.line, self._meaning(sender, error)
        broken_off = line.left and isinstance(error, Interrupted)
        over = not broken_off and not isinstance(meant, OutcomeUnknown)
        self.journal.tell(answer=line.answer, trace=line.trace, tries=self.line.requests)
        self.journal.failed(meant, over=over, heard=line.heard)
        return meant

    def _meaning(self, sender: Sender, error: SyncdError) -> SyncdError:
        """Return what an error means for a call that must not be sent twice, or the error."""
        if sender.composed.safe:
            return error
        if self.line.left:
            return error if isinstance(error, Cancelled) else unknown(error)
        answer = self.line.answer
        if answer is not None and answer.status in _GATEWAY:
            return unknown(error)
        return error if sender.harmless else final(error)

"""Does one call of a run: sends it, or goes on with what an earlier attempt has sent.

The record is there before the first byte leaves, and what becomes known is recorded at once, so
that a further attempt, after a crash too, knows what may still be done. What must be sent once and
may have taken effect unheard ends as OutcomeUnknown: nobody but a person can tell.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from syncd.calls.base import Answer
from syncd.calls.compose import compose
from syncd.calls.expectations import judge, met, saved
from syncd.calls.journal import Journal
from syncd.calls.masked import KEPT, public_url, recorded, request_id
from syncd.calls.polling import Follower, end_of, is_accepted, masked_names, status_url
from syncd.calls.sending import Line, Means, Sender
from syncd.config.http import Call, Poll
from syncd.context import Clock, RunContext
from syncd.errors import (
    Cancelled,
    Fenced,
    Guarded,
    Interrupted,
    OutcomeUnknown,
    SyncdError,
    TimedOut,
    Unexpected,
    describe,
    error_class,
    final,
)
from syncd.model.http_call import Before, Sending, next_step
from syncd.store.database import Store

Values = Mapping[str, str]
_GATEWAY: Final = (502, 504)
"""Statuses by which a gateway says that it does not know what the server behind it has done."""


def call_name(call: Call, position: int) -> str:
    """Return what the records call a call."""
    return call.name or f"call-{position}"


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
    url: str = ""
    began: float = 0.0
    line: Line = field(init=False)
    journal: Journal = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock.monotonic()
        self.line = Line(self.ctx, self.means, fresh=True)
        self.journal = Journal(self.store, self.ctx, self.clock, self.position, self.ctx.attempt)

    @property
    def name(self) -> str:
        """Return what the records call it."""
        return call_name(self.call, self.position)

    @property
    def masked(self) -> frozenset[str]:
        """Return the names whose values are not recorded, beside those known as secrets."""
        return masked_names(self.call)

    def do(self, before: Before | None) -> Values:
        """Return what later calls may take from the answer.

        Raises OutcomeUnknown when it may have taken effect and must not be sent again, and what
        else it ends with: final where it must not be repeated.
        """
        safe = self.call.request.safe_to_repeat
        step = next_step(self.position, self.name, safe, before)
        if before is not None and step != "send":
            self.journal = Journal.of(self.store, self.ctx, self.clock, before)
            if step == "skip":
                self.ctx.log.info("call done before", call=self.name, attempt=before.attempt)
                return before.found.saved
            url = str(before.found.poll_url)
            self.url, self.began = public_url(url), self.began - (before.found.total_seconds or 0)
            return self._follow(url)
        return self._send()

    # Sending

    def _send(self) -> Values:
        ctx, call = self.ctx, self.call
        key = call_key(ctx, self.position)
        try:
            composed = compose(call.request, self.values, key=key, now=self.clock.now())
        except KeyError as error:  # an attempt before saved it under another name
            raise Guarded(f"no value of {error}: the job was changed under its run") from error
        self.url = public_url(composed.url, composed.masked)
        sender = Sender(self.line, self.name, composed)
        sender.log_in()  # what fails before the record has not been sent for sure
        self.journal.begin(
            Sending(self.position, self.name, composed.method, self.url, composed.safe)
        )
        try:
            answer = sender.answered(self._judge)
            url, values = self._read(answer)
        except SyncdError as error:
            raise self._failed(sender, error) from error
        if url is None:
            return self._succeeded(answer, values, tries=sender.tries)
        kept = url if public_url(url, composed.masked) == url else None  # no record of a secret
        self.journal.note(
            outcome="accepted", answered_at=self.clock.now(), tries=sender.tries, poll_url=kept,
            saved=values, **self._told(answer),
        )  # fmt: skip
        self._log("call accepted", answer.status)
        return self._follow(url)

    def _judge(self, answer: Answer) -> None:
        """Raise for an answer that is not what must come back, or that says it is not yet over."""
        poll, expect, now = self.call.poll or Poll(), self.call.expect, self.clock.now()
        if not is_accepted(self.call, answer):
            judge(expect, answer, now, self.masked)
            return
        if poll.until is not None:  # else the expectation is about the end
            codes = (*expect.status, 202) if expect.status else ()
            judge(expect.model_copy(update={"status": codes}), answer, now, self.masked)
        if poll.failed is not None and met(poll.failed, answer, now):
            raise Unexpected("its answer says that it failed")

    def _read(self, answer: Answer) -> tuple[str | None, Values]:
        """Return the status URL of what was accepted, if it was, and what is to be saved.

        Of that the first answer may lack what the last one has. Raises Unexpected.
        """
        if not is_accepted(self.call, answer):
            return None, self._saved(answer)
        values = self._saved_so_far(answer)
        return status_url(self.call, answer, {**self.values, **values}), values

    def _saved(self, answer: Answer) -> Values:
        """Return what is to be saved, rather of this answer than of the one before it."""
        values = {**self.journal.found.saved, **self._saved_so_far(answer)}
        missing = {name: path for name, path in self.call.save.items() if name not in values}
        return {**values, **saved(missing, answer)}

    def _saved_so_far(self, answer: Answer) -> Values:
        found: dict[str, str] = {}
        for name, path in self.call.save.items():
            with suppress(SyncdError):
                found |= saved({name: path}, answer)
        return found

    def _succeeded(self, answer: Answer, values: Values, **known: object) -> Values:
        """Record the end; return what later calls take from it."""
        now = self.clock.now()
        self.journal.note(
            outcome="success", answered_at=self.journal.found.answered_at or now, finished_at=now,
            saved=values, error_class=None, error=None, **self._told(answer), **known,
        )  # fmt: skip
        self._log("call ended", answer.status, outcome="success")
        return values

    # Following

    def _follow(self, url: str) -> Values:
        """Follow what was accepted to its end."""
        poll, ctx = self.call.poll or Poll(), self.ctx
        if poll.timeout is not None:
            ctx = replace(ctx, deadline=ctx.deadline.sooner(self._time_left(poll.timeout)))
        line = Line(ctx, self.means, fresh=False)
        follower = Follower(
            line, self.call, url, self.values, self.clock, self.journal.found.polls
        )  # fmt: skip
        try:
            answer = follower.done()
            if poll.until is None:
                judge(end_of(self.call), answer, self.clock.now(), self.masked)
            values = self._saved(answer)
        except SyncdError as error:
            raise self._lost_sight(follower, error) from error
        return self._succeeded(answer, values, polls=follower.polls)

    def _time_left(self, limit: timedelta) -> float:
        """Return the seconds left of the wait; a clock that was set back makes it no longer."""
        since = self.journal.found.answered_at or self.clock.now()
        waited = max(self.clock.now() - since, timedelta(0))
        return (limit - waited).total_seconds()

    def _lost_sight(self, follower: Follower, error: SyncdError) -> SyncdError:
        """Record why it is not followed further, and return what to raise.

        It goes on elsewhere: as long as its end may still be seen, a later attempt follows it.
        """
        over = isinstance(error, Unexpected)
        if isinstance(error, TimedOut):
            over = follower.line.ctx.deadline.at < self.ctx.deadline.at
            text = "accepted, and not done in time" if over else "accepted, and not done yet"
            error = TimedOut(f"{text}{follower.state}")
        if not self.call.request.safe_to_repeat:
            kept = self.journal.found.poll_url is not None
            if over:
                error = final(error)
            elif not kept and not isinstance(error, Cancelled):
                error = self._unknown(error)
        self._note_failure(error, over=over, polls=follower.polls)
        return error

    # Failing

    def _failed(self, sender: Sender, error: SyncdError) -> SyncdError:
        """Record how a call failed that was sent or was about to be; return what to raise."""
        line, answer = self.line, self.line.answer
        meant = self._meaning(sender, error)
        open_ = line.left and isinstance(error, Interrupted)
        unended = open_ or isinstance(meant, OutcomeUnknown)
        told = self._told(answer) if answer else self._times()
        if line.heard:
            told["answered_at"] = self.clock.now()
        self._note_failure(meant, over=not unended, tries=sender.tries, **told)
        return meant

    def _meaning(self, sender: Sender, error: SyncdError) -> SyncdError:
        """Return what an error means for a call that must not be sent twice, or the error."""
        if sender.composed.safe:
            return error
        if self.line.left:
            return error if isinstance(error, Cancelled) else self._unknown(error)
        answer = self.line.answer
        if answer is not None and answer.status in _GATEWAY:
            return self._unknown(error)
        return error if sender.harmless else final(error)

    def _unknown(self, error: SyncdError) -> OutcomeUnknown:
        return OutcomeUnknown(f"{describe(error)}; it may have taken effect, and is not sent again")

    def _note_failure(self, error: SyncdError, *, over: bool, **known: object) -> None:
        """Record a failure; a store that is away must not hide why it failed."""
        ended = {"outcome": "failed", "finished_at": self.clock.now()} if over else {}
        try:
            self.journal.note(
                error_class=error_class(error), error=describe(error), **ended, **known
            )
        except Fenced:
            raise
        except SyncdError as lost:
            self.ctx.log.warning("how a call failed is not recorded", error=describe(lost))
        status = self.journal.found.status
        self._log("call ended", status, outcome="failed" if over else "unknown")

    # Telling

    def _told(self, answer: Answer) -> dict[str, object]:
        """Return what of an answer is recorded."""
        return {
            "status": answer.status,
            "request_id": request_id(answer.headers),
            "answer": recorded(answer, self.masked),
            "answer_cut": answer.cut or len(answer.body) > KEPT,
            "connect_seconds": answer.times.connect,
            "first_byte_seconds": answer.times.first_byte,
            "total_seconds": self._seconds(),
        }

    def _times(self) -> dict[str, object]:
        """Return how long what was not answered took."""
        trace = self.line.trace
        return {
            "connect_seconds": trace.connect,
            "first_byte_seconds": trace.first_byte,
            "total_seconds": self._seconds(),
        }

    def _seconds(self) -> float:
        return self.clock.monotonic() - self.began

    def _log(self, event: str, status: int | None, **more: object) -> None:
        self.ctx.log.info(
            event, call=self.name, method=self.call.request.method, url=self.url, status=status,
            seconds=round(self._seconds(), 3), **more,
        )  # fmt: skip

"""Follows a call that was accepted (202) to its end, by asking where the server says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from syncd.calls import expectations
from syncd.calls.base import Answer
from syncd.calls.compose import compose_poll, filled_url
from syncd.calls.expectations import judge, met, saved
from syncd.calls.sending import TRANSIENT, Line
from syncd.config.http import Call, Expect, Poll
from syncd.config.templates import names
from syncd.context import Clock
from syncd.errors import SyncdError, Unexpected, describe, retry_after
from syncd.http_client import resolved

_ANY: Final = Expect()


def is_accepted(call: Call, answer: Answer) -> bool:
    """Tell whether an answer is followed: 202, where a status URL is there or must be.

    Without `poll`, one whose 202 is expected, or comes without Location, is the end itself.
    """
    if answer.status != 202:
        return False
    if call.poll is not None:
        return True
    return 202 not in call.expect.status and bool(answer.headers.get("Location"))


def end_of(call: Call) -> Expect:
    """Return what the last status must be, where `until` does not say when it is done."""
    if 202 in call.expect.status:  # that was said of the first answer
        return call.expect.model_copy(update={"status": ()})
    return call.expect


def status_url(call: Call, answer: Answer, values: Mapping[str, str]) -> str:
    """Return where the status of what was accepted is asked for; raises Unexpected for nowhere."""
    poll = call.poll or Poll()
    if poll.url is not None:
        missing = set(names(poll.url)) - values.keys()
        own = {name: path for name, path in call.save.items() if name in missing}
        return filled_url(poll.url, {**values, **saved(own, answer)})
    if poll.path is not None:
        where = saved({"status": poll.path}, answer)["status"]
    else:
        where = answer.headers.get("Location") or ""
    if not where:
        raise Unexpected("status 202 came without the URL of a status (Location)")
    try:
        return resolved(answer.url, where)
    except ValueError as error:
        raise Unexpected(f"status 202 came with a status URL that {error}") from error


@dataclass(slots=True)
class Poller:
    """Asks for a status until it says that what was accepted is done, or has failed."""

    line: Line
    call: Call
    url: str
    values: Mapping[str, str]
    clock: Clock
    masked: frozenset[str]
    polls: int = 0
    last: str = ""

    def done(self) -> Answer:
        """Return the status that tells of the end.

        Raises Unexpected when it failed or the status can't be had, TimedOut when the time of the
        line's context is over, and what a request ends with that is not worth repeating.
        """
        every = (self.call.poll or Poll()).every.total_seconds()
        pause = every
        while True:
            self.line.ctx.pause(pause)
            try:
                answer, over = self._ask()
                if over:
                    return answer
                pause = expectations.retry_after(answer, self.clock.now()) or every
            except TRANSIENT as error:
                self._bear(error)
                pause = max(every, retry_after(error))

    def _ask(self) -> tuple[Answer, bool]:
        """Return a status, and whether it tells of the end."""
        self.polls += 1
        look = compose_poll(self.call.request, self.url, self.values, now=self.clock.now())
        return self.line.send(look, lambda answer: (answer, self._is_over(answer)))

    def _is_over(self, answer: Answer) -> bool:
        """Tell whether it is done; raises Unexpected when it failed, and what a status means."""
        poll = self.call.poll or Poll()
        now = self.clock.now()
        if poll.failed is not None and met(poll.failed, answer, now):
            raise Unexpected("its status says that it failed")
        if poll.until is not None:
            try:
                judge(poll.until, answer, now, self.masked)
            except SyncdError as error:
                self.last = describe(error)
            else:
                return True
        if answer.status == 202:
            return False
        judge(_ANY, answer, now, self.masked)
        return poll.until is None

    @property
    def state(self) -> str:
        """Say what the last look brought, to whoever can't wait any longer."""
        return f"; at last: {self.last}" if self.last else ""

    def _bear(self, error: SyncdError) -> None:
        """Go on after an error that may pass; raise it when that was the run's time limit."""
        ctx = self.line.ctx
        ctx.check()
        self.last = describe(error)
        ctx.log.debug("a status was not told", error=self.last)

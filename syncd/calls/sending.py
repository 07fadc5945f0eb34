"""Sends a request with its token, as often as that does no harm, and knows whether it has left."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TypeVar

from syncd.calls.base import Answer, Composed, Credential
from syncd.calls.clients import Clients
from syncd.calls.exchange import Limits, exchange
from syncd.calls.signing import signed_at
from syncd.calls.tokens import JobTokens
from syncd.context import Clock, RunContext
from syncd.errors import (
    Authentication,
    ConfigurationError,
    Network,
    Permission,
    SyncdError,
    Throttled,
    TimedOut,
    Unexpected,
    retry_after,
)
from syncd.http_call import Trace
from syncd.model.backoff import full_jitter

T = TypeVar("T")

_TRIES: Final = 3
_BASE: Final = 0.5  # seconds
_CAP: Final = 8.0
_LONGEST: Final = 60.0
"""Seconds that an attempt waits as a server asks; what asks for more waits for the next attempt."""
TRANSIENT: Final = (Network, Throttled, TimedOut)
"""What may be otherwise a moment later."""
_OF_AN_ANSWER: Final = (Unexpected, Permission, ConfigurationError)
"""What `exchange` raises of redirects that it does not follow."""


@dataclass(frozen=True, slots=True)
class Means:
    """What the calls of a job are made with; `timeout` is in seconds, for one request.

    `observe` hears of each request: its outcome, `ok` or an error class, and its seconds.
    """

    clients: Clients
    tokens: JobTokens
    allow_hosts: Sequence[str]
    timeout: float
    observe: Callable[[str, float], None]


class _TokenRefused(Authentication):
    """A request was answered 401, and there may be a better token."""


@dataclass(slots=True)
class Line:
    """Where requests of one call go: sends them one by one, and knows what became of the last.

    Requests on a `fresh` connection can't meet one that the server has closed, which would look
    like a lost answer.
    """

    ctx: RunContext
    means: Means
    fresh: bool
    credential: Credential | None = None
    answer: Answer | None = None
    trace: Trace = field(default_factory=Trace)
    left: bool = False
    """It may have left, and no answer came."""
    requests: int = 0
    """How many it has sent, or was about to."""

    @property
    def heard(self) -> bool:
        """Tell whether an answer came, if only a redirect that is not followed.

        One whose token was refused (401) does not count: the request was not looked at.
        """
        return self.trace.sent and not self.left and not self.refused

    @property
    def refused(self) -> bool:
        """Tell whether the request itself was answered 401.

        A POST that is redirected to its result has taken effect, whatever is said there.
        """
        return self.answer is not None and self.answer.status == 401 and not self.answer.elsewhere

    def log_in(self, composed: Composed) -> None:
        """Have the token that a request carries, if it carries one; raises as `JobTokens.get`."""
        if composed.token is not None:
            self.credential = self.means.tokens.get(composed.token, self.ctx)

    def send(self, composed: Composed, read: Callable[[Answer], T]) -> T:
        """Send a request once; where its token is refused (401), once more with another one.

        Returns, and raises, what `read` makes of the answer; raises as `exchange` does.
        """
        self.log_in(composed)
        if composed.token is None or self.credential is None:
            return self._observed(composed, read)

        def unless_refused(answer: Answer) -> T:
            if self.refused:
                raise _TokenRefused
            return read(answer)

        with suppress(_TokenRefused):
            return self._observed(composed, unless_refused)
        self.credential = self.means.tokens.renew(composed.token, self.credential, self.ctx)
        return self._observed(composed, read)

    def _observed(self, composed: Composed, read: Callable[[Answer], T]) -> T:
        """Send a request, read its answer, and count that."""
        began, outcome = time.monotonic(), "internal"
        try:
            found = read(self._exchange(composed))
            outcome = "ok"
        except SyncdError as error:
            outcome = error.error_class
            raise
        finally:
            self.means.observe(outcome, time.monotonic() - began)
        return found

    def _exchange(self, composed: Composed) -> Answer:
        ctx, means = self.ctx, self.means
        self.answer, self.trace, self.left = None, Trace(), False
        self.requests += 1
        try:
            self.answer = exchange(
                means.clients, composed, self.credential,
                Limits(ctx.deadline, ctx.cancel, means.timeout), means.allow_hosts, self.trace,
                fresh=self.fresh,
            )  # fmt: skip
        except _OF_AN_ANSWER:
            raise
        except BaseException:
            self.left = self.trace.sent
            raise
        return self.answer


@dataclass(slots=True)
class Sender:
    """Sends one request until there is an answer that counts; `tries` is how often it began to."""

    line: Line
    name: str
    composed: Composed
    clock: Clock
    tries: int = 0

    def log_in(self) -> None:
        """Have the token that the request carries, before anything of it is sent."""
        self._patiently(lambda: self.line.log_in(self.composed))

    def answered(self, judge: Callable[[Answer], None]) -> Answer:
        """Return the answer that `judge` lets pass.

        What may be otherwise a moment later is tried again, but not what must be sent once and
        may have left. Raises what the last try ended with.
        """

        def judged(answer: Answer) -> Answer:
            judge(answer)
            return answer

        def once() -> Answer:
            self.tries += 1
            return self.line.send(signed_at(self.composed, self.clock.now()), judged)

        return self._patiently(once)

    def _patiently(self, work: Callable[[], T]) -> T:
        failures = 0
        while True:
            try:
                return work()
            except TRANSIENT as error:
                failures += 1
                self._pause(error, failures)

    @property
    def harmless(self) -> bool:
        """Tell whether sending it again could not do anything twice."""
        return self.composed.safe or not (self.line.left or self.line.heard)

    def _pause(self, error: SyncdError, failures: int) -> None:
        """Wait before the next try, or raise the error where there is none."""
        ctx = self.line.ctx
        wait = retry_after(error) or full_jitter(failures, _BASE, _CAP)
        if not self.harmless or failures >= _TRIES or wait > _LONGEST:
            raise error
        if wait >= ctx.deadline.remaining():
            raise error
        ctx.log.warning(
            "a call is repeated", call=self.name, tried=failures, wait=round(wait, 1),
            error=str(error),
        )  # fmt: skip
        ctx.pause(wait)

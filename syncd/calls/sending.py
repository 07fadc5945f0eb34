"""Sends a request with its token, as often as that does no harm, and knows whether it has left."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from syncd.calls.base import Answer, Composed, Credential
from syncd.calls.clients import Clients
from syncd.calls.exchange import Limits, exchange
from syncd.calls.tokens import JobTokens
from syncd.context import RunContext
from syncd.errors import (
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
    """What the calls of a job are made with; `timeout` is in seconds, for one request."""

    clients: Clients
    tokens: JobTokens
    allow_hosts: Sequence[str]
    timeout: float


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
        refused = self.answer is not None and self.answer.status == 401
        return self.trace.sent and not self.left and not refused

    def log_in(self, composed: Composed) -> None:
        """Have the token that a request carries, if it carries one; raises as `JobTokens.get`."""
        if composed.token is not None:
            self.credential = self.means.tokens.get(composed.token, self.ctx)

    def send(self, composed: Composed) -> Answer:
        """Send a request once; where its token is refused (401), once more with another one."""
        self.log_in(composed)
        answer = self._exchange(composed)
        if answer.status != 401 or self.credential is None or composed.token is None:
            return answer
        self.credential = self.means.tokens.renew(composed.token, self.credential, self.ctx)
        return self._exchange(composed)

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
    tries: int = 0

    def log_in(self) -> None:
        """Have the token that the request carries, before anything of it is sent."""
        self._patiently(lambda: self.line.log_in(self.composed))

    def answered(self, judge: Callable[[Answer], None]) -> Answer:
        """Return the answer that `judge` lets pass.

        What may be otherwise a moment later is tried again, but not what must be sent once and
        may have left. Raises what the last try ended with.
        """

        def once() -> Answer:
            self.tries += 1
            answer = self.line.send(self.composed)
            judge(answer)
            return answer

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

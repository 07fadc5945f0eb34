"""Sends a request with its token, as often as that does no harm, and knows whether it has left."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from syncd.calls.base import Answer, Composed, Credential
from syncd.calls.clients import Clients
from syncd.calls.exchange import exchange
from syncd.calls.tokens import Limits, Tokens
from syncd.config.http import Token
from syncd.context import RunContext
from syncd.errors import Network, SyncdError, Throttled, TimedOut, retry_after
from syncd.http_call import Trace
from syncd.model.backoff import full_jitter

_TRIES: Final = 3
_BASE: Final = 0.5  # seconds
_CAP: Final = 8.0
_LONGEST: Final = 60.0
"""Seconds that an attempt waits as a server asks; for longer the run's next attempt is waited for."""
TRANSIENT: Final = (Network, Throttled, TimedOut)
"""What may be otherwise a moment later."""


@dataclass(frozen=True, slots=True)
class Means:
    """What the calls of a job are made with; `timeout` is in seconds, for one request."""

    clients: Clients
    tokens: Tokens
    configured: Mapping[str, Token]
    allow_hosts: Sequence[str]
    timeout: float

    def limits(self, ctx: RunContext) -> Limits:
        """Return what a login for a run is bounded by."""
        return Limits(ctx.deadline, ctx.cancel, self.timeout, self.allow_hosts)


@dataclass(slots=True)
class Line:
    """Where requests of one call go: sends them one by one, and knows what became of the last.

    `left` tells that it may have left and that no whole answer came. Requests on a `fresh`
    connection can't meet one that the server has closed, which would look like a lost answer.
    """

    ctx: RunContext
    means: Means
    fresh: bool
    credential: Credential | None = None
    left: bool = False
    answer: Answer | None = None
    trace: Trace = field(default_factory=Trace)

    def log_in(self, composed: Composed) -> None:
        """Have the token that a request carries, if it carries one; raises as `Tokens.get`."""
        if (name := composed.token) is not None:
            means = self.means
            self.credential = means.tokens.get(name, means.configured[name], means.limits(self.ctx))

    def send(self, composed: Composed) -> Answer:
        """Send a request once; where its token is refused (401), once more with another one."""
        self.log_in(composed)
        answer = self._exchange(composed)
        if answer.status != 401 or self.credential is None or composed.token is None:
            return answer
        means, name = self.means, composed.token
        self.credential = means.tokens.renew(
            name, means.configured[name], self.credential, means.limits(self.ctx)
        )
        return self._exchange(composed)

    def _exchange(self, composed: Composed) -> Answer:
        ctx, self.answer, self.trace, self.left = self.ctx, None, Trace(), False
        limit = composed.connection.timeout
        seconds = limit.total_seconds() if limit else self.means.timeout
        try:
            self.answer = exchange(
                self.means.clients, composed, self.credential,
                allow_hosts=self.means.allow_hosts, deadline=ctx.deadline.sooner(seconds),
                cancel=ctx.cancel, trace=self.trace, fresh=self.fresh,
            )  # fmt: skip
        except BaseException:
            self.left = self.trace.sent
            raise
        return self.answer


@dataclass(slots=True)
class Sender:
    """Sends one request until there is an answer that counts; `tries` is how often it was sent."""

    line: Line
    name: str
    composed: Composed
    tries: int = 0

    def answered(self, judge: Callable[[Answer], None]) -> Answer:
        """Return the answer that `judge` lets pass.

        What may be otherwise a moment later is tried again, but not what must be sent once and
        may have left. Raises what the last try ended with.
        """
        while True:
            self.tries += 1
            try:
                answer = self.line.send(self.composed)
                judge(answer)
            except TRANSIENT as error:
                self._pause(error)
            else:
                return answer

    @property
    def harmless(self) -> bool:
        """Tell whether sending it again could not do anything twice.

        A request whose token was refused was not looked at.
        """
        line = self.line
        answered = line.answer is not None and line.answer.status != 401
        return self.composed.safe or not (line.left or answered)

    def _pause(self, error: SyncdError) -> None:
        """Wait before the next try, or raise the error where there is none."""
        ctx = self.line.ctx
        wait = retry_after(error) or full_jitter(self.tries, _BASE, _CAP)
        if not self.harmless or self.tries >= _TRIES or wait > _LONGEST:
            raise error
        if wait >= ctx.deadline.remaining():
            raise error
        ctx.log.warning(
            "a call is repeated", call=self.name, tried=self.tries, wait=round(wait, 1),
            error=str(error),
        )  # fmt: skip
        ctx.pause(wait)

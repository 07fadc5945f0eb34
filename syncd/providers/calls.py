"""How one call to a cloud is made: limited, timed, tried again, told to whoever measures.

What to try again is in the class of the error. Authentication, permission and what the cloud
refuses for good come straight through; network errors, server errors, answers that can't be read
and single calls that took too long are tried a few times with full jitter; throttling waits as the
cloud says. Nothing waits beyond the run's deadline: the error itself is raised then.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

from syncd.context import Deadline, RunContext
from syncd.errors import BadData, Network, Permission, SyncdError, Throttled, TimedOut
from syncd.http_client import HttpClient, Response
from syncd.model.backoff import full_jitter
from syncd.providers.base import AccountAccess, ApiObserver, RegionNotOpen
from syncd.providers.limiter import Limiter, Limiters

T = TypeVar("T")
ErrorTable = Mapping[str, type[SyncdError]]
_TEXT: Final = 300


class Refused(SyncdError):
    """The cloud refused a call with a `code` that has no class of its own."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long to try; all times in seconds."""

    tries: int = 4
    throttled_tries: int = 8
    base: float = 0.5
    cap: float = 8.0
    quota: float = 60.0  # the period after which a used-up quota is granted anew

    def backoff(self, failures: int) -> float:
        """Return a wait with full jitter after so many failures in a row, one or more."""
        return full_jitter(failures, self.base, self.cap)

    def throttled(self, error: Throttled, failures: int, now: float) -> float:
        """Return how long to wait when throttled; `now` is in seconds since 1970.

        As told, if told. Else the first time briefly, since many limits are those of a second;
        then until the next minute, when Alibaba grants the quota anew (document 437902).
        """
        if error.retry_after is not None:
            return error.retry_after
        if failures == 1:
            return self.base + self.backoff(2)
        return self.quota - now % self.quota + self.backoff(1)


PATIENCE: Final = Patience()


def unobserved(api: str, outcome: str, seconds: float) -> None:
    """Hear of a call and keep it to oneself."""


class Caller:
    """Makes the calls of one account, from any number of threads."""

    def __init__(
        self,
        access: AccountAccess,
        http: HttpClient,
        limiters: Limiters,
        patience: Patience,
        observe: ApiObserver,
    ) -> None:
        self.access = access
        self.http = http
        self._limiters = limiters
        self._patience = patience
        self._observe = observe

    def call(self, ctx: RunContext, api: str, region: str, attempt: Callable[[Deadline], T]) -> T:
        """Return what `attempt` returns; it is given the deadline of one try.

        Raises the classes of `syncd.errors`, RegionNotOpen and Refused.
        """
        limiter = self._limiters.of(api, region)
        throttled = failed = 0
        while True:
            limiter.take(ctx)
            try:
                result = self._observed(api, lambda: attempt(self._deadline(ctx)))
            except Throttled as error:
                throttled += 1
                self._wait(ctx, api, error, throttled, limiter)
            except (Network, TimedOut, BadData) as error:
                failed += 1
                self._wait(ctx, api, error, failed, limiter)
            else:
                limiter.succeeded()
                return result

    def send(
        self,
        ctx: RunContext,
        deadline: Deadline,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> Response:
        """POST a signed request."""
        return self.http.request(
            "POST", url, headers=headers, body=body, deadline=deadline, cancel=ctx.cancel
        )

    def _deadline(self, ctx: RunContext) -> Deadline:
        return ctx.deadline.sooner(self.access.api_timeout)

    def _observed(self, api: str, attempt: Callable[[], T]) -> T:
        started = time.monotonic()
        outcome = "internal"
        try:
            result = attempt()
            outcome = "ok"
        except SyncdError as error:
            outcome = error.error_class
            raise
        finally:
            self._observe(api, outcome, time.monotonic() - started)
        return result

    def _wait(
        self, ctx: RunContext, api: str, error: SyncdError, failures: int, limiter: Limiter
    ) -> None:
        """Wait before the next try, or raise the error if there is none."""
        patience = self._patience
        if isinstance(error, Throttled):
            limiter.throttled()
            tries, delay = (
                patience.throttled_tries,
                patience.throttled(error, failures, time.time()),
            )
        else:
            tries, delay = patience.tries, patience.backoff(failures)
        final = isinstance(error, RegionNotOpen) or failures >= tries
        if final or delay >= ctx.deadline.remaining():
            raise error
        say = ctx.log.info if isinstance(error, Throttled) else ctx.log.warning
        say("a call is repeated", api=api, tried=failures, wait=round(delay, 1), error=str(error))
        ctx.pause(delay)


def granted(call: Callable[[], object]) -> bool | None:
    """Tell whether a call is allowed by making it; None when it is refused for another reason."""
    try:
        call()
    except Permission:
        return False
    except Refused:
        return None
    return True


def decoded(decoder: msgspec.json.Decoder[T], body: bytes, what: str) -> T:
    """Return a decoded answer; raises BadData for one that can't be read.

    Half a surrogate pair, as is left of a name that was cut inside an emoji, is no Unicode; it is
    replaced (U+FFFD) rather than costing the whole page.
    """
    try:
        return decoder.decode(body)
    except (ValueError, RecursionError) as error:
        mended = _ESCAPES.sub(lambda found: found[1] or rb"\ufffd", body)
        if mended == body:
            raise BadData(f"{what}: the answer can't be read: {error}") from error
    return decoded(decoder, mended, what)


_ESCAPES: Final = re.compile(
    rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\[^u])"  # a pair, or no number
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


def classified(
    table: ErrorTable, what: str, code: str, message: str, *, retry_after: float | None = None
) -> SyncdError:
    """Return the error that a code of the cloud stands for, by the first fitting pattern.

    A pattern is a code, or the beginning of codes with `*`. Messages about credentials are left
    out: they quote what was signed.
    """
    for pattern, kind in table.items():
        if code == pattern or (pattern[-1] == "*" and code.startswith(pattern[:-1])):
            if kind is Throttled:
                return Throttled(f"{what}: {code}", retry_after)
            told = "" if kind.error_class == "authentication" else f": {message[:_TEXT]}"
            return kind(f"{what}: {code}{told}")
    return Refused(f"{what}: {code}: {message[:_TEXT]}", code)


def from_status(response: Response, what: str) -> SyncdError:
    """Return the error that an answer without a code stands for, by its HTTP status."""
    if response.status == 429:
        return Throttled(f"{what}: HTTP status 429", retry_after(response))
    if response.status >= 500:
        return Network(f"{what}: HTTP status {response.status}")
    return Refused(f"{what}: HTTP status {response.status}", f"HTTP {response.status}")


def retry_after(response: Response) -> float | None:
    """Return the seconds of a Retry-After header, None without one or where it is a date."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None

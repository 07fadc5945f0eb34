"""Keeps the calls of an account under the limits that its cloud sets for each API and region.

A token bucket that holds one second's worth of calls, in the form of the generic cell rate
algorithm (ITU-T I.371): one moment says all. It is slower after the cloud has throttled a call,
since other tools use up the same quota, and recovers call by call.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

from syncd.context import RunContext

BURST: Final = 1.0  # seconds' worth of calls that may be made at once
_SLOWEST: Final = 1 / 32  # of the full rate
_RECOVERY: Final = 1 / 64  # of the full rate, for each good call


class Limiter:
    """The bucket of one API in one region, shared by all threads; rates are calls a second."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.full_rate = self.rate = rate
        self._clock = clock
        self._lock = threading.Lock()
        self._due = 0.0  # when the bucket will be full again

    def take(self, ctx: RunContext) -> None:
        """Wait until a call may be made; raises what `ctx.pause` raises."""
        wait = self._reserve()
        if wait > 0:
            ctx.pause(wait)

    def throttled(self) -> None:
        """Halve the rate and empty the bucket: the cloud has refused a call."""
        with self._lock:
            self.rate = max(self.rate / 2, self.full_rate * _SLOWEST)
            self._due = max(self._due, self._clock() + BURST)

    def succeeded(self) -> None:
        """Come a little closer to the full rate."""
        if self.rate < self.full_rate:
            with self._lock:
                self.rate = min(self.rate + self.full_rate * _RECOVERY, self.full_rate)

    def _reserve(self) -> float:
        """Take a call's place and return the seconds until its turn."""
        with self._lock:
            now, interval = self._clock(), 1 / self.rate
            due = max(self._due, now)
            self._due = due + interval
            return due - max(BURST - interval, 0) - now


class Limiters:
    """The limiters of one account, made as they are needed."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._limiters: dict[tuple[str, str], Limiter] = {}

    def of(self, api: str, region: str) -> Limiter:
        """Return the limiter of an API in a region."""
        return self._limiters.setdefault((api, region), Limiter(self._rate))

"""Keeps the commands of a session under a limit: a Redis does all its work in one thread.

A token bucket that holds one second's worth, in the form of the generic cell rate algorithm.
"""

import time
from collections.abc import Callable
from typing import Final

from syncd.context import RunContext

BURST: Final = 1.0  # seconds' worth of commands that may be sent at once


class Pace:
    """The bucket of one session; `rate` is in commands a second."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1 / rate
        self._clock = clock
        self._due = clock()  # when the bucket will be full again

    def take(self, ctx: RunContext, commands: int) -> None:
        """Wait until so many commands may be sent; raises what `ctx.pause` raises."""
        wait = self._reserve(commands)
        if wait > 0:
            ctx.pause(wait)

    def _reserve(self, commands: int) -> float:
        now = self._clock()
        self._due = max(self._due, now) + commands * self._interval
        return self._due - BURST - now

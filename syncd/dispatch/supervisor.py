"""Watches over the attempts under way: stops those whose time is over, tells which are stuck.

It does so in a thread of its own and never asks the store, which can hold up the dispatcher's
thread for a minute; so a hung store delays no time limit, and the daemon's sign of life need not
depend on it.
"""

import threading
import time
from collections.abc import Callable, Collection
from typing import Final

from syncd.context import BoundLogger
from syncd.dispatch.runner import Attempt
from syncd.errors import TimedOut
from syncd.model.run import Claim

STUCK_AFTER: Final = 30.0
"""Seconds that an attempt has to come back after it was told to stop."""

_TURN: Final = 0.5  # seconds between two looks
_STALE: Final = 10.0  # seconds without a look, after which the thread does not live


class Supervisor:
    """Owns the thread that looks at the attempts each half second.

    `running` gives those under way, `stuck` hears once of each that does not come back. Both are
    called in this thread and must not block, nor may the watchers of a token (`CancelToken.watch`).
    """

    def __init__(
        self,
        running: Callable[[], Collection[Attempt]],
        stuck: Callable[[Attempt], None],
        log: BoundLogger,
        *,
        stuck_after: float = STUCK_AFTER,
        turn: float = _TURN,
    ) -> None:
        self._running, self._stuck, self._log = running, stuck, log
        self._stuck_after, self._turn = stuck_after, turn
        self._told: set[Claim] = set()
        self._looked = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="syncd-supervisor", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._looked = time.monotonic()
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """End the thread; False when it did not come back in time."""
        self._stopping.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def age(self) -> float:
        """Return how many seconds ago it looked last."""
        return time.monotonic() - self._looked

    def _loop(self) -> None:
        while not self._stopping.wait(self._turn):
            try:
                self._look()
            except Exception:  # noqa: BLE001 - its age tells if it never gets through
                self._log.exception("the supervisor failed; it goes on")

    def _look(self) -> None:
        attempts = self._running()
        self._told &= {attempt.claim for attempt in attempts}
        for attempt in attempts:
            try:
                self._look_at(attempt)
            except Exception:  # noqa: BLE001 - the others are looked at all the same
                self._log.exception(
                    "an attempt could not be stopped",
                    job=attempt.spec.name, run=str(attempt.claim.run_id),
                )  # fmt: skip
        self._looked = time.monotonic()

    def _look_at(self, attempt: Attempt) -> None:
        """Stop an attempt whose time is over; tell of one that was stopped and is still there."""
        if attempt.deadline.remaining() <= 0:
            attempt.source.cancel(TimedOut(f"the time limit of {attempt.spec.timeout} passed"))
        since = attempt.source.since
        if since is None or time.monotonic() - since < self._stuck_after:
            return
        if attempt.claim not in self._told:
            self._told.add(attempt.claim)
            self._stuck(attempt)


def ailment(supervisor_age: float, stuck: int, workers: int) -> str | None:
    """Return why only a restart can help the daemon, None while it is well.

    The service manager gets its sign of life as long as there is nothing. Stuck threads are
    replaced, one for each worker; more of them leave fewer workers than there are to be, for good.
    A store that is gone, a long queue and a long job are no ailments.
    """
    if supervisor_age > _STALE:
        return f"the supervisor of the workers has not looked for {supervisor_age:.0f} s"
    if stuck > workers:
        return f"{stuck} workers are stuck, more than the {workers} that can be replaced"
    return None

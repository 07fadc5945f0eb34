"""One does the work that many wait for, and all get what came of it."""

import copy
import threading
from typing import Generic, TypeVar

from syncd.context import CancelToken, Deadline

T = TypeVar("T")


class Flight(Generic[T]):
    """A work under way; it ends with a result, with an error, or with neither: given up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[threading.Event] = []
        self._over = False
        self._result: T | None = None
        self._error: Exception | None = None

    def end(self, result: T | None = None, error: Exception | None = None) -> None:
        """Tell all who wait; without a result and an error one of them has to do it himself."""
        with self._lock:
            self._over, self._result, self._error = True, result, error
            waiting = list(self._waiting)
        for each in waiting:
            each.set()

    def wait(self, deadline: Deadline, cancel: CancelToken) -> T | None:
        """Return the result, None when it was given up; raises what it ended with.

        Raises TimedOut at the waiter's own deadline, and its token's error as soon as cancelled.
        """
        woken = threading.Event()
        with cancel.watch(woken.set):
            if self._wait_by(woken):
                woken.wait(max(deadline.remaining(), 0))
        cancel.check()
        if not self._over:
            deadline.check()
        if self._error is not None:  # each his own, since a traceback grows where it is raised
            raise copy.copy(self._error) from self._error
        return self._result

    def _wait_by(self, woken: threading.Event) -> bool:
        """Have an event set at the end; tell whether that is to come."""
        with self._lock:
            if not self._over:
                self._waiting.append(woken)
            return not self._over

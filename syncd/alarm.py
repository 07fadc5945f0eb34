"""What a signal handler may set and a thread waits for."""

from contextlib import suppress
from queue import Empty, SimpleQueue


class Alarm:
    """An event for signal handlers: one of `threading` can deadlock with the thread it interrupts.

    (`queue.SimpleQueue` is made to be reentrant.) One thread may wait.
    """

    def __init__(self) -> None:
        self._set = False
        self._wake: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        """Say it."""
        self._set = True
        self._wake.put(None)

    def is_set(self) -> bool:
        """Tell whether it was said."""
        return self._set

    def wait(self, timeout: float) -> bool:
        """Wait until it is said, at most `timeout` seconds; tell whether it was."""
        with suppress(Empty):
            while not self._set:
                self._wake.get(timeout=timeout)
        return self._set

"""Threads that serve lines of messages: each line by one thread at a time, in its own order.

There are as many threads as lines may hang at once; they come when there is something to do and go
when there is nothing.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Final

from syncd.context import BoundLogger, Clock
from syncd.errors import describe

Serve = Callable[[str], float | None]
"""Does the next thing of a line; returns the seconds until it is to be served again, None when
nothing is left. Raises nothing that it could help."""

_AGAIN: Final = 30.0
"""Seconds after which a line is served again that could not be."""
_IDLE: Final = 10.0


class Lines:
    """The threads of some lines; safe for threads."""

    def __init__(self, name: str, most: int, serve: Serve, clock: Clock, log: BoundLogger) -> None:
        self._name, self._serve, self._clock, self._log = name, serve, clock, log
        self.most = most
        self._changed = threading.Condition()
        self._due: dict[str, float] = {}
        self._served: set[str] = set()
        self._woken: set[str] = set()
        self._threads: set[threading.Thread] = set()
        self._idle = 0
        self._stopping = False

    def wake(self, line: str) -> None:
        """Serve a line for which there is something new; one that waits for a next try goes on."""
        with self._changed:
            if line in self._served:
                self._woken.add(line)
            elif line not in self._due and not self._stopping:
                self._call(line)

    def hurry(self, line: str) -> None:
        """Serve a line now, whatever it waits for."""
        with self._changed:
            if line in self._due:
                self._call(line)

    def _call(self, line: str) -> None:
        """Have a line served at once; a thread that was called before is no longer free."""
        now = self._clock.monotonic()
        self._due[line] = now
        ready = sum(at <= now for at in self._due.values())
        if self._idle < ready and len(self._threads) < self.most:
            self._hire()
        self._changed.notify()

    def keep(self, lines: Iterable[str]) -> None:
        """Serve no other lines any more."""
        kept = set(lines)
        with self._changed:
            self._due = {line: at for line, at in self._due.items() if line in kept}

    def stop(self, seconds: float) -> None:
        """Serve nothing more; wait so long for what is being served."""
        with self._changed:
            self._stopping = True
            self._due.clear()
            self._changed.notify_all()
            threads = list(self._threads)
        end = self._clock.monotonic() + seconds
        for thread in threads:
            thread.join(max(end - self._clock.monotonic(), 0.01))

    def _hire(self) -> None:
        thread = threading.Thread(target=self._work, name=self._name, daemon=True)
        self._threads.add(thread)
        thread.start()

    def _work(self) -> None:
        while line := self._next():
            again: float | None = _AGAIN
            try:
                again = self._serve(line)
            except Exception as error:  # noqa: BLE001 - the other lines have to go on
                self._log.warning("messages wait", channel=line, error=describe(error))
            finally:
                self._put_back(line, again)

    def _next(self) -> str | None:
        """Wait for a line that is due; None for a thread that is not needed."""
        with self._changed:
            waited = 0.0
            while not self._stopping and waited < _IDLE:
                now = self._clock.monotonic()
                line, at = min(self._due.items(), key=lambda due: due[1], default=(None, now))
                if line is not None and at <= now:
                    del self._due[line]
                    self._served.add(line)
                    return line
                pause = _IDLE if line is None else at - now
                self._idle += 1
                self._changed.wait(min(pause, _IDLE))
                self._idle -= 1
                waited = 0.0 if self._due else waited + pause
            self._threads.discard(threading.current_thread())
            return None

    def _put_back(self, line: str, again: float | None) -> None:
        with self._changed:
            self._served.discard(line)
            if line in self._woken:
                self._woken.discard(line)
                again = again or 0.0
            if again is not None and not self._stopping:
                self._due[line] = self._clock.monotonic() + again
                self._changed.notify()

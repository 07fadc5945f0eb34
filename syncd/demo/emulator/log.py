"""Counts what was asked and refused, so that tests can say how many calls a job may make."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from syncd.demo.emulator.wire import Call

Key = tuple[str, str, str, str]


class RequestLog:
    """Counters of calls, of answered error codes and of refused requests; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: Counter[Key] = Counter()
        self._errors: Counter[tuple[str, str]] = Counter()
        self._refused: Counter[tuple[str, str]] = Counter()
        self._running = 0
        self._peak = 0

    @contextmanager
    def running(self, call: Call) -> Iterator[None]:
        """Count a call whose signature was good, for as long as it takes."""
        with self._lock:
            self._calls[call.provider, call.account.name, call.region, call.action] += 1
            self._running += 1
            self._peak = max(self._peak, self._running)
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1

    def count_error(self, provider: str, code: str) -> None:
        """Count an error that was answered to a call."""
        with self._lock:
            self._errors[provider, code] += 1

    def count_refusal(self, provider: str, code: str) -> None:
        """Count a request that was turned away before it was a call, as for its signature."""
        with self._lock:
            self._refused[provider, code] += 1

    def calls(
        self,
        action: str | None = None,
        *,
        provider: str | None = None,
        account: str | None = None,
        region: str | None = None,
    ) -> int:
        """Return the number of calls that fit what is given."""
        wanted = (provider, account, region, action)
        with self._lock:
            return sum(
                number
                for key, number in self._calls.items()
                if all(want in (None, have) for want, have in zip(wanted, key, strict=True))
            )

    def errors(self, code: str | None = None) -> int:
        """Return how often an error code, or any, was answered."""
        with self._lock:
            return sum(n for (_, have), n in self._errors.items() if code in (None, have))

    def refusals(self, code: str | None = None) -> int:
        """Return how many requests were turned away with a code, or with any."""
        with self._lock:
            return sum(n for (_, have), n in self._refused.items() if code in (None, have))

    @property
    def peak(self) -> int:
        """The most calls that were under way at the same time."""
        with self._lock:
            return self._peak

    def reset(self) -> None:
        """Start counting again."""
        with self._lock:
            self._calls.clear()
            self._errors.clear()
            self._refused.clear()
            self._peak = self._running

    def snapshot(self) -> dict[str, object]:
        """Return all counters in a form for JSON."""
        with self._lock:
            names = ("provider", "account", "region", "action")
            return {
                "calls": [
                    dict(zip(names, key, strict=True)) | {"count": n}
                    for key, n in self._calls.items()
                ],
                "errors": {code: n for (_, code), n in self._errors.items()},
                "refused": {code: n for (_, code), n in self._refused.items()},
                "peak": self._peak,
            }

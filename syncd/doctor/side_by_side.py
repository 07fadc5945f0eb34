"""Doing things at the same time, each with a time limit, so that one that hangs holds up no other.

A thread can't be ended from outside: one that passes its limit is left to itself, and nobody hears
its answer. What it waits for has a limit of its own (calls, statements), so it ends soon after.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What came of one act: a result, an error, or neither when it was too late."""

    seconds: float
    result: T | None = None
    error: Exception | None = None
    late: bool = False


@dataclass(frozen=True, slots=True)
class Act(Generic[T]):
    """Something to do within `limit` seconds."""

    do: Callable[[], T]
    limit: float


def side_by_side(acts: Sequence[Act[T]], most: int) -> list[Outcome[T]]:
    """Do all, at most so many at once; return what came of each, in their order."""
    outcomes: dict[int, Outcome[T]] = {}
    heard: SimpleQueue[tuple[int, Outcome[T]]] = SimpleQueue()
    waiting, running = deque(range(len(acts))), dict[int, float]()
    while waiting or running:
        while waiting and len(running) < most:
            number = waiting.popleft()
            running[number] = time.monotonic() + acts[number].limit
            threading.Thread(
                target=lambda n=number: heard.put((n, _done(acts[n]))),
                name="syncd-doctor",
                daemon=True,
            ).start()
        try:
            soonest = min(running.values()) - time.monotonic()
            number, outcome = heard.get(timeout=max(soonest, 0.001))
        except Empty:
            for number in [n for n, until in running.items() if until <= time.monotonic()]:
                outcomes[number] = Outcome(acts[number].limit, late=True)
                del running[number]
            continue
        if running.pop(number, None) is not None:
            outcomes[number] = outcome
    return [outcomes[number] for number in range(len(acts))]


def _done(act: Act[T]) -> Outcome[T]:
    """Do an act and return what came of it."""
    began = time.monotonic()
    try:
        result = act.do()
    except Exception as error:  # noqa: BLE001 - it is handed to who asked
        return Outcome(time.monotonic() - began, error=error)
    return Outcome(time.monotonic() - began, result)


class Once(Generic[T]):
    """A measurement that several checks judge: made once, by the first that asks."""

    def __init__(self, measure: Callable[[], T]) -> None:
        self._measure = measure
        self._lock = threading.Lock()
        self._outcome: Outcome[T] | None = None

    def __call__(self) -> T:
        """Return what was measured, or raise what was raised."""
        with self._lock:
            if self._outcome is None:
                self._outcome = _done(Act(self._measure, 0))
        if self._outcome.error is not None:
            raise self._outcome.error
        return self._outcome.result  # type: ignore[return-value]  # T may well include None

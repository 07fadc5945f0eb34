"""What a run is given to work with: its identity, its time limit, and how it is told to stop.

A job can see that it is cancelled and how long it may take; it can change neither. Every call that
may block takes its time limit from `Deadline` and looks at, or is woken by, `CancelToken`.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from syncd.errors import Cancelled, Interrupted, SyncdError, TimedOut
from syncd.model.run import Claim, RunId, Selection

BoundLogger = FilteringBoundLogger


class Clock:
    """The one source of time; tests replace it by one that they move."""

    def now(self) -> datetime:
        """Return the wall clock's moment, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never go back (CLOCK_MONOTONIC)."""
        return time.monotonic()


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment of the monotonic clock, in seconds, at which work has to be over."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Return the deadline that is `seconds` away."""
        return cls(time.monotonic() + seconds)

    def remaining(self) -> float:
        """Return the seconds left; negative once it has passed."""
        return self.at - time.monotonic()

    def sooner(self, seconds: float) -> "Deadline":
        """Return the earlier one of this deadline and `seconds` from now."""
        return Deadline(min(self.at, time.monotonic() + seconds))

    def check(self) -> None:
        """Raise TimedOut once the deadline has passed."""
        if self.remaining() <= 0:
            raise TimedOut("the time limit passed")


class CancelToken:
    """Tells work to stop, and with which error; seen by jobs, set by their `CancelSource` alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._error: SyncdError | None = None
        self._watchers: list[Callable[[], None]] = []

    def is_set(self) -> bool:
        """Tell whether the work has to stop."""
        return self._error is not None

    def check(self) -> None:
        """Raise the error that the work was stopped with, if it was."""
        if self._error is not None:
            raise self._error

    def wait(self, seconds: float) -> bool:
        """Wait until cancelled, at most `seconds`; tell whether it was."""
        with self._changed:
            return self._changed.wait_for(self.is_set, max(seconds, 0))

    @contextmanager
    def watch(self, wake: Callable[[], None]) -> Iterator[None]:
        """Call `wake` from the cancelling thread if cancelled inside the block.

        `wake` ends a blocking call (cancels a statement, closes a socket); it must not block long.
        """
        with self._changed:
            self.check()
            self._watchers.append(wake)
        try:
            yield
        finally:
            with self._changed:
                self._watchers.remove(wake)


class CancelSource:
    """The side that cancels: the runner of a run, never the run itself."""

    def __init__(self) -> None:
        self.token = CancelToken()
        self.since: float | None = None
        """When the work was told to stop, of the monotonic clock."""
        self.given_up = False
        """Its thread did not come back; the records are closed, and are not its to tell about."""

    @property
    def error(self) -> SyncdError | None:
        """What the work was stopped with, if it was."""
        return self.token._error

    def cancel(self, error: SyncdError | None = None) -> None:
        """Stop the work with `error`, which its calls will raise; only the first call counts.

        But a person's word counts later, too: it tells that no further attempt is wanted.
        """
        token = self.token
        with token._changed:
            if token._error is not None:
                if isinstance(error, Cancelled):
                    token._error = error
                return
            token._error = error or Interrupted("interrupted")
            self.since = time.monotonic()
            watchers = list(token._watchers)
            token._changed.notify_all()
        for wake in watchers:  # outside the lock: a watcher may take its time
            wake()


class Reporter(Protocol):
    """How a job tells of its progress; the runner implements it, one for each item."""

    def progress(self, done: int, of: int | None = None) -> None:
        """Say how many resources are done, and of how many if that is known."""

    def error(self, resource_id: str, error: SyncdError) -> None:
        """Record the error of one resource; the item goes on."""

    def detail(self, name: str, value: object) -> None:
        """Keep a fact of the item (JSON-like) in its `details`."""

    def meanwhile(self, name: str, value: object) -> None:
        """Keep a fact in the item's record while it runs, with the details told so far.

        Should its process be killed, they are what is known of it; its end puts its details in
        their place. It may be called often: the store is asked for a thirtieth of the time at
        most. Raises Fenced.
        """


@dataclass(frozen=True, slots=True)
class RunContext:
    """Everything a run may know of itself; no field is optional, so none can be forgotten."""

    claim: Claim
    """The right to write in the run's name; a plan's has the attempt 0, and holds nowhere."""
    job_name: str
    scheduled_for: datetime
    deadline: Deadline
    cancel: CancelToken
    selection: Selection
    held: Mapping[str, str]
    """Accounts whose credentials were refused and that are not to be tried, with the reason."""
    log: BoundLogger
    report: Reporter

    @property
    def run_id(self) -> RunId:
        """Return the run's id, the same in all its attempts."""
        return self.claim.run_id

    @property
    def attempt(self) -> int:
        """Return the number of the attempt, the first being 1."""
        return self.claim.attempt

    @property
    def rehearsal(self) -> bool:
        """Tell whether this is a plan: no attempt of any run, and it may change nothing."""
        return self.attempt == 0

    def check(self) -> None:
        """Raise when the run is cancelled or its time is over."""
        self.cancel.check()
        self.deadline.check()

    def pause(self, seconds: float) -> None:
        """Wait; raise as soon as the run is cancelled, or at once if its time would not do."""
        if seconds >= self.deadline.remaining():
            raise TimedOut(f"waiting {seconds:.1f} s would pass the time limit")
        self.cancel.wait(seconds)
        self.cancel.check()

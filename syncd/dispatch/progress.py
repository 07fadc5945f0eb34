"""How far the active runs are, as anybody may ask while they run; and what an item reports."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from syncd.context import Clock
from syncd.errors import SyncdError, describe, error_class, storable
from syncd.store.items import ResourceError

_ERRORS_KEPT: Final = 1_000  # of one item: the rest is counted


@dataclass(slots=True)
class _ItemProgress:
    state: str = "pending"
    done: int = 0
    of: int | None = None
    began: tuple[float, int] | None = None
    """When the first number came, and which: an item may go on where another attempt ended."""
    at: float = 0.0

    @property
    def per_second(self) -> float | None:
        """Return how fast it goes, None while nobody can know."""
        if self.began is None or self.at <= self.began[0] or self.state != "running":
            return None
        since, before = self.began
        return (self.done - before) / (self.at - since)

    @property
    def left(self) -> float | None:
        """Return how many seconds it may still take."""
        speed = self.per_second
        return max(self.of - self.done, 0) / speed if speed and self.of is not None else None

    def document(self) -> dict[str, Any]:
        """Return how far it is."""
        return {
            "state": self.state, "done": self.done, "of": self.of,
            "per_second": self.per_second, "seconds_left": self.left,
        }  # fmt: skip


class RunProgress:
    """The progress of one run: its items, and how many resources or rows of each were seen."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._lock, self._clock = threading.Lock(), clock or Clock()
        self._items: dict[str, _ItemProgress] = {}

    def open(self, targets: Sequence[str]) -> None:
        """Name the items of the attempt."""
        with self._lock:
            self._items = {target: _ItemProgress() for target in targets}

    def note(
        self,
        target: str,
        *,
        state: str | None = None,
        done: int | None = None,
        of: int | None = None,
    ) -> None:
        """Note what is new about an item."""
        with self._lock:
            item = self._items.setdefault(target, _ItemProgress())
            item.state = state or item.state
            item.of = item.of if of is None else of
            if done is not None:
                item.done, item.at = done, self._clock.monotonic()
                item.began = item.began or (item.at, done)

    def snapshot(self) -> dict[str, Any]:
        """Return {"items", "items_done", "targets": {name: {"state", "done", "of", …}}}.

        Of a running item whose speed is known there are `per_second` and `seconds_left` too.
        """
        with self._lock:
            targets = {name: item.document() for name, item in self._items.items()}
        ended = sum(target["state"] not in ("pending", "running") for target in targets.values())
        return {"items": len(targets), "items_done": ended, "targets": targets}


class ItemReport:
    """What the job reports of one item: progress, errors of single resources, details."""

    def __init__(
        self,
        progress: RunProgress,
        target: str,
        keep: Callable[[Mapping[str, Any]], None] = lambda _details: None,
    ) -> None:
        self._progress, self._target, self._keep = progress, target, keep
        self.errors: list[ResourceError] = []
        self.details: dict[str, Any] = {}

    def progress(self, done: int, of: int | None = None) -> None:
        """Say how many resources are done, and of how many if that is known."""
        self._progress.note(self._target, done=done, of=of)

    def error(self, resource_id: str, error: SyncdError) -> None:
        """Record the error of one resource; the item goes on."""
        if len(self.errors) < _ERRORS_KEPT:
            self.errors.append(
                ResourceError(storable(resource_id), error_class(error), describe(error))
            )

    def detail(self, name: str, value: object) -> None:
        """Keep a fact of the item in its `details`."""
        self.details[name] = storable(value) if isinstance(value, str) else value

    def meanwhile(self, name: str, value: object) -> None:
        """Keep a fact in the item's record while it runs, with the details told so far."""
        self._keep({**self.details, name: value})

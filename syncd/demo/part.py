"""A part of the demonstration: threads of its own that make things happen, and tell of them."""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from syncd.demo.line import Line
from syncd.errors import SyncdError


class Part:
    """Lives from `start` to the end of the `with` block, in threads by their names.

    Each is over soon after `_stop` is set. What goes wrong on the way ends that thread alone, and
    is told as trouble of `what`.
    """

    def __init__(self, what: str, **lives: Callable[[], None]) -> None:
        self.lines: SimpleQueue[Line] = SimpleQueue()
        self._what = what
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._live_through, args=[life], name=f"demo-{name}")
            for name, life in lives.items()
        ]

    def __enter__(self) -> Self:
        return self

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _live_through(self, life: Callable[[], None]) -> None:
        try:
            life()
        except (SyncdError, OSError) as error:
            if not self._stop.is_set():
                self._tell("problem", f"{self._what}: {error}")

    def _tell(self, kind: str, text: str) -> None:
        self.lines.put(Line(kind, text))

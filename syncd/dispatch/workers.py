"""The only threads that run jobs: bounded, named, and owned by who started them.

A thread can't be killed. One that does not come back from its work is given up: it counts as stuck
instead of busy, and another takes its place, as long as no more are stuck than there are workers;
beyond that, each costs a worker until it comes back.
"""

import threading
import time
from collections.abc import Callable, Iterable
from contextvars import copy_context
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from syncd.context import BoundLogger

Work = Callable[[], None]


@dataclass(eq=False, slots=True)
class Piece:
    """A piece of work that a pool has taken: what to name when it is given up."""

    work: Work
    begun: bool = False


class WorkerPool:
    """A fixed number of daemonic threads, `syncd-worker-1` and on, that take work in order.

    The dispatcher has no more under way than `capacity` allows, so that work waits here for no
    longer than a thread takes to come back from what it has just ended. Safe for threads; nothing
    here blocks but `stop`.
    """

    def __init__(self, size: int, log: BoundLogger) -> None:
        self._log = log
        self._queue: SimpleQueue[Piece | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._size = self._names = 0
        self._at_work = 0  # threads that take work: all that live but the stuck
        self._busy: set[Piece] = set()
        self._stuck: set[Piece] = set()
        self._threads: list[threading.Thread] = []
        self.resize(size)

    @property
    def size(self) -> int:
        """How many workers there are to be."""
        return self._size

    @property
    def busy(self) -> int:
        """How many pieces of work are under way or about to be; the stuck do not count."""
        return len(self._busy)

    @property
    def capacity(self) -> int:
        """How many pieces of work may be under way at once."""
        with self._lock:
            return self._capacity()

    @property
    def idle(self) -> int:
        """How many more pieces of work would start at once."""
        with self._lock:
            return max(self._capacity() - len(self._busy), 0)

    @property
    def stuck(self) -> int:
        """How many threads have been given up and have not come back."""
        return len(self._stuck)

    def resize(self, size: int) -> None:
        """Change the number of workers; those too many end after their work."""
        with self._lock:
            self._size = size
            self._fill()
            for _ in range(self._at_work - self._capacity()):
                self._queue.put(None)  # wakes a thread that may find itself too many

    def submit(self, work: Work) -> Piece:
        """Have a thread do a piece of work; what it raises is logged as a bug."""
        piece = Piece(work)
        with self._lock:
            self._busy.add(piece)
            self._queue.put(piece)
        return piece

    def give_up(self, piece: Piece) -> bool:
        """Count the thread of a piece as stuck, and put another in its place if there may be one.

        False when no thread is in the piece: it is done, given up already, or not begun. Should
        the thread come back after all, the work goes on to its own end, which can tell whoever
        waits for it; then the thread takes the place of one that is missing, or ends.
        """
        with self._lock:
            if piece not in self._busy or not piece.begun:
                return False
            self._busy.remove(piece)
            self._stuck.add(piece)
            self._at_work -= 1
            self._fill()
        return True

    def stop(self, timeout: float) -> bool:
        """End the threads once their work is done; False when some did not come back in time.

        Those are named in the log.
        """
        self.resize(0)
        end = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(end - time.monotonic(), 0))
        left = [thread.name for thread in self._threads if thread.is_alive()]
        if left:
            self._log.warning("threads did not come back", threads=", ".join(left))
        return not left

    def _capacity(self) -> int:
        """Return how many threads are to take work: one less for each stuck beyond `size`."""
        return max(self._size - max(len(self._stuck) - self._size, 0), 0)

    def _fill(self) -> None:
        """Start the threads that are missing; called with the lock."""
        while self._at_work < self._capacity():
            self._names += 1
            thread = threading.Thread(
                target=self._loop, name=f"syncd-worker-{self._names}", daemon=True
            )
            thread.start()
            self._at_work += 1
            self._threads = [t for t in self._threads if t.is_alive()] + [thread]

    def _loop(self) -> None:
        while not self._leaves():
            piece = self._queue.get()
            if piece is None:
                continue
            piece.begun = True
            try:
                piece.work()
            except BaseException:  # noqa: BLE001 - a worker outlives whatever its work does
                self._log.exception("a worker's work failed")
            finally:
                self._came_back(piece)

    def _came_back(self, piece: Piece) -> None:
        """Count the piece as done, and its thread in again if it was given up."""
        with self._lock:
            self._busy.discard(piece)
            if piece in self._stuck:
                self._stuck.remove(piece)
                self._at_work += 1

    def _leaves(self) -> bool:
        """Tell whether the thread that asks is too many; it is off the count then.

        One that is wanted for work that nobody has begun stays, also while the pool stops.
        """
        with self._lock:
            too_many = self._at_work > max(self._capacity(), len(self._busy))
            self._at_work -= too_many
            return too_many


def in_parallel(count: int, works: Iterable[Work]) -> None:
    """Do pieces of work, at most `count` at once, in threads of the caller's own; wait for all.

    The works take care of their own exceptions. What the caller's log lines bear, theirs bear too.
    """
    waiting: SimpleQueue[Work] = SimpleQueue()
    for work in works:
        waiting.put(work)
    name = threading.current_thread().name
    threads = [
        threading.Thread(
            target=copy_context().run, args=(_drain, waiting), name=f"{name}-{n}", daemon=True
        )
        for n in range(1, min(count, waiting.qsize()) + 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _drain(waiting: SimpleQueue[Work]) -> None:
    while True:
        try:
            work = waiting.get_nowait()
        except Empty:
            return
        work()

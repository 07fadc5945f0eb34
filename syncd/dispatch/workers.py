"""The only threads that run jobs: bounded, named, and owned by who started them."""

import threading
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue

from syncd.context import BoundLogger

Work = Callable[[], None]


class WorkerPool:
    """A fixed number of daemonic threads, `syncd-worker-1` and on, that take work in order.

    The dispatcher never hands over more than `idle` allows, so work does not queue up here.
    """

    def __init__(self, size: int, log: BoundLogger) -> None:
        self._log = log
        self._work: SimpleQueue[Work | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._size, self._busy, self._names = 0, 0, 0
        self._threads: list[threading.Thread] = []
        self.resize(size)

    @property
    def busy(self) -> int:
        """How many pieces of work are under way or about to be."""
        return self._busy

    @property
    def idle(self) -> int:
        """How many more pieces of work would start at once."""
        return max(self._size - self._busy, 0)

    def resize(self, size: int) -> None:
        """Change the number of threads; those too many end after their work."""
        with self._lock:
            change, self._size = size - self._size, size
        for _ in range(change):
            self._start()
        for _ in range(-change):
            self._work.put(None)

    def submit(self, work: Work) -> None:
        """Have a thread do a piece of work; what it raises is logged as a bug."""
        with self._lock:
            self._busy += 1
        self._work.put(work)

    def stop(self, timeout: float) -> bool:
        """End the threads once their work is done; False when some did not come back in time."""
        self.resize(0)
        for thread in self._threads:
            thread.join(timeout)
        return not any(thread.is_alive() for thread in self._threads)

    def _start(self) -> None:
        self._names += 1
        thread = threading.Thread(
            target=self._loop, name=f"syncd-worker-{self._names}", daemon=True
        )
        self._threads = [t for t in self._threads if t.is_alive()] + [thread]
        thread.start()

    def _loop(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except BaseException:  # noqa: BLE001 - a worker outlives whatever its work does
                self._log.exception("a worker's work failed")
            finally:
                with self._lock:
                    self._busy -= 1


def in_parallel(count: int, works: Iterable[Work]) -> None:
    """Do pieces of work, at most `count` at once, in threads of the caller's own; wait for all.

    The works take care of their own exceptions.
    """
    waiting: SimpleQueue[Work] = SimpleQueue()
    for work in works:
        waiting.put(work)
    name = threading.current_thread().name
    threads = [
        threading.Thread(target=_drain, args=(waiting,), name=f"{name}-{n}", daemon=True)
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

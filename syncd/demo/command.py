"""`syncd demo`: two emulated clouds, an API, database servers, a daemon, and what happens."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from syncd.control.client import Client
from syncd.demo.child import Child
from syncd.demo.churn import Churn
from syncd.demo.copies import Copies
from syncd.demo.emulator import Emulator
from syncd.demo.fleet import Fleet
from syncd.demo.line import Line
from syncd.demo.mariadb import MariaDb
from syncd.demo.place import Place, demo_world, prepared
from syncd.demo.screen import Screen, screen
from syncd.demo.statistics import Statistics
from syncd.demo.story import Story
from syncd.errors import StoreError, SyncdError, Unreachable

_TURN: Final = 0.5  # seconds between two looks
_START: Final = 90.0  # seconds that the daemon may take until it is ready
_ANSWER: Final = 5.0
_RELOAD: Final = 30.0
_HOSTS: Final = 40  # in each region at the beginning


def run(*, seconds: float | None = None, seed: int = 1, state_dir: Path | None = None) -> int:
    """Show the product at work until a signal, or for so many seconds; return the exit status.

    Everything lives in a temporary directory, or in `state_dir`, which is kept. Nothing is left
    running, however it ends. Raises StoreError when the daemon does not come up or ends by itself.
    """
    with _signals() as stop:
        try:
            _show(_Stage(stop, seconds), seed, state_dir)
        except OSError as error:
            if not isinstance(error, BrokenPipeError) and not stop.is_set():
                raise
            _silence()  # nobody looks any more: a closed pipe, or a terminal that is gone
    return 0


class _Stage:
    """Until when the demonstration goes on."""

    def __init__(self, stop: threading.Event, seconds: float | None) -> None:
        self._stop = stop
        self._end = None if seconds is None else time.monotonic() + seconds

    def goes_on(self) -> bool:
        """Wait a turn; tell whether there is another."""
        left = _TURN if self._end is None else min(_TURN, self._end - time.monotonic())
        return left > 0 and not self._stop.wait(left)


def _show(stage: _Stage, seed: int, keep: Path | None) -> None:
    """Build it all up, look at it, and take it all down again."""
    with ExitStack() as stack:
        emulator = stack.enter_context(Emulator(demo_world(seed, _HOSTS)))
        statistics = stack.enter_context(Statistics())
        place = stack.enter_context(prepared(emulator, statistics.configuration(), keep))
        view = stack.enter_context(screen())
        view.tell(
            [
                Line(
                    "demo",
                    "two emulated clouds and an API stand; starting syncd and its PostgreSQL",
                )
            ]
        )
        mariadb = stack.enter_context(MariaDb(place.directory / "mariadb"))
        child = stack.enter_context(Child(place))
        client = Client(place.socket, _ANSWER)
        churn = stack.enter_context(Churn(emulator, seed, lambda: _approve(client)))
        patient = Client(place.socket, _RELOAD)
        copies = stack.enter_context(Copies(place, patient, mariadb, seed))
        fleet = stack.enter_context(Fleet(place, patient, mariadb, copies.open))
        if _await_ready(stage, child):
            _introduce(view, place)
            churn.start()
            fleet.start()
            statistics.start()
            told = [churn.lines, fleet.lines, statistics.lines, copies.lines]
            _look(stage, view, client, told, child)
        view.tell([Line("demo", "stopping the daemon, the database servers and the clouds")])


def _await_ready(stage: _Stage, child: Child) -> bool:
    """Wait until the daemon is ready; False when told to stop meanwhile."""
    deadline = time.monotonic() + _START
    while not child.is_ready():
        if not stage.goes_on():
            return False
        _check(child)
        if time.monotonic() > deadline:
            raise StoreError(f"the daemon did not get ready:\n{child.last_words()}")
    return True


def _introduce(view: Screen, place: Place) -> None:
    """Say how to look at it, and how to stop."""
    view.introduce(place.hints())
    view.tell([Line("demo", "syncd is ready; Ctrl-C stops everything")])


def _look(
    stage: _Stage, view: Screen, client: Client, told: Sequence[SimpleQueue[Line]], child: Child
) -> None:
    """Show what happens, turn by turn."""
    story = Story(client)
    while stage.goes_on():
        _check(child)
        view.tell(line for lines in told for line in _waiting(lines))
        with suppress(Unreachable):  # a daemon that is ending: the next turn tells
            view.tell(story.news())
            view.show(story, client.jobs())


def _waiting(lines: SimpleQueue[Line]) -> Iterator[Line]:
    """Yield the lines that clouds or servers have for us."""
    with suppress(Empty):
        while True:
            yield lines.get_nowait()


def _check(child: Child) -> None:
    """Raise StoreError when the daemon has ended by itself."""
    if child.ended is not None:
        status = child.ended
        raise StoreError(f"the daemon ended with status {status}:\n{child.last_words()}")


def _approve(client: Client) -> int:
    """Let all deletions go that are held back; return how many."""
    try:
        jobs = {row["job"] for row in client.overview()["guarded"]}
        return sum(client.approve(job, "demo") for job in sorted(jobs))
    except SyncdError:
        return 0  # the daemon is going; so is the demonstration


@contextmanager
def _signals() -> Iterator[threading.Event]:
    """Give an event that is set by the signals that end the demonstration."""
    stop = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, lambda *_: stop.set()) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _silence() -> None:
    """Let what is still to be written go nowhere."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

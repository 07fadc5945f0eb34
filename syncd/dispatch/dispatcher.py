"""The dispatcher's thread: claims due times, starts runs, keeps the lease, and outlives the store.

What it is told comes over its inbox; what it decides is in `queue` and `board`. While the store is
out of reach, due times wait here, and the timetable goes on ticking.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final, Protocol, TypeVar

from syncd.context import BoundLogger, Clock
from syncd.dispatch.board import Active, Board, NextDue
from syncd.dispatch.gates import Limits, MachineGates
from syncd.dispatch.item import Observer, failure
from syncd.dispatch.queue import Room
from syncd.dispatch.recorder import Recorder
from syncd.dispatch.runner import Attempt, Runner
from syncd.dispatch.wanted import Wanted
from syncd.dispatch.workers import Piece, WorkerPool
from syncd.errors import (
    Cancelled,
    Fenced,
    Interrupted,
    StoreError,
    TimedOut,
    describe,
)
from syncd.model.run import Due, Gate, RunId, RunOutcome
from syncd.store.database import Store
from syncd.store.job_state import JobState
from syncd.store.leader import RENEW_SECONDS, Lease
from syncd.store.outbox import Owed
from syncd.store.runs import RunEnd

T = TypeVar("T")

_TURN: Final = 0.5  # seconds between two looks at deadlines and the lease
_STORE_RETRY: Final = 1.0  # seconds between two tries while the store is out of reach
_CLAIMED: Final = 1000  # due times at once: a second at most, since the lease runs meanwhile
_ANSWER: Final = 15.0  # seconds that a request waits for its turn
_UNDER_WAY: Final = 45.0  # and for its answer after that; the clients wait for 70


class Keeper(Protocol):
    """Who keeps the store and the process; told by the dispatcher's thread."""

    def store_lost(self, error: StoreError) -> None:
        """Do what can be done to bring the store back; must not raise."""

    def store_back(self) -> None:
        """Note that the store answers: told each time that the lease was renewed, too."""

    def run_ended(self, job: str, end: RunEnd | None) -> None:
        """Note how an attempt ended; in the worker's thread, or here when that is stuck."""

    def leadership_lost(self) -> None:
        """Stop the daemon: another one leads."""


class Hurry(Protocol):
    """Tells that a stop has to be quick, as `threading.Event` does."""

    def wait(self, timeout: float) -> bool:
        """Wait until it is said, at most `timeout` seconds; tell whether it was."""


class Dispatcher:
    """Owns the thread between the timetable and the workers."""

    def __init__(  # noqa: PLR0913 - the parts that the composition root puts together
        self,
        *,
        store: Store,
        lease: Lease,
        board: Board,
        runner: Runner,
        recorder: Recorder,
        pool: WorkerPool,
        observer: Observer,
        keeper: Keeper,
        gates: MachineGates,
        limits: Limits,
        next_due: NextDue,
        retime: Callable[[str], None],
        clock: Clock,
        log: BoundLogger,
    ) -> None:
        self._store, self.lease, self._board = store, lease, board
        self._gates, self._limits = gates, limits
        self._retime, self._clock = retime, clock
        self._runner, self._recorder, self._pool = runner, recorder, pool
        self._observer, self._keeper, self._next_due = observer, keeper, next_due
        self._log = log
        self._inbox: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._pieces: dict[RunId, Piece] = {}
        self._dues: list[Due] = []
        self._waited = False  # the store was out of reach since the last claim
        self._back_to: datetime | None = None
        self._draining = False
        self._settled = threading.Event()
        self.store_fails = False
        self._renewed = time.monotonic()
        self._retry_at = self._lapsed = 0.0
        self._thread = threading.Thread(target=self._loop, name="syncd-dispatcher", daemon=True)

    def start(self) -> None:
        """Start the thread; the lease has just been taken."""
        self._thread.start()

    def due(self, dues: Sequence[Due]) -> None:
        """Take due times over from the timetable; never blocks."""
        self._inbox.put(lambda: self._dues.extend(dues))

    def clock_set_back(self, now: datetime) -> None:
        """Bring the stored due times back to a clock that was set back; never blocks."""
        self._inbox.put(lambda: setattr(self, "_back_to", now))

    def ask(self, act: Callable[[], T]) -> T:
        """Have the dispatcher's thread do an act, wait for it, and return what it returns.

        Raises what the act raises, StoreError when it was not begun in 15 s: then it never is.
        """
        answer: Future[T] = Future()

        def do() -> None:
            if not answer.set_running_or_notify_cancel():
                return
            try:
                answer.set_result(act())
            except Exception as error:  # noqa: BLE001 - raised where it was asked
                answer.set_exception(error)

        self._inbox.put(do)
        with suppress(FutureTimeout):
            return answer.result(_ANSWER)
        with suppress(FutureTimeout):
            if not answer.cancel():  # it is being done; the store bounds how long that takes
                return answer.result(_UNDER_WAY)
        raise StoreError("the dispatcher does not answer: the store may hang")

    def adopt(
        self, want: Wanted, remember: Callable[[], Mapping[str, JobState]]
    ) -> Mapping[str, JobState]:
        """Take over what another configuration wants; runs under way keep theirs.

        `remember` tells the store of them and returns what it knows; no due time is claimed
        meanwhile.
        """

        def act() -> Mapping[str, JobState]:
            self._recorder.flush()
            states = remember()
            self._board.adopt(want.specs, states)
            self._limits = want.limits
            with suppress(StoreError, TimedOut):  # else it is done by a later turn
                self._board.drop_void()
            return states

        return self.ask(act)

    def stuck(self, attempt: Attempt) -> None:
        """Give up an attempt whose thread does not come back; never blocks."""
        self._inbox.put(lambda: self._give_up(attempt))

    def drain(self, grace: float, hurry: Hurry, tick: Callable[[], None]) -> None:
        """Start no more runs and wait for those under way; interrupt them when time is up.

        `tick` is called each half second; `hurry` ends the grace.
        """
        self._draining = True
        self._inbox.put(self._settled.set)  # the turn under way may begin a run still
        self._settled.wait(_TURN)
        self._wait_idle(grace, hurry, tick)
        for attempt in self._board.attempts():
            attempt.source.cancel(Interrupted("the daemon stops"))
        self._wait_idle(10.0, threading.Event(), tick)

    def _wait_idle(self, seconds: float, hurry: Hurry, tick: Callable[[], None]) -> None:
        end = time.monotonic() + seconds
        while self._at_work() and time.monotonic() < end and not hurry.wait(min(_TURN, seconds)):
            tick()

    def _at_work(self) -> bool:
        beginning = self._thread.is_alive() and not self._settled.is_set()
        return beginning or self._pool.busy > 0

    def stop(self) -> None:
        """End the thread and give the lease back."""
        self._inbox.put(None)
        self._thread.join(10)
        if self._thread.is_alive():
            self._log.warning("the store hangs; the lease runs out by itself")
            return
        try:
            self.lease.release(self._store)
        except (StoreError, TimedOut) as error:
            self._log.warning("the lease runs out by itself", error=describe(error))

    def _loop(self) -> None:
        while self._take_messages():
            try:
                self._turn()
            except Fenced as error:
                self._log.error("leadership lost", error=describe(error))
                self._keeper.leadership_lost()
                return
            except (StoreError, TimedOut) as error:
                self._store_lost(error)
            except Exception:  # noqa: BLE001 - the loop has to go on whatever happens
                self._log.exception("the dispatcher failed; it goes on")

    def _take_messages(self) -> bool:
        """Wait for a message, half a second at most, and take those there are; False to stop."""
        for _ in range(max(self._inbox.qsize(), 1)):  # no later ones: they may come without end
            try:
                message = self._inbox.get(timeout=_TURN)
            except Empty:
                return True
            if message is None:
                return False
            self._obey(message)
        return True

    def _obey(self, message: Callable[[], None]) -> None:
        try:
            message()
        except Exception:  # noqa: BLE001 - the loop has to go on whatever happens
            self._log.exception("the dispatcher failed; it goes on")

    def _turn(self) -> None:
        if time.monotonic() < self._retry_at:
            return
        if self.store_fails:
            self._recover_board()
        if time.monotonic() - self._renewed >= RENEW_SECONDS:
            self.lease.renew(self._store)
            self._renewed = time.monotonic()
            self._keeper.store_back()
        self._recorder.flush()
        if self._back_to:
            self._board.pull_back(self._back_to)
            self._back_to = None
        if not self._draining:
            self._schedule(self._gates.closed(self._limits))

    def _schedule(self, closed: frozenset[Gate]) -> None:
        """Give up what waited too long, make the runs that are due, start those that are next."""
        board, observer = self._board, self._observer
        if self._dues or time.monotonic() - self._lapsed >= _TURN:
            board.lapse(self._room(), closed, observer)  # before what is due finds it in its way
            self._lapsed = time.monotonic()
        self._claim()
        for attempt in board.begin(self._room(), closed, self._next_due, observer):
            self._pieces[attempt.claim.run_id] = self._pool.submit(partial(self._run, attempt))

    def _claim(self) -> None:
        """Make the runs that are due, oldest first; after an outage there may be very many."""
        if self._dues:
            self._dues.sort(key=lambda due: due.at)
            self._board.claim(self._dues[:_CLAIMED], self._observer, waited=self._waited)
            del self._dues[:_CLAIMED]
        self._waited = self._waited and bool(self._dues)

    def _room(self) -> Room:
        """Return what may be taken; a worker whose run has ended is free, if not yet idle."""
        limits, free = self._limits, max(self._pool.capacity - len(self._pieces), 0)
        return Room(free, limits.per_account, limits.per_server)

    def _run(self, attempt: Attempt) -> None:
        """Run an attempt in a worker's thread, and tell the board how it ended."""
        end = None
        try:
            end = self._runner.run(attempt)
        finally:
            self._inbox.put(lambda: self._ended(attempt, end))
            self._keeper.run_ended(attempt.spec.name, end)

    def _ended(self, attempt: Attempt, end: RunEnd | None) -> None:
        """Take an attempt off the board; an adaptive job's next one may come sooner or later."""
        self._pieces.pop(attempt.claim.run_id, None)
        self._board.ended(attempt, end)
        if end is None or end.outcome.status != "success":
            return
        try:
            adapted = self._board.jobs.adapt(attempt.spec, attempt.claim.run_id, attempt.selection)
        except (StoreError, TimedOut, Fenced) as error:  # a lost lease is noticed by the next turn
            self._log.warning("the interval stays", job=attempt.spec.name, error=describe(error))
            return
        if adapted:
            self._retime(attempt.spec.name)

    def _give_up(self, attempt: Attempt) -> None:
        """End the run of a stuck thread, lock its job, and put another thread in its place.

        What the thread still wants to record is refused: the run is over in the store.
        """
        run_id, job = attempt.claim.run_id, attempt.spec.name
        active = self._board.running.get(run_id)
        if active is None:
            return  # it just came back
        attempt.source.given_up = True
        end = _end_of_stuck(active, self._clock.now())
        self._log.error(
            "a thread is stuck: its job is locked until it comes back",
            job=job, run=str(run_id), error=end.outcome.error,
        )  # fmt: skip
        try:
            self._recorder.record(Owed(attempt.claim, run=end))
        except Fenced:
            pass  # somebody else has ended it
        finally:
            if piece := self._pieces.pop(run_id, None):
                self._pool.give_up(piece)
            self._board.give_up(active)
        status: RunOutcome = "cancelled" if end.outcome.status == "cancelled" else "failed"
        self._observer.run_ended(job, status, end.finished_at, end.seconds)
        self._keeper.run_ended(job, end)

    def _recover_board(self) -> None:
        """After an outage: what was committed though its answer was lost is on the board again."""
        self._recorder.flush()
        self._board.jobs.reread()
        self._board.reread()
        self.store_fails, self._waited = False, True
        self._log.info("the store is back")
        self._keeper.store_back()

    def _store_lost(self, error: StoreError | TimedOut) -> None:
        if not self.store_fails:
            self._log.error("the store is lost; due times wait", error=describe(error))
        self.store_fails = True
        self._keeper.store_lost(StoreError(describe(error)))
        self._retry_at = time.monotonic() + _STORE_RETRY


def _end_of_stuck(active: Active, now: datetime) -> RunEnd:
    """Return how the run of a stuck thread ends: for good, whatever the thread still does."""
    stopped = active.attempt.source.error or TimedOut("it was told to stop")
    outcome = failure(stopped if isinstance(stopped, Cancelled) else TimedOut(describe(stopped)))
    text = f"{outcome.error}; its thread did not come back"
    return RunEnd(replace(outcome, error=text), now, (now - active.since).total_seconds())

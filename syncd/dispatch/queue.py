"""Which run is next, which has to make room, which is given up: pure decisions.

They look at the runs that wait, those that run, what is closed, and the moment. Whoever is further
ahead is looked at first, so what is left for the others follows from one pass over the queue.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

from syncd.model.run import Gate, Overlap, Priority, RunId, Selection, TriggerName, Wait
from syncd.triggers.catch_up import Policy

LEVELS: Final[Mapping[Priority, int]] = {"urgent": 0, "high": 1, "normal": 2, "low": 3}
RISE_AFTER: Final = timedelta(minutes=10)
"""A waiting run rises one level each time this has passed, though never to urgent."""
MOST_INTERRUPTIONS: Final = 2
"""How often one run makes room for urgent ones."""
GATES: Final[frozenset[str]] = frozenset(get_args(Gate))


@dataclass(frozen=True, slots=True)
class Waiting:
    """A recorded run that waits for its first or next attempt.

    A gate holds it no longer than until `gate_by`; a first attempt that has not begun by `start_by`
    is given up whatever it waits for.
    """

    run_id: RunId
    job: str
    trigger: TriggerName
    priority: Priority
    scheduled_for: datetime
    created_at: datetime
    ready_at: datetime
    attempt: int
    max_attempts: int
    selection: Selection
    interruptions: int = 0
    accounts: frozenset[str] = frozenset()
    servers: frozenset[str] = frozenset()
    gate_by: datetime | None = None
    start_by: datetime | None = None

    def level(self, now: datetime) -> int:
        """Return how far behind it stands, 0 for urgent, after what it has waited."""
        level = LEVELS[self.priority]
        return min(level, max(1, level - max(now - self.ready_at, timedelta(0)) // RISE_AFTER))


@dataclass(frozen=True, slots=True)
class Running:
    """A run under way; `stopping` when it was told to stop already."""

    run_id: RunId
    job: str
    priority: Priority
    started_at: datetime
    interruptible: bool
    stopping: bool
    interruptions: int = 0
    accounts: frozenset[str] = frozenset()
    servers: frozenset[str] = frozenset()

    @property
    def may_yield(self) -> bool:
        """Tell whether it makes room for an urgent run."""
        free_to_stop = self.interruptible and not self.stopping and self.priority != "urgent"
        return free_to_stop and self.interruptions < MOST_INTERRUPTIONS


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a run waits, and until when if that is known."""

    reason: Wait
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Closed:
    """What is closed: gates of the machine for all, and of single jobs (paused, held, window)."""

    machine: Collection[Gate] = ()
    jobs: Mapping[str, Verdict] = field(default_factory=dict)

    def holds(self, run: Waiting) -> Verdict | None:
        """Return the gate that holds a run; one by hand passes those that are its job's."""
        if run.trigger != "manual" and run.job in self.jobs:
            return self.jobs[run.job]
        if "disk" in self.machine:
            return Verdict("disk")
        if "load" in self.machine and run.priority != "urgent":
            return Verdict("load")
        return None


@dataclass(frozen=True, slots=True)
class Room:
    """What may still be taken: workers that are free, and how many runs share a thing at most."""

    workers: int
    per_account: int = 1
    per_server: int = 1


Fate = Literal["make", "replace", "overlap", "stuck"]
"""Of a due time: a run (in place of the active ones), or none, with the reason."""


def fate(
    trigger: TriggerName,
    catch_up: Policy,
    overlap: Overlap,
    *,
    active: int,
    queued: int,
    locked: bool,
) -> Fate:
    """Decide what becomes of a due time of a job.

    `active` counts the job's runs that are not over, `queued` those of them that have not begun;
    `locked` when a thread of the job is stuck. Where every missed due time is to be made up for,
    each gets its run, one after the other.
    """
    if locked:
        return "stuck"
    if not active or (trigger == "catch_up" and catch_up == "all"):
        return "make"
    if overlap == "replace":
        return "replace"
    return "make" if overlap == "queue" and not queued else "overlap"


@dataclass(slots=True)
class Decision:
    """What to do now: start these, interrupt those for urgent ones, give others up; and why not."""

    start: list[Waiting] = field(default_factory=list)
    interrupt: list[RunId] = field(default_factory=list)
    waits: dict[RunId, Verdict] = field(default_factory=dict)
    lapsed: list[tuple[Waiting, Wait]] = field(default_factory=list)


def decide(
    waiting: Iterable[Waiting],
    running: Collection[Running],
    locked: Collection[str],
    closed: Closed,
    room: Room,
    now: datetime,
) -> Decision:
    """Decide about every waiting run, by priority, then first in, first out.

    A job never has two runs at once, nor one beside a stuck thread (`locked`). A run that waits for
    an account, a server or a worker keeps those behind it from taking what it needs, so that it is
    not overtaken for ever.
    """
    decision, desk = Decision(), _Desk(running, locked, room)
    for run in sorted(waiting, key=lambda run: _place(run, now)):
        verdict = _not_ready(run, now) or closed.holds(run) or desk.refuses(run)
        if verdict is None:
            desk.take(run)
            decision.start.append(run)
        elif _lapses(run, verdict.reason, now):
            decision.lapsed.append((run, verdict.reason))
        else:
            desk.reserve(run, verdict.reason)
            decision.waits[run.run_id] = verdict
            if run.priority == "urgent":
                decision.interrupt += desk.make_room(run, verdict.reason)
    return decision


def _place(run: Waiting, now: datetime) -> tuple[int, datetime, datetime, int]:
    """Return where a run stands: of those made at once, the one that was due first is first."""
    return run.level(now), run.created_at, run.scheduled_for, run.run_id.int


def _not_ready(run: Waiting, now: datetime) -> Verdict | None:
    """Return until when a run can't be started: another process has its job, or a retry's wait."""
    if run.ready_at <= now:
        return None
    return Verdict("retry" if run.attempt else "elsewhere", run.ready_at)


def _lapses(run: Waiting, reason: Wait, now: datetime) -> bool:
    """Tell whether a run that can't be started has waited too long."""
    if reason in GATES and run.gate_by is not None and run.gate_by <= now:
        return True
    return run.attempt == 0 and run.start_by is not None and run.start_by <= now


class _Desk:
    """What is taken so far, in the order of the queue."""

    def __init__(self, running: Collection[Running], locked: Collection[str], room: Room) -> None:
        self._running, self._room = running, room
        self._jobs = {run.job for run in running} | set(locked)
        self._accounts = Counter(account for run in running for account in run.accounts)
        self._servers = Counter(server for run in running for server in run.servers)
        self._free = room.workers
        self._leaving = sum(run.stopping for run in running)  # workers that will be free soon
        self._yielding: set[RunId] = set()

    def refuses(self, run: Waiting) -> Verdict | None:
        """Return what a run lacks to be started."""
        if run.job in self._jobs:
            return Verdict("overlap")
        if any(self._accounts[name] >= self._room.per_account for name in run.accounts):
            return Verdict("account")
        if any(self._servers[name] >= self._room.per_server for name in run.servers):
            return Verdict("server")
        return None if self._free > 0 else Verdict("worker")

    def take(self, run: Waiting) -> None:
        """Give a run what it needs."""
        self._free -= 1
        self._keep(run)

    def reserve(self, run: Waiting, reason: Wait) -> None:
        """Keep what a run is about to need from those behind it."""
        if reason in ("account", "server", "worker"):
            self._keep(run)

    def _keep(self, run: Waiting) -> None:
        self._jobs.add(run.job)
        self._accounts.update(run.accounts)
        self._servers.update(run.servers)

    def make_room(self, run: Waiting, reason: Wait) -> list[RunId]:
        """Return whom to interrupt so that an urgent run can be started; nobody if it won't do."""
        if reason == "worker":
            if self._leaving > 0:
                self._leaving -= 1
                return []
            return self._yield_one(self._running)
        if reason in ("account", "server"):
            return self._clear_way(run)
        return []

    def _clear_way(self, run: Waiting) -> list[RunId]:
        """Interrupt whom it takes so that the accounts and servers of a run have room for it."""
        chosen: list[RunId] = []
        for holders, excess in self._shared(run):
            leaving = sum(one.stopping or one.run_id in self._yielding for one in holders)
            for _ in range(excess - leaving):
                yielding = self._yield_one(holders)
                if not yielding:
                    self._yielding -= set(chosen)
                    return []
                chosen += yielding
        return chosen

    def _shared(self, run: Waiting) -> Iterator[tuple[list[Running], int]]:
        """Give the holders of each account and server of a run, and how many are too many.

        The run counts, and so do the urgent ones ahead, which take what becomes free first.
        """
        for name in sorted(run.accounts):
            holders = [one for one in self._running if name in one.accounts]
            yield holders, self._accounts[name] - self._room.per_account
        for name in sorted(run.servers):
            holders = [one for one in self._running if name in one.servers]
            yield holders, self._servers[name] - self._room.per_server

    def _yield_one(self, among: Iterable[Running]) -> list[RunId]:
        """Choose the run of the lowest priority, of several the one that would lose the least."""
        able = [run for run in among if run.may_yield and run.run_id not in self._yielding]
        if not able:
            return []
        chosen = max(able, key=lambda run: (LEVELS[run.priority], run.started_at))
        self._yielding.add(chosen.run_id)
        return [chosen.run_id]

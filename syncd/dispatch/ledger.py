"""What the board writes down before it changes: each act is one transaction under the lease.

`Ledger` is all that the scheduling needs of a store; `StoreLedger` keeps it in PostgreSQL. Every
act raises Fenced once another daemon leads, StoreError or TimedOut when the store is out of reach.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from syncd.model.run import Claim, Priority, RunId
from syncd.store import held_accounts, job_state, runs
from syncd.store.database import Operation, Store, Transaction
from syncd.store.job_state import JobState, Pause, Skip
from syncd.store.leader import Lease
from syncd.store.runs import NewRun, PendingRun

_LIMIT: Final = 10.0
"""Seconds that an act may take: a store that hangs must not hold the dispatcher up for long."""


@dataclass(frozen=True, slots=True)
class ClaimedDues:
    """Due times as they are accounted for, together: with a run, or without one.

    `over` are runs that are cancelled, with the reason, each for the sake of one that is made: only
    if that one is new. Such may be among those made.
    """

    accounted: Mapping[str, datetime]
    made: Sequence[NewRun] = ()
    over: Sequence[tuple[RunId, str, RunId]] = ()
    skips: Sequence[Skip] = field(default_factory=list)


class Ledger(Protocol):
    """The record of runs that wait or begin, and of the jobs' states."""

    def states(self) -> Mapping[str, JobState]:
        """Return what is remembered of each job."""

    def waiting(self, under_way: Collection[RunId], now: datetime) -> list[PendingRun]:
        """Return the runs that wait.

        One that was begun here without being under way, its answer lost, waits again.
        """

    def claim(self, dues: ClaimedDues, now: datetime) -> set[RunId]:
        """Account for due times; return the runs that are new: another daemon may have made one."""

    def recorded(self, dues: Collection[tuple[str, datetime]]) -> set[tuple[str, datetime]]:
        """Return those of some due times, each a job and a moment, that have a run."""

    def add(self, run: NewRun, now: datetime) -> None:
        """Record a run by hand."""

    def start(self, run_id: RunId, now: datetime) -> Claim | None:
        """Begin the next attempt of a run; None when it does not wait any more.

        Raises Conflict while another process runs the job.
        """

    def cancel(self, run_id: RunId, reason: str, now: datetime, skip: Skip | None = None) -> bool:
        """Cancel a run that waits; tell whether it did. `skip` is the due time that lapsed."""

    def cancel_command(self, run_id: RunId, reason: str, now: datetime) -> bool:
        """Cancel a run of a command line; tell whether there is one."""

    def prioritise(self, run_id: RunId, priority: Priority) -> bool:
        """Give a run that waits another priority; tell whether it waits."""

    def pause(self, job: str, pause: Pause) -> None:
        """Pause a job's schedule."""

    def resume(self, job: str, accounts: Collection[str]) -> None:
        """Resume a job's schedule, and hold these accounts no longer."""

    def forget_skip(self, job: str) -> None:
        """Forget the last due time of a job that got no run: a later one has got its."""

    def set_interval(self, job: str, interval: timedelta) -> None:
        """Remember the present interval of an adaptive job."""

    def changes_of(self, run_id: RunId) -> int:
        """Return how many changes a run made."""

    def pull_back(self, now: datetime) -> None:
        """Bring last due times that lie in the future back to now."""


class StoreLedger:
    """The ledger in the store."""

    def __init__(self, store: Store, lease: Lease) -> None:
        self._store, self._lease = store, lease

    @contextmanager
    def _leading(self, operation: Operation = "other") -> Iterator[Transaction]:
        """Give a transaction in which nobody else has taken over."""
        with self._store.transaction(limit=_LIMIT, operation=operation) as tx:
            self._lease.check(tx)
            yield tx

    def waiting(self, under_way: Collection[RunId], now: datetime) -> list[PendingRun]:
        """Return the runs that wait."""
        holder, epoch = self._lease.holder, self._lease.epoch
        with self._leading() as tx:
            runs.give_back(tx, holder, epoch, under_way, now)
            return runs.waiting(tx)

    def states(self) -> Mapping[str, JobState]:
        """Return what is remembered of each job."""
        with self._leading() as tx:
            return job_state.read(tx)

    def claim(self, dues: ClaimedDues, now: datetime) -> set[RunId]:
        """Account for due times; return the runs that are new."""
        with self._leading("claim") as tx:
            inserted = runs.insert(tx, dues.made, now)
            for run_id, reason, by in dues.over:
                if by in inserted:
                    runs.cancel_pending(tx, run_id, reason, now)
            job_state.advance(tx, dues.accounted)
            if dues.skips:
                job_state.note_skips(tx, dues.skips)
        return inserted

    def recorded(self, dues: Collection[tuple[str, datetime]]) -> set[tuple[str, datetime]]:
        """Return those of some due times, each a job and a moment, that have a run."""
        with self._leading() as tx:
            return runs.recorded(tx, dues)

    def add(self, run: NewRun, now: datetime) -> None:
        """Record a run by hand."""
        with self._leading() as tx:
            runs.insert(tx, [run], now)

    def start(self, run_id: RunId, now: datetime) -> Claim | None:
        """Begin the next attempt of a run; None when it does not wait any more."""
        with self._leading("begin") as tx:
            return runs.start(tx, run_id, self._lease.holder, self._lease.epoch, now)

    def cancel(self, run_id: RunId, reason: str, now: datetime, skip: Skip | None = None) -> bool:
        """Cancel a run that waits; tell whether it did."""
        with self._leading() as tx:
            if skip:
                job_state.note_skips(tx, [skip])
            return runs.cancel_pending(tx, run_id, reason, now)

    def cancel_command(self, run_id: RunId, reason: str, now: datetime) -> bool:
        """Cancel a run of a command line; tell whether there is one."""
        with self._leading() as tx:
            return runs.cancel_command(tx, run_id, reason, now)

    def prioritise(self, run_id: RunId, priority: Priority) -> bool:
        """Give a run that waits another priority; tell whether it waits."""
        with self._leading() as tx:
            return runs.prioritise(tx, run_id, priority)

    def pause(self, job: str, pause: Pause) -> None:
        """Pause a job's schedule."""
        with self._leading() as tx:
            job_state.set_pause(tx, job, pause)

    def resume(self, job: str, accounts: Collection[str]) -> None:
        """Resume a job's schedule, and hold these accounts no longer."""
        with self._leading() as tx:
            job_state.set_pause(tx, job, None)
            held_accounts.free(tx, accounts)

    def forget_skip(self, job: str) -> None:
        """Forget the last due time of a job that got no run: a later one has got its."""
        with self._leading() as tx:
            job_state.forget_skip(tx, job)

    def set_interval(self, job: str, interval: timedelta) -> None:
        """Remember the present interval of an adaptive job."""
        with self._leading() as tx:
            job_state.set_interval(tx, job, interval)

    def changes_of(self, run_id: RunId) -> int:
        """Return how many changes a run made."""
        with self._leading() as tx:
            return runs.changes_of(tx, run_id)

    def pull_back(self, now: datetime) -> None:
        """Bring last due times that lie in the future back to now."""
        with self._leading() as tx:
            job_state.pull_back(tx, now)

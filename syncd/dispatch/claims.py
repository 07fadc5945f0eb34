"""What becomes of due times that are handed over together: which get a run, which don't, and why.

Nothing is changed here: the result is written to the ledger as a whole.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, cast

from syncd.dispatch.job_states import JobStates
from syncd.dispatch.ledger import ClaimedDues
from syncd.dispatch.queue import GATES, Waiting, fate
from syncd.dispatch.spec import JobSpec
from syncd.model.run import Due, RunId, SkipReason, Wait, new_run_id
from syncd.store.job_state import Skip
from syncd.store.runs import NewRun

_LAPSED: Final[dict[Wait, str]] = {
    "load": "the load was too high",
    "disk": "the disk was too full",
    "store": "the store was out of reach",
    "paused": "the job was paused",
    "held": "what the job logs in with was held",
    "window": "it was in an exclusion window",
    "worker": "no worker was free",
    "account": "its account was in use",
    "server": "its server was in use",
    "overlap": "another run of the job was under way",
    "elsewhere": "another process ran the job",
}


def lapsed_text(reason: Wait) -> str:
    """Return why a run was given up, for its record."""
    return f"not started in time ({reason}): {_LAPSED.get(reason, reason)}"


def skip_reason(reason: Wait) -> SkipReason:
    """Return why a due time got no run, of one that was given up waiting."""
    return cast(SkipReason, reason) if reason in GATES else "busy"


@dataclass(slots=True)
class Standing:
    """The active runs of one job."""

    running: list[RunId] = field(default_factory=list)
    begun: list[RunId] = field(default_factory=list)  # wait for a further attempt
    queued: list[RunId] = field(default_factory=list)
    dues: set[datetime] = field(default_factory=set)  # that have a run among them
    locked: bool = False

    def all(self) -> list[RunId]:
        """Return all of them."""
        return [*self.running, *self.begun, *self.queued]

    def note(self, run: Waiting) -> None:
        """Note the due time that a run was made for, if it was."""
        if run.trigger in ("schedule", "catch_up"):
            self.dues.add(run.scheduled_for)


def standings(
    waiting: Iterable[Waiting], running: Iterable[Waiting], locked: Iterable[str]
) -> dict[str, Standing]:
    """Return the active runs by job."""
    found: dict[str, Standing] = defaultdict(Standing)
    for run in waiting:
        (found[run.job].begun if run.attempt else found[run.job].queued).append(run.run_id)
        found[run.job].note(run)
    for run in running:
        found[run.job].running.append(run.run_id)
        found[run.job].note(run)
    for job in locked:
        found[job].locked = True
    return found


class Claims:
    """Decides about due times, oldest first; `waited` when the store was out of reach meanwhile."""

    def __init__(
        self, jobs: JobStates, standing: dict[str, Standing], now: datetime, *, waited: bool
    ) -> None:
        self._jobs, self._standing = jobs, standing
        self._now, self._waited = now, waited
        self._accounted: dict[str, datetime] = {}
        self._made: list[NewRun] = []
        self._over: list[tuple[RunId, str, RunId]] = []
        self._skips: list[Skip] = []

    def settle(self, dues: Iterable[Due]) -> ClaimedDues:
        """Return what is to be written; due times of jobs that are gone are left out."""
        for due in sorted(dues, key=lambda due: due.at):
            if spec := self._jobs.specs.get(due.job):
                self._accounted[due.job] = due.at
                self._settle(spec, due)
        return ClaimedDues(self._accounted, self._made, self._over, self._skips)

    def _settle(self, spec: JobSpec, due: Due) -> None:
        """Decide about one due time.

        One that has its run already was handed over before the clock went back, or when the answer
        to its claim was lost.
        """
        standing = self._standing.setdefault(due.job, Standing())
        if due.at in standing.dues:
            self._skips.append(Skip(due.job, due.at, "already_made"))
            return
        if self._waited and self._lapsed(spec, due):
            run = self._make(spec, due)
            self._over.append((run.id, lapsed_text("store"), run.id))
            self._skips.append(Skip(due.job, due.at, "store"))
            return
        decided = fate(
            due.trigger,
            spec.catch_up,
            spec.overlap,
            active=len(standing.all()),
            queued=len(standing.queued),
            locked=standing.locked,
        )
        if decided in ("overlap", "stuck"):
            self._skips.append(Skip(due.job, due.at, decided))
            return
        run = self._make(spec, due)
        if decided == "replace":
            text = f"replaced by run {run.id}"
            self._over += [(run_id, text, run.id) for run_id in standing.all()]
            standing.begun.clear()
            standing.queued.clear()
        standing.queued.append(run.id)

    def _lapsed(self, spec: JobSpec, due: Due) -> bool:
        """Tell whether a due time waited for the store beyond its next one, or its deadline."""
        until, _ = self._jobs.limits(spec, due.trigger, due.at, self._now)
        return due.trigger == "schedule" and until is not None and until <= self._now

    def _make(self, spec: JobSpec, due: Due) -> NewRun:
        run = NewRun(
            new_run_id(self._now), spec.name, spec.kind, due.trigger, due.at,
            len(spec.retries) + 1, spec.config_digest, spec.priority,
        )  # fmt: skip
        self._made.append(run)
        self._standing[due.job].dues.add(due.at)
        return run

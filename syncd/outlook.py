"""What is told of the schedule: what each job does next, and why it does nothing now."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from syncd.dispatch.board import Active
from syncd.dispatch.gates import Reading
from syncd.dispatch.holds import PROBE_EVERY
from syncd.dispatch.queue import LEVELS, Verdict, Waiting
from syncd.dispatch.service import Dispatch
from syncd.dispatch.spec import JobSpec
from syncd.store.held_accounts import HeldAccount
from syncd.store.job_state import JobState, Pause

Json = dict[str, Any]

_PRIORITIES: Final = {level: priority for priority, level in LEVELS.items()}


class Outlook:
    """The documents about jobs and queue that `syncd jobs` and the control socket show."""

    def __init__(self, dispatch: Dispatch, now: Callable[[], datetime]) -> None:
        self._dispatch, self._now = dispatch, now

    def jobs(self, timezones: Mapping[str, str]) -> list[Json]:
        """Return each enabled job: what it is, what it does next, and what keeps it.

        Raises StoreError while another daemon leads: who stands by has no jobs.
        """
        dispatch, specs = self._dispatch, self._dispatch.board.jobs.specs
        due, running = dispatch.timetable.next_runs(), dispatch.running_jobs()
        stuck = {active.run.job: str(active.run.run_id) for active in dispatch.stuck()}
        waiting = dispatch.waiting()
        return [
            {
                "name": spec.name,
                "kind": spec.kind,
                "schedule": spec.schedule,
                "timezone": timezones[spec.name],
                "priority": spec.priority,
                "overlap": spec.overlap,
                "next_run": (next_run := due.get(spec.name)),
                "window_until": spec.closed_until(next_run) if next_run else None,
                "running": running.get(spec.name),
                "stuck": stuck.get(spec.name),
                "waiting": self._waiting([run for run in waiting if run.job == spec.name]),
                **self._state(spec),
            }
            for spec in specs.values()
            if spec.name in timezones
        ]

    def _state(self, spec: JobSpec) -> Json:
        """Return what is remembered of a job."""
        dispatch, state = self._dispatch, self._dispatch.state(spec.name)
        interval = dispatch.interval(spec)
        return {
            "paused": pause_document(dispatch.pause_of(spec.name)),
            "held": [_held(account) for account in dispatch.holds.of(spec)],
            "last_skip": _skip(state),
            "interval_seconds": interval.total_seconds() if interval else None,
            "delayed_seconds": self._delay(spec.name),
        }

    def _delay(self, job: str) -> float:
        """Return how long the oldest run of a job that has not begun is past its due time."""
        late = [
            (self._now() - run.scheduled_for).total_seconds()
            for run in self._dispatch.waiting()
            if run.job == job and run.attempt == 0
        ]
        return max([0.0, *late])

    def scheduler(self) -> Json:
        """Return the workers, the gates, and the runs that run and wait."""
        dispatch = self._dispatch
        pool, gates = dispatch.pool, dispatch.gates.read(dispatch.limits)
        active = [(one, False) for one in dispatch.active()]
        stuck = [(one, True) for one in dispatch.stuck()]
        return {
            "leader": dispatch.leads,
            "now": self._now(),
            "workers": {
                "size": dispatch.limits.runs,
                "busy": pool.busy,
                "idle": pool.idle,
                "stuck": pool.stuck,
            },
            "gates": _gates(gates) | {"store": {"closed": dispatch.store_fails}},
            "running": [_running(one, stuck=lost) for one, lost in [*active, *stuck]],
            "waiting": self._waiting(dispatch.waiting()),
        }

    def _waiting(self, runs: Sequence[Waiting]) -> list[Json]:
        """Return runs that wait, those that come first before."""
        now = self._now()
        ordered = sorted(runs, key=lambda run: (run.level(now), run.created_at))
        return [_waits(run, self._dispatch.why(run), now) for run in ordered]


class JobGauges:
    """What a scrape reads of each job, by name; each job has its value, so that none is absent."""

    def __init__(self, dispatch: Dispatch, now: Callable[[], datetime]) -> None:
        self._dispatch, self._now = dispatch, now
        self._gaps: dict[str, tuple[JobSpec, float | None]] = {}

    def expected_intervals(self) -> dict[str, float]:
        """Return the longest time between two due times of each job that has any, in seconds.

        To find that takes some milliseconds a job: once, and not while the daemon starts.
        """
        known, now = self._gaps, self._now()
        self._gaps = {
            job: known[job]
            if job in known and known[job][0] is spec
            else (spec, spec.longest_gap(now))
            for job, spec in self._specs.items()
        }
        return {job: gap for job, (_, gap) in self._gaps.items() if gap is not None}

    def next_runs(self) -> dict[str, float]:
        """Return when each job is due next, as a timestamp; 0 for one that never is."""
        due = self._dispatch.timetable.next_runs()
        return {job: at.timestamp() if (at := due.get(job)) else 0.0 for job in self._specs}

    def paused(self) -> dict[str, bool]:
        """Tell whether a job is paused."""
        return {job: self._dispatch.pause_of(job) is not None for job in self._specs}

    def held(self) -> dict[str, bool]:
        """Tell whether all accounts of a job are held."""
        holds, now = self._dispatch.holds, self._now()
        return {job: holds.gate(spec, now) is not None for job, spec in self._specs.items()}

    def stuck(self) -> dict[str, bool]:
        """Tell whether a thread of a job is stuck."""
        stuck = {active.run.job for active in self._dispatch.stuck()}
        return {job: job in stuck for job in self._specs}

    def intervals(self) -> dict[str, float]:
        """Return the present interval of each adaptive job, in seconds."""
        found = {job: self._dispatch.interval(spec) for job, spec in self._specs.items()}
        return {job: interval.total_seconds() for job, interval in found.items() if interval}

    @property
    def _specs(self) -> Mapping[str, JobSpec]:
        return self._dispatch.specs


def pause_document(pause: Pause | None) -> Json | None:
    """Return a pause as it is told."""
    return asdict(pause) if pause else None


def _waits(run: Waiting, why: Verdict, now: datetime) -> Json:
    return {
        "run": str(run.run_id),
        "job": run.job,
        "trigger": run.trigger,
        "priority": run.priority,
        "effective_priority": _PRIORITIES[run.level(now)],
        "attempt": run.attempt,
        "scheduled_for": run.scheduled_for,
        "since": run.created_at if run.attempt == 0 else run.ready_at,
        "reason": why.reason,
        "until": why.until,
    }


def _running(active: Active, *, stuck: bool) -> Json:
    return {
        "run": str(active.run.run_id),
        "job": active.run.job,
        "priority": active.run.priority,
        "attempt": active.attempt.claim.attempt,
        "since": active.since,
        "interruptible": active.as_running().may_yield,
        "stuck": stuck,
    }


def _gates(readings: Mapping[Any, Reading]) -> Json:
    load, disk = readings["load"], readings["disk"]
    return {
        "load": {"closed": load.closed, "value": round(load.value, 3), "limit": load.limit},
        "disk": {
            "closed": disk.closed,
            "free_bytes": int(disk.value),
            "limit_bytes": int(disk.limit),
        },
    }


def _held(account: HeldAccount) -> Json:
    return {
        "account": account.account,
        "since": account.held_at,
        "reason": account.reason,
        "next_probe_at": account.probed_at + PROBE_EVERY,
    }


def _skip(state: JobState) -> Json | None:
    """Return the last due time without a run that was started, until a later one has got its."""
    return {"due": state.skip.due, "reason": state.skip.reason} if state.skip else None

"""The enabled jobs and what is remembered of each: last due time, pause, interval, holds.

Only the dispatcher's thread changes them; each change is written to the ledger first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from syncd.context import BoundLogger, Clock
from syncd.dispatch.holds import Holds
from syncd.dispatch.ledger import Ledger
from syncd.dispatch.queue import Verdict, Waiting
from syncd.dispatch.spec import JobSpec
from syncd.errors import NotFound
from syncd.model.run import RunId, Selection, TriggerName
from syncd.store.job_state import JobState, Pause, Skip


class JobStates:
    """The jobs of the configuration in force."""

    def __init__(self, ledger: Ledger, holds: Holds, clock: Clock, log: BoundLogger) -> None:
        self._ledger, self.holds = ledger, holds
        self._clock, self._log = clock, log
        self.specs: Mapping[str, JobSpec] = {}
        self._states: Mapping[str, JobState] = {}  # replaced as a whole, for who reads meanwhile

    def adopt(self, specs: Mapping[str, JobSpec], states: Mapping[str, JobState]) -> None:
        """Take the jobs of a configuration over."""
        self.specs, self._states = specs, dict(states)

    def reread(self) -> None:
        """Take what is remembered over from the ledger, after answers of it may have been lost."""
        self._states = self._ledger.states()

    def spec(self, job: str) -> JobSpec:
        """Return a job; raises NotFound."""
        if job not in self.specs:
            raise NotFound(f"there is no enabled job {job!r}")
        return self.specs[job]

    def of(self, job: str) -> JobState:
        """Return what is remembered of a job."""
        return self._states.get(job, JobState())

    def pause(self, job: str, until: datetime | None, by: str) -> Pause:
        """Pause a job's schedule; runs by hand go on."""
        self.spec(job)
        pause = Pause(self._clock.now(), until, by)
        self._ledger.pause(job, pause)
        self._remember({job: replace(self.of(job), pause=pause)})
        self._log.info(
            "job paused", job=job, by=by, until=until.isoformat() if until else "resumed"
        )
        return pause

    def resume(self, job: str, by: str) -> tuple[bool, list[str]]:
        """End a job's pause, and free its held accounts; return whether it was paused, and them."""
        spec, before = self.spec(job), self.pause_of(job)
        freed = sorted({each.account for each in self.holds.of(spec)})
        self._ledger.resume(job, freed)
        self._remember({job: replace(self.of(job), pause=None)})
        self.holds.freed(freed)
        self._log.info("job resumed", job=job, by=by)
        return before is not None, freed

    def pause_of(self, job: str) -> Pause | None:
        """Return the pause of a job that is in force."""
        pause = self.of(job).pause
        over = pause and pause.until and pause.until <= self._clock.now()
        return None if over else pause

    def gate(self, job: str, now: datetime) -> Verdict | None:
        """Return the gate that holds the scheduled runs of a job: paused, held, or a window."""
        if pause := self.pause_of(job):
            return Verdict("paused", pause.until)
        spec = self.specs[job]
        until = spec.closed_until(now)
        return self.holds.gate(spec, now) or (Verdict("window", until) if until else None)

    def placed(self, run: Waiting) -> Waiting:
        """Return a run with what its job says of it now: what it uses, how long it may wait.

        It waits no longer than the ladder's longest step: the clock may have gone back meanwhile.
        """
        spec, chosen = self.specs[run.job], run.selection
        accounts, servers = frozenset(spec.accounts), frozenset(spec.servers)
        longest = max(spec.retries, default=timedelta(0)) if run.attempt else timedelta(0)
        run = replace(run, ready_at=min(run.ready_at, self._clock.now() + longest))
        trigger, since = run.trigger, run.created_at
        if run.attempt and trigger != "manual":  # has its time from when it is ready, likewise
            trigger, since = "catch_up", run.ready_at
        gate_by, start_by = self.limits(spec, trigger, run.scheduled_for, since)
        return replace(
            run, accounts=accounts & chosen.accounts if chosen.accounts else accounts,
            servers=servers & chosen.servers if chosen.servers else servers,
            gate_by=gate_by, start_by=start_by,
        )  # fmt: skip

    def limits(
        self, spec: JobSpec, trigger: TriggerName, due: datetime, created: datetime
    ) -> tuple[datetime | None, datetime | None]:
        """Return until when a gate may hold a run, and until when its first attempt must begin.

        One that was missed has its time from when it was made; one by hand has no limit.
        """
        if trigger == "manual":
            return None, None
        since = due if trigger == "schedule" else created
        if spec.start_deadline is not None:
            return since + spec.start_deadline, since + spec.start_deadline
        # From the due time on, since what is remembered may be another one, or none as yet.
        memory = replace(self.of(spec.name).memory, last_due=due)
        try:
            rule = spec.trigger_from and spec.trigger_from(memory, created)
            return (rule.next_after(since) if rule else None), None
        except Exception:  # noqa: BLE001 - a trigger's bug must not stop the other jobs
            self._log.exception("a trigger failed: a gate may hold the run for long", job=spec.name)
            return None, None

    def adapt(self, spec: JobSpec, run_id: RunId, selection: Selection) -> bool:
        """Give an adaptive job its next interval after a success; tell whether it differs.

        A run of a part of the job tells nothing about the rest.
        """
        job, now = spec.name, self.specs.get(spec.name)  # it may differ by now, or be gone
        if now is None or now.adaptive is None or selection != Selection():
            return False
        memory = self.of(job).memory
        interval = now.adaptive.next_interval(memory.interval, self._ledger.changes_of(run_id))
        if interval == memory.interval:
            return False
        self._ledger.set_interval(job, interval)
        self._remember({job: replace(self.of(job), memory=replace(memory, interval=interval))})
        self._log.info("interval adapted", job=job, seconds=interval.total_seconds())
        return True

    def accounted(self, dues: Mapping[str, datetime]) -> None:
        """Note until when due times are accounted for, as the ledger has it; never goes back."""
        last = {job: self.of(job).memory.last_due for job in dues}
        self._set_last_due({job: max(at, last[job] or at) for job, at in dues.items()})

    def skipped(self, skips: Sequence[Skip]) -> None:
        """Note due times that got no run, as the ledger has them."""
        self._remember({skip.job: replace(self.of(skip.job), skip=skip) for skip in skips})

    def begun(self, run: Waiting) -> None:
        """Note that a run begins: what was skipped before it is no news any more."""
        skip = self.of(run.job).skip
        if skip is not None and run.trigger != "manual" and skip.due < run.scheduled_for:
            self._ledger.forget_skip(run.job)
            self._remember({run.job: replace(self.of(run.job), skip=None)})

    def pull_back(self, now: datetime) -> None:
        """Bring last due times back to a clock that was set back."""
        self._ledger.pull_back(now)
        last = {job: state.memory.last_due for job, state in self._states.items()}
        self._set_last_due({job: now for job, due in last.items() if due and due > now})

    def _set_last_due(self, dues: Mapping[str, datetime]) -> None:
        states = {job: self.of(job) for job in dues}
        self._remember(
            {
                job: replace(states[job], memory=replace(states[job].memory, last_due=due))
                for job, due in dues.items()
            }
        )

    def _remember(self, changed: Mapping[str, JobState]) -> None:
        if changed:
            self._states = {**self._states, **changed}

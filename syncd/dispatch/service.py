"""The dispatch as a whole: takes the schedule over, runs it, changes it, and lets go of it."""

import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, get_args
from uuid import UUID

from syncd.context import BoundLogger, CancelSource, Clock, Deadline, RunContext
from syncd.dispatch.board import Active, Board
from syncd.dispatch.dispatcher import Dispatcher, Hurry, Keeper
from syncd.dispatch.gates import Limits, MachineGates
from syncd.dispatch.holds import Holds
from syncd.dispatch.isolated import Entry, Isolated
from syncd.dispatch.item import Observer
from syncd.dispatch.job_states import JobStates
from syncd.dispatch.ledger import StoreLedger
from syncd.dispatch.planner import Planned, plan
from syncd.dispatch.progress import ItemReport, RunProgress
from syncd.dispatch.queue import Verdict, Waiting
from syncd.dispatch.recorder import Recorder
from syncd.dispatch.runner import Announcer, Runner
from syncd.dispatch.spec import JobSpec
from syncd.dispatch.supervisor import Supervisor, ailment
from syncd.dispatch.timetable import Plan, Timetable
from syncd.dispatch.wanted import Wanted
from syncd.dispatch.work import Items, Work
from syncd.dispatch.workers import WorkerPool
from syncd.errors import StoreError, TimedOut, describe
from syncd.model.run import Claim, Isolation, Priority, RunId, Selection, Wait, new_run_id
from syncd.store import held_accounts, job_state, leader, recovery, resources
from syncd.store.database import Store
from syncd.store.job_state import JobState, Pause
from syncd.store.leader import Lease
from syncd.store.outbox import Outbox
from syncd.store.reconcile import clear_stages
from syncd.store.shapes import RECONCILED
from syncd.triggers.base import Memory

_REMEMBERING: Final = 20.0
"""Seconds in which the store is told of a configuration: a reload waits for it, and all others."""


class Dispatch:
    """Everything between the configuration's jobs and the records of their runs."""

    def __init__(  # noqa: PLR0913 - the parts that the composition root puts together
        self,
        *,
        store: Store,
        outbox: Outbox,
        instance: str,
        limits: Limits,
        gates: MachineGates,
        observer: Observer,
        keeper: Keeper,
        entry: Callable[[JobSpec], Entry],
        tick: Callable[[str | None], None],
        clock: Clock,
        log: BoundLogger,
        announcer: Announcer | None = None,
    ) -> None:
        self._store, self._instance, self._announcer = store, instance, announcer
        self._observer, self._keeper = observer, keeper
        self._clock, self._log = clock, log
        self.limits, self.gates = limits, gates
        self.recorder = Recorder(store, outbox, log)
        self.holds = Holds(store, clock, log)
        self._works: Mapping[Isolation, Work] = {
            "thread": Items(store, self.recorder, observer, clock),
            "process": Isolated(entry, self.recorder, observer),
        }
        self.pool = WorkerPool(limits.runs, log)
        self.timetable = Timetable(
            clock,
            log,
            due=lambda dues: self._lead()[1].due(dues),  # noqa: PLW0108 - made with the lease
            set_back=lambda now: self._lead()[1].clock_set_back(now),  # noqa: PLW0108
            tick=lambda: tick(self._ailment()),
        )
        self.supervisor = Supervisor(
            running=lambda: self._leading[0].attempts() if self._leading else (),
            stuck=lambda attempt: self._lead()[1].stuck(attempt),  # noqa: PLW0108
            log=log,
        )
        self.specs: Mapping[str, JobSpec] = {}
        self.first_due: Mapping[str, datetime | None] = {}
        """When the jobs that were put into the timetable last are due first; past: at once."""
        self._leading: tuple[Board, Dispatcher] | None = None
        self.lease: Lease | None = None
        """The lease, once this daemon has it and knows its jobs."""
        self._plans = threading.Lock()  # one plan at a time: each takes as much as a run

    def take_over(self, wanted: Callable[[], Wanted]) -> bool:
        """Become the leader and clear up after the last one; False while another daemon leads.

        `wanted` is asked once the lease is ours.
        """
        self.recorder.flush()  # before recovery; and who is only to stand by owes nothing either
        lease = leader.acquire(self._store, f"daemon:{self._instance}")
        if lease is None:
            return False
        self._log.info("leading", epoch=lease.epoch)
        with self._store.transaction() as tx:
            lease.check(tx)
            recovered = recovery.recover(
                tx,
                owner=lease.holder,
                epoch=lease.epoch,
                local=f"cli:{self._instance}",
                now=self._clock.now(),
            )
        for run_id, job in recovered.items():
            self._log.warning("run recovered: its process died", job=job, run=str(run_id))
        self._clear_stages()
        ledger = StoreLedger(self._store, lease)
        jobs = JobStates(ledger, self.holds, self._clock, self._log)
        want = wanted()
        states = self._remember(lease, want)
        jobs.adopt(want.specs, states)
        self._keep_within(want.limits)
        board = Board(ledger, jobs, self._clock, self._log)
        board.reread()
        dispatcher = self._dispatcher_of(lease, board)  # the store is done with: nothing can fail
        self._leading = board, dispatcher
        dispatcher.start()
        self.supervisor.start()
        self._enable(want.specs, states, set())
        self.lease = lease
        return True

    def _keep_within(self, limits: Limits) -> None:
        """Have so many workers, and let so much happen at once."""
        self.pool.resize(limits.runs)
        self.limits = limits

    def _clear_stages(self) -> None:
        """Drop what dead processes staged; what is in use now can wait for the next start."""
        try:
            with self._store.transaction() as tx:
                clear_stages(tx, RECONCILED)
        except (StoreError, TimedOut) as error:
            self._log.info("staged rows are left for later", error=describe(error))

    def _ailment(self) -> str | None:
        """Return why only a restart can help, None while all is well."""
        age = self.supervisor.age() if self._leading else 0.0
        return ailment(age, self.pool.stuck, self.pool.size)

    def check_leads(self) -> None:
        """Raise StoreError while another daemon leads."""
        self._lead()

    @property
    def board(self) -> Board:
        """The active runs; raises StoreError while another daemon leads."""
        return self._lead()[0]

    def _lead(self) -> tuple[Board, Dispatcher]:
        """Return the parts that exist once the lease is ours."""
        if self._leading is None:
            raise StoreError("this daemon does not lead the schedule yet: it starts, or stands by")
        return self._leading

    def _dispatcher_of(self, lease: Lease, board: Board) -> Dispatcher:
        """Make the dispatcher."""
        return Dispatcher(
            store=self._store,
            lease=lease,
            board=board,
            runner=Runner(
                self._works,
                self.recorder,
                self._observer,
                self.holds,
                self._clock,
                self._log,
                self._announcer,
            ),
            recorder=self.recorder,
            pool=self.pool,
            observer=self._observer,
            keeper=self._keeper,
            gates=self.gates,
            limits=self.limits,
            next_due=self.timetable.next_run,
            retime=self._retime,
            clock=self._clock,
            log=self._log,
        )

    def change(self, want: Wanted, unchanged: set[str]) -> None:
        """Run what is wanted from now on; jobs that are unchanged keep their next run."""
        dispatcher = self._lead()[1]
        states = dispatcher.adopt(want, lambda: self._remember(dispatcher.lease, want))
        self._keep_within(want.limits)
        self._enable(want.specs, states, unchanged)

    def _remember(self, lease: Lease, want: Wanted) -> Mapping[str, JobState]:
        """Tell the store which jobs there are now; return what it remembers of them."""
        now, specs = self._clock.now(), want.specs
        with self._store.transaction(limit=_REMEMBERING) as tx:
            lease.check(tx)
            job_state.pull_back(tx, now)  # the clock may have gone back while nobody looked
            states = job_state.load(
                tx,
                {
                    name: job_state.Schedule(spec.rhythm, None if spec.fixed_rate else now)
                    for name, spec in specs.items()
                },
            )
            job_state.forget_others(tx, specs)
            held_accounts.forget_others(
                tx, {c for spec in specs.values() for c in spec.credentials}
            )
            resources.replace_managed(tx, want.managed)
        self.holds.load()
        return states

    def _enable(
        self,
        specs: Mapping[str, JobSpec],
        states: Mapping[str, JobState],
        unchanged: set[str],
    ) -> None:
        """Put the jobs into the timetable."""
        now, removed = self._clock.now(), set(self.specs) - set(specs)
        self.specs = specs
        timed = [s for s in specs.values() if s.trigger_from and s.name not in unchanged]
        plans = [p for spec in timed if (p := _plan(spec, states[spec.name].memory, now))]
        self.first_due = {p.job: p.trigger.next_after(p.last_due) for p in plans}
        by_hand = {spec.name for spec in specs.values() if not spec.trigger_from}
        self.timetable.change(plans, removed | by_hand)

    def _retime(self, job: str) -> None:
        """Have an adaptive job due by its new interval, from now on."""
        board, now = self.board, self._clock.now()
        spec = board.jobs.specs[job]
        trigger = spec.trigger_from and spec.trigger_from(board.jobs.of(job).memory, now)
        if trigger:
            self.timetable.change([Plan(job, trigger, now, spec.catch_up, spec.catch_up_window)])

    # What people ask for

    def trigger(
        self, job: str, selection: Selection, by: str, priority: Priority | None = None
    ) -> UUID:
        """Queue a run by hand; return its id."""
        board, dispatcher = self._lead()
        return dispatcher.ask(lambda: board.request(job, selection, by, priority))

    def cancel(self, run_id: UUID, by: str) -> None:
        """Cancel an active run; raises Conflict for another."""
        board, dispatcher = self._lead()
        dispatcher.ask(lambda: board.cancel(RunId(run_id), by))

    def prioritise(self, run_id: UUID, priority: Priority, by: str) -> None:
        """Give a run that waits another priority; raises Conflict for another."""
        board, dispatcher = self._lead()
        dispatcher.ask(lambda: board.prioritise(RunId(run_id), priority, by))

    def pause(self, job: str, until: datetime | None, by: str) -> Pause:
        """Pause a job's schedule; raises NotFound."""
        board, dispatcher = self._lead()
        return dispatcher.ask(lambda: board.jobs.pause(job, until, by))

    def resume(self, job: str, by: str) -> tuple[bool, list[str]]:
        """Resume a job; return whether it was paused, and its accounts that were held."""
        board, dispatcher = self._lead()
        return dispatcher.ask(lambda: board.jobs.resume(job, by))

    def approve(self, job: str, by: str) -> int:
        """Let the guarded deletions of a job go in its next run; return how many."""
        board, dispatcher = self._lead()
        board.jobs.spec(job)
        with self._store.transaction() as tx:
            dispatcher.lease.check(tx)  # else a late request could let go what nobody has seen
            return resources.approve(tx, job, by)

    # What can be seen

    def progress(self) -> dict[str, dict[str, Any]]:
        """Return the progress of the running runs, by run id."""
        return {str(one.run.run_id): one.attempt.progress.snapshot() for one in self.active()}

    def queue_length(self) -> dict[str, int]:
        """Return how many runs wait, by priority."""
        lengths: dict[str, int] = dict.fromkeys(get_args(Priority), 0)
        for run in self.waiting():
            lengths[run.priority] += 1
        return lengths

    def waits(self) -> dict[str, int]:
        """Return how many runs wait, by the reason why."""
        counts: dict[str, int] = dict.fromkeys(get_args(Wait), 0)
        for run in self.waiting():
            counts[self.why(run).reason] += 1
        return counts

    def waiting(self) -> list[Waiting]:
        """Return the runs that wait."""
        return list(self._leading[0].waiting.values()) if self._leading else []

    def why(self, run: Waiting) -> Verdict:
        """Return why a run waits; one that was not looked at yet has its turn to come."""
        board, dispatcher = self._lead()
        if dispatcher.store_fails:
            return Verdict("store")
        return board.waits.get(run.run_id, Verdict("worker"))

    def active(self) -> list[Active]:
        """Return the runs under way."""
        return list(self._leading[0].running.values()) if self._leading else []

    def stuck(self) -> list[Active]:
        """Return the runs that are over although their thread did not come back."""
        return list(self._leading[0].stuck.values()) if self._leading else []

    def state(self, job: str) -> JobState:
        """Return what is remembered of a job."""
        return self._leading[0].jobs.of(job) if self._leading else JobState()

    def pause_of(self, job: str) -> Pause | None:
        """Return the pause of a job that is in force."""
        return self._leading[0].jobs.pause_of(job) if self._leading else None

    def interval(self, spec: JobSpec) -> timedelta | None:
        """Return the present interval of an adaptive job."""
        present = self.state(spec.name).memory.interval
        return spec.adaptive.interval(present) if spec.adaptive else None

    @property
    def leads(self) -> bool:
        """Tell whether this daemon has taken the schedule over."""
        return self._leading is not None

    @property
    def store_fails(self) -> bool:
        """Tell whether the dispatcher waits for the store."""
        return self._leading is not None and self._leading[1].store_fails

    def running_jobs(self) -> dict[str, str]:
        """Return the run under way of each job, by job name."""
        return {active.run.job: str(active.run.run_id) for active in self.active()}

    def plan(self, job: str, selection: Selection, by: str) -> list[Planned]:
        """Find out what a run would change, in the thread that asks."""
        spec = self.board.jobs.spec(job)
        context = rehearsal(spec, selection, self._clock, self._log.bind(requested_by=by))
        with self._plans:
            return plan(self._store, spec, context, RunProgress())

    def drain(self, grace: float, hurry: Hurry, tick: Callable[[], None]) -> None:
        """Start no more runs; wait for those under way, and interrupt them when time is up."""
        self.timetable.stop()
        self._lead()[1].drain(grace, hurry, tick)

    def stop(self) -> None:
        """End the threads and give the lease back."""
        self.supervisor.stop(2.0)
        self._lead()[1].stop()
        if not self.pool.stop(2.0):
            self._log.error("a worker did not come back; its run is taken up at the next start")


def rehearsal(
    spec: JobSpec, selection: Selection, clock: Clock, log: BoundLogger
) -> Callable[[ItemReport], RunContext]:
    """Return what makes the context of a plan."""
    now = clock.now()
    run_id = new_run_id(now)
    deadline = Deadline.after(spec.timeout.total_seconds())
    source = CancelSource()
    return lambda report: RunContext(
        claim=Claim(run_id, "plan", 0, 0),
        job_name=spec.name,
        scheduled_for=now,
        deadline=deadline,
        cancel=source.token,
        selection=selection,
        held={},
        log=log.bind(job=spec.name, plan=True),
        report=report,
    )


def _plan(spec: JobSpec, memory: Memory, now: datetime) -> Plan | None:
    """Return when a job is due; an interval that never was due is due at once."""
    trigger = spec.trigger_from(memory, now) if spec.trigger_from else None
    if trigger is None:
        return None
    since = memory.last_due or now - timedelta.resolution
    return Plan(spec.name, trigger, since, spec.catch_up, spec.catch_up_window)

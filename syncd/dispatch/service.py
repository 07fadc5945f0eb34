"""The dispatch as a whole: takes the schedule over, runs it, changes it, and lets go of it."""

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, get_args
from uuid import UUID

from syncd.context import BoundLogger, CancelSource, Clock, Deadline, RunContext
from syncd.dispatch.board import Board
from syncd.dispatch.dispatcher import Dispatcher, Hurry, Keeper
from syncd.dispatch.isolated import Entry, Isolated
from syncd.dispatch.item import Observer
from syncd.dispatch.planner import Planned, plan
from syncd.dispatch.progress import ItemReport, RunProgress
from syncd.dispatch.recorder import Recorder
from syncd.dispatch.runner import Attempt, Runner, Unheeded
from syncd.dispatch.spec import JobSpec
from syncd.dispatch.timetable import Plan, Timetable
from syncd.dispatch.work import Items, Work
from syncd.dispatch.workers import WorkerPool
from syncd.errors import NotFound, StoreError
from syncd.model.run import Isolation, Priority, RunId, Selection, new_run_id
from syncd.store import job_state, leader, recovery, resources
from syncd.store.database import Store
from syncd.store.leader import Lease
from syncd.store.outbox import Outbox
from syncd.store.reconcile import clear_stages
from syncd.store.resources import RESOURCES, Managed
from syncd.triggers.base import Memory


class Dispatch:
    """Everything between the configuration's jobs and the records of their runs."""

    def __init__(  # noqa: PLR0913 - the parts that the composition root puts together
        self,
        *,
        store: Store,
        outbox: Outbox,
        instance: str,
        workers: int,
        observer: Observer,
        keeper: Keeper,
        entry: Callable[[JobSpec], Entry],
        tick: Callable[[], None],
        clock: Clock,
        log: BoundLogger,
    ) -> None:
        self._store, self._instance = store, instance
        self._observer, self._keeper = observer, keeper
        self._clock, self._log = clock, log
        self.recorder = Recorder(store, outbox, log)
        self._works: Mapping[Isolation, Work] = {
            "thread": Items(store, self.recorder, observer, clock),
            "process": Isolated(entry, self.recorder, observer),
        }
        self.pool = WorkerPool(workers, log)
        self.timetable = Timetable(
            clock,
            log,
            due=lambda dues: self._lead()[1].due(dues),  # noqa: PLW0108 - made with the lease
            set_back=lambda now: self._lead()[1].clock_set_back(now),  # noqa: PLW0108
            tick=tick,
        )
        self.specs: Mapping[str, JobSpec] = {}
        self.first_due: Mapping[str, datetime | None] = {}
        """When the jobs that were put into the timetable last are due first; past: at once."""
        self._leading: tuple[Board, Dispatcher] | None = None
        self._plans = threading.Lock()  # one plan at a time: each takes as much as a run

    def take_over(self, specs: Mapping[str, JobSpec], managed: Sequence[Managed]) -> bool:
        """Become the leader and clear up after the last one; False while another daemon leads."""
        lease = leader.acquire(self._store, f"daemon:{self._instance}")
        if lease is None:
            return False
        self._log.info("leading", epoch=lease.epoch)
        self.recorder.flush()
        with self._store.transaction() as tx:
            lease.check(tx)
            recovered = recovery.recover(
                tx,
                owner=lease.holder,
                epoch=lease.epoch,
                local=f"cli:{self._instance}",
                now=self._clock.now(),
            )
            clear_stages(tx, [RESOURCES])
        for run_id in recovered:
            self._log.warning("run recovered: its process died", run=str(run_id))
        board = Board(self._store, lease, self._clock, self._log)
        last_due = self._remember(specs, managed)
        with self._store.transaction() as tx:
            board.adopt(tx, specs)
        dispatcher = self._dispatcher_of(lease, board)  # the store is done with: nothing can fail
        self._leading = board, dispatcher
        dispatcher.start()
        self._enable(specs, last_due, set())
        return True

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
            runs=board,
            runner=Runner(
                self._works,
                self.recorder,
                self._observer,
                Unheeded(),
                self._clock,
                self._log,
            ),
            recorder=self.recorder,
            pool=self.pool,
            observer=self._observer,
            keeper=self._keeper,
            next_due=self.timetable.next_run,
            log=self._log,
        )

    def change(
        self, specs: Mapping[str, JobSpec], managed: Sequence[Managed], unchanged: set[str]
    ) -> None:
        """Run these jobs from now on; those unchanged keep their next run."""
        dispatcher = self._lead()[1]
        last_due = self._remember(specs, managed)
        dispatcher.adopt(specs)
        self._enable(specs, last_due, unchanged)

    def _remember(
        self, specs: Mapping[str, JobSpec], managed: Sequence[Managed]
    ) -> Mapping[str, datetime | None]:
        """Tell the store which jobs there are now; return their last due times."""
        now = self._clock.now()
        with self._store.transaction() as tx:
            job_state.pull_back(tx, now)  # the clock may have gone back while nobody looked
            last_due = job_state.load(
                tx,
                {
                    name: job_state.Schedule(spec.schedule, None if spec.fixed_rate else now)
                    for name, spec in specs.items()
                    if spec.trigger_from
                },
            )
            job_state.forget_others(tx, specs)
            resources.replace_managed(tx, managed)
        return last_due

    def _enable(
        self,
        specs: Mapping[str, JobSpec],
        last_due: Mapping[str, datetime | None],
        unchanged: set[str],
    ) -> None:
        """Put the jobs into the timetable."""
        now, removed = self._clock.now(), set(self.specs) - set(specs)
        self.specs = specs
        timed = [s for s in specs.values() if s.trigger_from and s.name not in unchanged]
        plans = [p for spec in timed if (p := _plan(spec, last_due[spec.name], now))]
        self.first_due = {p.job: p.trigger.next_after(p.last_due) for p in plans}
        by_hand = {spec.name for spec in specs.values() if not spec.trigger_from}
        self.timetable.change(plans, removed | by_hand)

    def trigger(self, job: str, selection: Selection, by: str) -> UUID:
        """Queue a run by hand; return its id."""
        board, dispatcher = self._lead()
        return dispatcher.ask(lambda: board.request(job, selection, by))

    def cancel(self, run_id: UUID, by: str) -> None:
        """Cancel an active run; raises Conflict for another."""
        board, dispatcher = self._lead()
        dispatcher.ask(lambda: board.cancel(RunId(run_id), by))

    def progress(self) -> dict[str, dict[str, Any]]:
        """Return the progress of the running runs, by run id."""
        running = self._running()
        return {str(run_id): attempt.progress.snapshot() for run_id, attempt in running.items()}

    def queue_length(self) -> dict[str, int]:
        """Return how many runs wait, by priority."""
        lengths: dict[str, int] = dict.fromkeys(get_args(Priority), 0)
        waiting = list(self._leading[0].waiting.values()) if self._leading else []
        for run in waiting:
            lengths[run.priority] += 1
        return lengths

    def running_jobs(self) -> dict[str, str]:
        """Return the run under way of each job, by job name."""
        running = self._running()
        return {attempt.spec.name: str(run_id) for run_id, attempt in running.items()}

    def _running(self) -> dict[RunId, Attempt]:
        return dict(self._leading[0].running) if self._leading else {}

    def plan(self, job: str, selection: Selection, by: str) -> list[Planned]:
        """Find out what a run would change, in the thread that asks."""
        if job not in self.specs:
            raise NotFound(f"there is no enabled job {job!r}")
        spec = self.specs[job]
        context = rehearsal(spec, selection, self._clock, self._log.bind(requested_by=by))
        with self._plans:
            return plan(self._store, spec, context, RunProgress())

    def drain(self, grace: float, hurry: Hurry, tick: Callable[[], None]) -> None:
        """Start no more runs; wait for those under way, and interrupt them when time is up."""
        self.timetable.stop()
        self._lead()[1].drain(grace, hurry, tick)

    def stop(self) -> None:
        """End the threads and give the lease back."""
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
        run_id=run_id,
        job_name=spec.name,
        attempt=0,
        scheduled_for=now,
        deadline=deadline,
        cancel=source.token,
        selection=selection,
        held={},
        log=log.bind(job=spec.name, plan=True),
        report=report,
    )


def _plan(spec: JobSpec, last_due: datetime | None, now: datetime) -> Plan | None:
    """Return when a job is due; an interval that never was due is due at once."""
    trigger = spec.trigger_from(Memory(last_due), now) if spec.trigger_from else None
    if trigger is None:
        return None
    since = last_due or now - timedelta.resolution
    return Plan(spec.name, trigger, since, spec.catch_up, spec.catch_up_window)

"""The timetable: `schedule`'s Scheduler, driven by our triggers, in a thread that never blocks.

The library carries the list of jobs and its loop; times come from the triggers. What it would do by
itself is overridden, since it computes in local time: an exception stops its loop, a repeated hour
or a clock set back silences it, and a period grows by the length of the job. The thread touches
neither the store nor a job: due times are handed over in memory.

To ask a trigger takes some 20 µs, to search for missed due times some 20 times as long. So each
job knows its due time and the one after that beforehand: thousands that are due in one second are
all handed over first, and the triggers are asked afterwards, in small slices.
"""

import threading
from collections import deque
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import heapify, heappop, heappush
from queue import Empty, SimpleQueue
from typing import Final

import schedule

from syncd.context import BoundLogger, Clock
from syncd.model.run import Due
from syncd.triggers.base import Trigger
from syncd.triggers.catch_up import Policy, latest_due, missed

LATE: Final = timedelta(seconds=60)
"""A due time noticed later than this was missed: the machine slept, or the clock was set."""

_APART: Final = timedelta(seconds=1)
"""Two due times of a job are never closer, which `catch_up` relies on, too."""

_SLICE: Final = 1.0  # seconds: how soon a changed wall clock is noticed
_SHARE: Final = 0.005  # seconds of a turn in which triggers are asked
_PAUSE: Final = 0.01  # seconds between two turns: the dispatcher's thread needs the interpreter
_JUMP: Final = timedelta(seconds=2)
_NEVER: Final = datetime.max.replace(tzinfo=UTC)
_NO_TAGS: Final[set[Hashable]] = set()  # for all jobs: the library's own take 216 bytes each


@dataclass(frozen=True, slots=True)
class Plan:
    """When a job is due, and from which moment on its due times are not accounted for yet."""

    job: str
    trigger: Trigger
    last_due: datetime
    catch_up: Policy
    window: timedelta


class _Job(schedule.Job):
    """A job of the library whose times come from a trigger.

    `since` is the moment up to which its due times are accounted for; `following` is the due time
    after the next one, None until the trigger was asked.
    """

    since: datetime
    next_run: datetime  # by which the library sorts
    following: datetime | None

    def __init__(self, plan: Plan, table: "_Scheduler", since: datetime) -> None:
        super().__init__(1)
        self.tags = _NO_TAGS
        self.plan = plan
        self.table = table
        self.restart(since)

    def restart(self, moment: datetime) -> None:
        """Be due next at the first due time after a moment."""
        self.since = moment
        self._schedule_next_run()

    def _schedule_next_run(self) -> None:
        self.next_run, self.following = self._after(self.since), None

    def look_ahead(self) -> None:
        """Find out the due time after the next one."""
        if self.following is None:
            self.following = self._after(self.next_run)

    def _after(self, moment: datetime) -> datetime:
        if moment == _NEVER:
            return _NEVER
        try:
            return self.plan.trigger.next_after(moment) or _NEVER
        except Exception:  # a trigger's bug must not stop the others
            self.table.log.exception(
                "a trigger failed; the job is not due any more", job=self.plan.job
            )
            return _NEVER

    @property
    def should_run(self) -> bool:
        return self.next_run <= self.table.now

    def run(self) -> None:
        """Hand over what is simply due, and advance; what needs the trigger is left for later."""
        table, due = self.table, self.next_run
        if not self._simply_due(table.now - due):
            table.behind.append(self)
            return
        table.dues.append(Due(self.plan.job, due, "schedule"))
        self.since = due
        if self.following is None:
            table.behind.appendleft(self)
            return
        self.next_run, self.following = self.following, None
        table.enter(self)

    def _simply_due(self, late: timedelta) -> bool:
        """Tell whether it is fresh, and known that no other due time has passed meanwhile."""
        if late < _APART:
            return True
        return late <= LATE and self.following is not None and self.following > self.table.now

    def catch_up(self) -> None:
        """Advance, and hand over what was due if that was left for now."""
        due, now = self.next_run, self.table.now
        if self.since == due:  # handed over
            self.restart(due)
        elif due <= now:  # else the clock went back a little
            self.restart(now)
            self._make_up(due - timedelta.resolution, now)
        self.table.enter(self)

    def _make_up(self, before: datetime, now: datetime) -> None:
        try:
            self.table.dues.extend(self._dues(before, now))
        except Exception:
            self.table.log.exception("a trigger failed; a due time is lost", job=self.plan.job)

    def _dues(self, before: datetime, now: datetime) -> list[Due]:
        """Return what was due after a moment; where nothing is made up for, the last if fresh."""
        plan = self.plan
        last = latest_due(plan.trigger, before, now) or now
        alone = plan.catch_up == "none" or last - before <= timedelta.resolution
        if alone and now - last <= LATE:
            return [Due(plan.job, last, "schedule")]
        moments = missed(plan.trigger, before, now, plan.catch_up, plan.window)
        return [Due(plan.job, moment, "catch_up") for moment in moments]


class _Scheduler(schedule.Scheduler):
    """The library's scheduler in aware UTC times, with the moment as an attribute.

    Its list of jobs is kept as a heap, so that nothing walks through all of them at rest. A job
    that is `behind` has to ask its trigger before it comes back into it; one that is `unsure` is
    in it, but does not know its following due time.
    """

    jobs: list[_Job]  # type: ignore[assignment]  # all of ours are of this class

    def __init__(self, log: BoundLogger) -> None:
        super().__init__()
        self.log = log
        self.now = datetime.min.replace(tzinfo=UTC)
        self.named: dict[str, _Job] = {}
        self.behind: deque[_Job] = deque()
        self.unsure: deque[_Job] = deque()
        self.dues: list[Due] = []

    def put(self, plan: Plan) -> None:
        """Put a job in, in place of one of the same name; to be arranged."""
        old = self.named.get(plan.job)
        since = max(plan.last_due, old.since) if old else plan.last_due
        self.named[plan.job] = _Job(plan, self, since)

    def arrange(self) -> None:
        """Put all jobs in order, after any were changed."""
        behind = set(self.behind)
        self.jobs[:] = [job for job in self.named.values() if job not in behind]
        self.behind = deque(j for j in self.behind if self.named.get(j.plan.job) is j)
        heapify(self.jobs)
        self.unsure = deque(job for job in self.jobs if job.following is None)

    def restart(self) -> None:
        """Be due next at the first due times after now."""
        for job in self.named.values():
            job.restart(self.now)
        self.behind.clear()
        self.arrange()

    def enter(self, job: _Job) -> None:
        """Take a job in that has advanced."""
        heappush(self.jobs, job)
        self.unsure.append(job)

    def run_pending(self) -> None:
        """Run what is due, earliest first; the library would look at each job there is."""
        while self.jobs and self.jobs[0].should_run:
            self._run_job(heappop(self.jobs))

    def soonest(self) -> tuple[str, datetime] | None:
        """Return the job that is due next, and when."""
        job = self.jobs[0] if self.jobs else None
        return None if job is None or job.next_run == _NEVER else (job.plan.job, job.next_run)

    def prepare(self) -> bool:
        """Do a piece of what may take its time; False when there is none."""
        if self.behind:
            self.behind.popleft().catch_up()
        elif self.unsure:
            self.unsure.popleft().look_ahead()
        return bool(self.behind or self.unsure)

    @property
    def idle_seconds(self) -> float:
        """The seconds until there is something to do."""
        if self.behind or self.unsure:
            return 0.0
        return (self.jobs[0].next_run - self.now).total_seconds() if self.jobs else _SLICE


class Timetable:
    """Owns the thread that hands over due times; `tick` is called once a loop, a second at most."""

    def __init__(
        self,
        clock: Clock,
        log: BoundLogger,
        *,
        due: Callable[[Sequence[Due]], None],
        set_back: Callable[[datetime], None],
        tick: Callable[[], None],
    ) -> None:
        self._clock, self._log = clock, log
        self._due, self._set_back, self._tick = due, set_back, tick
        self._scheduler = _Scheduler(log)
        self._posted: SimpleQueue[tuple[Sequence[Plan], Collection[str]] | None] = SimpleQueue()
        self._seen: tuple[datetime, float] | None = None
        self.soonest: tuple[str, datetime] | None = None
        """The job that is due next, and when, as of the last turn."""
        self._thread = threading.Thread(target=self._loop, name="syncd-timetable", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End the thread: no due time is handed over afterwards."""
        self._posted.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout)

    def change(self, put: Sequence[Plan], remove: Collection[str] = ()) -> None:
        """Put jobs in, in place of those of the same name, and take others out.

        A job that is there already goes on from the later one of the plan's `last_due` and what
        was handed over or passed by: who made the plan may not have heard of the latest due time
        yet, which is handed over neither again nor, if it has not been so far, never.
        """
        self._posted.put((put, remove))

    def next_runs(self) -> Mapping[str, datetime | None]:
        """Return the next due time of each job."""
        jobs = list(self._scheduler.named.values())  # at once: the thread may change it meanwhile
        return {j.plan.job: None if j.next_run == _NEVER else j.next_run for j in jobs}

    def next_run(self, job: str) -> datetime | None:
        """Return the next due time of one job, None when it has none."""
        found = self._scheduler.named.get(job)
        return None if found is None or found.next_run == _NEVER else found.next_run

    def _loop(self) -> None:
        wait = 0.0
        while self._take_posted(wait):
            try:
                self.turn()
            except Exception:  # noqa: BLE001 - the loop has to go on whatever happens
                self._log.exception("the timetable failed; it goes on")
            idle = self._scheduler.idle_seconds
            wait = min(max(idle, _PAUSE), _SLICE)

    def _take_posted(self, wait: float) -> bool:
        """Wait for a posted change and apply all there are; False when asked to stop."""
        try:
            change = self._posted.get(timeout=wait)
            while change is not None:
                self._apply(*change)
                change = self._posted.get_nowait()
        except Empty:
            return True
        return False

    def turn(self) -> None:
        """Do one turn: look at the clock, hand over what is due, prepare what is due next."""
        scheduler = self._scheduler
        scheduler.now = self._clock.now()
        self._notice_jump(scheduler.now)
        scheduler.run_pending()
        self._hand_over()
        end = self._clock.monotonic() + _SHARE
        while scheduler.prepare() and self._clock.monotonic() < end:
            continue
        self._hand_over()
        self.soonest = scheduler.soonest()
        self._tick()

    def _hand_over(self) -> None:
        dues, self._scheduler.dues = self._scheduler.dues, []
        if dues:
            self._due(dues)

    def _apply(self, put: Sequence[Plan], remove: Collection[str]) -> None:
        for name in remove:
            self._scheduler.named.pop(name, None)
        for plan in put:
            self._scheduler.put(plan)
        self._scheduler.arrange()

    def _notice_jump(self, now: datetime) -> None:
        """Compare the wall clock with the monotonic one; start anew when it went back.

        A jump forward (the clock was set, the machine slept) needs nothing: what it passed over is
        late, and made up for.
        """
        ticked = self._clock.monotonic()
        if self._seen is not None:
            jump = now - self._seen[0] - timedelta(seconds=ticked - self._seen[1])
            if jump > _JUMP:
                self._log.warning("the clock jumped forward", seconds=jump.total_seconds())
            elif jump < -_JUMP:
                self._log.warning("the clock was set back", seconds=-jump.total_seconds())
                self._scheduler.restart()
                self._set_back(now)
        self._seen = now, ticked

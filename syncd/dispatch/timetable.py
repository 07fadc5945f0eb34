"""The timetable: `schedule`'s Scheduler, driven by our triggers, in a thread that never blocks.

The library carries the list of jobs and its loop; times come from the triggers. What it would do by
itself is overridden, since it computes in local time: an exception stops its loop, a repeated hour
or a clock set back silences it, and a period grows by the length of the job. The thread touches
neither the store nor a job: due times are handed over in memory.
"""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from typing import Final

import schedule

from syncd.context import BoundLogger, Clock
from syncd.model.run import Due
from syncd.triggers.base import Trigger
from syncd.triggers.catch_up import Policy, latest_due, missed

LATE: Final = timedelta(seconds=60)
"""A due time noticed later than this was missed: the machine slept, or the clock was set."""

_SLICE: Final = 1.0  # seconds: how soon a changed wall clock is noticed
_SET_BACK: Final = timedelta(seconds=2)
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Plan:
    """When a job is due, and from which moment on its due times are not accounted for yet."""

    job: str
    trigger: Trigger
    last_due: datetime
    catch_up: Policy
    window: timedelta


class _Job(schedule.Job):
    """A job of the library whose times come from a trigger."""

    def __init__(self, plan: Plan, table: "_Scheduler") -> None:
        super().__init__(1)
        self.plan = plan
        self.table = table
        self.due = self.since = plan.last_due
        self.restart(plan.last_due)

    def restart(self, moment: datetime) -> None:
        """Be due next at the first due time after a moment."""
        self.since = moment
        self._schedule_next_run()

    def _schedule_next_run(self) -> None:
        try:
            self.due = self.plan.trigger.next_after(self.since) or _NEVER
        except Exception:  # a trigger's bug must not stop the others
            self.table.log.exception("a trigger failed; the job is not due", job=self.plan.job)
            self.due = _NEVER
        self.next_run = self.due  # by which the library sorts

    @property
    def should_run(self) -> bool:
        return self.due <= self.table.now

    def run(self) -> None:
        """Advance first, then hand over what was due; a due time long past was missed."""
        before, now = self.due - timedelta.resolution, self.table.now
        self.restart(now)
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
    """The library's scheduler in aware UTC times, with the moment as an attribute."""

    jobs: list[_Job]  # type: ignore[assignment]  # all of ours are of this class

    def __init__(self, log: BoundLogger) -> None:
        super().__init__()
        self.log = log
        self.now = datetime.min.replace(tzinfo=UTC)
        self.dues: list[Due] = []

    @property
    def idle_seconds(self) -> float:
        """The seconds until the next job is due."""
        return (min((job.due for job in self.jobs), default=_NEVER) - self.now).total_seconds()


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
        """Put jobs in, in place of those of the same name, and take others out."""
        self._posted.put((put, remove))

    def next_runs(self) -> Mapping[str, datetime | None]:
        """Return the next due time of each job."""
        jobs = list(self._scheduler.jobs)
        return {j.plan.job: None if j.due == _NEVER else j.due for j in jobs}

    def next_run(self, job: str) -> datetime | None:
        """Return the next due time of one job, None when it has none."""
        return self.next_runs().get(job)

    def _loop(self) -> None:
        wait = 0.0
        while self._take_posted(wait):
            try:
                self.turn()
            except Exception:  # noqa: BLE001 - the loop has to go on whatever happens
                self._log.exception("the timetable failed; it goes on")
            idle = self._scheduler.idle_seconds
            wait = min(max(idle, 0.01), _SLICE)

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
        """Do one turn: look at the clock, hand over what is due."""
        scheduler = self._scheduler
        scheduler.now = self._clock.now()
        self._notice_set_back(scheduler.now)
        scheduler.run_pending()
        dues, scheduler.dues = scheduler.dues, []
        if dues:
            self._due(dues)
        self._tick()

    def _apply(self, put: Sequence[Plan], remove: Collection[str]) -> None:
        replaced = set(remove) | {plan.job for plan in put}
        kept = [job for job in self._scheduler.jobs if job.plan.job not in replaced]
        self._scheduler.jobs[:] = kept + [_Job(plan, self._scheduler) for plan in put]

    def _notice_set_back(self, now: datetime) -> None:
        """Compare the wall clock with the monotonic one; start anew when it went back."""
        ticked = self._clock.monotonic()
        if self._seen is not None:
            expected = self._seen[0] + timedelta(seconds=ticked - self._seen[1])
            if now < expected - _SET_BACK:
                self._log.warning(
                    "the clock was set back", seconds=(expected - now).total_seconds()
                )
                for job in self._scheduler.jobs:
                    job.restart(now)
                self._set_back(now)
        self._seen = now, ticked

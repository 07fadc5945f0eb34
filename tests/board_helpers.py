"""A board over a ledger in memory, whose claims are kept and whose clock the test moves."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

from dispatch_helpers import NOON, HandClock, Watcher, minutes, plain_log, spec
from memory_ledger import MemoryLedger, MemoryStore
from queue_helpers import at

from syncd.dispatch.board import Board
from syncd.dispatch.holds import Holds
from syncd.dispatch.job_states import JobStates
from syncd.dispatch.ledger import ClaimedDues
from syncd.dispatch.queue import Room
from syncd.dispatch.spec import JobSpec
from syncd.model.run import Due, Outcome, RunId, TriggerName
from syncd.store.database import Store
from syncd.store.job_state import Schedule
from syncd.store.runs import RunEnd
from syncd.triggers.base import Memory
from syncd.triggers.interval import Interval

HOUR = timedelta(hours=1)
ROOM = Room(3)


def hourly(memory: Memory, now: datetime) -> Interval:
    return Interval(HOUR, memory.last_due or now)


def job(name: str = "j", **changes: Any) -> JobSpec:
    return spec(name, **{"trigger_from": hourly, "schedule": "every 1h", **changes})


class Desk:
    """A board over a ledger in memory, whose claims are kept."""

    def __init__(self, *specs: JobSpec) -> None:
        self.clock, self.store, self.watcher = HandClock(), MemoryStore(), Watcher()
        self.wrote: list[ClaimedDues] = []
        ledger = _Kept(self.store, "one", self.store.lead("one"), self.wrote)
        log = plain_log()
        self.holds = Holds(cast(Store, None), self.clock, log)
        self.jobs = JobStates(ledger, self.holds, self.clock, log)
        self.board = Board(ledger, self.jobs, self.clock, log)
        self.adopt(*specs)

    def adopt(self, *specs: JobSpec) -> None:
        schedules = {one.name: Schedule(one.schedule, None) for one in specs}
        states = self.store.remember(schedules, self.clock.now())
        self.jobs.adopt({one.name: one for one in specs}, states)

    def claim(
        self, *dues: float, trigger: TriggerName = "schedule", waited: bool = False, name: str = "j"
    ) -> list[str]:
        """Claim due times, in minutes after noon; return what became of each, by minute."""
        before = len(self.watcher.told), set(self.store.runs)
        self.board.claim(
            [Due(name, at(minute), trigger) for minute in dues], self.watcher, waited=waited
        )
        made = [row for run_id, row in self.store.runs.items() if run_id not in before[1]]
        found = [(row.new.scheduled_for, row.status) for row in made]
        skips = [(each.due, each.reason) for each in self.wrote[-1].skips]
        told = [each[2] for each in self.watcher.told[before[0] :]]
        assert sorted(told) == sorted(reason for _, reason in skips)
        return [f"{(moment - NOON) // minutes(1)[0]} {what}" for moment, what in [*found, *skips]]

    def begin(self) -> list[Any]:
        return list(self.board.begin(ROOM, (), lambda job: None, self.watcher))

    def end(self, attempt: Any, **changes: Any) -> None:
        end = RunEnd(Outcome("success"), self.clock.now(), 1.0)
        end = replace(end, **changes)
        self.store.end_run(attempt.claim, end)
        self.board.ended(attempt, end)

    def by_minute(self) -> dict[int, str]:
        """Return the status of each scheduled run, by its minute."""
        rows = [row for row in self.store.runs.values() if row.new.trigger != "manual"]
        return {(row.new.scheduled_for - NOON) // minutes(1)[0]: row.status for row in rows}


class _Kept(MemoryLedger):
    """A ledger that keeps the claims."""

    def __init__(self, store: MemoryStore, holder: str, epoch: int, wrote: Any) -> None:
        super().__init__(store, holder, epoch)
        self._wrote = wrote

    def claim(self, dues: ClaimedDues, now: datetime) -> set[RunId]:
        self._wrote.append(dues)
        return super().claim(dues, now)

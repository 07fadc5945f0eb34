"""What a month of scheduling must have come to, told from what happened and from the policies.

The oracle replays the facts of a world in their order. Of the code under test it asks the triggers
alone when they are due next. At each look at the clock it says which due times are handed over, at
each claim what becomes of them; what the ledger wrote has to be that, no more and no less.
"""

import heapq
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from memory_ledger import Journal, Row
from month_daemon import Fact

from syncd.dispatch.spec import JobSpec
from syncd.triggers.base import Memory, Trigger

FRESH = timedelta(seconds=60)
MOMENT = timedelta.resolution


@dataclass
class Timed:
    """A job in the timetable: its trigger, and until when its due times were seen to."""

    trigger: Trigger
    since: datetime
    version: int


@dataclass
class Oracle:
    """The state of the schedule as it has to be."""

    counts: Counter[str] = field(default_factory=Counter)
    made: dict[tuple[str, datetime], str] = field(default_factory=dict)
    specs: Mapping[str, JobSpec] = field(default_factory=dict)
    schedules: dict[str, str] = field(default_factory=dict)  # as the store remembers them
    accounted: dict[str, datetime] = field(default_factory=dict)
    intervals: dict[str, timedelta] = field(default_factory=dict)
    timed: dict[str, Timed] = field(default_factory=dict)
    queue: list[tuple[datetime, str, int]] = field(default_factory=list)
    handed: list[tuple[datetime, str, str]] = field(default_factory=list)  # not claimed yet
    waited: bool = False
    locked: frozenset[str] = frozenset()
    expected_skips: Counter[tuple[str, datetime, str]] = field(default_factory=Counter)
    versions: int = 0

    def replay(self, facts: list[Fact]) -> None:
        for fact in facts:
            getattr(self, fact.kind.replace(" ", "_"))(fact)

    # The timetable

    def started(self, fact: Fact) -> None:
        self.timed.clear()
        self.queue.clear()
        self.handed.clear()
        self._remember(fact)
        for name in self.specs:
            self._put(name, fact.now, self._memory(name))

    def reloaded(self, fact: Fact) -> None:
        before = self.specs
        self._remember(fact)
        for name in before.keys() - self.specs.keys():
            self.timed.pop(name, None)
        for name, spec in self.specs.items():
            if before.get(name) is not spec:
                self._put(name, fact.now, self._memory(name))

    def _remember(self, fact: Fact) -> None:
        """Take the jobs over: a new cron schedule starts now; what is ahead of the clock, too."""
        self.specs = fact.value
        known = self.schedules
        self.schedules = {name: spec.schedule for name, spec in self.specs.items()}
        for name in known.keys() - self.schedules.keys():
            self.accounted.pop(name, None)
            self.intervals.pop(name, None)
        self._pull_back(fact.now)
        for name, spec in self.specs.items():
            if known.get(name) != spec.schedule:
                self.intervals.pop(name, None)
                if not spec.fixed_rate:
                    self.accounted[name] = fact.now

    def _memory(self, name: str) -> Memory:
        """Return what the store remembers of a job."""
        return Memory(self.accounted.get(name), self.intervals.get(name))

    def _put(self, name: str, now: datetime, memory: Memory, since: datetime | None = None) -> None:
        """Put a job in: it goes on from what it was seen to, or what is accounted for."""
        spec = self.specs[name]
        assert spec.trigger_from
        trigger = spec.trigger_from(memory, now)
        assert trigger
        found, old = since or memory.last_due or now - MOMENT, self.timed.get(name)
        self.versions += 1
        self.timed[name] = Timed(trigger, max(found, old.since) if old else found, self.versions)
        self._await(name)

    def _await(self, name: str) -> None:
        """Note when a job is due next."""
        timed = self.timed[name]
        if due := timed.trigger.next_after(timed.since):
            heapq.heappush(self.queue, (due, name, timed.version))

    def retimed(self, fact: Fact) -> None:
        self._put(fact.job, fact.now, fact.value, fact.now)

    def set_back(self, fact: Fact) -> None:
        """Start anew at a clock that was set back."""
        self.queue.clear()
        for name, timed in self.timed.items():
            timed.since = fact.now
            self._await(name)

    def looked(self, fact: Fact) -> None:
        """Hand over what is due."""
        while self.queue and self.queue[0][0] <= fact.now:
            due, name, version = heapq.heappop(self.queue)
            timed = self.timed.get(name)
            if timed and timed.version == version and due > timed.since:
                self._hand_over(name, timed, due, fact.now)
                self._await(name)

    def _hand_over(self, name: str, timed: Timed, due: datetime, now: datetime) -> None:
        """Say which of the due times up to now are handed over, and as what."""
        spec, dues = self.specs[name], []
        following: datetime | None = due
        while following and following <= now:
            dues.append(following)
            following = timed.trigger.next_after(following)
        last = dues[-1]
        alone = len(dues) == 1 or spec.catch_up == "none"
        if alone and now - last <= FRESH:
            self.handed.append((last, name, "schedule"))
            timed.since = last if len(dues) == 1 else now
            self.counts["dropped by none"] += len(dues) - 1
            return
        timed.since = now
        wanted = {
            "none": [],
            "latest": dues[-1:],
            "all": [each for each in dues if each >= now - spec.catch_up_window][-100:],
        }[spec.catch_up]
        self.handed += [(each, name, "catch_up") for each in wanted]
        self.counts[f"dropped by {spec.catch_up}"] += len(dues) - len(wanted)
        self.counts[f"missed, {spec.catch_up}"] += len(wanted)

    # The claims

    def claims(self, fact: Fact) -> None:
        """Note that what was handed over is about to be claimed."""
        self.waited, self.locked = fact.value

    def pulled_back(self, fact: Fact) -> None:
        self._pull_back(fact.value)

    def adapted(self, fact: Fact) -> None:
        self.intervals[fact.job] = fact.value

    def _pull_back(self, now: datetime) -> None:
        self.accounted = {name: min(due, now) for name, due in self.accounted.items()}

    def committed(self, fact: Fact) -> None:
        """Check what a claim wrote: each due time has its run, or the reason why it has none."""
        journal: Journal = fact.value
        made, skips, cancelled = set(), Counter[tuple[str, datetime, str]](), set()
        active = {job: _Active(rows) for job, rows in journal.before.items()}
        last: dict[str, datetime] = {}
        self.expected_skips.clear()
        seen = {(job, due) for due, job, _ in self.handed} & self.made.keys()
        several = Counter(job for _, job, _ in self.handed)
        for job, due in seen:
            if job in active and several[job] > 1:
                active[job].dues.add(due)
        for due, job, trigger in sorted(self.handed, key=lambda each: each[0]):
            if job not in self.specs:
                self.counts["of a job that is gone"] += 1
                continue
            last[job] = due
            what = self._becomes(job, due, trigger, active[job], journal.now)
            self.counts[what] += 1
            if what in ("made", "replaced", "store"):
                made.add((job, due, trigger))
                active[job].dues.add(due)
                self.made[job, due] = trigger
            if what == "replaced":
                cancelled |= active[job].give_way()
            if what in ("made", "replaced"):
                active[job].queued += 1
            else:
                self.expected_skips[job, due, what] += 1
                if what != "already_made":
                    skips[job, due, what] += 1
        inserted = {(run.job, run.scheduled_for, run.trigger) for run in journal.inserted}
        assert not inserted ^ made, (inserted - made, made - inserted)
        found = Counter(
            (skip.job, skip.due, skip.reason)
            for skip in journal.skips
            if skip.reason != "already_made"
            and not (skip.reason == "store" and (skip.job, skip.due) in seen)
        )
        assert found == skips, (found - skips, skips - found)
        assert journal.accounted == last
        assert cancelled <= journal.cancelled
        extra = journal.cancelled - cancelled - {run.id for run in journal.inserted}
        assert not extra, "runs were cancelled for no new one"
        for job, due in last.items():
            self.accounted[job] = max(due, self.accounted.get(job, due))

    def _becomes(
        self, job: str, due: datetime, trigger: str, active: "_Active", now: datetime
    ) -> str:
        """Say what becomes of a due time: no second run where it has one.

        Whether it is told as made already, or as skipped for another run, is the same to a job.
        """
        seen = (job, due) in self.made
        if seen and due in active.dues:
            return "already_made"
        what = self._by_policy(job, due, trigger, active, now)
        return "already_made" if seen and what in ("made", "replaced", "store") else what

    def _by_policy(
        self, job: str, due: datetime, trigger: str, active: "_Active", now: datetime
    ) -> str:
        """Say what becomes of a due time, by the policies of its job."""
        spec = self.specs[job]
        if self.waited and trigger == "schedule" and self._too_late(job, due, now):
            return "store"
        if job in self.locked:
            return "stuck"
        if not active.any or (trigger == "catch_up" and spec.catch_up == "all"):
            return "made"
        if spec.overlap == "replace":
            return "replaced"
        return "made" if spec.overlap == "queue" and not active.queued else "overlap"

    def _too_late(self, job: str, due: datetime, now: datetime) -> bool:
        spec = self.specs[job]
        until = self.timed[job].trigger.next_after(due)
        if spec.start_deadline is not None:
            until = due + spec.start_deadline
        return until is not None and until <= now

    def claimed(self, fact: Fact) -> None:
        """Note that a claim was answered, and that all its skips were told."""
        self.handed.clear()
        assert not +self.expected_skips, "a skip was not told"

    def skipped(self, fact: Fact) -> None:
        """Check a skip that was told: it was expected, or is of a run that lapsed."""
        due, reason = fact.value
        if self.expected_skips[fact.job, due, reason] > 0:
            self.expected_skips[fact.job, due, reason] -= 1
        else:
            assert (fact.job, due) in self.made
            assert reason not in ("overlap", "already_made", "stuck")
            self.counts[f"lapsed {reason}"] += 1

    def died(self, fact: Fact) -> None:
        self.counts["handed over in vain"] += len(self.handed)
        self.timed.clear()

    def refused(self, fact: Fact) -> None:
        self.counts["refused"] += 1


class _Active:
    """The active runs of a job while a claim is made."""

    def __init__(self, rows: list[Row]) -> None:
        ours = [row for row in rows if not str(row.owner).startswith("cli:")]
        self.queued = sum(row.attempt == 0 for row in ours)
        self.begun = len(ours) - self.queued
        self.dues = {row.new.scheduled_for for row in ours if row.new.trigger != "manual"}
        self._pending = {row.new.id for row in ours if row.status == "pending"}

    @property
    def any(self) -> int:
        return self.queued + self.begun

    def give_way(self) -> set[Any]:
        """Cancel what waits; what runs is told to stop, and is active until it has."""
        pending, self._pending, self.queued = self._pending, set(), 0
        return pending


def check_ends(rows: Mapping[Any, Row]) -> Counter[str]:
    """Check that every run is over, for a reason that is one; return how they ended."""
    ends: Counter[str] = Counter()
    for row in rows.values():
        assert row.final, f"{row.new.job} is {row.status}"
        assert row.moves.count("success") <= 1
        assert row.attempt <= row.max_attempts
        assert row.finished_at
        if row.error and row.error.startswith("replaced by run "):
            others = {str(run_id) for run_id in rows}
            assert row.error.removeprefix("replaced by run ") in others
        ends[row.status] += 1
    return ends

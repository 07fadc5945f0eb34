"""The queue under whatever happens: runs come, start, end, fail, are interrupted; gates move.

The model knows the rules as sentences, not as the code does them: who may start, who must not be
passed over, who may be interrupted, and that nobody waits for ever.
"""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from dispatch_helpers import NOON
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from syncd.dispatch.queue import Closed, Decision, Room, Running, Verdict, Waiting, decide
from syncd.model.run import Gate, Priority, RunId, Selection, TriggerName

WORKERS = 3
MINUTE = timedelta(minutes=1)
RANK: dict[Priority, int] = {"urgent": 0, "high": 1, "normal": 2, "low": 3}
LONGEST_RETRY, FULL_RISE = 15, 20  # minutes

jobs = st.sampled_from("abcdef")
priorities = st.sampled_from([*RANK, "normal", "low"])
things = st.frozensets(st.sampled_from("xyz"), max_size=2)
deadlines = st.none() | st.integers(0, 60)


@dataclass
class Active:
    """A run under way."""

    run: Waiting
    since: datetime
    interruptible: bool
    stopping: bool = False

    def seen(self) -> Running:
        run = self.run
        return Running(
            run.run_id, run.job, run.priority, self.since, self.interruptible, self.stopping,
            run.interruptions, run.accounts, run.servers,
        )  # fmt: skip


class QueueMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = NOON
        self.waiting: dict[RunId, Waiting] = {}
        self.running: dict[RunId, Active] = {}
        self.over: set[RunId] = set()
        self.all: set[RunId] = set()
        self.machine: set[Gate] = set()
        self.shut: set[str] = set()
        self.locked: set[str] = set()
        self.per_account = self.per_server = 1

    # What happens

    @initialize(per_account=st.integers(1, 2), per_server=st.integers(1, 2))
    def limit(self, per_account: int, per_server: int) -> None:
        self.per_account, self.per_server = per_account, per_server

    @rule(
        job=jobs, priority=priorities, accounts=things, servers=things, gate=deadlines,
        start=deadlines, trigger=st.sampled_from(["schedule", "catch_up", "manual"]),
    )  # fmt: skip
    def come(
        self, job: str, priority: Priority, accounts: frozenset[str], servers: frozenset[str],
        gate: int | None, start: int | None, trigger: TriggerName,
    ) -> None:  # fmt: skip
        made = Waiting(
            RunId(UUID(int=len(self.all))), job, trigger, priority, self.now, self.now, self.now,
            0, 4, Selection(), 0, accounts, servers,
            None if gate is None else self.now + gate * MINUTE,
            None if start is None else self.now + start * MINUTE,
        )  # fmt: skip
        self.waiting[made.run_id] = made
        self.all.add(made.run_id)

    @rule(minutes=st.integers(1, 30))
    def pass_(self, minutes: int) -> None:
        self.now += minutes * MINUTE

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), priority=priorities)
    def prioritise(self, data: st.DataObject, priority: Priority) -> None:
        run_id = data.draw(st.sampled_from(list(self.waiting)))
        self.waiting[run_id] = replace(self.waiting[run_id], priority=priority)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), retry=st.none() | st.integers(1, LONGEST_RETRY))
    def end(self, data: st.DataObject, retry: int | None) -> None:
        """End an attempt: for good, with a retry, or put back if it was told to stop."""
        run_id = data.draw(st.sampled_from(list(self.running)))
        self._end(run_id, retry)

    def _end(self, run_id: RunId, retry: int | None = None) -> None:
        active = self.running.pop(run_id)
        attempt = active.run.attempt + 1
        if active.stopping:
            self.waiting[run_id] = replace(
                active.run, attempt=attempt, ready_at=self.now,
                interruptions=active.run.interruptions + 1,
            )  # fmt: skip
        elif retry:
            self.waiting[run_id] = replace(
                active.run, attempt=attempt, ready_at=self.now + retry * MINUTE
            )
        else:
            self.over.add(run_id)

    @rule(gate=st.sampled_from(["load", "disk"]))
    def turn_machine_gate(self, gate: Gate) -> None:
        self.machine ^= {gate}

    @rule(job=jobs)
    def turn_job_gate(self, job: str) -> None:
        self.shut ^= {job}

    @rule(job=jobs)
    def stick(self, job: str) -> None:
        """Let a thread of a job be stuck, or come back; its run is over."""
        self.locked ^= {job}
        for run_id in [each for each, active in self.running.items() if active.run.job == job]:
            del self.running[run_id]
            self.over.add(run_id)

    # What is decided

    @rule(may_yield=st.booleans())
    def turn(self, may_yield: bool) -> None:
        self._turn(may_yield)

    def _turn(self, may_yield: bool) -> Decision:
        """Do as is decided, once it is found right."""
        decision = self._decide(list(self.running.values()))
        self._no_run_is_lost(decision)
        self._what_starts_may(decision)
        self._nobody_is_passed_over(decision)
        self._what_lapses_waited_too_long(decision)
        self._interruptions_are_fair(decision)
        for run in decision.start:
            del self.waiting[run.run_id]
            self.running[run.run_id] = Active(run, self.now, may_yield)
        for run, _ in decision.lapsed:
            del self.waiting[run.run_id]
            self.over.add(run.run_id)
        for run_id in decision.interrupt:
            self.running[run_id].stopping = True
        self._limits_hold()
        return decision

    def _decide(self, running: list[Active]) -> Decision:
        closed = Closed(self.machine, {job: Verdict("paused") for job in self.shut})
        room = Room(WORKERS - len(running), self.per_account, self.per_server)
        seen = [active.seen() for active in running]
        return decide(self.waiting.values(), seen, self.locked, closed, room, self.now)

    def _gated(self, run: Waiting) -> bool:
        by_job = run.job in self.shut and run.trigger != "manual"
        by_load = "load" in self.machine and run.priority != "urgent"
        return by_job or by_load or "disk" in self.machine

    def _place(self, run: Waiting) -> tuple[int, datetime, datetime, int]:
        risen = max(0, (self.now - run.ready_at) // (10 * MINUTE))
        rank = RANK[run.priority]
        level = 0 if rank == 0 else max(1, rank - risen)
        return level, run.created_at, run.scheduled_for, run.run_id.int

    def _no_run_is_lost(self, decision: Decision) -> None:
        named = [run.run_id for run in decision.start]
        named += [run.run_id for run, _ in decision.lapsed]
        named += decision.waits
        assert sorted(named) == sorted(self.waiting)
        assert self.all == self.over | self.waiting.keys() | self.running.keys()
        assert not self.waiting.keys() & self.running.keys()

    def _what_starts_may(self, decision: Decision) -> None:
        for run in decision.start:
            assert run.ready_at <= self.now
            assert not self._gated(run)
            assert run.job not in self.locked

    def _limits_hold(self) -> None:
        running = [active.run for active in self.running.values()]
        assert len(running) <= WORKERS
        counts = Counter(run.job for run in running)
        assert max(counts.values(), default=0) <= 1
        accounts = Counter(name for run in running for name in run.accounts)
        assert max(accounts.values(), default=0) <= self.per_account
        servers = Counter(name for run in running for name in run.servers)
        assert max(servers.values(), default=0) <= self.per_server

    def _nobody_is_passed_over(self, decision: Decision) -> None:
        """Check that who waits lacks something, and that nobody behind has taken it."""
        free = WORKERS - len(self.running) - len(decision.start)
        able = [
            run
            for run in self.waiting.values()
            if run.run_id in decision.waits and run.ready_at <= self.now and not self._gated(run)
        ]
        taken = [active.run for active in self.running.values()]
        for run in able:
            reason = decision.waits[run.run_id].reason
            behind = [one for one in decision.start if self._place(one) > self._place(run)]
            ahead = [one for one in able if self._place(one) < self._place(run)]
            holders = [*taken, *decision.start, *ahead]
            siblings = [one for one in holders if one.job == run.job]
            if reason == "overlap":
                assert siblings or run.job in self.locked
                assert run.job not in {one.job for one in behind}
            elif reason == "worker":
                assert free == 0
                assert not behind
            else:
                assert any(_compete(run, one) for one in holders)
                assert not any(self._robs(one, run, [*taken, *decision.start]) for one in behind)

    def _robs(self, one: Waiting, run: Waiting, users: list[Waiting]) -> bool:
        """Tell whether one that was started has what a run waits for, beyond what is shared."""
        accounts = Counter(name for user in users for name in user.accounts)
        servers = Counter(name for user in users for name in user.servers)
        return (
            one.job == run.job
            or any(accounts[name] >= self.per_account for name in one.accounts & run.accounts)
            or any(servers[name] >= self.per_server for name in one.servers & run.servers)
        )

    def _what_lapses_waited_too_long(self, decision: Decision) -> None:
        lapsed = {run.run_id for run, _ in decision.lapsed}
        started = {run.run_id for run in decision.start}
        for run in self.waiting.values():
            ready = run.ready_at <= self.now
            by_gate = ready and self._gated(run) and run.gate_by and run.gate_by <= self.now
            too_late = run.attempt == 0 and run.start_by and run.start_by <= self.now
            expected = bool(by_gate or too_late) and run.run_id not in started
            assert (run.run_id in lapsed) == expected

    def _interruptions_are_fair(self, decision: Decision) -> None:
        """Check who is interrupted, for whom, and that it helps."""
        assert len(set(decision.interrupt)) == len(decision.interrupt)
        for run_id in decision.interrupt:
            active = self.running[run_id]
            assert active.interruptible
            assert not active.stopping
            assert active.run.priority != "urgent"
            assert active.run.interruptions < 2
        if not decision.interrupt:
            return
        staying = [active for active in self.running.values() if not active.stopping]
        left = [active for active in staying if active.run.run_id not in decision.interrupt]
        before, after = self._decide(staying).start, self._decide(left).start
        assert _urgent(after) > _urgent(before)

    # In the end

    def teardown(self) -> None:
        """Open all gates; while newer runs keep coming, each one that waits gets its turn."""
        self.machine.clear()
        self.shut.clear()
        self.locked.clear()
        old, interrupted, completions = set(self.all), 0, 0
        count = len(self.waiting) + len(self.running)
        while old & (self.waiting.keys() | self.running.keys()):
            self.come("abcdef"[completions % 6], "high", frozenset("x"), frozenset(), None, None,
                      "schedule")  # fmt: skip
            interrupted += len(self._turn(may_yield=False).interrupt)
            if self.running:
                self._end(min(self.running.values(), key=_age).run.run_id)
            completions += 1
            self.now += MINUTE
            bound = LONGEST_RETRY + FULL_RISE * (interrupted + 1)
            assert completions <= bound + WORKERS * (count + 1 + interrupted)


def _compete(one: Waiting, other: Waiting) -> bool:
    """Tell whether two runs have something in common that may be too little for both."""
    return (
        one.job == other.job
        or bool(one.accounts & other.accounts)
        or bool(one.servers & other.servers)
    )


def _urgent(started: list[Waiting]) -> int:
    return sum(run.priority == "urgent" for run in started)


def _age(active: Active) -> tuple[datetime, int]:
    return active.since, active.run.run_id.int


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, derandomize=True, database=None
)

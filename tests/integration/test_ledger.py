"""The rules of a ledger, which the one in memory has to keep as the one in the store does."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import pytest
from dispatch_helpers import NOON, Bench, minutes
from memory_ledger import MemoryLedger, MemoryStore

from syncd.dispatch.ledger import ClaimedDues, Ledger, StoreLedger
from syncd.errors import Conflict, Fenced
from syncd.model.run import Claim, Outcome, RunId, new_run_id
from syncd.store import job_state, leader, recovery, runs
from syncd.store.job_state import JobState, Pause, Schedule, Skip
from syncd.store.runs import NewRun, RunEnd

LATER = NOON + timedelta(hours=1)


class Kit(Protocol):
    """A ledger, and what happens around it."""

    ledger: Ledger

    def remember(self, *jobs: str, text: str = "s", start: datetime | None = None) -> JobState:
        """Take jobs over at noon; return the state of the first."""

    def end(self, claim: Claim, end: RunEnd) -> None:
        """Record how an attempt ended."""

    def take_over(self) -> Ledger:
        """Let another daemon lead, and recover what the first one left."""

    def row(self, run_id: RunId) -> tuple[Any, ...]:
        """Return status, attempt, max_attempts, next_attempt_at, error."""


class InMemory:
    def __init__(self) -> None:
        self.store = MemoryStore()
        self.ledger: Ledger = MemoryLedger(self.store, "one", self.store.lead("one"))

    def remember(self, *jobs: str, text: str = "s", start: datetime | None = None) -> JobState:
        return self.store.remember({job: Schedule(text, start) for job in jobs}, NOON)[jobs[0]]

    def end(self, claim: Claim, end: RunEnd) -> None:
        self.store.end_run(claim, end)

    def take_over(self) -> Ledger:
        epoch = self.store.lead("two")
        self.store.recover(NOON)
        return MemoryLedger(self.store, "two", epoch)

    def row(self, run_id: RunId) -> tuple[Any, ...]:
        row = self.store.runs[run_id]
        return row.status, row.attempt, row.max_attempts, row.next_attempt_at, row.error


class InStore:
    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        lease = leader.acquire(bench.store, "one")
        assert lease
        self.ledger: Ledger = StoreLedger(bench.store, lease)

    def remember(self, *jobs: str, text: str = "s", start: datetime | None = None) -> JobState:
        with self.bench.store.transaction() as tx:
            job_state.pull_back(tx, NOON)
            states = job_state.load(tx, {job: Schedule(text, start) for job in jobs})
            job_state.forget_others(tx, jobs)
        return states[jobs[0]]

    def end(self, claim: Claim, end: RunEnd) -> None:
        with self.bench.store.transaction() as tx:
            runs.end_run(tx, claim, end)

    def take_over(self) -> Ledger:
        self.bench.execute("update syncd.leader set expires_at = now() - interval '1 s'")
        lease = leader.acquire(self.bench.store, "two")
        assert lease
        with self.bench.store.transaction() as tx:
            recovery.recover(tx, owner=lease.holder, epoch=lease.epoch, local="cli:two", now=NOON)
        return StoreLedger(self.bench.store, lease)

    def row(self, run_id: RunId) -> tuple[Any, ...]:
        found: tuple[Any, ...] = self.bench.one(
            "select status, attempt, max_attempts, next_attempt_at, error from syncd.run"
            " where id = %s",
            run_id,
        )
        return found


@pytest.fixture(params=["memory", "store"])
def kit(request: pytest.FixtureRequest) -> Iterator[Kit]:
    if request.param == "memory":
        yield InMemory()
    else:
        yield InStore(request.getfixturevalue("bench"))


def new(job: str = "j", due: datetime = NOON, **changes: Any) -> NewRun:
    made = NewRun(new_run_id(NOON), job, "fake", "schedule", due, 2, "d", "normal")
    return replace(made, **changes)


def claim(kit: Kit, *made: NewRun, **changes: Any) -> set[RunId]:
    accounted = {run.job: run.scheduled_for for run in made}
    return kit.ledger.claim(replace(ClaimedDues(accounted, made), **changes), NOON)


def start(kit: Kit, run: NewRun) -> Claim:
    begun = kit.ledger.start(run.id, NOON)
    assert begun
    return begun


def test_a_due_time_gets_one_run_whatever_made_it(kit: Kit) -> None:
    kit.remember("j", "k")
    first, missed = new(), new(trigger="catch_up")
    assert claim(kit, first) == {first.id}
    assert claim(kit, missed) == set()
    both, other = new(due=LATER), new("k")
    assert claim(kit, both, replace(both, id=new_run_id(NOON)), other) == {both.id, other.id}
    by_hand = new(trigger="manual")
    kit.ledger.add(by_hand, NOON)
    waiting = {run.id for run in kit.ledger.waiting([], NOON)}
    assert waiting == {first.id, both.id, other.id, by_hand.id}


def test_the_due_times_that_have_a_run_are_told(kit: Kit) -> None:
    kit.remember("j", "k")
    over = new(due=LATER, trigger="catch_up")
    claim(kit, new(), over, new("k", LATER))
    kit.ledger.cancel(over.id, "late", NOON)
    kit.ledger.add(new(due=LATER + timedelta(hours=1), trigger="manual"), NOON)
    asked = [("j", NOON), ("j", LATER), ("k", NOON), ("j", LATER + timedelta(hours=1))]
    assert kit.ledger.recorded(asked) == {("j", NOON), ("j", LATER)}


def test_accounts_never_go_back_but_with_the_clock(kit: Kit) -> None:
    kit.remember("j")
    claim(kit, new(due=LATER))
    claim(kit, new(due=NOON))
    assert kit.remember("j", text="s").memory.last_due == NOON  # pulled back to now
    claim(kit, new(due=LATER + timedelta(hours=1)))
    kit.ledger.pull_back(LATER)
    claim(kit, new(due=NOON - timedelta(hours=1)), accounted={"j": NOON})
    kit.ledger.pull_back(LATER)
    assert kit.remember("j").memory.last_due == NOON


def test_a_run_is_cancelled_only_for_the_sake_of_a_new_one(kit: Kit) -> None:
    kit.remember("j")
    first, again, second = new(), new(), new(due=LATER)
    claim(kit, first)
    claim(kit, again, over=[(first.id, "replaced", again.id)])
    assert kit.row(first.id)[0] == "pending"
    claim(kit, second, over=[(first.id, "replaced", second.id), (second.id, "late", second.id)])
    assert kit.row(first.id) == ("cancelled", 0, 2, None, "replaced")
    assert kit.row(second.id)[0] == "cancelled"


def test_a_run_that_runs_is_not_cancelled_by_a_claim(kit: Kit) -> None:
    kit.remember("j")
    first, second = new(), new(due=LATER)
    claim(kit, first)
    start(kit, first)
    claim(kit, second, over=[(first.id, "replaced", second.id)])
    assert kit.row(first.id)[0] == "running"


def test_one_run_of_a_job_runs_at_once(kit: Kit) -> None:
    kit.remember("j", "k")
    first, second, other = new(), new(due=LATER), new("k")
    claim(kit, first, second, other)
    assert start(kit, first).attempt == 1
    with pytest.raises(Conflict):
        kit.ledger.start(second.id, NOON)
    assert start(kit, other)


def test_a_run_under_way_does_not_wait_and_is_not_begun_again(kit: Kit) -> None:
    kit.remember("j")
    run = new()
    claim(kit, run)
    start(kit, run)
    assert kit.ledger.waiting([run.id], NOON) == []
    assert kit.row(run.id)[0] == "running"
    assert kit.ledger.start(run.id, NOON) is None


def test_a_run_that_was_begun_without_anybody_knowing_waits_again(kit: Kit) -> None:
    kit.remember("j")
    run = new()
    claim(kit, run)
    begun = start(kit, run)
    (waiting,) = kit.ledger.waiting([], NOON)
    assert (waiting.attempt, waiting.max_attempts) == (1, 3)
    assert kit.row(run.id) == ("pending", 1, 3, NOON, None)
    assert start(kit, run).attempt == 2
    with pytest.raises(Fenced):
        kit.end(begun, RunEnd(Outcome("success"), NOON, 1.0))


def test_an_end_is_recorded_once_and_for_its_own_attempt(kit: Kit) -> None:
    kit.remember("j")
    run = new()
    claim(kit, run)
    begun = start(kit, run)
    again = RunEnd(Outcome("pending", "network", "x"), NOON, 1.0, LATER, free=True, preempted=True)
    kit.end(begun, again)
    assert kit.row(run.id) == ("pending", 1, 3, LATER, "x")
    (waiting,) = kit.ledger.waiting([], NOON)
    assert (waiting.interruptions, waiting.next_attempt_at) == (1, LATER)
    with pytest.raises(Fenced):
        kit.end(begun, again)
    second = start(kit, run)
    assert second.attempt == 2
    with pytest.raises(Fenced):
        kit.end(begun, again)
    kit.end(second, RunEnd(Outcome("success"), NOON, 1.0))
    assert kit.row(run.id)[0] == "success"
    assert kit.ledger.start(run.id, NOON) is None
    assert kit.ledger.waiting([], NOON) == []


def test_only_a_run_that_waits_is_cancelled_or_gets_another_priority(kit: Kit) -> None:
    kit.remember("j")
    run, skip = new(), Skip("j", NOON, "load")
    claim(kit, run)
    assert kit.ledger.prioritise(run.id, "urgent")
    assert kit.ledger.waiting([], NOON)[0].priority == "urgent"
    assert kit.ledger.cancel(run.id, "late", NOON, skip)
    assert not kit.ledger.cancel(run.id, "late", NOON)
    assert not kit.ledger.prioritise(run.id, "low")
    assert not kit.ledger.cancel_command(run.id, "no", NOON)
    assert kit.row(run.id) == ("cancelled", 0, 2, None, "late")
    assert kit.remember("j").skip == skip


def test_who_does_not_lead_any_more_changes_nothing(kit: Kit) -> None:
    kit.remember("j")
    run, once = new(), new(due=LATER, max_attempts=1)
    claim(kit, run)
    begun = start(kit, run)
    following = kit.take_over()
    for act in (
        lambda: claim(kit, once),
        lambda: kit.ledger.start(run.id, NOON),
        lambda: kit.ledger.cancel(run.id, "x", NOON),
        lambda: kit.ledger.pause("j", Pause(NOON, None, "me")),
        lambda: kit.ledger.resume("j", ["a"]),
        lambda: kit.ledger.pull_back(NOON),
        lambda: kit.ledger.waiting([], NOON),
        lambda: kit.end(begun, RunEnd(Outcome("success"), NOON, 1.0)),
    ):
        with pytest.raises(Fenced):
            act()
    assert kit.row(run.id) == ("pending", 1, 2, NOON, "the process that ran it died")
    assert [each.id for each in following.waiting([], NOON)] == [run.id]


def test_recovery_gives_up_what_has_no_attempt_left(kit: Kit) -> None:
    kit.remember("j")
    run = new(max_attempts=1)
    claim(kit, run)
    start(kit, run)
    following = kit.take_over()
    assert kit.row(run.id)[0] == "failed"
    assert following.waiting([], NOON) == []


def test_what_is_remembered_of_a_job_lasts_as_long_as_its_schedule_and_the_job(kit: Kit) -> None:
    kit.remember("j", "k")
    claim(kit, new(due=NOON - timedelta(hours=2)))
    kit.ledger.set_interval("j", minutes(7)[0])
    pause = Pause(NOON, LATER, "me")
    kit.ledger.pause("j", pause)
    state = kit.remember("j", "k")
    assert (state.memory.interval, state.pause) == (minutes(7)[0], pause)
    changed = kit.remember("j", text="t")
    assert changed.memory.interval is None
    assert changed.memory.last_due == NOON - timedelta(hours=2)
    assert kit.remember("j", text="cron", start=NOON).memory.last_due == NOON
    kit.remember("k")
    assert kit.remember("j", "k") == JobState()

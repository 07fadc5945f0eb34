"""The records of runs and items: moves, fencing, uniqueness."""

from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any, get_args

import pytest
from dispatch_helpers import NOON, OWNER, Bench

from syncd.errors import Conflict, Fenced
from syncd.model.run import (
    ITEM_MOVES,
    RUN_MOVES,
    Claim,
    Counts,
    Outcome,
    Selection,
    Status,
    Target,
    new_run_id,
)
from syncd.store import items, job_state, runs
from syncd.store.database import Transaction
from syncd.store.items import Item, ItemEnd, ResourceError
from syncd.store.runs import RunEnd

STATES: tuple[Status, ...] = get_args(Status)


def item_end(item_id: int, status: Status = "success", **changes: Any) -> ItemEnd:
    counts = changes.pop("counts", Counts(total=3, added=1, unchanged=2))
    errors = changes.pop("errors", ())
    return ItemEnd(item_id, Outcome(status), counts, {"k": 1}, errors, NOON, NOON, 1.5)


def run_end(status: Status = "success", **changes: Any) -> RunEnd:
    return RunEnd(Outcome(status), NOON, 2.0, **changes)


def opened(bench: Bench, claim: Claim, *names: str) -> list[Item]:
    with bench.store.transaction() as tx:
        return items.open_items(tx, claim, [Target(n) for n in names], ["network"])[0]


def moves_run(tx: Transaction, claim: Claim, to: Status) -> bool:
    """Try to move a run to a state by the statement that does it; tell whether it moved."""
    match to:
        case "running":
            owner = f"{claim.owner} again"
            return runs.start(tx, claim.run_id, owner, claim.epoch, NOON) is not None
        case "cancelled" if runs.cancel_pending(tx, claim.run_id, "why", NOON):
            return True
    try:
        runs.end_run(tx, claim, run_end(to))
    except Fenced:
        return False
    return True


def test_runs_move_as_the_table_of_moves_says(bench: Bench) -> None:
    for status, to in product(STATES, STATES):
        claim = bench.begun(f"{status} to {to}")
        bench.execute("update syncd.run set status = %s where id = %s", status, claim.run_id)
        allowed = to in RUN_MOVES[status]
        with bench.store.transaction() as tx:
            assert moves_run(tx, claim, to) == allowed
        now = bench.one("select status from syncd.run where id = %s", claim.run_id)
        assert now == (to if allowed else status)


def moves_item(tx: Transaction, claim: Claim, item_id: int, to: Status) -> bool:
    """Try to move an item to a state; tell whether it moved."""
    try:
        if to == "running":
            items.start_item(tx, claim, item_id, NOON)
        else:
            items.end_item(tx, claim, item_end(item_id, to))
    except Fenced:
        return False
    return True


def test_items_move_as_the_table_of_moves_says(bench: Bench) -> None:
    claim = bench.begun()
    for status, to in product(STATES, set(STATES) - {"pending"}):  # a retry: see open_items
        (item,) = opened(bench, claim, f"{status} to {to}")
        bench.execute("update syncd.run_item set status = %s where id = %s", status, item.id)
        allowed = to in ITEM_MOVES[status]
        with bench.store.transaction() as tx:
            assert moves_item(tx, claim, item.id, to) == allowed
        now = bench.one("select status from syncd.run_item where id = %s", item.id)
        assert now == (to if allowed else status)
        bench.execute("delete from syncd.run_item")


@pytest.mark.parametrize(
    "other",
    [{"owner": "daemon:other"}, {"epoch": 2}, {"attempt": 2}, {"run_id": new_run_id(NOON)}],
    ids=["owner", "epoch", "attempt", "run"],
)
def test_a_claim_that_is_not_the_runs_is_fenced_off(bench: Bench, other: dict[str, Any]) -> None:
    claim = bench.begun()
    (item,) = opened(bench, claim, "t")
    late = Claim(**{name: getattr(claim, name) for name in Claim.__slots__} | other)
    for act in (
        lambda tx: items.open_items(tx, late, [Target("new")], []),
        lambda tx: items.start_item(tx, late, item.id, NOON),
        lambda tx: items.end_item(tx, late, item_end(item.id)),
        lambda tx: runs.end_run(tx, late, run_end()),
    ):
        with pytest.raises(Fenced), bench.store.transaction() as tx:
            act(tx)
    assert bench.items() == {"t": ("pending", None, 1)}
    assert bench.one("select status from syncd.run") == "running"


def test_an_item_of_an_earlier_attempt_can_be_neither_started_nor_ended(bench: Bench) -> None:
    claim = bench.begun()
    (item,) = opened(bench, claim, "t")
    bench.execute("update syncd.run_item set attempt = 7")
    for act in (
        lambda tx: items.start_item(tx, claim, item.id, NOON),
        lambda tx: items.end_item(tx, claim, item_end(item.id)),
    ):
        with pytest.raises(Fenced), bench.store.transaction() as tx:
            act(tx)


def test_a_run_that_was_begun_is_begun_once(bench: Bench) -> None:
    claim = bench.begun()
    with bench.store.transaction() as tx:
        assert runs.start(tx, claim.run_id, OWNER, 1, NOON) is None
        assert runs.start(tx, claim.run_id, "daemon:other", 2, NOON) is None


def test_what_this_owner_has_begun_unknowingly_waits_again(bench: Bench) -> None:
    begun, known, waiting = bench.begun("a"), bench.begun("b"), bench.new_run("c")
    bench.insert(waiting)
    with bench.store.transaction() as tx:
        runs.give_back(tx, OWNER, 2, [], NOON)
        assert {run.id for run in runs.waiting(tx)} == {waiting.id}
        runs.give_back(tx, OWNER, 1, [known.run_id], NOON)
        assert {run.id for run in runs.waiting(tx)} == {begun.run_id, waiting.id}


def test_a_due_time_has_one_run_and_a_request_by_hand_its_own(bench: Bench) -> None:
    assert bench.insert(bench.new_run())
    assert not bench.insert(bench.new_run())
    assert not bench.insert(bench.new_run(trigger="catch_up"))
    assert bench.insert(bench.new_run(trigger="manual"))
    assert bench.insert(bench.new_run(trigger="manual"))
    assert bench.insert(bench.new_run(scheduled_for=NOON + timedelta(seconds=1)))


def test_many_are_recorded_at_once_without_those_that_were_before(bench: Bench) -> None:
    known = bench.new_run("known")
    bench.insert(known)
    selection = Selection(frozenset({"a"}), frozenset({'"quoted", {r}'}))
    new = [
        bench.new_run("due"),
        bench.new_run("by hand", trigger="manual", requested_by="me", selection=selection),
        bench.new_run("by hand", trigger="manual"),
    ]
    with bench.store.transaction() as tx:
        twice = [*new, bench.new_run("due"), replace(known, id=new_run_id(NOON))]
        assert runs.insert(tx, twice, NOON) == {run.id for run in new}
        assert runs.insert(tx, [], NOON) == set()
        stored = {run.id: run for run in runs.waiting(tx)}
    assert stored.keys() == {known.id, *(run.id for run in new)}
    assert runs.selection_from(stored[new[1].id].selection) == selection
    assert bench.execute("select requested_by from syncd.run where selection <> '{}'") == [("me",)]


def test_due_times_of_many_jobs_are_accounted_for_and_none_goes_back(bench: Bench) -> None:
    for job, due in (("ahead", NOON + timedelta(hours=1)), ("behind", NOON), ("new", None)):
        bench.execute("insert into syncd.job_state values (%s, %s, '')", job, due)
    later = NOON + timedelta(minutes=1)
    with bench.store.transaction() as tx:
        job_state.advance(tx, dict.fromkeys(("ahead", "behind", "new", "gone"), later))
    assert bench.execute("select job, last_due from syncd.job_state order by job") == [
        ("ahead", NOON + timedelta(hours=1)), ("behind", later), ("new", later),
    ]  # fmt: skip


def test_a_job_has_one_running_run(bench: Bench) -> None:
    bench.begun()
    second = bench.new_run(trigger="manual")
    bench.insert(second)
    with pytest.raises(Conflict):
        bench.start(second.id, "cli:x", 0)


def test_the_end_of_a_run_closes_its_items_and_sums_their_counts(bench: Bench) -> None:
    claim = bench.begun()
    one, two, three = opened(bench, claim, "1", "2", "3")
    errors = [ResourceError("i-1", "bad_data", "odd")]
    with bench.store.transaction() as tx:
        items.start_item(tx, claim, one.id, NOON)
        items.start_item(tx, claim, three.id, NOON)
        items.end_item(tx, claim, item_end(one.id, errors=errors))
        items.end_item(tx, claim, item_end(two.id, "failed", counts=Counts(5, 1, 1, 1, 1, 2)))
        runs.end_run(tx, claim, run_end("failed"))
    assert bench.items()["3"] == ("failed", "interrupted", 1)
    assert bench.one(
        """select items_total, items_failed, total, added, updated, deleted, unchanged, errors,
                  duration_seconds from syncd.run"""
    ) == (3, 2, 8, 2, 1, 1, 3, 2, 2.0)
    assert bench.one("select item_id, resource_id, attempt from syncd.run_error") == (
        one.id, "i-1", 1,
    )  # fmt: skip


def test_an_interruption_gives_the_attempt_back(bench: Bench) -> None:
    claim = bench.begun()
    with bench.store.transaction() as tx:
        runs.end_run(tx, claim, run_end("pending", next_attempt_at=NOON, free=True))
    assert bench.one("select status, attempt, max_attempts, finished_at from syncd.run") == (
        "pending", 1, 5, None,
    )  # fmt: skip
    assert bench.start(claim.run_id).attempt == 2


def test_what_is_cancelled_between_two_attempts_tells_why_and_no_class_of_error(
    bench: Bench,
) -> None:
    claim, network = bench.begun(), Outcome("pending", "network", "down")
    with bench.store.transaction() as tx:
        runs.end_run(tx, claim, RunEnd(network, NOON, 1.0, next_attempt_at=NOON))
        assert runs.cancel_pending(tx, claim.run_id, "no time left", NOON)
    assert bench.one("select status, error_class, error from syncd.run") == (
        "cancelled", None, "no time left",
    )  # fmt: skip


def test_a_further_attempt_opens_what_failed_what_is_new_and_drops_what_is_gone(
    bench: Bench,
) -> None:
    claim = bench.begun()
    opened(bench, claim, "good", "again", "given up", "gone")
    bench.execute("update syncd.run_item set status = 'success' where target = 'good'")
    bench.execute(
        """update syncd.run_item set status = 'failed', error_class =
           case target when 'given up' then 'permission' else 'network' end
           where target <> 'good'"""
    )
    with bench.store.transaction() as tx:
        runs.end_run(tx, claim, run_end("pending", next_attempt_at=NOON))
    claim = bench.start(claim.run_id)
    names = [Target(name) for name in ("good", "again", "given up", "new")]
    with bench.store.transaction() as tx:
        found, given_up = items.open_items(tx, claim, names, ["network"])
    assert [item.target for item in found] == ["again", "new"]
    assert [(name, outcome.error_class) for name, outcome in given_up] == [
        ("given up", "permission")
    ]
    assert {name: row[0] for name, row in bench.items().items()} == {
        "good": "success", "again": "pending", "given up": "failed", "gone": "cancelled",
        "new": "pending",
    }  # fmt: skip
    ended = "select array_agg(target) from syncd.run_item where finished_at is not null"
    assert bench.one(ended) == ["gone"]


def test_a_selection_comes_back_as_it_was(bench: Bench) -> None:
    chosen = Selection(frozenset({"a"}), frozenset({"r1", "r2"}))
    bench.insert(bench.new_run(selection=chosen))
    with bench.store.transaction() as tx:
        (run,) = runs.waiting(tx)
    assert runs.selection_from(run.selection) == chosen

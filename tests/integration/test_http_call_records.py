"""The records of HTTP calls in the store: fenced, kept whole, and what they say of a run's end."""

from dataclasses import replace

import pytest
from dispatch_helpers import NOON, Bench

from syncd.errors import Conflict, Fenced
from syncd.model.http_call import Found, Sending, storable_found
from syncd.model.run import Claim, Outcome
from syncd.store import http_calls, runs
from syncd.store.runs import RunEnd

SENT = Found()
ACCEPTED = Found(answered_at=NOON, outcome="accepted", poll_url="http://h/status")
FAILED = Found(finished_at=NOON, outcome="failed", error_class="network", error="x")
RUN = "select status, error_class, error from syncd.run"


def begin(bench: Bench, claim: Claim, *, safe: bool = False, position: int = 1) -> None:
    with bench.store.transaction() as tx:
        sending = Sending(position, "call-1", "POST", "http://h/\0\udc80", safe)
        http_calls.begin(tx, claim, sending, NOON)


def note(bench: Bench, claim: Claim, found: Found) -> None:
    with bench.store.transaction() as tx:
        http_calls.note(tx, claim, 1, claim.attempt, found)


def end(bench: Bench, claim: Claim, outcome: Outcome) -> None:
    with bench.store.transaction() as tx:
        runs.end_run(tx, claim, RunEnd(outcome, NOON, 1.0))


def test_what_is_found_is_kept_and_found_again(bench: Bench) -> None:
    claim = bench.begun()
    begin(bench, claim)
    found = Found(
        tries=2, answered_at=NOON, finished_at=NOON, outcome="success", status=200,
        connect_seconds=0.1, first_byte_seconds=0.2, total_seconds=0.3, request_id="r",
        answer="a", answer_cut=True, poll_url="http://h/s", polls=3, saved={"id": "5"},
        error_class="bad_data", error="e",
    )  # fmt: skip
    note(bench, claim, found)
    with bench.store.transaction() as tx:
        (before,) = http_calls.before(tx, claim.run_id).values()
    assert before.found == found
    assert (before.position, before.attempt, before.name, before.safe) == (1, 1, "call-1", False)


def test_what_no_text_can_hold_is_kept_as_well_as_can_be(bench: Bench) -> None:
    claim, odd = bench.begun(), "a\0b\udc80"
    begin(bench, claim)
    found = Found(request_id=odd, answer=odd, poll_url=odd, saved={"id": odd}, error=odd)
    note(bench, claim, storable_found(found))
    with bench.store.transaction() as tx:
        kept = http_calls.before(tx, claim.run_id)[1].found
    texts = (kept.request_id, kept.answer, kept.poll_url, kept.saved["id"], kept.error)
    assert all(text and text.startswith("a") and "\0" not in text for text in texts)


def test_of_several_attempts_the_last_one_counts(bench: Bench) -> None:
    first = bench.begun()
    begin(bench, first)
    note(bench, first, FAILED)
    bench.execute("update syncd.run set status = 'pending'")
    second = bench.start(first.run_id)
    begin(bench, second)
    begin(bench, second, position=2)
    with bench.store.transaction() as tx:
        before = http_calls.before(tx, first.run_id)
    assert {n: (each.attempt, each.found) for n, each in before.items()} == {
        1: (2, SENT), 2: (2, SENT),
    }  # fmt: skip


def test_an_attempt_that_is_over_records_nothing(bench: Bench) -> None:
    claim = bench.begun()
    begin(bench, claim)
    for void in (replace(claim, attempt=2), replace(claim, epoch=7), replace(claim, owner="me")):
        with pytest.raises(Fenced):
            begin(bench, void, position=2)
        with pytest.raises(Fenced):
            note(bench, void, FAILED)
    assert bench.one("select count(*) from syncd.http_call where finished_at is null") == 1


def test_no_call_is_begun_twice_by_one_attempt(bench: Bench) -> None:
    claim = bench.begun()
    begin(bench, claim)
    with pytest.raises(Conflict):
        begin(bench, claim)


@pytest.mark.parametrize("error_class", ["timeout", "interrupted", "internal", "store"])
def test_a_run_that_fails_with_a_call_nobody_knows_of_says_so(
    bench: Bench, error_class: str
) -> None:
    claim = bench.begun()
    begin(bench, claim)
    end(bench, claim, Outcome("failed", error_class, "why"))  # type: ignore[arg-type]
    status, error_class, error = bench.one(RUN)
    assert (status, error_class) == ("failed", "outcome_unknown")
    assert error.endswith("not known; why")


@pytest.mark.parametrize(
    ("safe", "found", "outcome"),
    [
        (True, SENT, Outcome("failed", "timeout", "why")),
        (False, FAILED, Outcome("failed", "network", "why")),
        (False, ACCEPTED, Outcome("failed", "timeout", "why")),
        (False, SENT, Outcome("cancelled", "interrupted", "why")),
        (False, SENT, Outcome("pending", "interrupted", "why")),
        (False, SENT, Outcome("failed", "outcome_unknown", "why")),
    ],
)
def test_any_other_end_stays_as_it_is(
    bench: Bench, found: Found, outcome: Outcome, *, safe: bool
) -> None:
    claim = bench.begun()
    begin(bench, claim, safe=safe)
    note(bench, claim, found)
    end(bench, claim, outcome)
    assert bench.one(RUN) == (outcome.status, outcome.error_class, "why")


def test_they_go_with_their_run(bench: Bench) -> None:
    begin(bench, bench.begun())
    bench.execute("delete from syncd.run")
    assert bench.one("select count(*) from syncd.http_call") == 0

"""What a further attempt does with a call that an earlier one has sent."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest

from syncd.errors import Guarded, OutcomeUnknown, Unexpected
from syncd.model.http_call import Before, Found, next_step

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
UNANSWERED = Found()
NEVER_LEFT = Found(finished_at=NOON, outcome="failed", error_class="network", error="refused")
ANSWERED = Found(
    answered_at=NOON, finished_at=NOON, outcome="failed", status=500, error="status 500"
)
DONE = Found(answered_at=NOON, finished_at=NOON, outcome="success", status=200)
ACCEPTED = Found(answered_at=NOON, outcome="accepted", status=202, poll_url="http://h/status")
NOWHERE = replace(ACCEPTED, poll_url=None)
GIVEN_UP = replace(ACCEPTED, finished_at=NOON, outcome="failed")
ALL = (UNANSWERED, NEVER_LEFT, ANSWERED, DONE, ACCEPTED, NOWHERE, GIVEN_UP)


def before(found: Found, *, safe: bool, name: str = "call-1") -> Before:
    return Before(1, 3, name, safe, found)


def step(found: Found, *, safe: bool) -> str:
    return next_step(1, "call-1", safe, before(found, safe=safe))


@pytest.mark.parametrize("safe", [True, False])
def test_what_was_never_sent_is_sent(*, safe: bool) -> None:
    assert next_step(1, "call-1", safe, None) == "send"
    assert step(NEVER_LEFT, safe=safe) == "send"


@pytest.mark.parametrize("safe", [True, False])
def test_what_succeeded_is_not_sent_again(*, safe: bool) -> None:
    assert step(DONE, safe=safe) == "skip"


@pytest.mark.parametrize("safe", [True, False])
def test_what_was_accepted_is_followed_and_not_sent_again(*, safe: bool) -> None:
    assert step(ACCEPTED, safe=safe) == "follow"


@pytest.mark.parametrize("found", [UNANSWERED, ANSWERED, NOWHERE, GIVEN_UP])
def test_what_may_be_repeated_is_sent_again(found: Found) -> None:
    assert step(found, safe=True) == "send"


@pytest.mark.parametrize("found", [UNANSWERED, NOWHERE])
def test_what_must_not_be_repeated_and_has_no_known_end_is_unknown(found: Found) -> None:
    with pytest.raises(OutcomeUnknown, match="attempt 3 sent it"):
        step(found, safe=False)


@pytest.mark.parametrize("found", [ANSWERED, GIVEN_UP])
def test_what_must_not_be_repeated_and_failed_stays_failed(found: Found) -> None:
    with pytest.raises(Unexpected, match="not sent again") as raised:
        step(found, safe=False)
    assert not raised.value.retryable


@pytest.mark.parametrize(("now", "then"), [(True, False), (False, True)])
def test_both_what_was_sent_and_what_would_be_must_be_safe(*, now: bool, then: bool) -> None:
    with pytest.raises(OutcomeUnknown):
        next_step(1, "call-1", now, before(UNANSWERED, safe=then))


def test_another_call_in_its_place_is_neither_sent_nor_taken_for_done() -> None:
    for found, safe in product(ALL, (True, False)):
        if found is NEVER_LEFT and not safe:
            assert next_step(1, "other", safe, before(found, safe=safe)) == "send"
            continue
        with pytest.raises(Guarded, match="'other' now, and attempt 3 sent 'call-1'"):
            next_step(1, "other", safe, before(found, safe=safe))

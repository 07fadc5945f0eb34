"""What must be sent once: it is never sent twice, and the records say what is known of it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from api_faults import Fault, answers, busy, cut, hang, hold, redirect, reset_read, reset_unread
from api_server import ApiServer
from api_wire import Answer
from daemon_helpers import until
from http_runs import HttpRuns
from job_runs import Result

from syncd.context import CancelSource
from syncd.errors import Cancelled, Fenced, Interrupted, StoreError, SyncdError
from syncd.model.run import RunId
from syncd.store import recovery
from syncd.store.database import Transaction

LADDER = [timedelta(minutes=1)] * 3
ONCE = {"idempotency_key": False}


@pytest.fixture
def once(jobs: HttpRuns) -> HttpRuns:
    """Give a job whose call must be sent once; it has further attempts."""
    jobs.configure(ONCE, retries=LADDER)
    return jobs


def test_a_token_that_is_refused_at_the_result_does_not_send_it_again(
    api: ApiServer, jobs: HttpRuns
) -> None:
    """What answers 401 there is not what was sent: that has taken effect."""
    jobs.configure(
        {**ONCE, "url": "/api/effect", "token": "t", "redirects": 1},
        tokens={"t": jobs.login()}, retries=LADDER,
    )  # fmt: skip
    api.fault("/api/effect", redirect("/api/result", 303))
    api.fault("/api/result", answers(Answer(401)))
    result = jobs.run()
    assert jobs.ended(result) == ("failed", "authentication")
    assert len(api.requests("/api/effect")) == 1
    (call,) = jobs.calls(result)
    assert call["answered_at"] is not None


def test_a_record_whose_commit_was_not_confirmed_is_no_call_that_was_sent(
    api: ApiServer, once: HttpRuns, monkeypatch
) -> None:
    real, failures = once.store.transaction, iter([StoreError("the connection was lost")])

    @contextmanager
    def transaction(*arguments: Any, **keys: Any) -> Iterator[Transaction]:
        with real(*arguments, **keys) as tx:
            yield tx
        for error in failures if keys.get("operation") == "record" else ():
            raise error

    monkeypatch.setattr(once.store, "transaction", transaction)
    first = once.run()
    assert once.ended(first) == ("pending", "store")
    assert api.requests("/effect") == []
    (call,) = once.calls(first)
    assert (call["outcome"], call["answered_at"]) == ("failed", None)
    assert once.ended(once.attempt(first.run["id"])) == ("success", None)
    assert len(api.requests("/effect")) == 1


def broken_off(
    jobs: HttpRuns, api: ApiServer, error: SyncdError, fault: Fault | None = None
) -> Result:
    """Stop a run in the middle of its call."""
    source, go, ends = CancelSource(), threading.Event(), []
    api.fault("/effect", fault or hold(go), times=1)
    thread = threading.Thread(target=lambda: ends.append(jobs.run(source=source)))
    thread.start()
    try:
        until(lambda: [r for r in api.requests("/effect") if r.whole], 10, "the call")
        source.cancel(error)
        thread.join(10)
    finally:
        go.set()
    assert not thread.is_alive()
    end: Result = ends[0]
    return end


@pytest.mark.parametrize("fault", [cut(0), cut(40), reset_read(), reset_unread()])
def test_a_lost_answer_leaves_the_outcome_unknown(
    api: ApiServer, once: HttpRuns, fault: Fault
) -> None:
    api.fault("/effect", fault)
    result = once.run()
    assert once.ended(result) == ("failed", "outcome_unknown")
    (sent,) = api.requests("/effect")
    assert sent.key is None
    (call,) = once.calls(result)
    assert (call["answered_at"], call["finished_at"], call["outcome"]) == (None, None, None)
    assert (call["error_class"], call["tries"], call["safe"]) == ("outcome_unknown", 1, False)
    assert "may have taken effect" in call["error"]


def test_a_late_answer_leaves_it_unknown_too(api: ApiServer, once: HttpRuns) -> None:
    once.configure({**ONCE, "timeout": timedelta(seconds=0.3)}, retries=LADDER)
    api.fault("/effect", hang(after=0))
    assert once.ended(once.run()) == ("failed", "outcome_unknown")
    assert api.effects("/effect") == 1
    assert once.ended(once.run(seconds=0.2)) == ("failed", "outcome_unknown")
    assert len(api.requests("/effect")) == 2


def test_the_stop_of_the_daemon_leaves_it_unknown(api: ApiServer, once: HttpRuns) -> None:
    result = broken_off(once, api, Interrupted("the daemon stops"))
    assert once.ended(result) == ("failed", "outcome_unknown")
    assert len(api.requests("/effect")) == 1


def test_what_a_person_cancels_is_cancelled_and_its_record_says_sent(
    api: ApiServer, once: HttpRuns
) -> None:
    result = broken_off(once, api, Cancelled("cancelled by me"))
    assert once.ended(result) == ("cancelled", "interrupted")
    (call,) = once.calls(result)
    assert (call["answered_at"], call["finished_at"], call["outcome"]) == (None, None, None)
    assert call["error"] == "cancelled by me"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_an_answer_that_it_failed_is_no_doubt_and_no_reason_to_repeat_it(
    api: ApiServer, once: HttpRuns, status: int
) -> None:
    api.fault("/effect", busy(status, retry_after=1))
    result = once.run()
    status, error_class = once.ended(result)
    assert (status, error_class) == ("failed", "throttled")
    assert len(api.requests("/effect")) == 1
    (call,) = once.calls(result)
    assert call["answered_at"] <= call["finished_at"]
    assert call["outcome"] == "failed"


@pytest.mark.parametrize("status", [502, 504])
def test_a_gateway_does_not_know_either(api: ApiServer, once: HttpRuns, status: int) -> None:
    api.fault("/effect", answers(Answer(status)))
    result = once.run()
    assert once.ended(result) == ("failed", "outcome_unknown")
    (call,) = once.calls(result)
    assert (call["status"], call["finished_at"]) == (status, None)
    assert call["answered_at"] is not None


def test_a_redirect_is_an_answer(api: ApiServer, once: HttpRuns) -> None:
    once.configure({**ONCE, "redirects": 3}, retries=LADDER)
    api.fault("/effect", redirect("/elsewhere"))
    result = once.run()
    assert once.ended(result) == ("failed", "bad_data")
    (call,) = once.calls(result)
    assert call["outcome"] == "failed"
    assert call["answered_at"] is not None
    assert api.requests("/elsewhere") == []


def test_what_was_not_sent_may_be_sent_again(api: ApiServer, once: HttpRuns) -> None:
    api.stop()
    first = once.run()
    assert once.ended(first) == ("pending", "network")
    (call,) = once.calls(first)
    assert (call["outcome"], call["tries"], call["answered_at"]) == ("failed", 3, None)
    assert call["finished_at"] is not None
    api.start()
    second = once.attempt(first.run["id"])
    assert once.ended(second) == ("success", None)
    assert [c["outcome"] for c in once.calls(second)] == ["failed", "success"]
    assert api.effects("/effect") == 1


def test_a_refused_token_is_no_doubt(api: ApiServer, jobs: HttpRuns) -> None:
    jobs.configure(
        {**ONCE, "url": "/api/effect", "token": "iam"}, tokens={"iam": jobs.login()}, retries=LADDER
    )
    assert jobs.ended(jobs.run()) == ("success", None)
    api.revoke()
    api.fault("/login", reset_read(), times=4)
    first = jobs.run()
    assert jobs.ended(first) == ("pending", "network")
    assert jobs.ended(jobs.attempt(first.run["id"])) == ("success", None)
    assert api.effects("/api/effect") == 2


def killed_at(jobs: HttpRuns, monkeypatch: pytest.MonkeyPatch, where: str, when: str) -> RunId:
    """Let nothing of a run happen any more from a step on; return the run, taken up again."""
    module, name = where.rsplit(".", 1)
    real: Callable[..., Any] = getattr(import_module(module), name)

    def dies(*arguments: Any, **named: Any) -> Any:
        if when == "after":
            real(*arguments, **named)
        raise Fenced("as if it were dead")

    def dead(*_: Any) -> None:
        raise Fenced("as if it were dead")

    run_id = jobs.record()
    with monkeypatch.context() as patch:
        patch.setattr(where, dies)
        patch.setattr("syncd.calls.steps.Step._failed", dead)
        assert jobs.attempt(run_id).run["status"] == "running"
    with jobs.store.transaction() as tx:
        now = datetime.now(UTC)
        recovery.recover(tx, owner="test", epoch=2, local="cli:test", now=now)
    return run_id


@pytest.mark.parametrize(("where", "when", "effects", "end"), [
    ("syncd.store.http_calls.begin", "before", 1, "success"),
    ("syncd.calls.sending.exchange", "before", 0, "outcome_unknown"),
    ("syncd.calls.sending.exchange", "after", 1, "outcome_unknown"),
    ("syncd.store.http_calls.note", "before", 1, "outcome_unknown"),
    ("syncd.store.items.end_item", "before", 1, "success"),
])  # fmt: skip
@pytest.mark.parametrize("attempts", [4, 1])
def test_a_process_that_dies_leaves_what_the_next_one_goes_on_with(
    api: ApiServer, once: HttpRuns, monkeypatch, where, when, effects, end, attempts
) -> None:
    once.configure(ONCE, retries=LADDER[: attempts - 1])
    run_id = killed_at(once, monkeypatch, where, when)
    if attempts > 1:
        result = once.attempt(run_id)
    else:
        result = once.result(run_id)
        end = "interrupted" if end == "success" else end
    expected = ("success", None) if end == "success" else ("failed", end)
    assert (result.run["status"], result.run["error_class"]) == expected
    assert len(api.requests("/effect")) <= 1
    if attempts > 1:
        assert api.effects("/effect") == effects

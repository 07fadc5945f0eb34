"""When a call is sent again: in its attempt, in the next one, never before a server wants it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from api_faults import accepted, answers, busy, cut, drip, hang, hold, reset_read
from api_server import ApiServer
from api_wire import Answer
from daemon_helpers import until
from http_runs import AT_ONCE, HttpRuns
from proxy import Proxy, to_socket
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from syncd.context import CancelSource
from syncd.errors import Interrupted, StoreError
from syncd.store import http_calls
from syncd.store.database import Store

LADDER = [timedelta(minutes=1)] * 3


@pytest.mark.parametrize("fault", [reset_read(), cut(0), cut(30), answers(Answer(500)), busy(503)])
def test_what_passes_is_sent_again_in_the_same_attempt_with_the_same_key(
    api: ApiServer, jobs: HttpRuns, fault
) -> None:
    api.fault("/effect", fault, times=2)
    result = jobs.run()
    assert jobs.ended(result) == ("success", None)
    assert [record.key for record in api.requests("/effect")] == [str(result.run["id"])] * 3
    assert api.effects("/effect") == 1
    (call,) = jobs.calls(result)
    assert (call["tries"], call["outcome"], call["error"]) == (3, "success", None)


def test_each_try_has_a_connection_of_its_own(api: ApiServer, jobs: HttpRuns) -> None:
    jobs.run()
    jobs.run()
    assert len({record.connection for record in api.log}) == 2


def test_each_request_is_counted_by_how_it_ended(api: ApiServer, jobs: HttpRuns) -> None:
    jobs.configure(
        {"url": "/api/effect", "token": "t"}, tokens={"t": jobs.login()},
        expect={"json": {"key": "?"}}, poll={"every": AT_ONCE, "until": {"status": [200]}},
    )  # fmt: skip
    for fault in (cut(0), busy(503, 0), answers(Answer(401))):
        api.fault("/api/effect", fault, times=1)
    assert jobs.ended(jobs.run()) == ("failed", "bad_data")
    outcomes = ["network", "throttled", "authentication", "bad_data"]
    assert jobs.counted == [("http", "call", each) for each in outcomes]
    jobs.counted.clear()
    jobs.configure(poll={"every": AT_ONCE})
    api.heal()
    api.fault("/effect", accepted("/status"))
    api.fault("/status", cut(0), times=1)
    assert jobs.ended(jobs.run()) == ("success", None)
    assert jobs.counted == [("http", "call", each) for each in ("ok", "network", "ok")]


def test_three_failures_are_for_the_next_attempt(api: ApiServer, jobs: HttpRuns) -> None:
    jobs.configure(retries=LADDER)
    api.fault("/effect", cut(10), times=4)
    first = jobs.run()
    assert jobs.ended(first) == ("pending", "network")
    second = jobs.attempt(first.run["id"])
    assert jobs.ended(second) == ("success", None)
    assert len({record.key for record in api.requests("/effect")}) == 1
    assert api.effects("/effect") == 1
    assert [(c["attempt"], c["tries"], c["outcome"]) for c in jobs.calls(second)] == [
        (1, 3, "failed"), (2, 2, "success"),
    ]  # fmt: skip


def test_a_server_is_waited_for_as_it_asks(api: ApiServer, jobs: HttpRuns) -> None:
    api.fault("/effect", busy(429, retry_after=1), times=1)
    began = time.monotonic()
    assert jobs.ended(jobs.run()) == ("success", None)
    assert time.monotonic() - began >= 1
    first, second = api.requests("/effect")
    assert (second.at - first.at).total_seconds() >= 1


@pytest.mark.parametrize("as_date", [True, False])
def test_a_server_that_asks_for_long_is_waited_for_by_the_next_attempt(
    api: ApiServer, jobs: HttpRuns, *, as_date: bool
) -> None:
    jobs.configure(retries=LADDER)
    then = datetime.now(UTC) + timedelta(seconds=600)
    api.fault("/effect", busy(429, retry_after=then if as_date else 600))
    result = jobs.run()
    assert jobs.ended(result) == ("pending", "throttled")
    assert len(api.requests("/effect")) == 1
    wait = result.run["next_attempt_at"] - datetime.now(UTC)
    assert timedelta(seconds=580) < wait <= timedelta(seconds=602)


def test_a_worker_is_not_held_for_what_the_next_attempt_can_wait_for(
    api: ApiServer, jobs: HttpRuns
) -> None:
    jobs.configure(retries=LADDER)
    api.fault("/effect", busy(429, retry_after=61))
    source = CancelSource()
    patience = threading.Timer(5, source.cancel, [Interrupted("it waits for the server")])
    patience.start()
    result = jobs.run(seconds=1000, source=source)
    patience.cancel()
    assert jobs.ended(result) == ("pending", "throttled")


def test_there_is_no_wait_beyond_the_end_of_the_run(api: ApiServer, jobs: HttpRuns) -> None:
    jobs.configure(retries=LADDER)
    api.fault("/effect", busy(429, retry_after=30))
    began = time.monotonic()
    result = jobs.run(seconds=10)
    assert time.monotonic() - began < 5
    assert jobs.ended(result) == ("pending", "throttled")
    assert (result.run["next_attempt_at"] - datetime.now(UTC)).total_seconds() > 50


@pytest.mark.parametrize("fault", [hang(), hang(after=20), drip(0.2)])
def test_one_slow_answer_does_not_use_up_the_run(api: ApiServer, jobs: HttpRuns, fault) -> None:
    jobs.configure({"timeout": timedelta(seconds=0.4)})
    api.fault("/effect", fault, times=1)
    assert jobs.ended(jobs.run()) == ("success", None)
    assert api.effects("/effect") == 1


def test_the_end_of_its_time_ends_a_run_that_waits(api: ApiServer, jobs: HttpRuns) -> None:
    api.fault("/effect", hang(after=0))
    result = jobs.run(seconds=0.5)
    assert jobs.ended(result) == ("failed", "timeout")
    (call,) = jobs.calls(result)
    assert (call["outcome"], call["answered_at"]) == ("failed", None)


def test_what_a_stop_breaks_off_is_sent_again_when_the_run_is_taken_up(
    api: ApiServer, jobs: HttpRuns
) -> None:
    source, go, ends = CancelSource(), threading.Event(), []
    api.fault("/effect", hold(go), times=1)
    thread = threading.Thread(target=lambda: ends.append(jobs.run(source=source)))
    thread.start()
    until(lambda: api.effects("/effect"), 10, "the effect")
    source.cancel(Interrupted("the daemon stops"))
    thread.join(10)
    go.set()
    (result,) = ends
    assert jobs.ended(result) == ("pending", "interrupted")
    (call,) = jobs.calls(result)
    assert (call["finished_at"], call["error_class"]) == (None, "interrupted")
    assert jobs.ended(jobs.attempt(result.run["id"])) == ("success", None)
    assert api.effects("/effect") == 1
    assert len(api.requests("/effect")) == 2


@contextmanager
def through_a_proxy(jobs: HttpRuns, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Have the jobs reach their store through a proxy."""
    server = conninfo_to_dict(jobs.dsn)
    proxy = Proxy(to_socket(f"{server['host']}/.s.PGSQL.{server.get('port', 5432)}"))
    behind = Store(make_conninfo(jobs.dsn, host="127.0.0.1", port=str(proxy.port)), pool_min=1)
    behind.open()
    works = {"thread": replace(jobs.runner._works["thread"], store=behind)}
    monkeypatch.setattr(jobs, "store", behind)
    monkeypatch.setattr(jobs.runner, "_works", works)
    try:
        yield proxy
    finally:
        behind.close()
        proxy.close()


@pytest.mark.parametrize("key", ["Idempotency-Key", False])
def test_a_store_that_is_lost_before_the_answer_is_recorded_leaves_the_truth(
    api: ApiServer, jobs: HttpRuns, monkeypatch, key
) -> None:
    """Once safe and once not: the answer came, and no later attempt can know it."""
    monkeypatch.setattr("syncd.calls.journal._PATIENCE", 0.0)
    with through_a_proxy(jobs, monkeypatch) as proxy:
        jobs.configure({"idempotency_key": key}, retries=LADDER)

        def lose(_):
            proxy.cut()
            return Answer()

        api.on("/effect", lose)
        run_id = jobs.record()
        first = jobs.attempt(run_id)
        assert first.run["status"] == "pending"
        (call,) = jobs.calls(run_id)
        assert (call["answered_at"], call["finished_at"]) == (None, None)
        proxy.heal()
        api.on("/effect", Answer())
        second = jobs.attempt(run_id)
    assert jobs.ended(second) == (("success", None) if key else ("failed", "outcome_unknown"))
    assert api.effects("/effect") == 1
    assert len(api.requests("/effect")) == (2 if key else 1)


def test_a_store_that_blinks_loses_nothing(api: ApiServer, jobs: HttpRuns, monkeypatch) -> None:
    real, failures = http_calls.note, iter([StoreError("gone"), StoreError("still gone")])

    def note(*arguments):
        for error in failures:
            raise error
        real(*arguments)

    monkeypatch.setattr("syncd.calls.journal._PAUSE", 0.001)
    monkeypatch.setattr(http_calls, "note", note)
    jobs.configure({"idempotency_key": False})
    assert jobs.ended(jobs.run()) == ("success", None)
    assert api.effects("/effect") == 1

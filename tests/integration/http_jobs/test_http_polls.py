"""What is accepted (202) is followed to its end, over restarts too, and is not sent again."""

import threading
from datetime import timedelta

import pytest
from api_faults import accepted, answers, busy, cut, progress
from api_server import ApiServer
from api_wire import Answer
from daemon_helpers import until
from http_runs import AT_ONCE, SECRET, HttpRuns

from syncd.context import CancelSource
from syncd.errors import Cancelled, Interrupted

LADDER = [timedelta(minutes=1)] * 3
DONE = {"json": {"state": "done"}}
FAILED = {"json": {"state": ["failed", "gone"]}}
EVERY = {"every": AT_ONCE}


def test_a_location_is_asked_until_it_says_something_else(api: ApiServer, jobs: HttpRuns) -> None:
    jobs.configure(poll=EVERY)
    api.fault("/effect", accepted("/status/1"))
    api.fault("/status/1", progress(["queued", "works", "done"], status=202))
    result = jobs.run()
    assert jobs.ended(result) == ("success", None)
    asked = api.requests("/status/1")
    assert [record.method for record in asked] == ["GET"] * 3
    assert {record.key for record in asked} == {None}
    assert len({record.connection for record in asked}) == 1
    (call,) = jobs.calls(result)
    assert (call["outcome"], call["status"], call["polls"], call["tries"]) == ("success", 200, 3, 1)
    assert call["poll_url"] == f"{api.url}/status/1"
    assert '"done"' in call["answer"]
    assert api.effects("/effect") == 1


def test_the_last_status_says_what_is_saved_and_the_first_answer_when_it_was_taken(
    api: ApiServer, jobs: HttpRuns
) -> None:
    api.fault("/effect", answers(Answer(202, {"id": "asked"}, {"Location": "/status/1"})))
    api.fault("/status/1", answers(Answer(200, {"id": "made"})))
    jobs.configure(calls=[{"request": {}, "poll": EVERY, "save": {"v": "id"}}])
    result = jobs.run()
    assert jobs.ended(result) == ("success", None)
    (call,) = jobs.calls(result)
    assert call["saved"] == {"v": "made"}
    assert call["answered_at"] < call["finished_at"]  # it was accepted before it was done


def test_without_poll_a_location_is_followed_unless_202_is_expected(
    api: ApiServer, jobs: HttpRuns
) -> None:
    api.fault("/effect", accepted("/status/1", **{"Retry-After": "0"}))
    jobs.configure(expect={"status": [202]})
    assert jobs.ended(jobs.run()) == ("success", None)
    assert api.requests("/status/1") == []
    api.heal()
    api.fault("/effect", answers(Answer(202)))
    jobs.configure()
    assert jobs.ended(jobs.run()) == ("success", None)


@pytest.mark.parametrize(
    ("states", "end"),
    [
        (["queued", "done"], ("success", None)),
        (["queued", "failed"], ("failed", "bad_data")),
        (["gone"], ("failed", "bad_data")),
    ],
)
def test_the_state_inside_decides_where_it_is_told_how(
    api: ApiServer, jobs: HttpRuns, states, end
) -> None:
    jobs.configure(
        expect={"status": [200]},  # of the end: 202 is good all the same
        poll={**EVERY, "url": api.url + "/status/{{ date }}",
              "until": DONE, "failed": FAILED}
    )  # fmt: skip
    api.fault("/effect", answers(Answer(202, {"state": "queued"})))
    date = jobs.rows("select (now() at time zone 'utc')::date::text as day")[0]["day"]
    api.fault(f"/status/{date}", progress(states))
    result = jobs.run()
    assert jobs.ended(result) == end
    (call,) = jobs.calls(result)
    assert call["polls"] == len(states)
    assert call["finished_at"] is not None


def test_a_first_answer_may_say_that_it_failed(api: ApiServer, jobs: HttpRuns) -> None:
    jobs.configure(poll={**EVERY, "path": "at", "failed": FAILED})
    api.fault("/effect", answers(Answer(202, {"state": "failed", "at": "/status"})))
    assert jobs.ended(jobs.run()) == ("failed", "bad_data")
    assert api.requests("/status") == []


@pytest.mark.parametrize("at", ["/status", "status", "http://{host}/status"])
def test_the_place_may_stand_in_the_answer(api: ApiServer, jobs: HttpRuns, at: str) -> None:
    jobs.configure(poll={**EVERY, "path": "data.at"})
    where = at.format(host=f"127.0.0.1:{api.port}")
    api.fault("/effect", answers(Answer(202, {"data": {"at": where}})))
    assert jobs.ended(jobs.run()) == ("success", None)
    assert len(api.requests("/status")) == 1


def test_what_the_first_answer_tells_may_name_the_place(api: ApiServer, jobs: HttpRuns) -> None:
    api.fault("/effect", answers(Answer(202, {"id": 5})))
    api.fault("/status/5", answers(Answer(200, {"result": "r"})))
    jobs.configure(
        calls=[
            {"request": {}, "save": {"id": "id", "found": "result"},
             "poll": {**EVERY, "url": api.url + "/status/{{ id }}"}},
            {"request": {"url": "/next/{{ id }}/{{ found }}"}},
        ]
    )  # fmt: skip
    assert jobs.ended(jobs.run()) == ("success", None)
    assert len(api.requests("/next/5/r")) == 1


def test_a_place_whose_name_the_answer_does_not_tell_is_an_error(
    api: ApiServer, jobs: HttpRuns
) -> None:
    call = {"request": {}, "save": {"id": "id"}, "poll": {"url": api.url + "/status/{{ id }}"}}
    jobs.configure(calls=[call], retries=LADDER)
    api.fault("/effect", answers(Answer(202, {"ids": 5})))
    result = jobs.run()
    assert jobs.ended(result) == ("failed", "bad_data")
    assert "id can't be saved: nothing stands at id" in result.run["error"]
    (call,) = jobs.calls(result)
    assert call["finished_at"] is not None


@pytest.mark.parametrize("location", [None, "", "ftp://h/x", "http://", "//"])
def test_202_without_a_place_to_ask_is_an_error(api: ApiServer, jobs: HttpRuns, location) -> None:
    jobs.configure(poll=EVERY, retries=LADDER)
    api.fault("/effect", answers(Answer(202, {}, {"Location": location})))
    assert jobs.ended(jobs.run()) == ("failed", "bad_data")


@pytest.mark.parametrize("fault", [cut(0), cut(40), busy(503), busy(429, 0), answers(Answer(500))])
def test_what_passes_while_it_is_followed_is_borne(api: ApiServer, jobs: HttpRuns, fault) -> None:
    jobs.configure({"idempotency_key": False}, poll=EVERY)
    api.fault("/effect", accepted("/status"))
    api.fault("/status", fault, times=7)
    result = jobs.run()
    assert jobs.ended(result) == ("success", None)
    (call,) = jobs.calls(result)
    assert (call["polls"], call["tries"]) == (8, 1)


def test_a_server_says_when_to_look_again(api: ApiServer, jobs: HttpRuns) -> None:
    jobs.configure(poll=EVERY)
    api.fault("/effect", accepted("/status"))
    api.fault("/status", progress(["works", "done"], status=202, retry_after="1"))
    assert jobs.ended(jobs.run()) == ("success", None)
    first, second = api.requests("/status")
    assert (second.at - first.at).total_seconds() >= 1


@pytest.mark.parametrize("status", [404, 410, 302])
def test_a_status_that_is_not_told_ends_it(api: ApiServer, jobs: HttpRuns, status: int) -> None:
    jobs.configure(poll=EVERY, retries=LADDER)
    api.fault("/effect", accepted("/status"))
    api.fault("/status", answers(Answer(status)))
    assert jobs.ended(jobs.run()) == ("failed", "bad_data")


def test_an_old_token_is_renewed_while_it_is_followed(api: ApiServer, jobs: HttpRuns) -> None:
    jobs.configure({"url": "/api/effect", "token": "iam"}, tokens={"iam": jobs.login()}, poll=EVERY)
    api.fault("/api/effect", accepted("/api/status"))
    looks = 0

    def status(_):
        nonlocal looks
        looks += 1
        if looks == 2:
            api.revoke()
        return Answer(202 if looks < 3 else 200)

    api.on("/api/status", status)
    assert jobs.ended(jobs.run()) == ("success", None)
    assert [record.status for record in api.requests("/api/status")] == [202, 202, 401, 200]
    assert api.logins == 2


def test_elsewhere_no_credential_goes(api: ApiServer, jobs: HttpRuns, monkeypatch) -> None:
    monkeypatch.setenv("THE_SECRET", SECRET)
    secret = {"env": "THE_SECRET"}
    with ApiServer(host="127.0.0.2") as other:
        jobs.configure(
            {"headers": {"X-Auth": secret, "Cookie": "c=1", "X-Plain": "p"}, "query": {"k": secret},
             "basic": {"user": "u", "password": secret}},
            poll=EVERY,
        )  # fmt: skip
        api.fault("/effect", accepted(f"{other.url}/status"))
        assert jobs.ended(jobs.run()) == ("success", None)
        (asked,) = other.requests("/status")
    assert SECRET not in str(asked)
    assert not {"authorization", "cookie", "x-auth"} & asked.headers.keys()
    assert asked.headers["x-plain"] == "p"


def test_a_status_url_is_bound_to_the_allowed_hosts(api: ApiServer, jobs: HttpRuns) -> None:
    with ApiServer(host="127.0.0.2") as other:
        jobs.configure(poll=EVERY, http={"allow_hosts": ["127.0.0.1"]})
        api.fault("/effect", accepted(f"{other.url}/status"))
        assert jobs.ended(jobs.run()) == ("failed", "permission")
        assert other.log == []


def followed(jobs: HttpRuns, api: ApiServer, error, path: str = "/status"):
    """Stop a run that follows what was accepted."""
    source, ends = CancelSource(), []
    thread = threading.Thread(target=lambda: ends.append(jobs.run(source=source)))
    thread.start()
    until(lambda: len(api.requests(path)) > 1, 10, "two looks")
    source.cancel(error)
    thread.join(10)
    return ends[0]


@pytest.mark.parametrize("key", ["Idempotency-Key", False])
@pytest.mark.parametrize("how", ["stopped", "too late"])
def test_a_further_attempt_follows_and_does_not_send(
    api: ApiServer, jobs: HttpRuns, key, how
) -> None:
    jobs.configure({"idempotency_key": key}, poll=EVERY, retries=LADDER)
    api.fault("/effect", accepted("/status"))
    api.on("/status", Answer(202))
    if how == "stopped":
        first = followed(jobs, api, Interrupted("the daemon stops"))
        assert jobs.ended(first) == ("pending", "interrupted")
    else:
        first = jobs.run(seconds=0.4)
        assert jobs.ended(first) == ("pending", "timeout")
    (call,) = jobs.calls(first)
    assert (call["outcome"], call["finished_at"]) == ("accepted", None)
    looks = len(api.requests("/status"))
    assert abs(call["polls"] - looks) <= 1
    api.on("/status", Answer(200))
    second = jobs.attempt(first.run["id"])
    assert jobs.ended(second) == ("success", None)
    assert len(api.requests("/effect")) == 1
    (call,) = jobs.calls(second)
    assert (call["attempt"], call["outcome"]) == (1, "success")
    assert call["error"] is None


def test_a_run_whose_time_does_not_do_for_another_look_is_followed_by_the_next_attempt(
    api: ApiServer, jobs: HttpRuns
) -> None:
    jobs.configure({"idempotency_key": False}, poll={"every": timedelta(seconds=5)}, retries=LADDER)
    api.fault("/effect", accepted("/status"))
    first = jobs.run(seconds=3)
    assert jobs.ended(first) == ("pending", "timeout")
    jobs.configure({"idempotency_key": False}, poll=EVERY, retries=LADDER)
    assert jobs.ended(jobs.attempt(first.run["id"])) == ("success", None)
    assert len(api.requests("/effect")) == 1


def test_what_a_person_cancels_is_followed_no_more(api: ApiServer, jobs: HttpRuns) -> None:
    jobs.configure(poll=EVERY)
    api.fault("/effect", accepted("/status"))
    api.on("/status", Answer(202))
    result = followed(jobs, api, Cancelled("cancelled by me"))
    assert jobs.ended(result) == ("cancelled", "interrupted")
    (call,) = jobs.calls(result)
    assert (call["outcome"], call["finished_at"]) == ("accepted", None)


@pytest.mark.parametrize(("key", "status"), [("Idempotency-Key", "pending"), (False, "failed")])
def test_the_time_of_the_wait_ends(api: ApiServer, jobs: HttpRuns, key, status) -> None:
    limit = {"timeout": timedelta(milliseconds=300)}
    jobs.configure({"idempotency_key": key}, poll=EVERY | limit, retries=LADDER)
    api.fault("/effect", accepted("/status"))
    api.on("/status", Answer(202))
    result = jobs.run()
    assert jobs.ended(result) == (status, "timeout")
    (call,) = jobs.calls(result)
    assert (call["outcome"], call["error_class"]) == ("failed", "timeout")
    assert "not done in time" in call["error"]
    assert len(api.requests("/effect")) == 1


def test_what_was_done_while_nobody_asked_is_not_too_late(api: ApiServer, jobs: HttpRuns) -> None:
    limit = {"timeout": timedelta(minutes=5)}
    jobs.configure({"idempotency_key": False}, poll=EVERY | limit, retries=LADDER)
    api.fault("/effect", accepted("/status"))
    api.on("/status", Answer(202))
    first = followed(jobs, api, Interrupted("the daemon stops"))
    with jobs.store.transaction() as tx:
        tx.execute("update syncd.http_call set answered_at = answered_at - interval '1 hour'")
    api.on("/status", Answer(200))
    assert jobs.ended(jobs.attempt(first.run["id"])) == ("success", None)


@pytest.mark.parametrize("key", ["Idempotency-Key", False])
def test_a_status_url_with_a_secret_is_not_recorded(api: ApiServer, jobs: HttpRuns, key) -> None:
    jobs.configure({"idempotency_key": key}, poll=EVERY, retries=LADDER)
    api.fault("/effect", accepted(f"/status?token={SECRET}"))
    api.on("/status", Answer(202))
    first = followed(jobs, api, Interrupted("the daemon stops"))
    (call,) = jobs.calls(first)
    assert call["poll_url"] is None
    assert SECRET not in str(jobs.dump())
    assert api.requests("/status")[0].target == f"/status?token={SECRET}"
    if key:
        api.on("/status", Answer(200))
        assert jobs.ended(jobs.attempt(first.run["id"])) == ("success", None)
        assert api.effects("/effect") == 1
    else:
        assert jobs.ended(first) == ("failed", "outcome_unknown")

"""A run of HTTP calls: what is sent, what is recorded, and how it ends."""

from datetime import timedelta

import pytest
from api_faults import answers, business, header_flood, headers, raw
from api_server import ApiServer
from api_wire import Answer
from http_runs import SECRET, HttpRuns


def test_a_call_is_sent_judged_and_recorded(api: ApiServer, jobs: HttpRuns) -> None:
    jobs.configure({"body": {"day": "{{ date }}", "run": "{{ run.id }}"}, "query": {"a": 1}})
    api.fault("/effect", headers(x_request_id="req-7"))
    result = jobs.run()
    assert jobs.ended(result) == ("success", None)
    (sent,) = api.requests("/effect")
    run_id = str(result.run["id"])
    due = result.run["scheduled_for"]
    assert sent.json == {"day": due.date().isoformat(), "run": run_id}
    assert (sent.key, sent.target) == (run_id, "/effect?a=1")
    (call,) = jobs.calls(result)
    assert (call["position"], call["attempt"], call["tries"], call["polls"]) == (1, 1, 1, 0)
    assert (call["name"], call["method"], call["status"]) == ("call-1", "POST", 200)
    assert call["url"] == f"{api.url}/effect?a=1"
    assert (call["outcome"], call["error_class"], call["error"]) == ("success", None, None)
    assert call["request_sent_at"] <= call["answered_at"] <= call["finished_at"]
    assert 0 < call["connect_seconds"] <= call["first_byte_seconds"] <= call["total_seconds"]
    assert call["request_id"] == "req-7"
    assert '"code": 0' in call["answer"]
    assert not call["answer_cut"]
    assert result.counts == dict.fromkeys(result.counts, 0)


@pytest.mark.parametrize(
    ("fault", "expect", "text"),
    [
        (business(), {"json": {"code": 0}}, "code is 1"),
        (business(), {"matches": '"code": 0'}, "matches"),
        (answers(Answer(404)), {}, "404"),
        (answers(Answer(200)), {"status": [201]}, "200"),
        (answers(Answer(302, b"", {"Location": "/"})), {}, "302"),
        (answers(Answer(200, b"\xff\0\xfe")), {"json": {"code": 0}}, "JSON"),
    ],
)
def test_what_is_not_expected_fails_for_good_and_says_why(
    api: ApiServer, jobs: HttpRuns, fault, expect, text
) -> None:
    jobs.configure(expect=expect, retries=[timedelta(minutes=1)])
    api.fault("/effect", fault)
    result = jobs.run()
    assert jobs.ended(result) == ("failed", "bad_data")
    (call,) = jobs.calls(result)
    assert (call["outcome"], call["error_class"], call["tries"]) == ("failed", "bad_data", 1)
    assert text in call["error"]
    assert call["error"] in result.run["error"]
    assert call["finished_at"] is not None


def test_an_answer_that_no_text_can_hold_is_recorded_as_well_as_can_be(
    api: ApiServer, jobs: HttpRuns
) -> None:
    api.fault("/effect", answers(Answer(200, b'{"a": "\0 \xed\xa0\x80 \xff"}')), times=1)
    result = jobs.run()
    assert jobs.ended(result) == ("success", None)
    (call,) = jobs.calls(result)
    assert call["answer"].startswith('{"a": "\N{REPLACEMENT CHARACTER} ')


def test_of_a_long_answer_the_beginning_is_recorded(api: ApiServer, jobs: HttpRuns) -> None:
    api.fault("/effect", answers(Answer(200, b"a long story; " * 10_000)))
    (call,) = jobs.calls(jobs.run())
    assert (len(call["answer"]), call["answer_cut"]) == (65_536, True)


def test_headers_beyond_all_bounds_are_a_broken_answer(api: ApiServer, jobs: HttpRuns) -> None:
    jobs.configure({"method": "GET", "url": "/look"})
    api.fault("/look", header_flood())
    result = jobs.run()
    assert jobs.ended(result) == ("failed", "network")


def test_an_answer_that_is_no_http_is_no_answer(api: ApiServer, jobs: HttpRuns) -> None:
    jobs.configure({"method": "GET", "url": "/look"})
    api.fault("/look", raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"))
    result = jobs.run()
    assert jobs.ended(result) == ("failed", "network")
    (call,) = jobs.calls(result)
    assert (call["outcome"], call["tries"], call["status"]) == ("failed", 3, None)


def test_calls_go_on_with_what_the_ones_before_were_told(api: ApiServer, jobs: HttpRuns) -> None:
    api.on("/plans", Answer(201, {"data": {"id": 17}}))
    jobs.configure(
        calls=[
            {"name": "plan", "request": {"url": "/plans"}, "save": {"plan_id": "data.id"}},
            {"request": {"url": "/plans/{{ plan_id }}/start", "body": {"id": "{{ plan_id }}"}}},
        ]
    )
    result = jobs.run()
    assert jobs.ended(result) == ("success", None)
    (first,), (second,) = api.requests("/plans"), api.requests("/plans/17/start")
    assert second.json == {"id": "17"}
    assert (first.key, second.key) == (str(result.run["id"]), f"{result.run['id']}-2")
    plan, start = jobs.calls(result)
    assert (plan["name"], plan["saved"]) == ("plan", {"plan_id": "17"})
    assert (start["name"], start["position"], start["saved"]) == ("call-2", 2, {})


def test_a_refused_login_is_told_without_the_call_that_happened_to_need_it(
    api: ApiServer, jobs: HttpRuns
) -> None:
    request = {"url": "/api/plans", "token": "iam"}
    jobs.configure(
        calls=[{"name": "make", "request": request}, {"name": "apply", "request": request}],
        tokens={"iam": jobs.login()},
    )
    api.password = "other"
    result = jobs.run()
    assert jobs.ended(result) == ("failed", "authentication")
    assert "make" not in result.run["error"]
    assert "token iam: the login was answered 401" in result.run["error"]


def test_what_can_not_be_saved_fails_its_call(api: ApiServer, jobs: HttpRuns) -> None:
    jobs.configure(calls=[{"request": {}, "save": {"plan_id": "data.id"}}, {"request": {}}])
    result = jobs.run()
    assert jobs.ended(result) == ("failed", "bad_data")
    assert len(api.requests("/effect")) == 1
    (call,) = jobs.calls(result)
    assert "plan_id can't be saved" in call["error"]
    assert result.items["calls"]["error"] == f"call-1: {call['error']}"


def test_a_further_attempt_sends_only_what_has_not_succeeded(
    api: ApiServer, jobs: HttpRuns
) -> None:
    api.on("/plans", Answer(201, {"data": {"id": 17}}))
    api.fault("/start", answers(Answer(500)), times=3)
    jobs.configure(
        calls=[
            {"request": {"url": "/plans"}, "save": {"plan_id": "data.id"}},
            {"request": {"url": "/start", "body": "{{ plan_id }}"}},
        ],
        retries=[timedelta(minutes=1)],
    )
    first = jobs.run()
    assert jobs.ended(first) == ("pending", "network")
    second = jobs.attempt(first.run["id"])
    assert jobs.ended(second) == ("success", None)
    assert len(api.requests("/plans")) == 1
    assert [record.body for record in api.requests("/start")] == [b"17"] * 4
    assert len({record.key for record in api.requests("/start")}) == 1
    calls = jobs.calls(second)
    assert [(c["position"], c["attempt"], c["outcome"], c["tries"]) for c in calls] == [
        (1, 1, "success", 1), (2, 1, "failed", 3), (2, 2, "success", 1),
    ]  # fmt: skip


def test_a_job_that_was_changed_under_its_run_is_not_gone_on_with(
    api: ApiServer, jobs: HttpRuns
) -> None:
    api.fault("/two", answers(Answer(500)))
    one = {"name": "one", "request": {"url": "/one"}}
    two = {"name": "two", "request": {"url": "/two"}}
    jobs.configure(calls=[one, two], retries=[timedelta(minutes=1)])
    first = jobs.run()
    jobs.configure(calls=[two, one], retries=[timedelta(minutes=1)])
    assert jobs.ended(jobs.attempt(first.run["id"])) == ("failed", "guard")
    assert len(api.requests("/one")) == 1


def test_a_value_that_an_earlier_attempt_did_not_save_is_missed_before_anything_is_sent(
    api: ApiServer, jobs: HttpRuns
) -> None:
    api.fault("/two", answers(Answer(500)))
    two = {"request": {"url": "/two"}}
    jobs.configure(calls=[{"request": {"url": "/one"}}, two], retries=[timedelta(minutes=1)])
    first = jobs.run()
    one = {"request": {"url": "/one"}, "save": {"code": "code"}}
    two = {"request": {"url": "/two/{{ code }}"}}
    jobs.configure(calls=[one, two], retries=[timedelta(minutes=1)])
    assert jobs.ended(jobs.attempt(first.run["id"])) == ("failed", "guard")
    assert len(api.requests("/one")) == 1


def test_a_token_is_fetched_once_and_renewed_once_when_it_is_refused(
    api: ApiServer, jobs: HttpRuns
) -> None:
    jobs.configure({"url": "/api/effect", "token": "iam"}, tokens={"iam": jobs.login()})
    assert jobs.ended(jobs.run()) == ("success", None)
    assert jobs.ended(jobs.run()) == ("success", None)
    assert api.logins == 1
    api.revoke()
    result = jobs.run()
    assert jobs.ended(result) == ("success", None)
    assert api.logins == 2
    assert [record.status for record in api.requests("/api/effect")] == [200, 200, 401, 200]
    assert api.effects("/api/effect") == 3


def test_a_call_is_replayed_exactly_once_after_401(api: ApiServer, jobs: HttpRuns) -> None:
    api.fault("/api/effect", answers(Answer(401)))
    for key in ("Idempotency-Key", False):
        request = {"url": "/api/effect", "token": "iam", "idempotency_key": key}
        jobs.configure(request, tokens={"iam": jobs.login()})
        api.log.clear()
        result = jobs.run()
        assert jobs.ended(result) == ("failed", "authentication")
        assert len(api.requests("/api/effect")) == 2


def test_without_a_token_401_is_final(api: ApiServer, jobs: HttpRuns) -> None:
    jobs.configure({"url": "/api/effect"}, retries=[timedelta(minutes=1)])
    assert jobs.ended(jobs.run()) == ("failed", "authentication")
    assert len(api.requests("/api/effect")) == 1


def test_a_login_that_is_refused_sends_no_call(api: ApiServer, jobs: HttpRuns) -> None:
    jobs.configure({"url": "/api/effect", "token": "iam"}, tokens={"iam": jobs.login()})
    api.password = "another"
    result = jobs.run()
    assert jobs.ended(result) == ("failed", "authentication")
    assert api.requests("/api/effect") == []
    assert jobs.calls(result) == []


def test_no_secret_is_recorded(api: ApiServer, jobs: HttpRuns, monkeypatch, capfd) -> None:
    monkeypatch.setenv("THE_SECRET", SECRET)
    secret = {"env": "THE_SECRET"}
    echo = {"token": "t0ken-echoed", "seen": SECRET, "password": "p4ss-echoed"}
    api.on("/api/echo", Answer(400, echo, {"X-Request-Id": SECRET}))
    jobs.configure(
        {"url": "/api/echo", "token": "iam", "query": {"key": secret, "apikey": "k3y-plain"},
         "headers": {"X-Auth": secret}, "body": {"deep": [{"value": secret}]},
         "mask": ["seen"]},
        tokens={"iam": jobs.login()},
    )  # fmt: skip
    result = jobs.run()
    assert jobs.ended(result) == ("failed", "bad_data")
    (sent,) = api.requests("/api/echo")
    assert SECRET in sent.target
    assert sent.headers["x-auth"] == SECRET
    token = sent.headers["authorization"].split()[1]
    told = str(jobs.dump()) + "".join(capfd.readouterr())
    for each in (SECRET, token, "t0ken-echoed", "p4ss-echoed", "k3y-plain"):
        assert each not in told


def test_a_plan_shows_the_requests_and_sends_none(
    api: ApiServer, jobs: HttpRuns, monkeypatch
) -> None:
    monkeypatch.setenv("THE_SECRET", SECRET)
    jobs.configure(
        calls=[
            {"name": "plan", "save": {"plan_id": "data.id"},
             "request": {"url": "/api/plans", "token": "iam", "body": {"day": "{{ date }}",
                         "password": {"env": "THE_SECRET"}}}},
            {"request": {"url": "/api/plans/{{ plan_id }}", "method": "GET"}},
        ],
        tokens={"iam": jobs.login()},
    )  # fmt: skip
    before = jobs.dump()
    (planned,) = jobs.plan()
    assert planned.error is None
    first, second = planned.changes
    assert (first.change, first.thing, first.name) == ("send", "request", "plan")
    assert first.resource_id == f"POST {api.url}/api/plans"
    assert first.fields["headers"]["Authorization"] == "******"
    assert "Idempotency-Key" in first.fields["headers"]
    assert '"password": "******"' in first.fields["body"]
    assert second.resource_id == f"GET {api.url}/api/plans/<plan_id>"
    assert SECRET not in str(planned)
    assert api.log == []
    assert jobs.dump() == before

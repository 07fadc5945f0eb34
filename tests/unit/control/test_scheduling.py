"""Pauses, priorities and the state of the scheduler, over real sockets."""

import http.client
import json
import os
import pwd
import socket
from uuid import UUID

import pytest
from fake_daemon import MOMENT, RUN, job_row, serving, waiting_row

from syncd import errors
from syncd.control.client import Client
from syncd.model.run import Selection

ME = pwd.getpwuid(os.getuid()).pw_name
TEN_YEARS = 3650 * 86_400.0


@pytest.fixture
def served():
    with serving() as (daemon, server):
        yield daemon, server, Client(daemon.path, timeout=10)


def post(daemon, target: str, body: bytes = b""):
    """Send a body to the control socket; return status and answer."""
    connection = http.client.HTTPConnection("localhost", timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(10)
    connection.sock.connect(str(daemon.path))
    try:
        connection.request("POST", target, body)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_the_documented_bodies_and_answers(served):
    daemon, _, _ = served
    daemon.commands.held = ["prod-aliyun"]
    assert post(daemon, "/jobs/hosts/run", b'{"priority": "urgent"}') == (200, {"id": str(RUN)})
    assert post(daemon, f"/runs/{str(RUN)[:8]}/priority", b'{"priority": "low"}') == (
        200, {"id": str(RUN), "priority": "low"},
    )  # fmt: skip
    paused = {"since": "2026-03-01T12:00:00Z", "until": "2026-03-01T14:00:00Z", "by": ME}
    assert post(daemon, "/jobs/hosts/pause", b'{"for_seconds": 7200}') == (
        200, {"job": "hosts", "paused": paused},
    )  # fmt: skip
    for body in (b"", b"{}", b'{"for_seconds": null}'):
        status, answer = post(daemon, "/jobs/hosts/pause", body)
        assert (status, answer["paused"]["until"]) == (200, None)
    assert post(daemon, "/jobs/hosts/resume") == (
        200, {"job": "hosts", "was_paused": True, "freed": ["prod-aliyun"]},
    )  # fmt: skip
    assert daemon.commands.asked == [
        ("trigger", "hosts", Selection(), ME, "urgent"),
        ("prioritise", RUN, "low", ME),
        ("pause", "hosts", 7200.0, ME),
        *[("pause", "hosts", None, ME)] * 3,
        ("resume", "hosts", ME),
    ]


@pytest.mark.parametrize(
    ("target", "body", "word"),
    [
        ("/jobs/hosts/run", b'{"priority": "asap"}', "allowed: urgent, high, normal, low"),
        ("/jobs/hosts/run", b'{"priority": 1}', "allowed: urgent, high, normal, low"),
        ("/jobs/hosts/run", b'{"regions": 1}', "Expected `array`, got `int` - at `$.regions`"),
        ("/jobs/hosts/plan", b'{"priority": "low"}', "allowed keys: accounts, regions"),
        ("/runs/0189/priority", b"", "allowed: urgent, high, normal, low"),
        ("/runs/0189/priority", b'{"priority": null}', "allowed: urgent, high, normal, low"),
        ("/runs/0189/priority", b'{"priority": "URGENT"}', "allowed: urgent, high, normal, low"),
        ("/runs/0189/priority", b'{"priority": ["low"]}', "allowed: urgent, high, normal, low"),
        ("/runs/0189/priority", b'"low"', "allowed keys: priority"),
        ("/jobs/hosts/pause", b'{"for_seconds": 0}', "> 0"),
        ("/jobs/hosts/pause", b'{"for_seconds": -1}', "> 0"),
        ("/jobs/hosts/pause", b'{"for_seconds": 315360001}', "<= 315360000"),
        ("/jobs/hosts/pause", b'{"for_seconds": 1e400}', "out of range"),
        ("/jobs/hosts/pause", b'{"for_seconds": ' + b"9" * 400 + b"}", "out of range"),
        ("/jobs/hosts/pause", b'{"for_seconds": NaN}', "not JSON"),
        ("/jobs/hosts/pause", b'{"for_seconds": Infinity}', "not JSON"),
        ("/jobs/hosts/pause", b'{"for_seconds": "7200"}', "got `str`"),
        ("/jobs/hosts/pause", b'{"for_seconds": true}', "got `bool`"),
        ("/jobs/hosts/pause", b'{"seconds": 7200}', "allowed keys: for_seconds"),
        ("/jobs/hosts/pause", b"[" * 100_000, "not JSON"),
    ],
)
def test_a_body_that_can_not_be_meant_is_refused_and_does_nothing(served, target, body, word):
    daemon, _, _ = served
    status, answer = post(daemon, target, body)
    assert status == 400
    assert answer["error"]["class"] == "bad_request"
    assert word in answer["error"]["message"]
    assert daemon.commands.asked == []


def test_what_does_not_exist_is_not_found(served):
    daemon, _, client = served
    for act in ("pause", "resume", "run"):
        assert post(daemon, f"/jobs/none/{act}")[0] == 404
    assert post(daemon, "/runs/zzz/priority", b'{"priority": "low"}')[0] == 404
    with pytest.raises(errors.NotFound, match="no enabled job 'none'"):
        client.pause("none", 60, "")
    with pytest.raises(errors.NotFound, match="no enabled job 'none'"):
        client.resume("none", "")
    with pytest.raises(errors.NotFound):
        client.prioritise(UUID(int=1), "low", "")


def test_client_and_daemon_agree(served):
    daemon, _, client = served
    daemon.commands.job_rows = [job_row(waiting=[waiting_row("window", until=MOMENT)])]
    name = 'a/b "é" 😀'
    daemon.commands.job_rows.append(job_row(name="x"))
    selection = Selection(accounts=frozenset({name}))
    assert client.trigger("hosts", selection, "", "high") == RUN
    client.prioritise(RUN, "urgent", "")
    assert client.pause("hosts", TEN_YEARS, "")["paused"]["until"] == "2036-02-27T12:00:00Z"
    assert client.pause("hosts", None, "")["paused"] == {
        "since": "2026-03-01T12:00:00Z", "until": None, "by": ME,
    }  # fmt: skip
    assert client.resume("hosts", "") == {"job": "hosts", "was_paused": True, "freed": []}
    assert daemon.commands.asked == [
        ("trigger", "hosts", selection, ME, "high"),
        ("prioritise", RUN, "urgent", ME),
        ("pause", "hosts", TEN_YEARS, ME),
        ("pause", "hosts", None, ME),
        ("resume", "hosts", ME),
    ]
    assert client.jobs()[0]["waiting"][0]["until"] == "2026-03-01T12:00:00Z"
    assert client.scheduler()["waiting"] == client.waiting()
    (waits,) = client.waiting()
    assert (waits["run"], waits["job"], waits["reason"]) == (str(RUN), "hosts", "window")


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 0.0, -1.0, TEN_YEARS + 1])
def test_the_client_never_sends_a_pause_that_would_mean_another(served, seconds):
    daemon, _, client = served
    with pytest.raises(errors.BadRequest, match="for_seconds"):
        client.pause("hosts", seconds, "")
    assert daemon.commands.asked == []


def test_a_run_that_does_not_wait_is_a_conflict(served):
    daemon, _, client = served
    daemon.commands.ended.set()
    with pytest.raises(errors.Conflict, match="does not wait"):
        client.prioritise(RUN, "urgent", "")


def test_the_scheduler_is_told_on_both_listeners_and_without_the_store(served):
    daemon, server, client = served
    daemon.reads.store_is_gone = True
    daemon.commands.closed = ("load", "store")
    told = client.scheduler()
    assert told["gates"]["load"] == {"closed": True, "value": 0.92, "limit": 0.8}
    assert set(told) == {"leader", "now", "workers", "gates", "running", "waiting"}
    port = http.client.HTTPConnection(*server.http_address, timeout=10)
    try:
        port.request("GET", "/api/scheduler")
        assert json.loads(port.getresponse().read()) == told
        for method, target in (("POST", "/api/scheduler"), ("POST", "/jobs/hosts/pause")):
            port.request(method, target)
            answer = port.getresponse()
            answer.read()
            assert answer.status in (404, 405)
    finally:
        port.close()
    assert daemon.commands.asked == []

"""The listeners: real sockets, real requests, a daemon in memory behind them."""

import http.client
import json
import os
import pwd
import socket
import stat
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fake_daemon import RUN, FakeDaemon, serving

from syncd.control import server as control_server
from syncd.control.client import Client
from syncd.errors import ConfigurationError, Conflict, Unreachable
from syncd.model.queries import (
    DbAccountChangeQuery,
    DbAccountQuery,
    ResourceQuery,
    RunQuery,
    SizeQuery,
    SizeStatQuery,
)
from syncd.model.run import Selection

ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def served():
    with serving() as (daemon, server):
        yield daemon, server


def ask(path: Path, method: str, target: str, body: bytes | None = None):
    """Send one request to the control socket; return status, headers and body."""
    connection = http.client.HTTPConnection("localhost", timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(10)
    connection.sock.connect(str(path))
    try:
        connection.request(method, target, body)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def eventually(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def answers_on(path: Path) -> bool:
    try:
        return bool(Client(path).status()["version"] == "0.1.0")
    except Unreachable:
        return False


def ask_port(server, method: str, target: str):
    connection = http.client.HTTPConnection(*server.http_address, timeout=10)
    try:
        connection.request(method, target)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_the_socket_is_for_its_owner_and_group_alone(served):
    daemon, _ = served
    mode = daemon.path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o660


def test_the_one_who_asks_is_known_from_the_kernel(served):
    daemon, _ = served
    status, _, body = ask(daemon.path, "POST", "/jobs/hosts/run", b'{"regions": ["cn-a"]}')
    assert (status, json.loads(body)) == (200, {"id": str(RUN)})
    selection = Selection(regions=frozenset({"cn-a"}))
    assert daemon.commands.asked == [("trigger", "hosts", selection, ME, None)]


def test_who_asks_can_not_be_claimed_by_a_header(served):
    daemon, _ = served
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(daemon.path))
    connection.request("POST", "/reload", headers={"syncd.by": "mallory", "Syncd-By": "mallory"})
    assert connection.getresponse().status == 200
    connection.close()
    assert daemon.commands.asked == [("reload", ME)]


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "word"),
    [
        ("GET", "/nothing", None, 404, "not_found"),
        ("GET", "/jobs/hosts/run", None, 405, "GET is not allowed here, but POST"),
        ("POST", "/jobs/none/run", None, 404, "no enabled job"),
        ("POST", "/jobs/hosts/run", b"{", 400, "not JSON"),
        ("POST", "/jobs/hosts/run", b"[]", 400, "allowed keys: accounts, regions, servers"),
        ("POST", "/jobs/hosts/run", b'{"region": ["a"]}', 400, "allowed keys: accounts, regions"),
        ("POST", "/jobs/hosts/run", b'{"regions": "a"}', 400, "Expected `array`"),
        ("POST", "/jobs/hosts/run", b'{"regions": ["' + b"a" * 1_100_000, 413, "class"),
        ("GET", "/runs?status=bad", None, 400, "allowed: pending, running"),
        ("GET", "/runs?jobs=x", None, 400, "allowed: job, status, since, limit"),
        ("GET", "/runs?limit=99999", None, 400, "<= 10000"),
        ("GET", "/changes?since=1d", None, 400, "datetime"),
        ("GET", "/resources?as_of=2026-01-01T00:00:00", None, 400, "timezone"),
        ("GET", "/resources?after=" + "[" * 50_000, None, 400, "after="),
        ("GET", "/db-accounts?capabilities=superuser", None, 400, "capabilities="),
        ("GET", '/db-accounts?capabilities=["root"]', None, 400, "allowed: superuser, grant"),
        ("GET", '/db-accounts?after=["s"]', None, 400, "after="),
        ("GET", "/db-account-changes?since=1d", None, 400, "datetime"),
        ("GET", "/sizes?limit=0", None, 400, ">= 1"),
        ("GET", "/size-stats", None, 400, "'period' is required; allowed: day, week"),
        ("GET", "/size-stats?period=year", None, 400, "allowed: day, week, month, quarter"),
        ("GET", "/runs/zzz", None, 404, "not_found"),
        ("GET", "/runs/0189?wait=long", None, 400, "wait="),
        ("GET", "/runs/0189?wait=nan", None, 400, "wait="),
    ],
)
def test_what_can_not_be_understood_is_refused_with_what_is_allowed(
    served, method, target, body, status, word
):
    daemon, _ = served
    got, headers, content = ask(daemon.path, method, target, body)
    assert got == status, content
    assert headers["Content-Type"] == "application/json"
    assert word in content.decode()
    assert set(json.loads(content)["error"]) == {"class", "message"}


def test_a_bug_is_an_answer_too_and_tells_no_details(served):
    daemon, _ = served
    daemon.commands.raises = RuntimeError("password=hunter2")
    status, _, content = ask(daemon.path, "GET", "/jobs")
    assert status == 500
    assert json.loads(content)["error"]["class"] == "internal"
    assert b"hunter2" not in content


def test_a_run_is_waited_for(served):
    daemon, _ = served
    daemon.reads.run_answer |= {"status": "running"}
    answers = []
    waiting = threading.Thread(
        target=lambda: answers.append(ask(daemon.path, "GET", f"/runs/{RUN}?wait=30"))
    )
    waiting.start()
    daemon.commands.ended.set()
    waiting.join(10)
    assert answers[0][0] == 200
    assert len(daemon.reads.asked) == 2


def test_a_run_that_the_daemon_can_not_wait_for_is_not_asked_for_without_a_pause(served):
    daemon, _ = served
    asked = []
    daemon.commands.wait = lambda run_id, _: bool(asked.append(run_id))
    assert ask(daemon.path, "GET", f"/runs/{RUN}/wait?wait=1")[2] == b'{"ended":false}\n'
    assert 2 <= len(asked) <= 4
    assert set(asked) == {RUN}


def test_many_who_wait_leave_room_for_others(served):
    daemon, _ = served
    daemon.reads.run_answer |= {"status": "running"}
    target = f"/runs/{RUN}?wait=30"
    waiting = [threading.Thread(target=ask, args=(daemon.path, "GET", target)) for _ in range(20)]
    for thread in waiting:
        thread.start()
    begun = time.monotonic()
    assert ask(daemon.path, "GET", "/healthz")[0] == 200
    assert time.monotonic() - begun < 8
    daemon.commands.ended.set()
    for thread in waiting:
        thread.join(10)
        assert not thread.is_alive()


def test_status_and_jobs_are_told_while_the_store_is_gone(served):
    daemon, _ = served
    daemon.reads.store_is_gone = True
    status, _, content = ask(daemon.path, "GET", "/status")
    assert status == 200
    assert json.loads(content)["store_error"] == "the store can't be reached"
    assert json.loads(content)["resources"] is None
    status, _, content = ask(daemon.path, "GET", "/jobs")
    assert status == 200
    assert [job["last"] for job in json.loads(content)] == [None]


def test_queries_arrive_as_they_were_asked(served):
    daemon, _ = served
    client = Client(daemon.path)
    after = ("a/b", "r", "host", "i-1 é&=")
    for query in (ResourceQuery(after=after, attributes=True, state="running", limit=5),):
        client.resources(query)
        assert daemon.reads.asked[-1] == query
    client.runs(RunQuery(job="a&b", status="failed"))
    assert daemon.reads.asked[-1] == RunQuery(job="a&b", status="failed")
    since = datetime(2026, 3, 1, 12, 0, 0, 123, UTC)
    asked = (
        (client.db_accounts, DbAccountQuery()),
        (client.db_accounts, DbAccountQuery("s", "a@%", ("grant", "superuser"), privileges=True,
                                            after=("s", "a@'% é"), limit=3)),
        (client.db_account_changes, DbAccountChangeQuery(since, "s", "a", ("locked",), 7)),
        (client.sizes, SizeQuery("s", "d e&", 5)),
        (client.size_stats, SizeStatQuery("week", "s", "d", 5)),
    )  # fmt: skip
    for ask_client, wanted in asked:
        ask_client(wanted)
        assert daemon.reads.asked[-1] == wanted


def test_the_port_only_reads(served):
    daemon, server = served
    assert ask_port(server, "GET", "/api/jobs")[0] == 200
    assert ask_port(server, "GET", "/api/runs?limit=1")[0] == 200
    assert b"/metrics" in ask_port(server, "GET", "/")[2]
    for target in ("/reload", "/jobs/hosts/run", "/runs/x/cancel", "/jobs", "/resources", "/sizes"):
        assert ask_port(server, "POST", target)[0] == 404
    assert ask_port(server, "POST", "/api/jobs")[0] == 405
    assert ask_port(server, "DELETE", "/")[0] == 405
    assert {asked[0] for asked in daemon.commands.asked if isinstance(asked, tuple)} == {"jobs"}


def test_health_is_never_an_unconditional_yes(served):
    daemon, server = served
    assert ask_port(server, "GET", "/healthz")[0] == 200
    daemon.alive = False
    status, _, content = ask_port(server, "GET", "/healthz")
    assert status == 503
    assert "it hangs" in json.loads(content)["reason"]
    assert ask(daemon.path, "GET", "/readyz")[0] == 503


def test_metrics_are_served_in_the_format_of_prometheus(served):
    _, server = served
    status, headers, content = ask_port(server, "GET", "/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    assert b"syncd_build_info" in content
    assert ask_port(server, "HEAD", "/metrics")[2] == b""


def test_the_file_of_a_dead_process_is_replaced_and_removed_at_the_end():
    with serving() as (daemon, server):
        server.close()
        assert not daemon.path.exists()
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(daemon.path))
        again = daemon.server(http=None)
        again.start()
        assert Client(daemon.path).status()["version"] == "0.1.0"
        again.close()
        assert not daemon.path.exists()


def test_a_socket_whose_file_was_removed_is_made_anew_and_asked_questions_are_answered(monkeypatch):
    monkeypatch.setattr(control_server, "FILE_CHECK", 0.05)
    with serving() as (daemon, server):
        daemon.reads.run_answer |= {"status": "running"}
        answers = []
        target = f"/runs/{RUN}?wait=2"
        waiting = threading.Thread(
            target=lambda: answers.append(ask(daemon.path, "GET", target)[0])
        )
        waiting.start()
        eventually(lambda: daemon.reads.asked)
        daemon.path.unlink()
        eventually(lambda: answers_on(daemon.path))
        assert stat.S_IMODE(daemon.path.stat().st_mode) == 0o660
        waiting.join(10)
        assert answers == [200]
        server.close()
        assert not daemon.path.exists()


def test_a_socket_without_a_place_comes_back_with_it(monkeypatch, tmp_path):
    monkeypatch.setattr(control_server, "FILE_CHECK", 0.05)
    place = tmp_path / "run"
    place.mkdir()
    server = FakeDaemon(place / "s").server(http=None)
    server.start()
    try:
        (place / "s").unlink()
        place.rmdir()
        eventually(lambda: server._lost)
        place.mkdir()
        eventually(lambda: answers_on(place / "s"))
    finally:
        server.close()


def test_a_living_process_keeps_its_socket(served):
    daemon, _ = served
    with pytest.raises(Conflict, match="another process answers"):
        FakeDaemon(daemon.path).server()
    assert Client(daemon.path).status()["version"] == "0.1.0"


def test_a_place_that_can_not_be_used_is_named(tmp_path):
    for path in (tmp_path / "missing" / "s", tmp_path / ("x" * 120)):
        with pytest.raises(ConfigurationError, match="control socket"):
            FakeDaemon(path).server()
    kept = tmp_path / "file"
    kept.write_text("mine")
    with pytest.raises(ConfigurationError):
        FakeDaemon(kept).server()
    assert kept.read_text() == "mine"


def test_a_port_that_is_taken_is_named_and_nothing_is_left_behind(served, tmp_path):
    _, server = served
    other = FakeDaemon(tmp_path / "s")
    with pytest.raises(Conflict, match=r"listen\.http: another process has 127"):
        other.server(http=server.http_address)
    again = other.server(http=None)
    again.close()


def test_closing_ends_the_waits_and_the_threads():
    with serving() as (daemon, server):
        daemon.reads.run_answer |= {"status": "running"}
        answers = []
        target = f"/runs/{RUN}?wait=30"
        waiting = threading.Thread(
            target=lambda: answers.append(ask(daemon.path, "GET", target)[0])
        )
        waiting.start()
        eventually(lambda: daemon.reads.asked)
        begun = time.monotonic()
        server.close()
        assert time.monotonic() - begun < 2
        waiting.join(10)
        assert answers == [200]
        names = {thread.name for thread in threading.enumerate()}
        assert not [name for name in names if name.startswith("syncd-")]


def test_a_broken_request_harms_nobody(served):
    _, server = served
    with socket.create_connection(server.http_address) as raw:
        raw.sendall(b"\x00\xff nonsense\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.0 400")
    with socket.create_connection(server.http_address) as raw:
        raw.sendall(b"GET /metrics HTTP/1.1\r\n")
    assert ask_port(server, "GET", "/healthz")[0] == 200

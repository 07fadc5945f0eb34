"""One request and its answer, with a real server that misbehaves."""

import gzip
import resource
import threading
import time
import zlib
from collections.abc import Iterator

import pytest
from api_faults import (
    drip,
    endless,
    endless_header,
    gzip_bomb,
    hang,
    header_flood,
    raw,
    wrong_length,
)  # fmt: skip
from api_server import ApiServer
from api_wire import Answer
from exchange_helpers import Sender, composed, sending
from raw_server import Peer, serving

from syncd.calls.base import Credential
from syncd.calls.hosts import check
from syncd.context import CancelSource
from syncd.errors import Cancelled, ConfigurationError, Network, Permission, TimedOut
from syncd.http_call import Trace


@pytest.fixture(scope="module")
def api() -> Iterator[ApiServer]:
    with ApiServer() as api:
        yield api


@pytest.fixture
def send() -> Iterator[Sender]:
    with sending() as sender:
        yield sender


def test_what_is_composed_is_sent(api, send) -> None:
    answer = send(
        api.url + "/sent?a=1", method="POST", query={"b": "x y&"}, headers={"X-One": "1"},
        body={"text": "ü"},
    )  # fmt: skip
    (record,) = api.requests("/sent")
    assert record.target == "/sent?a=1&b=x+y%26"
    assert record.json == {"text": "ü"}
    assert record.headers["x-one"] == "1"
    assert record.headers["content-type"] == "application/json"
    assert record.key == "0198a000-run"
    assert (answer.status, answer.cut, answer.flaw) == (200, False, "")
    assert answer.url == api.url + "/sent?a=1&b=x+y%26"
    assert answer.times.connect is not None
    assert answer.times.connect <= (answer.times.first_byte or 0) <= answer.times.total


def test_a_token_stands_in_its_header(api, send) -> None:
    request = composed(url=api.url + "/token", headers={"x-token": "old"}, token="iam")
    send.send(request, Credential("t0k", "X-Token", "t0k"))
    (record,) = api.requests("/token")
    assert record.headers["x-token"] == "t0k"


def test_text_in_headers_is_utf_8(api, send) -> None:
    request = composed({"run.id": "ü€"}, url=api.url + "/utf8", headers={"X-A": "{{ run.id }}"})
    send.send(request)
    assert api.requests("/utf8")[0].headers["x-a"].encode("latin-1").decode() == "ü€"


def test_every_call_has_a_connection_of_its_own(api, send) -> None:
    for _ in range(3):
        send(api.url + "/fresh")
    assert len({record.connection for record in api.requests("/fresh")}) == 3


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_is_sent(api, send, method) -> None:
    answer = send(api.url + "/method", method=method)
    assert api.requests("/method")[-1].method == method
    assert bool(answer.body) == (method != "HEAD")


@pytest.mark.parametrize("fault", [drip(0.2), hang(), hang(after=30), hang(after=150)])
def test_a_request_has_its_own_time_limit(api, send, fault) -> None:
    api.fault("/slow", fault, times=1)
    started = time.monotonic()
    with pytest.raises(TimedOut):
        send(api.url + "/slow", timeout="1s")
    assert 0.9 < time.monotonic() - started < 1.5
    assert send.trace.sent


def test_the_time_of_the_job_holds_where_a_request_has_none(api) -> None:
    api.fault("/slower", hang(), times=1)
    with sending(seconds=0.3) as send, pytest.raises(TimedOut):
        send(api.url + "/slower")


def test_cancelling_ends_a_call(api, send) -> None:
    source = CancelSource()
    api.on("/hung", lambda _: source.cancel(Cancelled("stop")) or Answer())
    api.fault("/hung", hang(after=10), times=1)
    with pytest.raises(Cancelled):
        send.send(composed(url=api.url + "/hung", method="POST"), cancel=source.token)
    assert send.trace.sent


@pytest.mark.parametrize("fault", [endless(), endless(chunked=True), gzip_bomb()])
def test_no_memory_is_spent_on_endless_answers(api, send, fault) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    api.fault("/endless", fault, times=1)
    answer = send(api.url + "/endless", method="POST", max_answer="1MiB")
    assert answer.cut
    assert 0 < len(answer.body) <= 2**20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024
    assert send.trace.sent


@pytest.mark.parametrize(
    "fault",
    [header_flood(), endless_header(), wrong_length(1), raw(b"rubbish\r\n\r\n"), raw(b"")],
)
def test_broken_answers_are_errors_after_sending(api, send, fault) -> None:
    api.fault("/broken", fault, times=1)
    with pytest.raises(Network):
        send(api.url + "/broken", method="POST")
    assert send.trace.sent


def test_an_error_does_not_quote_a_secret(send, monkeypatch) -> None:
    monkeypatch.setenv("HTTP_SECRET", "hush-hush-1")

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 403 not hush-hush-1\r\n\r\n")

    with serving(script) as proxy, pytest.raises(Network, match="403 not") as caught:
        send("https://cloud.example/", headers={"X-Api-Key": {"env": "HTTP_SECRET"}},
             proxy=proxy.url.partition("?")[0])  # fmt: skip
    assert "hush-hush" not in str(caught.value)
    assert not send.trace.sent


def gzipped(content: bytes) -> bytes:
    """Return it without the time, so that tests are called alike in all processes of a run."""
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize(
    ("coding", "body", "flaw"),
    [
        ("gzip", gzipped(b"fine"), ""),
        ("x-gzip", gzipped(b"fi") + gzipped(b"ne"), ""),
        ("GZIP", gzipped(b"fine") + b"\0\0\0", ""),
        ("deflate", zlib.compress(b"fine"), ""),
        ("deflate", zlib.compress(b"fine", wbits=-15), ""),
        ("identity", b"fine", ""),
        ("deflate, gzip", gzipped(zlib.compress(b"fine")), ""),
        ("gzip", b"fine", "it is no gzip"),
        ("deflate", b"fine", "it is no deflate"),
        ("gzip", gzipped(b"fine")[:-3], "its gzip ends too early"),
        ("br", b"fine", "its Content-Encoding is unknown"),
        ("gzip, " * 4, b"fine", "its Content-Encoding is unknown"),
        ("\x7f\xff", b"fine", "its Content-Encoding is unknown"),
    ],
)
def test_an_encoding_is_undone_or_noted(api, send, coding, body, flaw) -> None:
    api.on("/coded", Answer(body=body, headers={"Content-Encoding": coding}))
    answer = send(api.url + "/coded")
    assert answer.flaw == flaw
    assert flaw or answer.body == b"fine"


def test_an_encoding_of_nothing_is_none(api, send) -> None:
    api.on("/empty", Answer(status=204, body=b"", headers={"Content-Encoding": "gzip"}))
    answer = send(api.url + "/empty")
    assert (answer.body, answer.flaw) == (b"", "")


def test_a_hundred_members_of_nothing_take_no_time(api, send) -> None:
    api.on("/m", Answer(body=gzip.compress(b"") * 40_000, headers={"Content-Encoding": "gzip"}))
    started = time.monotonic()
    assert send(api.url + "/m", max_answer="4MiB").body == b""
    assert time.monotonic() - started < 2


def test_a_packed_answer_is_cut_where_it_gets_too_long(api, send) -> None:
    for size in (999, 1000, 1001):
        packed = gzip.compress(b"x" * size)
        api.on("/packed", Answer(body=packed, headers={"Content-Encoding": "gzip"}))
        answer = send(api.url + "/packed", max_answer="1000B")
        assert (len(answer.body), answer.cut) == (min(size, 1000), size > 1000)


def test_only_hosts_that_are_allowed_are_called(api) -> None:
    with sending("api.internal", "127.0.0.1:1") as send:
        with pytest.raises(Permission, match=r"127\.0\.0\.1:\d+ is not among .*allow_hosts"):
            send(api.url + "/forbidden")
        assert not send.trace.sent
    with sending("127.0.0.1") as send:
        send(api.url + "/allowed")
    assert not api.requests("/forbidden")


@pytest.mark.parametrize(
    "url",
    [
        "http://good.example@bad.example/", "http://bad.example#@good.example/",
        "http://bad.example\\@good.example/", "http://bad.example/@good.example",
        "http://bad.example?good.example", "http://good.example.bad.example/", "http://[::1]/",
        "http:///good.example", "http:good.example", "gopher://good.example/", "",
    ],
)  # fmt: skip
def test_no_spelling_leads_past_the_allowed_hosts(url) -> None:
    with pytest.raises(Permission):
        check(url, ("good.example",))


@pytest.mark.parametrize("url", ["http://good.example/", "HTTPS://GOOD.example.:8443/x?@bad"])
def test_allowed_hosts_are_allowed_however_written(url) -> None:
    check(url, ("good.example",))


def test_files_of_tls_that_are_gone_are_named(tmp_path, send) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.pem"):
        send("https://127.0.0.1:1/", tls_ca=str(tmp_path / "gone.pem"))
    assert not send.trace.sent


def test_threads_share_the_clients(api, send) -> None:
    bodies: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: bodies.append(send(api.url + "/many").body))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(bodies) == 16


def test_a_trace_of_nothing_says_so() -> None:
    trace = Trace()
    assert (trace.sent, trace.connect, trace.first_byte, trace.total) == (False, None, None, 0.0)

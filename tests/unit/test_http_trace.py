"""What is known of a call that failed: whether anything of it was sent, and how far it came."""

import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
from mysql_certificates import Authority
from raw_server import HEAD, SLOW, Peer, Script, hang_after_connecting, serving

from syncd.context import CancelSource, Deadline
from syncd.errors import BadData, Cancelled, Network, SyncdError, TimedOut
from syncd.http_call import Trace
from syncd.http_client import BEGINNING, HttpClient, Response, normal, origin
from syncd.http_tls import TlsFiles

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nall is there"
CHUNKS = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"0a\r\n0123456789\r\n02;x=y\r\nab\r\n0\r\n\r\n"
)
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n" + LENGTH
NO_BODY = b"HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n"


@pytest.fixture
def client() -> Iterator[HttpClient]:
    client = HttpClient()
    yield client
    client.close()


def send(client: HttpClient, url: str, trace: Trace, **options) -> Response:
    return client.request(
        "POST", url, headers={"X-A": "b"}, body=b"content",
        deadline=Deadline.after(options.pop("seconds", 10.0)),
        cancel=options.pop("cancel", CancelSource().token), trace=trace, **options,
    )  # fmt: skip


@pytest.mark.parametrize("answered", [True, False])
def test_a_certificate_that_is_refused_after_an_answer_has_begun_was_sent_along(
    *, answered
) -> None:
    trace = Trace()
    trace.begin()
    trace.sending()
    if answered:
        trace.receiving()
    trace.not_taken()
    assert trace.sent is answered


@pytest.mark.parametrize("answer", [LENGTH, CHUNKS, INTERIM, NO_BODY])
@pytest.mark.parametrize("how", ["reset", "end"])
def test_an_answer_that_breaks_at_any_byte_is_an_error_after_sending(client, answer, how) -> None:
    positions = iter(range(len(answer) + 1))

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(answer[: next(positions)])
        if how == "reset":
            peer.reset()

    whole = len(answer) if answer != CHUNKS else len(answer) - 2  # its last chunk has come
    with serving(script) as server:
        for _ in range(whole - (how == "reset")):
            trace = Trace()
            with pytest.raises(Network):
                send(client, server.url, trace, fresh=True)
            assert trace.sent
            assert trace.total > 0
        if how == "end":
            response = send(client, server.url, Trace(), fresh=True)
            assert response.status in (200, 204)


@pytest.mark.parametrize("how", ["reset", "end"])
def test_over_tls_it_is_the_same(tmp_path, how) -> None:
    positions = iter(range(0, len(CHUNKS), 3))

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(CHUNKS[: next(positions)])
        if how == "reset":
            peer.reset()

    authority = Authority(tmp_path, "ca")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("127.0.0.1"))
    client = HttpClient(tls=TlsFiles(authority.file))
    with serving(script, context) as server:
        for _ in range(0, len(CHUNKS) - 2, 3):
            trace = Trace()
            with pytest.raises(Network):
                send(client, server.url, trace, fresh=True)
            assert trace.sent


def test_a_request_that_breaks_at_any_byte_counts_as_sent(client) -> None:
    request: list[bytes] = []

    def first(peer: Peer) -> None:
        request.append(peer.request())
        peer.send(HEAD % 0)

    with serving(first) as server:
        send(client, server.url, Trace())
    positions = iter(range(len(request[0])))

    def script(peer: Peer) -> None:
        peer.read(next(positions))
        peer.reset()

    with serving(script) as server:
        for _ in range(len(request[0])):
            trace = Trace()
            with pytest.raises(Network):
                send(client, server.url, trace, fresh=True)
            assert trace.sent
            assert trace.first_byte is None


def test_times_tell_how_far_a_call_came(client) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.over.wait(0.1)
        peer.send(HEAD % 4 + b"f")
        peer.over.wait(0.1)
        peer.send(b"ine")

    with serving(script) as server:
        trace = Trace()
        send(client, server.url, trace)
    assert trace.connect is not None
    assert trace.first_byte is not None
    assert 0 < trace.connect < trace.first_byte - 0.09 < trace.total - 0.18


def refused(port: int) -> str:
    return f"http://127.0.0.1:{port}/"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nothing_was_sent_where_nobody_listens(client, scheme) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    trace = Trace()
    with pytest.raises(Network):
        send(client, f"{scheme}://127.0.0.1:{port}/", trace)
    assert (trace.sent, trace.connect, trace.first_byte) == (False, None, None)


def test_nothing_was_sent_to_a_name_without_an_address(client) -> None:
    trace = Trace()
    with pytest.raises(Network):
        send(client, "http://nowhere.invalid/", trace)
    assert not trace.sent


@pytest.mark.parametrize("count", [0, 1, 5, 30, 60, 90, 120])
def test_nothing_was_sent_when_the_handshake_breaks(client, count) -> None:
    def script(peer: Peer) -> None:
        peer.read(count)
        peer.reset()

    with serving(script) as server:
        trace = Trace()
        with pytest.raises(Network):
            send(client, server.url.replace("http:", "https:"), trace)
    assert not trace.sent


@pytest.mark.parametrize("error", ["limit", "cancel"])
def test_nothing_was_sent_when_the_handshake_hangs(client, error) -> None:
    source, trace = CancelSource(), Trace()
    with serving(hang_after_connecting) as server:
        if error == "cancel":
            thread = threading.Thread(
                target=lambda: server.busy.wait(5) and source.cancel(Cancelled("now"))
            )
            thread.start()
        with pytest.raises((TimedOut, Cancelled)):
            send(client, server.url.replace("http:", "https:"), trace, cancel=source.token,
                 seconds=0.4 if error == "limit" else 20)  # fmt: skip
    assert not trace.sent


@pytest.mark.parametrize("script", SLOW)
def test_what_took_too_long_was_sent(client, script: Script) -> None:
    trace = Trace()
    with serving(script) as server, pytest.raises(TimedOut):
        send(client, server.url, trace, seconds=0.3)
    assert trace.sent


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200", b"HTTP/1.1 403 Forbidden\r\n\r\n", b"SSH-2.0\r\n"]
)
def test_nothing_was_sent_through_a_tunnel_that_was_not_made(answer) -> None:
    def script(peer: Peer) -> None:
        assert peer.request().startswith(b"CONNECT ")
        peer.send(answer)

    with serving(script) as server:
        client, trace = HttpClient(server.url.partition("?")[0]), Trace()
        with pytest.raises(SyncdError):
            send(client, "https://cloud.example/", trace)
    assert (trace.sent, trace.connect, trace.first_byte) == (False, None, None)


def test_a_fresh_connection_is_none_that_was_kept_and_is_not_kept(client) -> None:
    ended = threading.Semaphore(0)

    def script(peer: Peer) -> None:
        while peer.request():
            peer.send(HEAD % 0)
        ended.release()

    with serving(script) as server:
        for count in (1, 2, 3):
            send(client, server.url, Trace(), fresh=True)
            assert server.connections == count
            assert ended.acquire(timeout=10)
        for _ in range(2):
            send(client, server.url, Trace())
            assert server.connections == 4
        client.close()


@pytest.mark.parametrize("head", [b"Content-Length: 10000000000\r\n", b""])
def test_of_gigabytes_the_beginning_is_read(client, head) -> None:
    sent: list[int] = []

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
        try:
            for _ in range(10_000):
                peer.send(b"x" * 2**20)
                sent.append(2**20)
        except OSError:
            pass

    with serving(script) as server:
        response = send(client, server.url, Trace(), limit=100_000)
    assert response.cut
    assert response.body == b"x" * (BEGINNING if head else 100_000)
    assert sum(sent) < 20 * 2**20


def test_an_endless_row_of_chunks_is_cut(client) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not peer.over.is_set():
            peer.send(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")

    with serving(script) as server:
        response = send(client, server.url, Trace(), limit=100_000)
    assert (len(response.body), response.cut) == (100_000, True)


@pytest.mark.parametrize("size", [99_999, 100_000, 100_001])
@pytest.mark.parametrize("known", [True, False])
def test_the_limit_is_exact(client, size, known) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        head = HEAD % size if known else b"HTTP/1.0 200 OK\r\n\r\n"
        peer.send(head + b"x" * size)

    with serving(script) as server:
        response = send(client, server.url, Trace(), limit=100_000)
    assert response.cut == (size > 100_000)
    assert response.cut or len(response.body) == size


@pytest.mark.parametrize(
    "answer",
    [
        b"Transfer-Encoding: chunked\r\n\r\n-1\r\n" + b"x" * 5000,
        b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5_0\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 200_000,
        b"Content-Length: 5\r\nContent-Length: 7\r\n\r\nhello",
        b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"X: y\r\n" * 101 + b"\r\n",
    ],
)
def test_what_is_no_answer_is_an_error(client, answer) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n" + answer)

    trace = Trace()
    with serving(script) as server, pytest.raises(Network):
        send(client, server.url, trace, limit=1_000_000)
    assert trace.sent


@pytest.mark.parametrize(
    "line",
    [
        b"HTTP/2 200 OK",
        b"HTTP/1.1 abc",
        b"HTTP/1.1 99 x",
        b"s3cr3t",
        b"HTTP/1.1 ",
        b"\0",
        b"HTTP/s3cr3t 200",
    ],
)
def test_what_is_no_http_is_not_quoted(client, line) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(line + b" s3cr3t\r\n\r\n")

    with serving(script) as server, pytest.raises(Network) as caught:
        send(client, server.url, Trace())
    assert "s3cr3t" not in str(caught.value)


def test_interim_answers_without_an_end_are_an_error(client) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        while not peer.over.is_set():
            peer.send(b"HTTP/1.1 102 Processing\r\n\r\n")

    with serving(script) as server, pytest.raises(Network, match="1xx"):
        send(client, server.url, Trace())


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_an_answer_that_has_no_body_has_none(client, status) -> None:
    def script(peer: Peer) -> None:
        while peer.request():
            peer.send(b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\n")

    with serving(script) as server:
        assert {send(client, server.url, Trace(), limit=3).body for _ in range(2)} == {b""}
        client.close()


def test_what_a_body_without_limit_may_be_is_as_before(client, monkeypatch) -> None:
    monkeypatch.setattr("syncd.http_client.MAX_BODY", 1000)

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(HEAD % 1001 + b"x" * 1001)

    with serving(script) as server, pytest.raises(BadData):
        send(client, server.url, Trace())


def test_a_url_has_one_origin() -> None:
    assert origin("HTTPS://A.Example/x") == origin("https://a.example:443/y?z")
    assert origin("http://a.example") != origin("https://a.example")
    assert origin("http://[::1]:8/").port == 8
    assert origin("http://good.example\\@bad.example/").host == "good.example"
    assert normal("http://a/b/../c d?e f#g") == "http://a/c%20d?e%20f"
    for text in ("", "a", "ftp://a/", "http://", "http://[x/", "http://a:b/", "//a/"):
        with pytest.raises(ValueError, match=r"is no URL"):
            origin(text)

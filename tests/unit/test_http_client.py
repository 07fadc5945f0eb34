"""The HTTP client against servers that misbehave, each a socket and a script of what to do."""

import base64
import datetime
import ipaddress
import socket
import ssl
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from raw_server import (
    BROKEN,
    HEAD,
    SECRET,
    SLOW,
    Peer,
    Script,
    hang_after_connecting,
    hang_in_body,
    serving,
)

from syncd import http_client, http_tls
from syncd.context import CancelSource, CancelToken, Deadline
from syncd.errors import BadData, Cancelled, Network, TimedOut
from syncd.http_client import HttpClient, Response


@pytest.fixture
def client() -> Iterator[HttpClient]:
    client = HttpClient()
    yield client
    client.close()


def get(
    client: HttpClient, url: str, seconds: float = 10.0, cancel: CancelToken | None = None
) -> Response:
    return client.request(
        "GET", url, headers={}, body=None,
        deadline=Deadline.after(seconds), cancel=cancel or CancelSource().token,
    )  # fmt: skip


def answering(body: bytes = b"fine") -> Script:
    def script(peer: Peer) -> None:
        while peer.request():
            peer.send(HEAD % len(body) + body)

    return script


def test_a_whole_answer_is_returned_whatever_its_status(client: HttpClient) -> None:
    def script(peer: Peer) -> None:
        request = peer.request()
        assert request.startswith(b"POST /?")
        assert request.endswith(b"\r\n\r\ncontent")
        peer.send(b"HTTP/1.1 418 Teapot\r\nRetry-After: 7\r\nContent-Length: 5\r\n\r\nshort")

    with serving(script) as server:
        response = client.request(
            "POST", server.url, headers={"X-One": "1"}, body=b"content",
            deadline=Deadline.after(10), cancel=CancelSource().token,
        )  # fmt: skip
    assert (response.status, response.body) == (418, b"short")
    assert response.headers["retry-after"] == "7"


def test_a_chunked_answer_is_put_together(client: HttpClient) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        peer.send(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")

    with serving(script) as server:
        assert get(client, server.url).body == b"abcde"


def test_a_connection_is_kept_and_used_again(client: HttpClient) -> None:
    with serving(answering(b"x" * 300_000)) as server:
        assert {len(get(client, server.url).body) for _ in range(5)} == {300_000}
        assert server.connections == 1
        client.close()


def test_a_connection_that_was_closed_while_it_was_idle_is_replaced(client: HttpClient) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(HEAD % 4 + b"fine")

    with serving(script) as server:
        for _ in range(3):
            assert get(client, server.url).body == b"fine"
            for thread in server.threads[1:]:
                thread.join(5)
        assert server.connections == 3


def test_threads_use_one_client_at_the_same_time(client: HttpClient) -> None:
    inside = threading.Barrier(8, timeout=5)

    def script(peer: Peer) -> None:
        while peer.request():
            inside.wait()
            peer.send(HEAD % 4 + b"fine")

    with serving(script) as server:
        bodies: list[bytes] = []
        threads = [
            threading.Thread(target=lambda: bodies.append(get(client, server.url).body))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        client.close()
    assert bodies == [b"fine"] * 8


@pytest.mark.parametrize("script", SLOW)
def test_the_time_limit_is_for_the_whole_call(client: HttpClient, script: Script) -> None:
    with serving(script) as server:
        started = time.monotonic()
        with pytest.raises(TimedOut):
            get(client, server.url, seconds=0.6)
        assert 0.55 < time.monotonic() - started < 0.9


def wait_until_reading(thread: threading.Thread) -> None:
    deadline = time.monotonic() + 5
    while True:
        frame = sys._current_frames().get(thread.ident or 0)
        if frame is not None and frame.f_code.co_name == "readinto":
            return
        assert time.monotonic() < deadline


@pytest.mark.parametrize("script", SLOW)
def test_cancelling_ends_a_call_with_the_error_of_the_token(
    client: HttpClient, script: Script
) -> None:
    source = CancelSource()
    with serving(script) as server:
        caught: list[BaseException] = []

        def call() -> None:
            try:
                get(client, server.url, seconds=30, cancel=source.token)
            except Cancelled as error:
                caught.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        wait_until_reading(thread)
        error = Cancelled("by hand")
        started = time.monotonic()
        source.cancel(error)
        thread.join(5)
        assert time.monotonic() - started < 0.3
    assert caught == [error]


def test_a_cancelled_call_does_not_start(client: HttpClient) -> None:
    source = CancelSource()
    source.cancel(Cancelled("before"))
    with serving(answering()) as server:
        with pytest.raises(Cancelled):
            get(client, server.url, cancel=source.token)
        assert server.connections == 0


def test_the_limit_holds_while_a_name_is_looked_up(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()
    real = socket.getaddrinfo

    def stuck(host: str, *args: object, flags: int = 0, **kwargs: object) -> object:
        if flags:
            return real(host, *args, flags=flags, **kwargs)  # type: ignore[arg-type]
        over.wait(10)
        raise socket.gaierror(socket.EAI_AGAIN, "again")

    monkeypatch.setattr(socket, "getaddrinfo", stuck)
    started = time.monotonic()
    with pytest.raises(TimedOut):
        get(client, "http://cloud.example/", seconds=0.5)
    assert time.monotonic() - started < 0.8
    over.set()


def test_a_name_without_an_address_is_a_network_error(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Network, match=r"GET http://cloud\.example/: .*can't be resolved"):
        get(client, "http://cloud.example/?" + SECRET)


def test_the_next_address_of_a_host_is_tried(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo
    with socket.create_server(("127.0.0.1", 0)) as dead:
        nobody = dead.getsockname()[1]
    with serving(answering()) as server:
        port = server.listener.getsockname()[1]

        def two(host: str, *args: object, **kwargs: object) -> object:
            if host != "cloud.example":
                raise socket.gaierror
            return [*real("127.0.0.1", nobody, type=1), *real("127.0.0.1", port, type=1)]

        monkeypatch.setattr(socket, "getaddrinfo", lambda h, p, **kw: _only(two, h, p, kw))
        assert get(client, "http://cloud.example/").body == b"fine"
        client.close()


def _only(two: Callable[..., object], host: str, port: int, options: dict[str, object]) -> object:
    if options.get("flags"):
        raise socket.gaierror(socket.EAI_NONAME, "not a number")
    return two(host, port)


@pytest.mark.parametrize("script", BROKEN)
def test_a_broken_answer_is_a_network_error(client: HttpClient, script: Script) -> None:
    with serving(script) as server, pytest.raises(Network):
        get(client, server.url)


@pytest.mark.parametrize("script", [*BROKEN, hang_in_body])
def test_no_error_holds_the_query(client: HttpClient, script: Script) -> None:
    with serving(script) as server, pytest.raises((Network, TimedOut)) as caught:
        get(client, server.url, seconds=0.5)
    assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))


def test_a_refused_connection_is_a_network_error(client: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Network, match=rf"GET http://127\.0\.0\.1:{port}/: Connection refused"):
        get(client, f"http://127.0.0.1:{port}/?{SECRET}")


@pytest.mark.parametrize("length", ["known", "unknown"])
def test_a_body_that_is_too_long_is_refused(
    client: HttpClient, length: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "MAX_BODY", 200_000)

    def script(peer: Peer) -> None:
        peer.request()
        known = b"Content-Length: 300000\r\n" if length == "known" else b""
        peer.send(b"HTTP/1.1 200 OK\r\n" + known + b"\r\n" + b"x" * 300_000)

    with serving(script) as server, pytest.raises(BadData):
        get(client, server.url)


def test_redirects_are_not_followed(client: HttpClient) -> None:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")

    with serving(script) as server:
        assert get(client, server.url).status == 302
        assert server.connections == 1


def test_the_proxy_of_the_environment_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    client = HttpClient()
    with serving(answering()) as server:
        assert get(client, server.url).body == b"fine"
        client.close()


def test_the_configured_proxy_is_used() -> None:
    def script(peer: Peer) -> None:
        while request := peer.request():
            peer.send(HEAD % len(request) + request)

    with serving(script) as server:
        client = HttpClient(server.url.partition("?")[0].replace("//", "//me:p%40ss@"))
        request = get(client, "http://cloud.example/path").body
        assert request.startswith(b"GET http://cloud.example/path HTTP/1.1\r\n")
        assert b"proxy-authorization: Basic " + base64.b64encode(b"me:p@ss") in request
        assert b"User-Agent: syncd/" in request
        client.close()


def test_the_limit_holds_in_the_tunnel_of_a_proxy() -> None:
    def script(peer: Peer) -> None:
        assert peer.request().startswith(b"CONNECT cloud.example:443 ")
        peer.drip(b"HTTP/1.1 200 Connection established\r\n" + b"X: y\r\n" * 100)

    with serving(script) as server:
        client = HttpClient(server.url.partition("?")[0])
        started = time.monotonic()
        with pytest.raises(TimedOut):
            get(client, "https://cloud.example/", seconds=0.6)
        assert time.monotonic() - started < 0.9
        client.close()


@pytest.fixture
def authority(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    """A server's certificate for 127.0.0.1, which the environment can be told to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(key.public_key()).serial_number(1)
        .not_valid_before(now).not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (tmp_path / "ca.pem").write_bytes(pem)
    (tmp_path / "both.pem").write_bytes(
        pem
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")
    http_tls.default.cache_clear()
    yield context
    http_tls.default.cache_clear()


def test_an_unknown_certificate_is_refused(client: HttpClient, authority: ssl.SSLContext) -> None:
    with serving(answering(), authority) as server, pytest.raises(Network, match="certificate"):
        get(client, server.url)


def test_a_trusted_certificate_is_accepted(
    client: HttpClient, authority: ssl.SSLContext, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with serving(answering(b"x" * 300_000), authority) as server:
        assert [len(get(client, server.url).body) for _ in range(3)] == [300_000] * 3
        assert server.connections == 1
        client.close()


@pytest.mark.parametrize("script", SLOW)
def test_the_limit_holds_over_tls(
    client: HttpClient, authority: ssl.SSLContext, tmp_path, monkeypatch, script: Script
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with serving(script, authority) as server:
        started = time.monotonic()
        with pytest.raises(TimedOut):
            get(client, server.url, seconds=0.6)
        assert time.monotonic() - started < 0.9


@pytest.mark.parametrize("how", ["limit", "cancel"])
def test_a_handshake_that_hangs_can_be_ended(client: HttpClient, how: str) -> None:
    source = CancelSource()
    with serving(hang_after_connecting) as server:
        url = server.url.replace("http:", "https:")
        if how == "cancel":
            threading.Thread(
                target=lambda: server.busy.wait(5) and source.cancel(Cancelled("now"))
            ).start()
        started = time.monotonic()
        with pytest.raises(Cancelled if how == "cancel" else TimedOut):
            get(client, url, seconds=0.5 if how == "limit" else 20, cancel=source.token)
        assert time.monotonic() - started < 0.8

"""The HTTP client against servers that misbehave, each a socket and a script of what to do."""

import datetime
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from syncd import http_client
from syncd.context import CancelSource, CancelToken, Deadline
from syncd.errors import BadData, Cancelled, Network, TimedOut
from syncd.http_client import HttpClient, Response

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
SECRET = "Signature=s3cr3t"
Script = Callable[["Peer"], None]


class Peer:
    """One accepted connection, as a script sees it."""

    def __init__(self, sock: socket.socket, over: threading.Event) -> None:
        self.sock = sock
        self.over = over

    def request(self) -> bytes:
        """Read one request with its body; empty once the client has gone."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += (more := self.sock.recv(65536))
            if not more:
                return b""
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [line[15:] for line in head.split(b"\r\n") if line[:15] == b"Content-Length:"]
        while len(body) < int(lengths[0] if lengths else 0):
            body += self.sock.recv(65536)
        return head + b"\r\n\r\n" + body

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def drip(self, data: bytes, seconds: float = 0.05) -> None:
        for byte in data:
            self.sock.sendall(bytes([byte]))
            if self.over.wait(seconds):
                return

    def hang(self) -> None:
        self.over.wait(20)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


class Server:
    """Runs a script for every connection; `connections` counts them."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self.script, self.tls = script, tls
        self.over = threading.Event()
        self.busy = threading.Event()
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.threads = [threading.Thread(target=self._accept)]
        self.threads[0].start()

    @property
    def url(self) -> str:
        scheme = "https" if self.tls else "http"
        return f"{scheme}://127.0.0.1:{self.listener.getsockname()[1]}/?{SECRET}"

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                self.connections += 1
                self.threads.append(threading.Thread(target=self._serve, args=(sock,)))
                self.threads[-1].start()

    def _serve(self, sock: socket.socket) -> None:
        self.busy.set()
        with suppress(OSError), sock:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            with sock:
                self.script(Peer(sock, self.over))

    def close(self) -> None:
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(10)
            assert not thread.is_alive()


@contextmanager
def serving(script: Script, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(script, tls)
    try:
        yield server
    finally:
        server.close()


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


def drip_headers(peer: Peer) -> None:
    peer.request()
    peer.drip(HEAD % 4 + b"fine")


def drip_body(peer: Peer) -> None:
    peer.request()
    peer.send(HEAD % 1000)
    peer.drip(b"x" * 1000)


def drip_chunks(peer: Peer) -> None:
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    peer.drip(b"1\r\nx\r\n" * 200)


def hang_after_connecting(peer: Peer) -> None:
    peer.hang()


def hang_in_body(peer: Peer) -> None:
    peer.request()
    peer.send(HEAD % 1000 + b"half")
    peer.hang()


SLOW = [drip_headers, drip_body, drip_chunks, hang_after_connecting, hang_in_body]


def test_a_whole_answer_is_returned_whatever_its_status(client: HttpClient) -> None:
    def script(peer: Peer) -> None:
        request = peer.request()
        assert request.startswith(b"POST /?") and request.endswith(b"\r\n\r\ncontent")
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
            get(client, server.url, seconds=1.0)
        assert 0.9 < time.monotonic() - started < 1.3


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
        assert server.busy.wait(5)
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


def refuse(peer: Peer) -> None:
    peer.request()


def reset_in_body(peer: Peer) -> None:
    peer.request()
    peer.send(HEAD % 1000 + b"half")
    peer.reset()


def end_in_body(peer: Peer) -> None:
    peer.request()
    peer.send(HEAD % 1000 + b"half")


def end_in_chunks(peer: Peer) -> None:
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf")


def no_http(peer: Peer) -> None:
    peer.request()
    peer.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


BROKEN = [refuse, reset_in_body, end_in_body, end_in_chunks, no_http]


@pytest.mark.parametrize("script", BROKEN)
def test_a_broken_answer_is_a_network_error(client: HttpClient, script: Script) -> None:
    with serving(script) as server, pytest.raises(Network):
        get(client, server.url)


@pytest.mark.parametrize("script", BROKEN + [hang_in_body])
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
        client = HttpClient(server.url.partition("?")[0])
        assert get(client, "http://cloud.example/path").body.startswith(
            b"GET http://cloud.example/path HTTP/1.1\r\n"
        )
        client.close()


def test_the_limit_holds_in_the_tunnel_of_a_proxy() -> None:
    def script(peer: Peer) -> None:
        assert peer.request().startswith(b"CONNECT cloud.example:443 ")
        peer.drip(b"HTTP/1.1 200 Connection established\r\n" + b"X: y\r\n" * 100)

    with serving(script) as server:
        client = HttpClient(server.url.partition("?")[0])
        started = time.monotonic()
        with pytest.raises(TimedOut):
            get(client, "https://cloud.example/", seconds=1.0)
        assert time.monotonic() - started < 1.3
        client.close()


@pytest.fixture
def authority(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    """A server's certificate for 127.0.0.1, which the environment can be told to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(__import__("ipaddress").ip_address("127.0.0.1"))
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
    http_client._tls.cache_clear()
    yield context
    http_client._tls.cache_clear()


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
            get(client, server.url, seconds=1.0)
        assert time.monotonic() - started < 1.3


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

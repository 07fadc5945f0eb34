"""TLS with files of one's own: an authority, a client's certificate, none at all."""

import os
import socket
import ssl
import threading
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from mysql_certificates import Authority
from raw_server import HEAD, Peer, Script, serving

from syncd.context import CancelSource, Deadline
from syncd.errors import ConfigurationError, Network
from syncd.http_call import Trace
from syncd.http_client import HttpClient, Response
from syncd.http_tls import TlsFiles


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ca")


def fine(peer: Peer) -> None:
    peer.request()
    peer.send(HEAD % 4 + b"fine")


def linger(peer: Peer) -> None:
    """Answer a client that was let in."""
    peer.request()
    peer.send(HEAD % 4 + b"fine")


def server_context(authority: Authority, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(name))
    return context


def get(url: str, tls: TlsFiles, trace: Trace, proxy: str | None = None) -> Response:
    client = HttpClient(proxy, tls)
    try:
        return client.request(
            "GET", url, headers={}, body=None, deadline=Deadline.after(10),
            cancel=CancelSource().token, trace=trace,
        )  # fmt: skip
    finally:
        client.close()


def test_an_authority_of_ones_own_is_trusted(authority) -> None:
    with serving(fine, server_context(authority)) as server:
        assert get(server.url, TlsFiles(ca=authority.file), Trace()).body == b"fine"


@pytest.mark.parametrize("case", ["system", "other", "name"])
def test_a_certificate_that_is_not_trusted_is_sent_nothing(authority, tmp_path, case) -> None:
    (tmp_path / "o").mkdir()
    ca = {
        "system": None, "other": Authority(tmp_path / "o", "other").file, "name": authority.file,
    }[case]  # fmt: skip
    name = "elsewhere.example" if case == "name" else "127.0.0.1"
    trace = Trace()
    with (
        serving(fine, server_context(authority, name)) as server,
        pytest.raises(Network, match="certificate refused"),
    ):
        get(server.url, TlsFiles(ca=ca), trace)
    assert not trace.sent


def test_any_certificate_is_taken_where_none_is_checked(authority) -> None:
    with serving(fine, server_context(authority, "elsewhere.example")) as server:
        assert get(server.url, TlsFiles(verify=False), Trace()).body == b"fine"


def test_a_client_shows_its_certificate_to_a_server_that_asks(authority) -> None:
    context = server_context(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)
    cert, key = authority.issue("client")
    with serving(fine, context) as server:
        shown = TlsFiles(authority.file, cert, key)
        assert get(server.url, shown, Trace()).body == b"fine"
        with pytest.raises(Network):
            get(server.url, TlsFiles(authority.file), Trace())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("before", [False, True])
def test_a_client_whose_certificate_is_refused_has_sent_nothing(
    authority, tmp_path, version, before
) -> None:
    """But for what it sent in an earlier request of the same trace."""
    context = server_context(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)
    context.minimum_version = context.maximum_version = version
    (tmp_path / "o").mkdir()
    other = Authority(tmp_path / "o", "other").issue("client")
    with serving(linger, context) as server:
        for shown, text in (((None, None), "."), (other, "client certificate is refused")):
            trace = Trace(sent=before)
            with pytest.raises(Network, match=text):
                get(server.url, TlsFiles(authority.file, *shown), trace)
            assert trace.sent is before


def tunnel(port: int) -> Script:
    """Return a proxy that connects to a port whatever it is asked for."""

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def script(peer: Peer) -> None:
        assert peer.request().startswith(b"CONNECT 127.0.0.1:")
        with socket.create_connection(("127.0.0.1", port)) as behind:
            peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=(behind, peer.sock))
            back.start()
            pump(peer.sock, behind)
            back.join(10)

    return script


@pytest.mark.parametrize("trusted", [True, False])
def test_the_files_hold_for_what_is_behind_a_proxy(authority, tmp_path, trusted) -> None:
    (tmp_path / "o").mkdir()
    ca = authority if trusted else Authority(tmp_path / "o", "other")
    trace = Trace()
    with (
        serving(fine, server_context(authority)) as server,
        serving(tunnel(server.port)) as proxy,
        suppress(Network) if not trusted else nullcontext(),
    ):
        proxied = proxy.url.partition("?")[0]
        assert get(server.url, TlsFiles(ca.file), trace, proxied).body == b"fine"
    assert trace.sent is trusted


def test_files_that_can_not_be_used_are_named(authority, tmp_path) -> None:
    cert, key = authority.issue("client")
    _, other = authority.issue("other")
    empty, text, folder = tmp_path / "empty.pem", tmp_path / "text.pem", tmp_path
    empty.touch()
    text.write_text("-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for bad in (empty, text, folder, pipe, tmp_path / "gone", key):
        with pytest.raises(ConfigurationError, match=str(bad)):
            HttpClient(tls=TlsFiles(ca=bad))
    for bad in (empty, text, folder, pipe, tmp_path / "gone"):
        with pytest.raises(ConfigurationError, match=str(bad)):
            HttpClient(tls=TlsFiles(cert=bad, key=key))
        with pytest.raises(ConfigurationError, match=str(bad)):
            HttpClient(tls=TlsFiles(cert=cert, key=bad))
    with pytest.raises(ConfigurationError, match=rf"{other} is not that of {cert}"):
        HttpClient(tls=TlsFiles(cert=cert, key=other))


def test_a_key_with_a_password_is_refused_without_a_question(authority, tmp_path) -> None:
    cert, key = authority.issue("client")
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        loaded.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"word"),
        )
    )
    with pytest.raises(ConfigurationError, match="has a password"):
        HttpClient(tls=TlsFiles(cert=cert, key=locked))

"""What a server may do to somebody who logs in, played by one that is made up."""

import socket
import time

import pytest
from engine_run import context
from mysql_fakes import SSL, fake, greeting, refusal, say, switch

from syncd.context import Deadline
from syncd.engines.base import ServerAccess, Tls, TlsMode
from syncd.engines.mysql.connection import Dialect, _dialect
from syncd.engines.mysql.engine import MySQL
from syncd.errors import Authentication, BadData, Network, SyncdError, Throttled, TimedOut

PASSWORD = "the-s3cret-password"
HASTE = 10.0  # seconds, on a busy machine; the one who plays the server waits twice as long


def error_of(port: int, mode: TlsMode = "prefer", limit: float = 5.0) -> SyncdError:
    """Return what comes of a log-in; no text may hold the password."""
    access = ServerAccess(
        "fake", "mysql", "127.0.0.1", port, "app", lambda: PASSWORD,
        tls=Tls(mode), connect_timeout=limit,
    )  # fmt: skip
    with pytest.raises(SyncdError) as caught:
        MySQL(access).identify(context())
    assert PASSWORD not in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (1040, b"Too many connections", Throttled),
        (1203, b"User app already has more than 'max_user_connections'", Throttled),
        (1226, b"User 'app' has exceeded the 'max_queries_per_hour' resource", Throttled),
        (1129, b"Host '10.0.0.1' is blocked because of many connection errors", Authentication),
        (1130, b"Host '10.0.0.1' is not allowed to connect", Authentication),
        (1045, b"Access denied for user 'app'@'10.0.0.1' (using password: YES)", Authentication),
        (1698, b"Access denied for user 'root'@'localhost'", Authentication),
        (3118, b"Access denied. Account is locked.", Authentication),
        (4151, b"Access denied, this account is locked", Authentication),
        (1053, b"Server shutdown in progress", Network),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_refusals(code: int, text: bytes, kind: type[SyncdError], *, late: bool) -> None:
    parts = [greeting(), refusal(code, text, 2)] if late else [refusal(code, text)]
    with fake(say(*parts)) as port:
        error = error_of(port)
    assert type(error) is kind
    assert str(error) == f"{text.decode()} ({code})"


@pytest.mark.parametrize(
    "said", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\1\0\0\0x", b""]
)
def test_who_is_no_mysql(said: bytes) -> None:
    with fake(lambda sock: sock.sendall(said)) as port:
        assert isinstance(error_of(port), Network)


def _drip(sock: socket.socket) -> None:
    for byte in greeting():
        sock.sendall(bytes([byte]))
        time.sleep(0.05)  # what it is to drip


@pytest.mark.parametrize(
    "script", [_drip, say(greeting()), say(greeting(capabilities=SSL)), say(greeting()[:20])]
)
def test_who_takes_his_time_has_as_long_as_a_connect(script: object) -> None:
    began = Deadline.after(0.4)
    with fake(script) as port:  # type: ignore[arg-type]
        error = error_of(port, limit=0.4)
        assert -HASTE < began.remaining() <= 0
    assert isinstance(error, TimedOut)


def test_nobody_is_told_the_password_in_the_clear() -> None:
    heard: list[bytes] = []

    def script(sock: socket.socket) -> None:
        for part in (greeting(), switch(b"mysql_clear_password")):
            sock.sendall(part)
            heard.append(sock.recv(65536))

    with fake(script) as port:
        error = error_of(port)
    assert isinstance(error, Authentication)
    assert "in the clear" in str(error)
    assert PASSWORD.encode() not in b"".join(heard)
    assert heard[-1] == b""


@pytest.mark.parametrize(
    ("plugin", "told"),
    [
        (b"client_ed25519", "pynacl"),
        (b"parsec", "parsec"),
        (b"auth_gssapi_client", "auth_gssapi_client"),
    ],
)
def test_a_plugin_that_is_not_there_is_named(plugin: bytes, told: str) -> None:
    with fake(say(greeting(), switch(plugin, b"s" * 32 + b"\0"))) as port:
        error = error_of(port)
    assert isinstance(error, Authentication)
    assert told in str(error)


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_who_has_no_tls_is_not_logged_in_to_where_it_is_required(mode: TlsMode) -> None:
    heard: list[bytes] = []

    def script(sock: socket.socket) -> None:
        sock.sendall(greeting())
        heard.append(sock.recv(65536))

    with fake(script) as port:
        error = error_of(port, mode)
    assert isinstance(error, Network)
    assert str(error) == "SSL is required but the server doesn't support it"
    assert heard == [b""]


@pytest.mark.parametrize(
    ("version", "comment", "dialect"),
    [
        ("8.4.3", "MySQL Community Server - GPL", Dialect("mysql", (8, 4))),
        ("26.10", "MySQL Community Server - GPL", Dialect("mysql", (26, 10))),
        ("5.7.44-log", "MySQL Community Server (GPL)", Dialect("mysql", (5, 7))),
        ("8.0.mysql_aurora.3.04.0", "Source distribution", Dialect("mysql", (8, 0))),
        ("8.0.36-28", "Percona Server (GPL), Release 28", Dialect("mysql", (8, 0))),
        ("10.5.23-MariaDB-log", "managed", Dialect("mariadb", (10, 5))),
        ("5.5.5-10.11.6-MariaDB-1:10.11.6", "mariadb.org", Dialect("mariadb", (10, 11))),
        ("11.4.2", "MariaDB Server", Dialect("mariadb", (11, 4))),
    ],
)
def test_which_of_the_two_answers(version: str, comment: str, dialect: Dialect) -> None:
    assert _dialect(version, comment) == dialect


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("5.6.51", "MySQL 5.6.51 is too old: 5.7 is the oldest"),
        ("5.5.5-10.3.39-MariaDB", "MariaDB 5.5.5-10.3.39-MariaDB is too old: 10.5 is the oldest"),
        ("unknown", "the server's version can't be read: unknown"),
    ],
)
def test_versions_that_are_not_read(version: str, told: str) -> None:
    with pytest.raises(BadData, match=told):
        _dialect(version, "")

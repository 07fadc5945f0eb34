"""How a session is made: what it is set to, whom it trusts, and how refusals are told."""

import ipaddress
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from debian_postgres import PASSWORD, PrivateServer, PrivateServers
from engine_run import context
from psycopg.pq import abc

from syncd.engines.base import ServerAccess, Tls
from syncd.engines.postgresql import connection, parameters
from syncd.engines.postgresql.connection import connected, snapshot
from syncd.engines.registry import build
from syncd.errors import Authentication, BadData, Network, SyncdError, Throttled, TimedOut

QUOTED = PASSWORD.replace("'", "''")
SETTINGS = {
    "default_transaction_read_only": "on",
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "client_encoding": "UTF8",
    "application_name": "syncd",
    "statement_timeout": "5min",
    "lock_timeout": "5s",
    "search_path": "",
}
LEAKS = {
    "PGHOST": "nowhere.invalid",
    "PGHOSTADDR": "192.0.2.1",
    "PGPORT": "1",
    "PGUSER": "nobody",
    "PGDATABASE": "nothing",
    "PGPASSWORD": PASSWORD,
    "PGOPTIONS": "-c default_transaction_read_only=off -c statement_timeout=1",
    "PGAPPNAME": "leak",
    "PGTZ": "Asia/Shanghai",
    "PGDATESTYLE": "German",
    "PGCLIENTENCODING": "LATIN1",
    "PGSSLMODE": "verify-full",
    "PGSSLROOTCERT": "/nonexistent",
    "PGREQUIREAUTH": "none",
    "PGTARGETSESSIONATTRS": "standby",
    "PGCONNECT_TIMEOUT": "1",
    "PGGSSENCMODE": "require",
    "PGCHANNELBINDING": "require",
    "PGREQUIREPEER": "nobody",
}


def shown(access: ServerAccess, *names: str) -> dict[str, str]:
    """Return settings of a session on a server."""
    with connected(access, context(), access.database) as connection:
        return {
            name: connection.execute("select current_setting(%s)", (name,)).fetchall()[0][0]
            for name in names
        }


@pytest.fixture
def user(server: PrivateServer) -> Iterator[str]:
    """Give a role that logs in by its password, with settings of its own."""
    options = f"login password '{QUOTED}'"
    with server.roles(server.unique("by_password"), options=options) as (name,):
        for setting in ("timezone = 'Asia/Shanghai'", "search_path = public", "lock_timeout = 0"):
            server.execute(f"alter role {name} set {setting}")
        yield name


def by_password(server: PrivateServer, user: str, password: str | None = PASSWORD) -> ServerAccess:
    return server.access(host="127.0.0.1", user=user, password=lambda: password)


def test_a_session_reads_in_utc_and_not_for_long(server: PrivateServer, user: str) -> None:
    assert shown(by_password(server, user), *SETTINGS) == SETTINGS


def test_nothing_of_the_environment_comes_through(
    server: PrivateServer, user: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in LEAKS.items():
        monkeypatch.setenv(name, value)
    assert shown(by_password(server, user), *SETTINGS) == SETTINGS
    passfile = tmp_path / ".pgpass"
    passfile.write_text(f"*:*:*:*:{PASSWORD}\n")
    passfile.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passfile))
    monkeypatch.setenv("HOME", str(tmp_path))
    for password in (None, ""):
        with pytest.raises(Authentication, match="asks for a password"):
            shown(by_password(server, user, password))


def test_the_options_of_the_configuration_are_set_as_they_are(server: PrivateServer) -> None:
    options = {
        "work_mem": "7MB",
        "lock_timeout": "123ms",
        "syncd.odd": "a b\\c 'd' \"e\" -c x=y",
        "default_transaction_read_only": "off",
    }
    told = shown(server.access(options=options), *options)
    assert told == options | {"default_transaction_read_only": "on"}


def test_only_a_refusal_that_is_new_is_listened_to(
    server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    listened: list[list[str]] = []
    overheard = connection._overheard

    def counted(pgconn: abc.PGconn, states: list[str]) -> AbstractContextManager[None]:
        listened.append(states)
        return overheard(pgconn, states)

    monkeypatch.setattr(connection, "_overheard", counted)
    build(server.access()).identify(context())
    assert listened == []
    for _ in range(3):  # each costs the driver some memory
        with (
            pytest.raises(BadData, match="does not exist"),
            connected(server.access(), context(), "no such database"),
        ):
            pass
    assert listened == [["3D000"]]


def test_the_statements_of_a_block_see_one_moment(server: PrivateServer) -> None:
    query = "select count(*) from pg_roles"
    with connected(server.access(), context(), "postgres") as connection, snapshot(connection):
        before = connection.execute(query).fetchall()
        with server.roles(server.unique("late")):
            assert connection.execute(query).fetchall() == before
            assert server.rows(query) != before


def test_a_limit_that_the_server_does_not_keep_is_told(server: PrivateServer) -> None:
    """Nor does it keep one while the session is set up."""
    with (
        pytest.raises(TimedOut, match="the limit of a statement passed"),
        connected(server.access(statement_timeout=0.1), context(), "postgres") as connection,
    ):
        connection.execute("set statement_timeout = 0; select pg_sleep(30)")


def test_who_else_cancels_a_statement_is_no_limit(server: PrivateServer) -> None:
    with (
        pytest.raises(TimedOut, match="user request"),
        connected(server.access(), context(), "postgres") as connection,
    ):
        connection.execute("select pg_cancel_backend(pg_backend_pid()), pg_sleep(30)")


def test_the_systems_authorities_are_asked_for_the_name_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where there is no file of them: libpq refuses them without (sslrootcert=system)."""
    access = ServerAccess("a", "postgresql", "h", 1, "u", lambda: None, tls=Tls("verify-ca"))
    assert parameters.parameters(access, "d")["sslmode"] == "verify-ca"
    monkeypatch.setattr(parameters, "_authorities", lambda: "system")
    told = parameters.parameters(access, "d")
    assert (told["sslmode"], told["sslrootcert"]) == ("verify-full", "system")


def test_a_setting_that_does_not_exist_is_told(server: PrivateServer) -> None:
    with pytest.raises(SyncdError, match="no_such_setting"):
        shown(server.access(options={"no_such_setting": "1"}))


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def refusal(sqlstate: str, text: str) -> bytes:
    fields = {"S": "FATALE", "V": "FATAL", "C": sqlstate, "M": text}
    return message(b"E", b"".join(f"{k}{v}\0".encode() for k, v in fields.items()) + b"\0")


def greeting(version: str) -> bytes:
    status = message(b"S", f"server_version\0{version}\0".encode())
    return message(b"R", struct.pack("!I", 0)) + status + message(b"Z", b"I")


@contextmanager
def answering(answer: bytes) -> Iterator[ServerAccess]:
    """Give a server that answers everybody so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):  # until the listener is shut
                while True:
                    peer, _ = listener.accept()
                    with peer:
                        peer.recv(4096)
                        peer.sendall(answer)
                        peer.recv(4096)

        thread = threading.Thread(target=serve)
        thread.start()
        yield ServerAccess(
            "fake", "postgresql", "127.0.0.1", listener.getsockname()[1], "app",
            lambda: None, tls=Tls("disable"),
        )  # fmt: skip
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize(
    ("sqlstate", "text", "kind"),
    [
        ("28P01", "Passwort-Authentifizierung fehlgeschlagen", Authentication),
        ("28000", "aucune entrée dans pg_hba.conf", Authentication),
        ("53300", "ya hay demasiados clientes", Throttled),
        ("57P03", "システムは起動処理中です", Network),
        ("08P01", 'unsupported startup parameter C "28000"', Network),
        ("3D000", "Datenbank existiert nicht", BadData),
    ],
)
def test_a_refusal_is_understood_in_any_language(
    sqlstate: str, text: str, kind: type[SyncdError]
) -> None:
    with answering(refusal(sqlstate, text)) as access, pytest.raises(kind) as caught:
        build(access).identify(context())
    assert type(caught.value) is kind
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("version", ["9.6.24", "11.22", "8.0.2"])
def test_a_version_that_is_too_old_is_told(version: str) -> None:
    with answering(greeting(version)) as access, pytest.raises(BadData, match=version):
        build(access).identify(context())


def test_what_is_no_postgresql_is_told() -> None:
    with answering(b"SSH-2.0-OpenSSH_9.2\r\n") as access, pytest.raises(Network):
        build(access).identify(context())


@pytest.fixture(scope="module")
def certified(
    private_servers: PrivateServers, tmp_path_factory: pytest.TempPathFactory
) -> tuple[PrivateServer, Path]:
    """Give a server with a certificate for 127.0.0.1, and its file; the wheel's has no TLS."""
    server = private_servers.of("15")
    data = server.directory / "data"
    owner = data.stat()
    certificate, key = _certificate()
    for name, text in (("server.crt", certificate), ("server.key", key)):
        (data / name).write_bytes(text)
        (data / name).chmod(0o600)
        os.chown(data / name, owner.st_uid, owner.st_gid)
    rules = data / "pg_hba.conf"
    rules.write_text("hostssl all test 127.0.0.1/32 cert\n" + rules.read_text())
    server.execute(
        "alter system set ssl = on", "alter system set ssl_ca_file = 'server.crt'",
        "select pg_reload_conf()",
    )  # fmt: skip
    for _ in range(1000):  # the server hears of it in its own time
        if server.rows("select current_setting('ssl'), pg_sleep(0.01)")[0][0] == "on":
            break
    file = tmp_path_factory.mktemp("tls") / "ca.crt"
    file.write_bytes(certificate)
    file.with_name("own.key").write_bytes(key)
    file.with_name("own.key").chmod(0o600)
    return server, file


def _certificate() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    plain = serialization.NoEncryption()
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return made.public_bytes(pem), key.private_bytes(pem, form, plain)


def test_who_is_trusted(
    certified: tuple[PrivateServer, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, authority = certified
    home = authority.parent / ".postgresql"
    home.mkdir()
    (home / "root.crt").write_bytes(_certificate()[0])  # of another, by which `require` would fail
    monkeypatch.setenv("HOME", str(authority.parent))
    user = server.unique("by_tls")

    def protocol(tls: Tls, host: str = "127.0.0.1") -> str | None:
        access = server.access(host=host, user=user, password=lambda: PASSWORD, tls=tls)
        return build(access).identify(context()).tls

    with server.roles(user, options=f"login password '{QUOTED}'"):
        _check(protocol, authority)


def test_a_client_shows_its_certificate(certified: tuple[PrivateServer, Path]) -> None:
    """It is that of the server, which is signed by itself, and is for a user called so."""
    server, file = certified
    own = Tls("verify-full", file, file, file.with_name("own.key"))
    with server.roles("test", options="login"):
        shown = build(server.access(host="127.0.0.1", user="test", tls=own)).identify(context())
        assert (shown.user, shown.tls) == ("test", "TLSv1.3")
        with pytest.raises(Authentication, match="certificate"):
            build(server.access(host="127.0.0.1", user="test", tls=Tls("require"))).identify(
                context()
            )


def _check(protocol: Callable[..., str | None], authority: Path) -> None:
    assert protocol(Tls("disable")) is None
    assert protocol(Tls("prefer")) == "TLSv1.3"
    assert protocol(Tls("require")) == "TLSv1.3"
    assert protocol(Tls("verify-ca", authority), "localhost") == "TLSv1.3"
    assert protocol(Tls("verify-full", authority)) == "TLSv1.3"
    with pytest.raises(Network, match="localhost"):
        protocol(Tls("verify-full", authority), "localhost")
    for mode in ("verify-ca", "verify-full"):
        with pytest.raises(Network, match="certificate"):
            protocol(Tls(mode))

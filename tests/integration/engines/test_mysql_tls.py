"""Encrypted connections with a real MariaDB, in every mode."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from engine_run import context
from mariadb_server import MariaDbServer, private_mariadb
from mysql_certificates import Authority
from mysql_helpers import PASSWORD, access, make_user

from syncd.engines.base import ServerIdentity, Tls
from syncd.engines.mysql.engine import MySQL
from syncd.errors import Authentication, ConfigurationError, Network


@dataclass(frozen=True)
class Encrypted:
    """A server whose certificate is for `localhost`."""

    server: MariaDbServer
    trusted: Authority
    other: Authority

    def identify(self, tls: Tls, host: str = "localhost", user: str = "app") -> ServerIdentity:
        return MySQL(access(self.server, user, host=host, tls=tls)).identify(context())


@pytest.fixture(scope="module")
def encrypted() -> Iterator[Encrypted]:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o711)
        trusted, other = Authority(directory, "trusted"), Authority(directory, "other")
        certificate, key = trusted.issue("localhost")
        files = {"ssl-ca": trusted.file, "ssl-cert": certificate, "ssl-key": key}
        with private_mariadb({option: str(file) for option, file in files.items()}) as server:
            make_user(server, "app")
            make_user(server, "secure")
            server.execute("alter user secure require x509")
            yield Encrypted(server, trusted, other)


@pytest.mark.parametrize("mode", ["prefer", "require"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_whoever_answers_is_talked_to_encrypted(encrypted: Encrypted, mode: str, host: str) -> None:
    assert encrypted.identify(Tls(mode), host).tls == "TLSv1.3"  # type: ignore[arg-type]


def test_nothing_is_encrypted_when_that_is_turned_off(encrypted: Encrypted) -> None:
    assert encrypted.identify(Tls("disable")).tls is None


def test_nothing_is_encrypted_over_a_unix_socket(encrypted: Encrypted) -> None:
    identity = encrypted.identify(Tls("verify-full"), host=encrypted.server.socket)
    assert (identity.tls, identity.user) == (None, "app@%")


def test_a_certificate_and_its_name_are_checked(encrypted: Encrypted) -> None:
    full, chain = (Tls(mode, encrypted.trusted.file) for mode in ("verify-full", "verify-ca"))
    assert encrypted.identify(full).tls == "TLSv1.3"
    assert encrypted.identify(chain, "127.0.0.1").tls == "TLSv1.3"
    with pytest.raises(Network, match="certificate is refused: IP address mismatch"):
        encrypted.identify(full, "127.0.0.1")


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
@pytest.mark.parametrize("named", [True, False])
def test_a_certificate_of_somebody_else_is_refused(
    encrypted: Encrypted, mode: str, *, named: bool
) -> None:
    """Without an authority of its own a server needs one that the system trusts."""
    tls = Tls(mode, encrypted.other.file if named else None)  # type: ignore[arg-type]
    with pytest.raises(Network, match="certificate is refused"):
        encrypted.identify(tls)


def test_a_client_shows_its_certificate(encrypted: Encrypted) -> None:
    certificate, key = encrypted.trusted.issue("client")
    tls = Tls("verify-full", encrypted.trusted.file, certificate, key)
    assert encrypted.identify(tls, user="secure").user == "secure@%"
    with pytest.raises(Authentication, match="Access denied"):
        encrypted.identify(Tls("require"), user="secure")


def test_files_that_can_not_be_used_are_named(encrypted: Encrypted, tmp_path: Path) -> None:
    missing, empty = tmp_path / "missing.pem", tmp_path / "empty.pem"
    empty.write_text("nothing")
    for file in (missing, empty):
        with pytest.raises(ConfigurationError, match=str(file)):
            encrypted.identify(Tls("verify-ca", file))
        with pytest.raises(ConfigurationError, match=str(file)):
            encrypted.identify(Tls("require", None, file, file))


def test_all_is_read_encrypted(encrypted: Encrypted) -> None:
    tls = Tls("verify-full", encrypted.trusted.file)
    engine = MySQL(access(encrypted.server, host="localhost", tls=tls, password=lambda: PASSWORD))
    assert len(engine.accounts(context()).accounts) > 5
    assert engine.sizes(context(), 0).unread == ()

"""What the HTTP client trusts, and what it shows of itself: files that an administrator names."""

import functools
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from syncd.errors import ConfigurationError

_LARGEST: Final = 4 * 2**20


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: `ca` in place of the system's authorities, `cert` and `key` of the client.

    Without `verify` any certificate of a server is taken.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    verify: bool = True

    @property
    def files(self) -> tuple[Path, ...]:
        """Return the files that are named."""
        return tuple(each for each in (self.ca, self.cert, self.key) if each is not None)


def context(tls: TlsFiles) -> ssl.SSLContext:
    """Return what connections are made with; the files are read now.

    Raises ConfigurationError, which names the file, for one that can't be read or used.
    """
    if tls == TlsFiles():
        return default()
    made = ssl.create_default_context() if tls.ca is None else _trusting(tls.ca)
    if not tls.verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if tls.cert is not None and tls.key is not None:
        _show(made, tls.cert, tls.key)
    return made


@functools.cache
def default() -> ssl.SSLContext:
    """Return the context that trusts the system's authorities, loaded once for all."""
    return ssl.create_default_context()


def _trusting(ca: Path) -> ssl.SSLContext:
    text = _pem(ca, "CERTIFICATE-----")
    try:
        return ssl.create_default_context(cadata=text)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigurationError(f"{ca} holds a certificate that can't be used") from error


def _show(made: ssl.SSLContext, cert: Path, key: Path) -> None:
    """Have connections show a client certificate; the files are looked at first, to tell which."""
    _pem(cert, "CERTIFICATE-----")
    _pem(key, "PRIVATE KEY-----")
    try:
        made.load_cert_chain(cert, key, password=lambda: _refuse_password(key))
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigurationError(f"the key in {key} is not that of {cert}") from error
        raise ConfigurationError(f"{cert} or {key} can't be used: {error.reason}") from error
    except OSError as error:
        raise ConfigurationError(f"{cert} or {key} can't be read: {error.strerror}") from error


def _refuse_password(key: Path) -> str:
    """Stand in for OpenSSL's question at the terminal, which would never be answered."""
    raise ConfigurationError(f"the key in {key} has a password: nobody is there to type it")


def _pem(path: Path, mark: str) -> str:
    """Return a file's text, which holds `mark`."""
    if not path.is_file():  # a named pipe would be waited for
        raise ConfigurationError(f"{path} is not a file that can be read")
    try:
        with path.open("rb") as stream:
            text = stream.read(_LARGEST).decode("ascii", "replace")
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}") from error
    if mark not in text:
        what = "certificate" if mark.startswith("CERT") else "private key"
        raise ConfigurationError(f"{path} holds no {what} in PEM")
    return text

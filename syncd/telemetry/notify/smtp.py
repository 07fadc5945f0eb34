"""A conversation with a mail server that ends in time.

`smtplib` limits each read, so a server that drips a byte a second would hold a message for ever.
Here the connection is shut down under whatever step waits, at the deadline or when cancelled, by a
copy of its socket, since TLS takes the socket itself apart.
"""

import base64
import re
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any, Final, Self, TypeVar

from syncd import http_tls, resolver
from syncd.config import secrets
from syncd.config.notify import Email
from syncd.context import CancelToken, Deadline
from syncd.errors import (
    Authentication,
    ConfigurationError,
    Network,
    SyncdError,
    TimedOut,
    Unexpected,
)
from syncd.http_tls import TlsFiles
from syncd.telemetry.masking import Masker
from syncd.telemetry.notify.text import cut, one_line

PORTS: Final = {"starttls": 587, "tls": 465, "none": 25}
_MOST_LINES: Final = 1_000  # of answers in one conversation
_SHOWN: Final = 200  # characters of an answer
T = TypeVar("T")

_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?", re.ASCII)


def converse(
    channel: Email, deadline: Deadline, cancel: CancelToken, act: Callable[[smtplib.SMTP], T]
) -> T:
    """Return what `act` does with a server that encrypts as is asked for and has let us in.

    Certificates are always checked. Raises Network, TimedOut, Authentication, Unexpected,
    ConfigurationError; the token's error when cancelled.
    """
    deadline = deadline.sooner(channel.timeout.total_seconds())
    password = _password(channel)
    try:
        with _Limits(deadline, cancel) as limits:
            server = _Server(channel, limits)
            try:
                _begin(server, channel, password)
                done = act(server)
                with suppress(smtplib.SMTPException, OSError):  # all is done
                    server.quit()
                return done
            finally:
                server.close()
    except (smtplib.SMTPException, OSError, ValueError) as error:
        late = deadline.remaining() <= 0.01
        failure = TimedOut(f"{_what(channel)} is too slow") if late else _failure(channel, error)
    cancel.check()
    raise failure  # outside, so that an answer that quotes what was sent is not chained


def refused(recipients: dict[str, tuple[int, bytes]]) -> str:
    """Return which recipients were refused, and why."""
    return "; ".join(
        f"{_shown(name)}: {code} {_shown(_text(why))}" for name, (code, why) in recipients.items()
    )


def _failure(channel: Email, error: Exception) -> SyncdError:
    """Return what an error of the conversation means (RFC 5321, 4.2.1; RFC 4954, 6)."""
    what = _what(channel)
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = [code for code, _ in error.recipients.values()]
        told = f"{what} takes none of the recipients: {refused(error.recipients)}"
        return (Network if any(code < 500 for code in codes) else Unexpected)(told)
    if isinstance(error, smtplib.SMTPResponseException):
        return _answered(what, error.smtp_code, error.smtp_error)
    kind, told = _without_answer(error)
    return kind(f"{what}: {told}")


def _without_answer(error: Exception) -> tuple[type[SyncdError], str]:
    match error:
        case smtplib.SMTPNotSupportedError():
            return Unexpected, _shown(str(error))
        case smtplib.SMTPServerDisconnected():
            return Network, "the connection ended"
        case ssl.SSLCertVerificationError():
            return Network, f"certificate refused: {error.verify_message}"
        case OSError() if error.strerror:
            return Network, error.strerror
        case smtplib.SMTPException():
            return Authentication, "it offers no way to log in that is known"
    return Network, _shown(str(error)) or type(error).__name__


class _Limits:
    """Shuts a connection down at the deadline, or when cancelled."""

    def __init__(self, deadline: Deadline, cancel: CancelToken) -> None:
        self.deadline, self.cancel = deadline, cancel
        self._stack = ExitStack()
        self._spare: socket.socket | None = None
        self._over = False
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        timer = threading.Timer(max(self.deadline.remaining(), 0), self._wake)
        timer.daemon = True
        self._stack.callback(self._end)
        self._stack.enter_context(self.cancel.watch(self._wake))
        self._stack.callback(timer.cancel)
        timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def guard(self, sock: socket.socket) -> None:
        """Watch over a connection."""
        with self._lock:
            self._drop()
            self._spare = sock.dup()
            over = self._over
        if over:
            self._wake()

    def _wake(self) -> None:
        with self._lock:
            self._over = True
            if self._spare is not None:
                with suppress(OSError):
                    self._spare.shutdown(socket.SHUT_RDWR)

    def _end(self) -> None:
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._spare is not None:
            self._spare.close()
            self._spare = None


class _Server(smtplib.SMTP):
    """A connection that is watched over; what it answers has a limit, too."""

    def __init__(self, channel: Email, limits: _Limits) -> None:
        self._limits, self._channel = limits, channel
        self._context = http_tls.context(TlsFiles(ca=channel.tls_ca))
        super().__init__(local_hostname=_our_name())
        self._host = channel.host  # what the certificate must name

    def greet(self) -> None:
        """Connect, and hear that the server is there."""
        code, said = self.connect(self._host, self._channel.port or PORTS[self._channel.tls])
        if code != 220:
            raise smtplib.SMTPConnectError(code, said)
        self.ehlo_or_helo_if_needed()

    def encrypt(self) -> None:
        """Ask for TLS."""
        self.starttls(context=self._context)

    def getreply(self) -> tuple[int, bytes]:
        """Return an answer; a flood of lines is taken for the end of the connection."""
        if self.file is None and self.sock is not None:
            self.file = _Bounded(self.sock.makefile("rb"))
        return super().getreply()

    def _get_socket(self, host: str, port: int, timeout: object) -> socket.socket:
        """Connect to the first address that answers."""
        del timeout
        limits = self._limits
        found = resolver.addresses(host, port, limits.deadline, limits.cancel)
        for left in range(len(found), 0, -1):
            family, kind, protocol, _, address = found[-left]
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(max(limits.deadline.remaining() / left, 0.001))
                sock.connect(address)
                return self._ready(sock)
            except OSError:
                sock.close()
                if left == 1:
                    raise
        raise OSError(f"{host} has no address")

    def _ready(self, sock: socket.socket) -> socket.socket:
        self._limits.guard(sock)
        sock.settimeout(max(self._limits.deadline.remaining(), 0.001))
        if self._channel.tls == "tls":
            return self._context.wrap_socket(sock, server_hostname=self._channel.host)
        return sock


class _Bounded:
    """The lines of a server, so many at most."""

    def __init__(self, file: Any) -> None:  # noqa: ANN401 - a reader of bytes
        self._file, self._left = file, _MOST_LINES

    def readline(self, limit: int) -> bytes:
        """Return the next line; nothing, as at the end, once there were too many."""
        self._left -= 1
        return self._file.readline(limit) if self._left >= 0 else b""

    def close(self) -> None:
        """Let go of the socket."""
        self._file.close()


def _begin(server: _Server, channel: Email, password: str | None) -> None:
    """Greet, encrypt and log in."""
    server.greet()
    if channel.tls == "starttls":
        server.encrypt()
        server.ehlo_or_helo_if_needed()
    if password is not None:
        server.login(channel.user, password)


def _password(channel: Email) -> str | None:
    """Read the password; what is made of it on its way is masked, too."""
    if channel.password is None:
        return None
    password = secrets.resolve(channel.password).get_secret_value()
    if not (password.isascii() and channel.user.isascii()):
        raise ConfigurationError("user and password: only ASCII can be sent")
    for text in (password, f"\0{channel.user}\0{password}"):  # as they are sent
        secrets.remember(base64.b64encode(text.encode()).decode())
    return password


def _our_name() -> str:
    """Return the name that we greet with; smtplib would ask DNS for it, without a limit."""
    name = socket.gethostname()
    return name if _NAME.fullmatch(name) else "localhost"


def _answered(what: str, code: int, text: bytes | str) -> SyncdError:
    told = f"{what} answers {code}: {_shown(_text(text))}"
    if code in (530, 534, 535, 538):
        return Authentication(told)
    return Network(told) if code < 500 else Unexpected(told)


def _what(channel: Email) -> str:
    return f"the mail server {channel.host}"


def _text(said: bytes | str) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else said


def _shown(text: str) -> str:
    return cut(_masked(one_line(text)), _SHOWN)


_masked: Final = Masker(secrets.known)

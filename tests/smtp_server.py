"""A mail server on the loopback, with TLS, log-in and moods, on the sockets of `raw_server`."""

import base64
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage

from raw_server import Peer, serving

USER, PASSWORD = "syncd@example.org", "pa55-w0rd-of-the-mail"


@dataclass
class Mail:
    """What was taken: the envelope, and the message."""

    sender: str
    to: list[str]
    content: bytes
    encrypted: bool
    user: str | None

    @property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.content, policy=policy.default)


@dataclass
class MailServer:
    """Speaks SMTP as RFC 5321 has it; `answers` replace those to a command, or to a recipient.

    `broken` names the command at which the connection is reset, `closed` that at which it ends,
    `dripping` that whose answer never ends.
    """

    tls: ssl.SSLContext | None = None
    implicit: bool = False
    offers: tuple[str, ...] = ("STARTTLS", "AUTH PLAIN LOGIN", "8BITMIME")
    password: str = PASSWORD
    answers: Mapping[str, str] = field(default_factory=dict)
    broken: str = ""
    closed: str = ""
    dripping: str = ""
    mails: list[Mail] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    port: int = 0

    def __call__(self, peer: Peer) -> None:
        with suppress(ConnectionError, ssl.SSLError):
            if self.implicit:
                peer.sock = self.tls.wrap_socket(peer.sock, server_side=True)
            with peer.sock:
                _Conversation(self, peer, encrypted=self.implicit).hold()
        peer.sock.close()

    @property
    def verbs(self) -> list[str]:
        return [each.split()[0].upper() for each in self.commands]


class _Conversation:
    def __init__(self, server: MailServer, peer: Peer, *, encrypted: bool) -> None:
        self.server, self.peer, self.encrypted = server, peer, encrypted
        self.user: str | None = None
        self.sender, self.to = "", list[str]()

    def hold(self) -> None:
        self.say("CONNECT", "220 mx.example.org ESMTP")
        while line := self.line():
            self.server.commands.append(line)
            verb = line.split()[0].upper()
            if getattr(self, f"do_{verb.lower()}", self.unknown)(line) is False:
                return

    def line(self) -> str:
        data = b""
        while not data.endswith(b"\r\n"):
            data += self.peer.read(1)
        return data[:-2].decode()

    def say(self, step: str, answer: str) -> None:
        """Answer a step, in the server's mood."""
        answer = self.server.answers.get(step, answer)
        if step == self.server.broken:
            self.peer.reset()
            raise ConnectionError
        if step == self.server.closed:
            raise ConnectionError
        if step == self.server.dripping:
            self.peer.drip(b"250-still busy\r\n" * 1000)
        self.peer.send(answer.encode() + b"\r\n")

    def unknown(self, line: str) -> None:
        self.say("?", "502 5.5.1 unknown")

    def do_ehlo(self, line: str) -> None:
        offers = [each for each in self.server.offers if each != "STARTTLS" or not self.encrypted]
        lines = ["mx.example.org", *offers]
        told = [f"250-{each}" for each in lines[:-1]] + [f"250 {lines[-1]}"]
        self.say("EHLO", "\r\n".join(told))

    def do_starttls(self, line: str) -> None:
        self.say("STARTTLS", "220 go ahead")
        self.peer.sock = self.server.tls.wrap_socket(self.peer.sock, server_side=True)
        self.encrypted = True

    def do_auth(self, line: str) -> None:
        kind, *initial = line.split()[1:]
        if kind.upper() == "PLAIN":
            _, user, password = base64.b64decode(initial[0]).decode().split("\0")
        else:
            user = base64.b64decode(initial[0] if initial else self.ask("VXNlcm5hbWU6")).decode()
            password = base64.b64decode(self.ask("UGFzc3dvcmQ6")).decode()
        if (user, password) == (USER, self.server.password):
            self.user = user
            self.say("AUTH", "235 2.7.0 welcome")
        else:
            self.say("AUTH", f"535 5.7.8 not you: {line}")  # tells what was sent, as bad ones do

    def ask(self, question: str) -> str:
        self.peer.send(f"334 {question}\r\n".encode())
        return self.line()

    def do_mail(self, line: str) -> None:
        self.sender, self.to = _address(line), []
        self.say("MAIL", "250 2.1.0 ok")

    def do_rcpt(self, line: str) -> None:
        address = _address(line)
        answer = self.server.answers.get(address, "250 2.1.5 ok")
        if answer.startswith("250"):
            self.to.append(address)
        self.say("RCPT", answer)

    def do_data(self, line: str) -> None:
        self.say("DATA", "354 go on")
        content = b""
        while not content.endswith(b"\r\n.\r\n"):
            content += self.peer.read(1)
        content = content[:-3].replace(b"\r\n..", b"\r\n.")
        self.server.mails.append(Mail(self.sender, self.to, content, self.encrypted, self.user))
        self.say("CONTENT", "250 2.0.0 queued")

    def do_rset(self, line: str) -> None:
        self.say("RSET", "250 ok")

    def do_quit(self, line: str) -> bool:
        self.say("QUIT", "221 bye")
        return False


def _address(line: str) -> str:
    return line.partition("<")[2].partition(">")[0]


@contextmanager
def mail_server(**keys: object) -> Iterator[MailServer]:
    """Give a server that listens."""
    server = MailServer(**keys)
    with serving(server) as listening:
        server.port = listening.port
        yield server

"""What a test server reads and writes of HTTP/1.1, on bare sockets: nothing is done for it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from raw_server import Peer


class Gone(ConnectionError):
    """The client has gone, or the server stops."""


@dataclass(frozen=True)
class Head:
    """A request's first line and headers; the names of the headers are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))


@dataclass(frozen=True)
class Answer:
    """What is answered: a body of bytes, or what JSON makes of it; or pieces without an end.

    Headers stand beside or, by the same name, instead of those that an answer has anyway; the
    value None leaves one out.
    """

    status: int = 200
    body: Any = field(default_factory=lambda: {"code": 0})
    headers: Mapping[str, str | None] = field(default_factory=dict)
    pieces: Iterator[bytes] | None = None
    close: bool = False

    def encoded(self) -> bytes:
        """Return head and body; of an answer in pieces the head."""
        body = self.content()
        reason = HTTPStatus(self.status).phrase if self.status in set(HTTPStatus) else "Unknown"
        standard = {
            "Date": formatdate(usegmt=True),
            "Content-Type": "application/octet-stream" if self.pieces else "application/json",
            "Content-Length": None if self.pieces else str(len(body)),
            "Connection": "close" if self.close or self.pieces else "keep-alive",
        }
        lowered = {name.lower() for name in self.headers}
        headers = {name: each for name, each in standard.items() if name.lower() not in lowered}
        lines = [
            f"{name}: {each}" for name, each in (headers | self.headers).items() if each is not None
        ]
        head = "\r\n".join([f"HTTP/1.1 {self.status} {reason}", *lines, "", ""])
        return head.encode("latin-1") + body

    def content(self) -> bytes:
        """Return the body, b"" of one in pieces."""
        if self.pieces:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Wire:
    """One connection, read with a memory for what came after a request."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self._rest = b""

    def head(self) -> Head | None:
        """Read the head of a request; None once the client has closed after the last one."""
        while b"\r\n\r\n" not in self._rest:
            if not self._more():
                return None
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        pairs = [line.partition(":") for line in lines]
        return Head(method, target, {name.lower(): value.strip() for name, _, value in pairs})

    def body(self, head: Head) -> tuple[bytes, bool]:
        """Return the body, and whether it came wholly."""
        if "transfer-encoding" in head.headers:
            raise NotImplementedError("a request in chunks")
        length = int(head.headers.get("content-length", "0"))
        while len(self._rest) < length:
            if not self._more():
                return self._rest, False
        body, self._rest = self._rest[:length], self._rest[length:]
        return body, True

    def _more(self) -> bool:
        """Read what has come; False at the end."""
        try:
            data = self.peer.sock.recv(65536)
        except OSError:
            data = b""
        self._rest += data
        return bool(data)


class Sum(Protocol):
    """What counts the bytes that were sent."""

    sent: int


class Counting(Peer):
    """A connection that counts what is sent over it."""

    def __init__(self, peer: Peer, total: Sum) -> None:
        super().__init__(peer.sock, peer.over)
        self._total = total

    def send(self, data: bytes) -> None:
        self._total.sent += len(data)  # before the client can ask for it
        try:
            super().send(data)
        except OSError:
            self._total.sent -= len(data)
            raise

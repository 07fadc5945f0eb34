"""What goes wrong with an HTTP server on purpose: faults for `ApiServer.fault`.

A fault acts at one of three moments: before the request's body is read, in place of the endpoint
(nothing takes effect then), or on the answer of an endpoint whose effect was taken.
"""

import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import format_datetime
from itertools import repeat

from api_wire import Answer, Gone
from raw_server import Peer

Send = Callable[[Peer, bytes], None]
MIB = 2**20


def _whole(peer: Peer, data: bytes) -> None:
    peer.send(data)


@dataclass(frozen=True)
class Fault:
    """What happens to a request; what is left as it is happens as it should."""

    unread: Callable[[Peer], None] | None = None
    instead: Callable[[Peer], Answer] | None = None
    changes: Callable[[Answer], Answer] = lambda answer: answer
    sends: Send = _whole


def _reset(peer: Peer) -> None:
    peer.reset()
    raise Gone


def reset_unread() -> Fault:
    """Reset the connection when the request's head has come and before its body is read."""
    return Fault(unread=_reset)


def reset_read() -> Fault:
    """Reset the connection when the request was read; nothing takes effect."""

    def instead(peer: Peer) -> Answer:
        _reset(peer)
        raise AssertionError

    return Fault(instead=instead)


def hang(*, after: int | None = None) -> Fault:
    """Say nothing more: before anything takes effect, or `after` so many bytes of the answer."""

    def instead(peer: Peer) -> Answer:
        peer.hang()
        raise Gone

    def sends(peer: Peer, data: bytes) -> None:
        peer.send(data[:after])
        instead(peer)

    return Fault(instead=instead) if after is None else Fault(sends=sends)


def cut(after: int) -> Fault:
    """Reset the connection after so many bytes of the answer; 0 for before the first."""

    def sends(peer: Peer, data: bytes) -> None:
        peer.send(data[:after])
        if after < len(data):
            _reset(peer)

    return Fault(sends=sends)


def end(after: int) -> Fault:
    """Close the connection in order after so many bytes of the answer."""

    def sends(peer: Peer, data: bytes) -> None:
        peer.send(data[:after])
        if after < len(data):
            raise Gone

    return Fault(sends=sends)


def drip(seconds: float = 0.05) -> Fault:
    """Send the answer byte by byte, with so many seconds after each."""

    def sends(peer: Peer, data: bytes) -> None:
        for byte in data:
            peer.send(bytes([byte]))
            if peer.over.wait(seconds):
                raise Gone

    return Fault(sends=sends)


def hold(until: threading.Event) -> Fault:
    """Hold the answer back until the test says so; its effect was taken."""

    def sends(peer: Peer, data: bytes) -> None:
        while not until.wait(0.05):
            if peer.over.is_set():
                raise Gone
        peer.send(data)

    return Fault(sends=sends)


def answers(answer: Answer) -> Fault:
    """Answer this; nothing takes effect."""
    return Fault(instead=lambda _: answer)


def business(code: int = 1, message: str = "refused") -> Fault:
    """Answer 200 with an error inside; nothing takes effect."""
    return answers(Answer(body={"code": code, "message": message}))


def busy(status: int = 429, retry_after: int | datetime | str | None = None) -> Fault:
    """Answer 429 or 503; Retry-After in seconds, as a date (aware) or as it is written."""
    if isinstance(retry_after, datetime):
        retry_after = format_datetime(retry_after, usegmt=True)
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return answers(Answer(status, {"code": status}, headers))


def redirect(url: str, status: int = 307) -> Fault:
    """Redirect to a URL."""
    return answers(Answer(status, b"", {"Location": url}))


def accepted(status_url: str, **headers: str) -> Fault:
    """Take the effect and answer 202 with the Location of a status; see `progress`."""
    return Fault(
        changes=lambda answer: replace(
            answer, status=202, headers={**answer.headers, "Location": status_url, **headers}
        )
    )


def progress(states: Sequence[str], *, status: int = 200, retry_after: str | None = None) -> Fault:
    """Answer with one state after the other, {"state": ...}, each with its status but the last.

    The last state is answered with 200, again and again.
    """
    left = list(states)

    def instead(_: Peer) -> Answer:
        state = left.pop(0) if len(left) > 1 else left[0]
        over = len(left) == 1 and state == states[-1]
        headers = {} if retry_after is None or over else {"Retry-After": retry_after}
        return Answer(200 if over else status, {"code": 0, "state": state}, headers)

    return Fault(instead=instead)


def endless(total: int = 2**32, *, chunked: bool = False) -> Fault:
    """Stream a body of so many bytes, gigabytes if need be: a JSON string that does not end."""
    piece = b'{"a": "' + b"x" * (MIB - 7)
    framed = b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece
    length = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(total)}
    return _streamed(
        lambda: repeat(framed, total // MIB), {"Content-Type": "application/json"} | length
    )


def gzip_bomb(total: int = 2**32) -> Fault:
    """Stream so many bytes of blanks, packed by gzip (RFC 1952) to a thousandth."""

    def pieces() -> Iterator[bytes]:
        packer, blanks, crc = zlib.compressobj(9, zlib.DEFLATED, -15), b" " * MIB, 0
        yield b"\x1f\x8b\x08\0\0\0\0\0\2\xff"
        piece = packer.compress(blanks) + packer.flush(zlib.Z_FULL_FLUSH)
        for _ in range(total // MIB):
            crc = zlib.crc32(blanks, crc)
            yield piece
        yield packer.flush() + crc.to_bytes(4, "little") + (total % 2**32).to_bytes(4, "little")

    return _streamed(pieces, {"Content-Type": "application/json", "Content-Encoding": "gzip"})


def header_flood(count: int = 10_000, size: int = 100) -> Fault:
    """Answer with so many headers of so many bytes each."""
    return Fault(
        changes=lambda answer: replace(
            answer, headers={**answer.headers} | {f"X-{n}": "h" * size for n in range(count)}
        )
    )


def endless_header() -> Fault:
    """Send a header whose line does not end."""

    def sends(peer: Peer, _: bytes) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not peer.over.is_set():
            peer.send(b"h" * MIB)

    return Fault(sends=sends)


def headers(**values: str | None) -> Fault:
    """Change headers of the answer: `content_type="text/html"`, None to leave one out."""
    named = {name.replace("_", "-").title(): value for name, value in values.items()}
    return Fault(changes=lambda answer: replace(answer, headers={**answer.headers} | named))


def wrong_length(by: int) -> Fault:
    """Announce so many bytes more than come, or less; then close."""

    def changes(answer: Answer) -> Answer:
        length = len(answer.encoded().partition(b"\r\n\r\n")[2])
        values = {**answer.headers} | {"Content-Length": str(length + by)}
        return replace(answer, headers=values, close=True)

    return Fault(changes=changes)


def raw(data: bytes) -> Fault:
    """Send these bytes in place of the answer, a broken status line for one, and close."""

    def sends(peer: Peer, _: bytes) -> None:
        peer.send(data)
        raise Gone

    return Fault(sends=sends)


def _streamed(pieces: Callable[[], Iterator[bytes]], values: dict[str, str]) -> Fault:
    """Answer with pieces that are made anew for each request."""
    return Fault(changes=lambda answer: replace(answer, pieces=iter(pieces()), headers=values))

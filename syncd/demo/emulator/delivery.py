"""Send an answer over a socket, or damage it on its way as the faults say."""

import contextlib
import socket
import struct
import threading
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from syncd.demo.emulator.faults import Hits
from syncd.demo.emulator.wire import Answer

RST_ON_CLOSE: Final = struct.pack("ii", 1, 0)
GARBAGE: Final = b"<br>\x01"  # no JSON holds a control character, in a text or outside
DAMAGES: Final = ("truncated", "reset_in_body", "drip", "broken_json")


class Reset(Exception):
    """The connection is to be closed by RST, without another byte."""


def deliver(connection: socket.socket, answer: Answer, hits: Hits) -> bool:
    """Send an answer and return whether the connection can go on; Reset asks for an RST."""
    fault = next(iter(hits.all(*DAMAGES)), None)
    if fault is None:
        _send(connection, answer, answer.body)
        return True
    half = answer.body[: len(answer.body) // 2]
    match fault.fault.kind:
        case "broken_json":
            _send(connection, answer, half + GARBAGE + answer.body[len(half) + len(GARBAGE) :])
            return True
        case "drip":
            _drip(connection, answer, fault.fault.seconds, fault.cleared)
            return True
        case "reset_in_body":
            _send(connection, answer, half)
            raise Reset
        case _:
            _send(connection, answer, half)
            return False


def make_reset(connection: socket.socket) -> None:
    """Make the coming close of a socket an RST instead of a FIN."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)


def _send(connection: socket.socket, answer: Answer, body: bytes) -> None:
    connection.sendall(_head(answer))
    connection.sendall(body)


def _drip(
    connection: socket.socket, answer: Answer, seconds: float, cleared: threading.Event
) -> None:
    connection.sendall(_head(answer))
    for place in range(len(answer.body)):
        if cleared.wait(seconds):
            connection.sendall(answer.body[place:])
            return
        connection.sendall(answer.body[place : place + 1])


def _head(answer: Answer) -> bytes:
    phrase = HTTPStatus(answer.status).phrase
    more = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
    return (
        f"HTTP/1.1 {answer.status} {phrase}\r\n"
        f"Date: {formatdate(answer.date, usegmt=True)}\r\n"
        f"Content-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(answer.body)}\r\n"
        f"{more}\r\n"
    ).encode()

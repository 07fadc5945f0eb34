"""Database servers that misbehave, on the loopback: scripts in both protocols, and ports.

The messages are those of the manuals: "Message Formats" of PostgreSQL, "Connection Phase" of the
MySQL source documentation. The servers themselves are those of `raw_server`.
"""

import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from raw_server import Peer, Script

_SSL, _GSS = 80877103, 80877104
"""What asks for encryption, in the place of a protocol version."""
_SALT = bytes(range(65, 85))
_CAPABILITIES = 0x0008_A20F  # 4.1, transactions, a database, native passwords, named plugins
_CLIENT_SSL = 0x800


def _message(kind: bytes, body: bytes) -> bytes:
    """Return a message of PostgreSQL."""
    return kind + struct.pack("!I", len(body) + 4) + body


def _packet(number: int, body: bytes) -> bytes:
    """Return a packet of MySQL."""
    return struct.pack("<I", len(body))[:3] + bytes([number]) + body


def _startup(peer: Peer) -> None:
    """Read what a client of PostgreSQL begins with; refuse to encrypt."""
    while True:
        length, code = struct.unpack("!II", peer.read(8))
        peer.read(length - 8)
        if code not in (_SSL, _GSS):
            return
        peer.send(b"N")


def _log_in_postgresql(peer: Peer) -> None:
    """Let the client in, whoever it is, and read its first query."""
    _startup(peer)
    settings = {"server_version": "18.0", "client_encoding": "UTF8", "DateStyle": "ISO, MDY"}
    peer.send(
        _message(b"R", bytes(4))
        + b"".join(_message(b"S", f"{k}\0{v}\0".encode()) for k, v in settings.items())
        + _message(b"K", bytes(8))
        + _message(b"Z", b"I")
    )
    peer.read(5)


def _greeting(capabilities: int = _CAPABILITIES) -> bytes:
    """Return what a MySQL server says first."""
    low, high = struct.pack("<H", capabilities & 0xFFFF), struct.pack("<H", capabilities >> 16)
    return _packet(
        0,
        b"\x0a10.11.6-MariaDB\0" + struct.pack("<I", 7) + _SALT[:8] + b"\0"
        + low + b"\x2d" + b"\2\0" + high + bytes([len(_SALT) + 1]) + bytes(10)
        + _SALT[8:] + b"\0mysql_native_password\0",
    )  # fmt: skip


def _read_packet(peer: Peer) -> bytes:
    head = peer.read(4)
    return peer.read(int.from_bytes(head[:3], "little"))


def _log_in_mysql(peer: Peer) -> None:
    """Let the client in, whoever it is, and read its first query."""
    peer.send(_greeting())
    _read_packet(peer)
    peer.send(_packet(2, b"\0\0\0\2\0\0\0"))
    _read_packet(peer)


def silent(peer: Peer) -> None:
    """Accept and say nothing."""
    peer.hang()


def closing(peer: Peer) -> None:
    """Close as soon as somebody comes."""


def garbage(peer: Peer) -> None:
    """Speak another protocol."""
    peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    peer.hang()


def _postgresql_full(peer: Peer) -> None:
    _startup(peer)
    fields = (b"SFATAL", b"VFATAL", b"C53300", b"Msorry, too many clients already")
    peer.send(_message(b"E", b"\0".join(fields) + b"\0\0"))


def _mysql_full(peer: Peer) -> None:
    """Refuse before the capabilities are known: without an SQLSTATE."""
    peer.send(_packet(0, b"\xff" + struct.pack("<H", 1040) + b"Too many connections"))


def _postgresql_tls(peer: Peer) -> None:
    peer.read(8)
    peer.send(b"S")
    peer.hang()


def _mysql_tls(peer: Peer) -> None:
    peer.send(_greeting(_CAPABILITIES | _CLIENT_SSL))
    peer.hang()


def _postgresql_dripping(peer: Peer) -> None:
    _startup(peer)
    peer.drip(_message(b"R", bytes(4)) + _message(b"S", b"x" * 10_000))


def _mysql_dripping(peer: Peer) -> None:
    peer.drip(_packet(0, b"\x0a" + b"x" * 10_000))


def _postgresql_mute(peer: Peer) -> None:
    _log_in_postgresql(peer)
    peer.hang()


def _mysql_mute(peer: Peer) -> None:
    _log_in_mysql(peer)
    peer.hang()


def _postgresql_dripping_answer(peer: Peer) -> None:
    _log_in_postgresql(peer)
    peer.drip(_message(b"D", b"x" * 10_000))


def _mysql_dripping_answer(peer: Peer) -> None:
    _log_in_mysql(peer)
    peer.drip(_packet(1, b"x" * 10_000))


@dataclass(frozen=True, slots=True)
class FaultyServer:
    """What a server does to a client, and the error class that a run ends with."""

    script: Script
    error_class: str


COMMON: Mapping[str, FaultyServer] = {
    "silent": FaultyServer(silent, "timeout"),
    "closing": FaultyServer(closing, "network"),
}
FAULTY: Mapping[str, Mapping[str, FaultyServer]] = {
    "postgresql": {
        **COMMON,
        "garbage": FaultyServer(garbage, "network"),
        "full": FaultyServer(_postgresql_full, "throttled"),
        "tls": FaultyServer(_postgresql_tls, "timeout"),
        "dripping": FaultyServer(_postgresql_dripping, "timeout"),
        "mute": FaultyServer(_postgresql_mute, "timeout"),
        "dripping_answer": FaultyServer(_postgresql_dripping_answer, "timeout"),
    },
    "mysql": {
        **COMMON,
        "garbage": FaultyServer(garbage, "network"),
        "full": FaultyServer(_mysql_full, "throttled"),
        "tls": FaultyServer(_mysql_tls, "timeout"),
        "dripping": FaultyServer(_mysql_dripping, "timeout"),
        "mute": FaultyServer(_mysql_mute, "timeout"),
        "dripping_answer": FaultyServer(_mysql_dripping_answer, "timeout"),
    },
}
"""By engine and a word for it: hanging before, in and after the log-in, and all the rest."""


@contextmanager
def closed_port() -> Iterator[int]:
    """Give a port on which nobody listens, and nobody else will."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@contextmanager
def deaf_port() -> Iterator[int]:
    """Give a port whose queue is full, so that no connect is ever answered (listen(2))."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port: int = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        try:
            yield port
        finally:
            for one in waiting:
                one.close()

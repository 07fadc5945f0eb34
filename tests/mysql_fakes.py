"""A server that greets as MySQL does and then does what a test says."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

Script = Callable[[socket.socket], object]

SSL: Final = 0x0800
_CAPABILITIES: Final = 0x0008_A201  # protocol 4.1, plugins, transactions, long passwords
SECONDS: Final = 20.0


def packet(number: int, payload: bytes) -> bytes:
    """Return a packet of the protocol."""
    return struct.pack("<I", len(payload))[:3] + bytes([number]) + payload


def greeting(version: bytes = b"8.4.3", capabilities: int = 0) -> bytes:
    """Return what a server says first (protocol 10)."""
    told = _CAPABILITIES | capabilities
    return packet(
        0,
        b"\x0a" + version + b"\0" + struct.pack("<I", 7) + b"saltsalt\0"
        + struct.pack("<HBHHB", told & 0xFFFF, 45, 2, told >> 16, 21) + bytes(10)
        + b"saltsaltsalt\0" + b"mysql_native_password\0",
    )  # fmt: skip


def refusal(code: int, text: bytes, number: int = 0) -> bytes:
    """Return an error."""
    return packet(number, b"\xff" + struct.pack("<H", code) + b"#08004" + text)


def switch(plugin: bytes, data: bytes = b"") -> bytes:
    """Return the demand to log in by another plugin, after the answer to the greeting."""
    return packet(2, b"\xfe" + plugin + b"\0" + data)


@contextmanager
def fake(script: Script) -> Iterator[int]:
    """Give the port of a server that runs a script for its one connection, then hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=[listener, script])
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(SECONDS)
            assert not thread.is_alive()


def _serve(listener: socket.socket, script: Script) -> None:
    listener.settimeout(SECONDS)
    with suppress(OSError), listener.accept()[0] as sock:
        sock.settimeout(SECONDS)
        script(sock)


def say(*parts: bytes) -> Script:
    """Return a script that sends each part, hearing an answer after each but the last."""

    def script(sock: socket.socket) -> None:
        for part in parts[:-1]:
            sock.sendall(part)
            sock.recv(65536)
        sock.sendall(parts[-1])
        while sock.recv(65536):  # until the client goes
            pass

    return script

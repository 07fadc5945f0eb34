"""A proxy in front of a server: cuts its clients off, in the ways that networks do.

It can hold up one connection in the middle of a transaction, and make every connect take longer.
"""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

State = Literal["open", "cut", "silent"]
Connect = Callable[[], socket.socket]
Rewrite = Callable[[bytes], bytes]

_CHUNK = 1 << 16


def _as_it_is(data: bytes) -> bytes:
    return data


def to_port(port: int) -> Connect:
    """Return what connects to a server on the loopback."""
    return lambda: socket.create_connection(("127.0.0.1", port))


def to_socket(path: str) -> Connect:
    """Return what connects to a server's Unix socket."""

    def connect() -> socket.socket:
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            server.connect(path)
        except OSError:
            server.close()
            raise
        return server

    return connect


class Proxy:
    """Hands on what comes to a listener to the server behind it.

    `cut` breaks every connection and refuses new ones. `silence` accepts whatever comes and hands
    nothing on, in neither direction; what it holds goes on its way when the proxy is `heal`ed, as
    packets do that are sent again. Each connect is held up for `delay` seconds.
    """

    def __init__(
        self,
        connect: Connect,
        listener: socket.socket | None = None,
        rewrite: Rewrite = _as_it_is,
        delay: float = 0.0,
    ) -> None:
        self._connect, self._rewrite, self._delay = connect, rewrite, delay
        self._changed = threading.Condition()
        self._state: State = "open"
        self._closing = threading.Event()
        self._pairs: set[_Pair] = set()
        self._traps: list[_Trap] = []
        self._allowed: int | None = None
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
        self._listener.listen(200)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """The port of the loopback on which it listens, unless it was given a listener."""
        number: int = self._listener.getsockname()[1]
        return number

    def cut(self) -> None:
        """Break every connection, and each new one at once."""
        self._become("cut")
        for pair in self._all():
            pair.close()

    def silence(self) -> None:
        """Hand nothing on any more, and say nothing of it."""
        self._become("silent")

    def heal(self) -> None:
        """Work again; what was held goes on its way."""
        self._allowed = None
        for pair in self._all():
            pair.held = False
        self._become("open")

    def allow(self, count: int) -> None:
        """Let so many bytes of the server's pass, over all connections, then cut."""
        with self._changed:
            self._allowed = count

    def trap(self, text: bytes, act: Callable[[], None] = lambda: None) -> threading.Event:
        """Hold the connection that sends this text first, with the answer; call `act` then.

        The text itself still reaches the server. The event tells that it was sent.
        """
        trap = _Trap(text, act)
        with self._changed:
            self._traps.append(trap)
        return trap.sprung

    def close(self) -> None:
        """Stop listening, and break every connection."""
        self._closing.set()
        self._become("cut")
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for pair in self._all():
            pair.close()

    def _become(self, state: State) -> None:
        with self._changed:
            self._state = state
            self._changed.notify_all()

    def _all(self) -> list["_Pair"]:
        with self._changed:
            return list(self._pairs)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        """Connect a client with the server."""
        self._closing.wait(self._delay)
        try:
            if self._state == "cut":
                raise ConnectionError("cut")
            server = self._connect()
        except OSError:  # the server may be away
            client.close()
            return
        pair = _Pair(client, server)
        with self._changed:
            self._pairs.add(pair)
            late = self._state == "cut"
        if late:
            pair.close()
        for source, sink in (pair.client, pair.server), (pair.server, pair.client):
            threading.Thread(target=self._pump, args=(pair, source, sink), daemon=True).start()

    def _pump(self, pair: "_Pair", source: socket.socket, sink: socket.socket) -> None:
        """Hand on what one side sends until it closes."""
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                self._wait_to_pass(pair)
                trap = None
                if source is pair.client:
                    trap = self._spring(pair, data)
                elif not self._spend(len(data)):
                    self.cut()
                    break
                sink.sendall(self._rewrite(data))
                if trap:
                    trap.act()
                    trap.sprung.set()
        self._wait_to_pass(pair)  # that it closed is not heard either
        pair.close()
        with self._changed:
            self._pairs.discard(pair)

    def _wait_to_pass(self, pair: "_Pair") -> None:
        def passes() -> bool:
            return self._state == "cut" or (self._state == "open" and not pair.held)

        with self._changed:
            self._changed.wait_for(passes)

    def _spend(self, count: int) -> bool:
        """Tell whether so many more bytes may pass."""
        with self._changed:
            if self._allowed is not None:
                self._allowed -= count
            return self._allowed is None or self._allowed >= 0

    def _spring(self, pair: "_Pair", data: bytes) -> "_Trap | None":
        """Hold a connection, the answers first, when it sends the text of a trap; return that."""
        with self._changed:
            found = next((trap for trap in self._traps if trap.text in data), None)
            if found:
                self._traps.remove(found)
                pair.held = True
        return found


class _Trap:
    def __init__(self, text: bytes, act: Callable[[], None]) -> None:
        self.text, self.act = text, act
        self.sprung = threading.Event()


class _Pair:
    """The two ends of a connection through the proxy."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.held = False

    def close(self) -> None:
        for end in self.client, self.server:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

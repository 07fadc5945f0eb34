"""A proxy in front of a PostgreSQL: cuts its clients off, in the ways that networks do.

Each daemon of a test has its own. It marks its connections by their `application_name`, so that
the server knows who writes; and it can hold up one connection in the middle of a transaction.
"""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from psycopg.conninfo import conninfo_to_dict, make_conninfo

State = Literal["open", "cut", "silent"]

_SOCKET = ".s.PGSQL.5432"
_NAME = b"application_name\0syncd "
_CHUNK = 1 << 16


class StoreProxy:
    """Listens on a Unix socket in a directory, and hands on what comes to the server behind it.

    `cut` breaks every connection and refuses new ones. `silence` accepts whatever comes and hands
    nothing on, in neither direction; what it holds goes on its way when the proxy is `heal`ed, as
    packets do that are sent again.
    """

    def __init__(self, dsn: str, directory: Path, mark: str) -> None:
        assert len(mark) == len("syncd"), "it replaces the name in place"
        self.mark = mark
        server = conninfo_to_dict(dsn)
        self._server = f"{server['host']}/.s.PGSQL.{server.get('port', 5432)}"
        self.dsn = make_conninfo(dsn, host=str(directory), port="5432")
        self._changed = threading.Condition()
        self._state: State = "open"
        self._pairs: set[_Pair] = set()
        self._traps: list[_Trap] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(directory / _SOCKET))
        self._listener.listen(50)
        threading.Thread(target=self._accept, daemon=True).start()

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
        for pair in self._all():
            pair.held = False
        self._become("open")

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
                if self._state == "cut":
                    client.close()
                    continue
                server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                try:
                    server.connect(self._server)
                except OSError:  # the server is away
                    client.close()
                    server.close()
                    continue
                self._join(_Pair(client, server))

    def _join(self, pair: "_Pair") -> None:
        with self._changed:
            self._pairs.add(pair)
        for source, sink in (pair.client, pair.server), (pair.server, pair.client):
            threading.Thread(target=self._pump, args=(pair, source, sink), daemon=True).start()

    def _pump(self, pair: "_Pair", source: socket.socket, sink: socket.socket) -> None:
        """Hand on what one side sends until it closes."""
        name = b"application_name\0" + self.mark.encode() + b" "
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                self._wait_to_pass(pair)
                trap = self._spring(pair, data) if source is pair.client else None
                sink.sendall(data.replace(_NAME, name))
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

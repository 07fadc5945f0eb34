"""Under TLS, too, a call that must be sent once is sent at most once, wherever it is cut.

What is cut in the handshake has not been sent, and is sent again; after it nobody can tell.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from api_server import ApiServer, tls_context
from api_wire import Answer
from http_runs import HttpRuns
from mysql_certificates import Authority
from raw_server import Peer, serving
from thorough import times

_STEP = max(1, 15 // times(1))
_HELLO = 200  # bytes; a ClientHello has more (RFC 8446, 4.1.2)


class Through:
    """Stands before a server; of the next connection it lets so many bytes of the client's pass."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.next: int | None = None
        self.passed = 0

    def __call__(self, peer: Peer) -> None:
        limit, self.next = self.next, None
        with socket.create_connection(("127.0.0.1", self._port)) as server:
            back = threading.Thread(target=self._back, args=(server, peer))
            back.start()
            self._forth(peer, server, limit)
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            back.join()

    def _forth(self, peer: Peer, server: socket.socket, limit: int | None) -> None:
        self.passed = 0
        peer.sock.settimeout(0.05)
        while not peer.over.is_set() and (limit is None or self.passed < limit):
            try:
                data = peer.sock.recv(65_536 if limit is None else limit - self.passed)
                server.sendall(data)
            except TimeoutError:
                continue
            except OSError:
                return
            if not data:
                return
            self.passed += len(data)
        if limit is not None:
            peer.reset()

    @staticmethod
    def _back(server: socket.socket, peer: Peer) -> None:
        with suppress(OSError):
            while data := server.recv(65_536):
                peer.send(data)
        with suppress(OSError):
            peer.sock.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@pytest.fixture
def api(authority: Authority) -> Iterator[ApiServer]:
    """Give a server with TLS."""
    with ApiServer(tls=tls_context(authority.issue("127.0.0.1"))) as server:
        yield server


def test_a_call_that_must_be_sent_once_is_sent_once_wherever_tls_is_cut(
    api: ApiServer, jobs: HttpRuns, authority: Authority
) -> None:
    script = Through(api.port)
    with serving(script) as server:
        base = f"https://127.0.0.1:{server.port}"

        def call(n: int) -> str | None:
            """Make a call that is cut after so many bytes; return how it ended."""
            path = f"/n/{n}"
            api.on(path, Answer())
            jobs.configure(
                {"url": base + path, "idempotency_key": False, "tls_ca": str(authority.file)}
            )
            status, error_class = jobs.ended(jobs.run())
            assert len(api.requests(path)) <= 1
            assert api.effects(path) <= 1
            assert status == "failed" or api.effects(path) == 1
            assert error_class in (None, "outcome_unknown")
            return error_class

        assert call(10_000) is None
        length, ends = script.passed, {}
        assert length > _HELLO
        for n in range(0, length + _STEP, _STEP):
            script.next = n
            ends[n] = call(n)
    assert not any(end for n, end in ends.items() if n < _HELLO)
    assert ends[max(ends)] == "outcome_unknown" or max(ends) > length
    assert "outcome_unknown" in ends.values()

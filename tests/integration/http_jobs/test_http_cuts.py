"""The connection is reset at every byte of the answer and of the request, in turn.

What the server did is told by its own log. A call whose key it honours takes effect once; one that
must be sent once is sent at most once, and its run says that nobody knows where that is so.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from api_faults import cut
from api_server import ApiServer
from api_wire import Answer
from http_runs import HttpRuns
from raw_server import Peer, serving

BODY = {"code": 0, "note": "done"}
_CALLS = 50  # of one run, at most


class CutOff:
    """Stands before a server; of the first connection of a path it lets so many bytes through."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api
        self._left: dict[str, int] = {}
        self.cut = 0

    def at(self, path: str, count: int) -> None:
        self._left[path] = count

    def __call__(self, peer: Peer) -> None:
        data = b""
        while b"\r\n" not in data:
            if not (more := peer.sock.recv(65_536)):
                return
            data += more
        count = self._left.pop(data.split(b" ")[1].decode(), None)
        with socket.create_connection(("127.0.0.1", self._api.port)) as server:
            if count is not None:
                while len(data) < count:
                    data += peer.sock.recv(65_536)
                server.sendall(data[:count])
                self.cut += 1
                peer.reset()
                server.shutdown(socket.SHUT_WR)
                with suppress(OSError):
                    server.recv(65_536)  # until what was whole has taken effect
                return
            server.sendall(data)
            back = threading.Thread(target=self._back, args=(server, peer))
            back.start()
            with suppress(OSError):
                while more := peer.sock.recv(65_536):
                    server.sendall(more)
            back.join()

    @staticmethod
    def _back(server: socket.socket, peer: Peer) -> None:
        """Hand the answer back, and close: the client would keep the connection."""
        with suppress(OSError):
            data = b""
            while not data.endswith(b"}") and (more := server.recv(65_536)):
                data += more
            peer.send(data)
        with suppress(OSError):
            peer.sock.shutdown(socket.SHUT_RDWR)


@contextmanager
def cutting_off(api: ApiServer) -> Iterator[tuple[str, CutOff]]:
    """Give the URL of a server that is cut off, and what says where."""
    script = CutOff(api)
    with serving(script) as server:
        yield f"http://127.0.0.1:{server.port}", script


def keyed(base: str, path: str) -> dict:
    return {"request": {"url": base + path, "body": {"a": 1}}, "expect": {"json": BODY}}


def once(base: str, path: str) -> dict:
    call = keyed(base, path)
    return call | {"request": call["request"] | {"idempotency_key": False}}


def answer_length(api: ApiServer, jobs: HttpRuns, call: dict) -> tuple[int, int]:
    """Return how many bytes request and answer of a call have."""
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        seen.append(peer.request())
        peer.send(Answer(body=BODY).encoded())

    with serving(script) as server:
        jobs.configure(calls=[call(f"http://127.0.0.1:{server.port}", "/n/100")])
        assert jobs.run().run["status"] == "success"
    return len(seen[0]), len(Answer(body=BODY).encoded())


@pytest.mark.parametrize("what", ["answer", "request"])
def test_a_call_whose_key_is_honoured_takes_effect_once_wherever_it_is_cut(
    api: ApiServer, jobs: HttpRuns, what: str
) -> None:
    length = answer_length(api, jobs, keyed)[what == "answer"]
    every = range(length + 1)
    with cutting_off(api) as (url, script):
        for start in range(0, len(every), _CALLS):
            paths = {f"/n/{100 + n}": n for n in every[start : start + _CALLS]}
            for path, n in paths.items():
                api.on(path, Answer(body=BODY))
                if what == "answer":
                    api.fault(path, cut(n), times=1)
                else:
                    script.at(path, n)
            base = api.url if what == "answer" else url
            jobs.configure(calls=[keyed(base, path) for path in paths])
            result = jobs.run()
            assert jobs.ended(result) == ("success", None)
            for path, n in paths.items():
                assert api.effects(path) == 1, n
            tries = [call["tries"] for call in jobs.calls(result)]
            whole = [what == "answer" and n == length for n in paths.values()]
            assert tries == [1 if each else 2 for each in whole]


def sent_once(api: ApiServer, jobs: HttpRuns, url: str, path: str) -> tuple[str | None, int]:
    """Make a call that must be sent once, with all its attempts; return its end and effects."""
    jobs.configure(calls=[once(url, path)])
    result = jobs.run()
    assert len(api.requests(path)) <= 1
    assert jobs.ended(result)[0] in ("success", "failed")
    return jobs.ended(result)[1], api.effects(path)


def test_a_call_that_must_be_sent_once_is_sent_once_wherever_its_answer_is_cut(
    api: ApiServer, jobs: HttpRuns
) -> None:
    _, length = answer_length(api, jobs, once)
    for n in range(length + 1):
        path = f"/n/{100 + n}"
        api.on(path, Answer(body=BODY))
        api.fault(path, cut(n))
        ended = sent_once(api, jobs, api.url, path)
        assert ended == (None if n == length else "outcome_unknown", 1), n


def test_a_call_that_must_be_sent_once_is_sent_once_wherever_it_is_cut(
    api: ApiServer, jobs: HttpRuns
) -> None:
    length, _ = answer_length(api, jobs, once)
    with cutting_off(api) as (url, script):
        for n in range(length + 1):
            path = f"/n/{100 + n}"
            api.on(path, Answer(body=BODY))
            script.at(path, n)
            ended = sent_once(api, jobs, url, path)
            assert ended == ("outcome_unknown", int(n == length)), n
        assert script.cut == length + 1

"""An API with login on the loopback: a real HTTP server that knows what it was asked, and did.

It has tokens, effects that happen once for each key or once for each request, faults on demand
(`api_faults`), TLS if given a context, and a log in which a test can look up what took effect:

    with ApiServer() as api:
        api.fault("/api/effect", cut(10), times=1)
        ... POST api.url + "/api/effect"
        assert api.effects("/api/effect") == 1

POST /login takes {"username", "password"} and gives {"access_token", "expires_in"}; POST
/oauth/token is the client credentials grant (RFC 6749, 4.4). Paths below /api/ demand a valid
token, others none. A POST, PUT, PATCH or DELETE takes effect when it was read; with an
Idempotency-Key that it knows it gives the answer of the first time instead, but at paths that end
in "plain". Answers are {"code": 0, ...} if `on` says nothing else.
"""

import base64
import json
import secrets
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote_plus

from api_faults import Fault
from api_wire import Answer, Counting, Gone, Head, Wire
from raw_server import Peer

LOGINS = ("/login", "/oauth/token")
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
_NO_FAULT = Fault()


@dataclass
class Record:
    """One request, as the log has it; `at` is what the server's clock showed.

    `whole` tells whether its body came wholly, `effect` whether it took effect (of a repeated key
    only the first did), `status` what was answered (None: nothing) and `answer` its body, `length`
    how many bytes both have (None: without an end), `sent` how many of them went out.
    """

    number: int
    at: datetime
    connection: int
    method: str
    target: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    whole: bool = False
    effect: bool = False
    status: int | None = None
    answer: bytes = b""
    length: int | None = None
    sent: int = 0

    @property
    def finished(self) -> bool:
        """Tell whether the whole answer was sent."""
        return self.sent == self.length

    @property
    def key(self) -> str | None:
        return self.headers.get("idempotency-key")

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class _Told:
    """A fault that is to happen so many times; None for always."""

    fault: Fault
    left: int | None


class ApiServer:
    """The server, from `start` (or `with`) until `stop`; settable at any time between two requests.

    `now` is its clock, by which tokens run out. A `log_file` keeps the log and the keys that were
    honoured over restarts, of this object or of another on the same file. `tls` is the context of
    a server: see `tls_context`.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        tls: ssl.SSLContext | None = None,
        log_file: Path | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.user, self.password = "svc", "right"
        self.client_id, self.client_secret = "client", "secret"
        self.token_lifetime = timedelta(hours=1)
        self.new_token: Callable[[], str] = lambda: secrets.token_urlsafe(24)
        self.token_header, self.token_scheme = "Authorization", "Bearer"
        self.log: list[Record] = []
        self.now, self.host, self.port = now, host, 0
        self._tls, self._log_file = tls, log_file
        self._lock = threading.RLock()
        self._tokens: dict[str, datetime] = {}
        self._answers: dict[tuple[str, str], Answer] = {}
        self._faults: dict[str, deque[_Told]] = {}
        self._routes: dict[str, Callable[[Record], Answer]] = {}
        self._resets = self._connections = 0
        if log_file and log_file.exists():
            self._recall(log_file)

    # What a test says and asks

    @property
    def url(self) -> str:
        """The beginning of every URL, without a slash at its end."""
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}"

    @property
    def logins(self) -> int:
        """How many tokens were given out."""
        return sum(r.status == 200 and r.path in LOGINS and r.method == "POST" for r in self.log)

    def requests(self, path: str) -> list[Record]:
        return [record for record in list(self.log) if record.path == path]

    def effects(self, path: str, key: str | None = None) -> int:
        """Return how often a path took effect, at all or with one key."""
        found = [record for record in self.requests(path) if record.effect]
        return len([record for record in found if key is None or record.key == key])

    def on(self, path: str, answer: Answer | Callable[[Record], Answer]) -> None:
        """Answer this at a path, or below one that ends in "/"; effects are as at any other."""
        self._routes[path] = answer if callable(answer) else lambda _: answer

    def fault(self, path: str, fault: Fault, times: int | None = None) -> None:
        """Let a path misbehave, so many times or always; faults of one path come in turn."""
        with self._lock:
            self._faults.setdefault(path, deque()).append(_Told(fault, times))

    def heal(self, path: str | None = None) -> None:
        """Forget the faults of a path, or all."""
        with self._lock:
            self._faults.pop(path, None) if path else self._faults.clear()

    def reset_connections(self, times: int) -> None:
        """Reset the next connections before anything is read of them."""
        with self._lock:
            self._resets = times

    def revoke(self) -> None:
        """Make every token void."""
        with self._lock:
            self._tokens.clear()

    def start(self) -> None:
        """Listen, on the port of before if there was one."""
        self._over, self._peers, self._threads = threading.Event(), set(), []
        self._listener = socket.create_server((self.host, self.port), backlog=512)
        self.port = self._listener.getsockname()[1]
        self._run(self._accept)

    def stop(self) -> None:
        """Close the port and every connection, whatever it is at."""
        self._over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            socks = list(self._peers)
        for sock in socks:
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()

    def restart(self) -> None:
        """Stop and start on the same port; tokens are forgotten, keys and the log are not."""
        self.stop()
        self.revoke()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # Connections

    def _run(self, work: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=work, args=args, name="api-server")
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._connections += 1
                self._run(self._serve, sock, self._connections)

    def _serve(self, sock: socket.socket, number: int) -> None:
        with suppress(OSError), sock:
            if self._is_to_reset():
                Peer(sock, self._over).reset()
                return
            sock.settimeout(60)  # of a client that leaves without a word
            if self._tls:
                sock = self._tls.wrap_socket(sock, True, do_handshake_on_connect=False)
            with sock:
                self._converse(sock, number)

    def _is_to_reset(self) -> bool:
        with self._lock:
            self._resets -= 1
            return self._resets >= 0

    def _converse(self, sock: socket.socket, number: int) -> None:
        """Answer one request after the other, until an end."""
        with self._lock:
            self._peers.add(sock)
        wire = Wire(Peer(sock, self._over))
        try:
            if isinstance(sock, ssl.SSLSocket):
                sock.do_handshake()
            while not self._over.is_set() and (head := wire.head()):
                if not self._answer(wire, head, number):
                    break
        finally:
            with self._lock:
                self._peers.discard(sock)

    def _answer(self, wire: Wire, head: Head, number: int) -> bool:
        """Do what a request asks for; False when its connection is over."""
        record = self._note(head, number)
        fault = self._next_fault(head.path)
        try:
            if fault.unread:
                fault.unread(wire.peer)
            record.body, record.whole = wire.body(head)
            if not record.whole:
                return False
            answer = fault.instead(wire.peer) if fault.instead else self._effect(record)
            answer = fault.changes(answer)
            record.status, record.answer = answer.status, answer.content()
            self._persist(record)  # before anybody can know of it
            return self._send(wire.peer, record, fault, answer)
        except Gone:
            return False
        finally:
            self._persist(record)

    def _send(self, peer: Peer, record: Record, fault: Fault, answer: Answer) -> bool:
        data = answer.encoded()
        if record.method == "HEAD":
            data = data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        record.length = None if answer.pieces else len(data)
        counting = Counting(peer, record)
        fault.sends(counting, data)
        for piece in answer.pieces or ():
            if self._over.is_set():
                return False
            counting.send(piece)
        asked = record.headers.get("connection", "").lower()
        return not (answer.close or answer.pieces or asked == "close")

    # What requests do

    def _effect(self, record: Record) -> Answer:
        """Let a request take effect, if it may and was not here before."""
        if record.path in LOGINS:
            return self._log_in(record)
        with self._lock:
            if record.path.startswith("/api/") and not self._is_valid(record):
                return Answer(401, {"code": 401, "message": "who are you"})
            known = (record.path, record.key or "")
            honoured = bool(record.key) and not record.path.endswith("plain")
            if honoured and known in self._answers:
                return self._answers[known]
            answer = self._route(record.path)(record)
            record.effect = record.method in UNSAFE and answer.status < 400
            if honoured and record.effect:
                self._answers[known] = answer
            return answer

    def _route(self, path: str) -> Callable[[Record], Answer]:
        above = path.rpartition("/")[0] + "/"
        return self._routes.get(path) or self._routes.get(above) or self._ordinary

    def _ordinary(self, record: Record) -> Answer:
        return Answer(body={"code": 0, "path": record.path, "number": record.number})

    def _is_valid(self, record: Record) -> bool:
        value = record.headers.get(self.token_header.lower(), "")
        token = value.removeprefix(f"{self.token_scheme} " if self.token_scheme else "")
        return self._tokens.get(token, datetime.min.replace(tzinfo=UTC)) > self.now()

    def _log_in(self, record: Record) -> Answer:
        """Give out a token to whoever knows the password."""
        known = self._knows_password(record) if record.path == "/login" else self._is_client(record)
        if record.method != "POST" or not known:
            return Answer(401, {"code": 401, "error": "invalid_client"})
        with self._lock:
            token = self.new_token()
            self._tokens[token] = self.now() + self.token_lifetime
        seconds = int(self.token_lifetime.total_seconds())
        body = {"code": 0, "access_token": token, "token_type": "Bearer", "expires_in": seconds}
        return Answer(body=body)

    def _knows_password(self, record: Record) -> bool:
        with suppress(ValueError):
            given = record.json
            if not isinstance(given, dict):
                return False
            return (given.get("username"), given.get("password")) == (self.user, self.password)
        return False

    def _is_client(self, record: Record) -> bool:
        form = dict(parse_qsl(record.body.decode()))
        given = (form.get("client_id"), form.get("client_secret"))
        if (value := record.headers.get("authorization", "")).startswith("Basic "):
            pair = base64.b64decode(value[6:]).decode().split(":", 1)
            given = unquote_plus(pair[0]), unquote_plus(pair[-1])  # RFC 6749, 2.3.1
        expected = (self.client_id, self.client_secret)
        return form.get("grant_type") == "client_credentials" and given == expected

    def _next_fault(self, path: str) -> Fault:
        with self._lock:
            waiting = self._faults.get(path)
            if not waiting:
                return _NO_FAULT
            told = waiting[0]
            if told.left is not None:
                told.left -= 1
                if told.left <= 0:
                    waiting.popleft()
            return told.fault

    # The log

    def _note(self, head: Head, connection: int) -> Record:
        with self._lock:
            record = Record(
                len(self.log) + 1, self.now(), connection, head.method, head.target, head.path,
                dict(head.headers),
            )  # fmt: skip
            self.log.append(record)
        return record

    def _persist(self, record: Record) -> None:
        if self._log_file:
            values = vars(record) | {
                "at": record.at.isoformat(),
                "body": record.body.decode("latin-1"),
                "answer": record.answer.decode("latin-1"),
            }
            with self._lock, self._log_file.open("a") as file:
                file.write(json.dumps(values) + "\n")

    def _recall(self, file: Path) -> None:
        """Read the log; a key that took effect is answered as an ordinary request is."""
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        for values in {row["number"]: row for row in rows}.values():
            values |= {
                "at": datetime.fromisoformat(values["at"]),
                "body": values["body"].encode("latin-1"),
                "answer": values["answer"].encode("latin-1"),
            }
            record = Record(**values)
            self.log.append(record)
            if record.effect and record.key:
                self._answers[record.path, record.key] = self._ordinary(record)


def tls_context(files: tuple[Path, Path], client_ca: Path | None = None) -> ssl.SSLContext:
    """Return the context of a server: certificate and key, and whose clients may come alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context

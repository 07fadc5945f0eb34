"""An API with login, as companies have them: calls bring statistics up to date.

It gives out tokens that live shortly, does a call with an Idempotency-Key once, answers 200 even
where it failed, and misbehaves when it is told to. What is told to its webhook it keeps.
"""

import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Final, Literal, Self

from syncd.demo.emulator.delivery import Reset
from syncd.demo.emulator.faults import Hits
from syncd.demo.emulator.server import Server
from syncd.demo.emulator.wire import Answer, Request

USER: Final = "svc-statistics"
PASSWORD: Final = "emulated-password"  # noqa: S105 - of the emulator alone
HOOK: Final = "/hooks/oncall"
SYNC: Final = "/api/v1/statistics/sync/"
TASKS: Final = "/api/v1/statistics/tasks/"
SLOW: Final = "quarterly"
"""The statistics that take a while: answered 202, and to be asked for."""

Trouble = Literal["busy", "refuses", "loses"]
"""Throttles with Retry-After; answers 200 with an error inside; does it, and breaks off."""

_NO_HITS: Final = Hits(())
_LOOKS: Final = 2  # at a task until it is done
_KEYS: Final = 1000  # that are remembered


class StatisticsApi:
    """Serves the API on a loopback port, in the `with` block; tokens live `lifetime` seconds."""

    def __init__(self, lifetime: float = 20.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.told: SimpleQueue[dict[str, Any]] = SimpleQueue()
        """What came to the webhook."""
        self.effects: Counter[str] = Counter()
        """How often each of the statistics was brought up to date."""
        self.logins = 0
        self._lifetime, self._clock = lifetime, clock
        self._lock = threading.Lock()
        self._tokens: dict[str, float] = {}
        self._answers: dict[tuple[str, str], Answer] = {}
        self._tasks: Counter[str] = Counter()
        self._trouble: dict[str, tuple[Trouble, int]] = {}
        self._server = Server(0, lambda request: (self._answer(request), _NO_HITS))
        self._thread = threading.Thread(target=self._serve, name="emulator-statistics")

    @property
    def url(self) -> str:
        """The address, without a slash at its end."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def trouble(self, period: str, kind: Trouble, times: int) -> None:
        """Misbehave at so many calls for one of the statistics."""
        with self._lock:
            self._trouble[period] = kind, times

    def forget_tokens(self) -> None:
        """Make every token void, as a restart does."""
        with self._lock:
            self._tokens.clear()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.close_all()
        self._server.server_close()

    def _serve(self) -> None:
        self._server.serve_forever(poll_interval=0.02)

    def _answer(self, request: Request) -> Answer:
        if request.path == HOOK:
            self.told.put(_table(request))
            return _json({})
        with self._lock:
            if request.path == "/login":
                return self._log_in(request)
            if not self._is_known(request):
                return _json({"code": 401, "message": "who are you"}, 401)
            if request.path.startswith(TASKS):
                return self._task(request.path)
            if request.method == "POST" and request.path.startswith(SYNC):
                return self._sync(request, request.path.removeprefix(SYNC))
        return _json({"code": 404, "message": "no such endpoint"}, 404)

    def _log_in(self, request: Request) -> Answer:
        given = _table(request)
        if (given.get("username"), given.get("password")) != (USER, PASSWORD):
            return _json({"code": 401, "message": "wrong user or password"}, 401)
        token = secrets.token_urlsafe(24)
        now = self._clock()
        self._tokens = {each: end for each, end in self._tokens.items() if end > now}
        self._tokens[token] = now + self._lifetime
        self.logins += 1
        return _json({"code": 0, "access_token": token, "expires_in": int(self._lifetime)})

    def _is_known(self, request: Request) -> bool:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        return self._tokens.get(token, 0.0) > self._clock()

    def _sync(self, request: Request, period: str) -> Answer:
        """Bring statistics up to date, or misbehave; a key that is known is answered as before."""
        key = (period, request.headers.get("idempotency-key", ""))
        if key in self._answers:
            return self._answers[key]
        kind = self._next_trouble(period)
        if kind == "busy":
            return _json({"code": 503}, 503, {"Retry-After": "2"})
        if kind == "refuses":
            return _json({"code": 1, "message": f"the {period} statistics are locked"})
        self.effects[period] += 1
        answer = _json({"code": 0, "rows": 20 + self.effects[period] % 7})
        if period == SLOW:
            task = f"{TASKS}{self.effects[period]}"
            answer = _json({"code": 0, "state": "queued"}, 202, {"Location": task})
        if key[1]:
            self._answers[key] = answer
            for old in list(self._answers)[:-_KEYS]:
                del self._answers[old]
        if kind == "loses":
            raise Reset
        return answer

    def _next_trouble(self, period: str) -> Trouble | None:
        kind, left = self._trouble.get(period, (None, 0))
        if kind is None or left < 1:
            return None
        self._trouble[period] = kind, left - 1
        return kind

    def _task(self, path: str) -> Answer:
        self._tasks[path] += 1
        done = self._tasks[path] > _LOOKS
        return _json({"code": 0, "state": "done" if done else "running"})


def _table(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request, an empty one where there is none."""
    try:
        found = json.loads(request.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _json(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, json.dumps(body).encode(), date=time.time(), headers=headers or {})

"""Requests sent in tests as a job sends them: composed, exchanged, with what is known of them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from syncd.calls.base import Answer, Composed, Credential, Times
from syncd.calls.clients import Clients
from syncd.calls.compose import compose
from syncd.calls.exchange import Limits, exchange
from syncd.config.http import Request
from syncd.context import CancelSource, CancelToken, Deadline
from syncd.http_call import Trace

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KEY = "0198a000-run"


def composed(values: Mapping[str, str] | None = None, /, **keys: Any) -> Composed:
    """Compose a request of these keys."""
    return compose(Request(**keys), values or {}, key=KEY, now=NOW)


def answer(body: bytes = b"", status: int = 200, total: float = 0.1, **headers: str) -> Answer:
    """Return an answer as if it had come: `content_type="text/html"` is a header."""
    named = {name.replace("_", "-").title(): value for name, value in headers.items()}
    times = Times(0.0, 0.0, total)
    return Answer(status, named, body, cut=False, url="http://api.example/", times=times)


class Sender:
    """Sends requests; `trace` is that of the last one."""

    def __init__(self, *allow_hosts: str, seconds: float = 10.0) -> None:
        self.clients, self.allow_hosts, self.seconds = Clients(), allow_hosts, seconds
        self.trace = Trace()

    def send(
        self, request: Composed, credential: Credential | None = None,
        cancel: CancelToken | None = None,
    ) -> Answer:  # fmt: skip
        self.trace = Trace()
        limits = Limits(Deadline.after(60), cancel or CancelSource().token, self.seconds)
        return exchange(self.clients, request, credential, limits, self.allow_hosts, self.trace)

    def __call__(self, url: str, **keys: Any) -> Answer:
        return self.send(composed(url=url, **keys))


@contextmanager
def sending(*allow_hosts: str, seconds: float = 10.0) -> Iterator[Sender]:
    """Have what sends requests, to these hosts alone if any are named."""
    sender = Sender(*allow_hosts, seconds=seconds)
    try:
        yield sender
    finally:
        sender.clients.close()

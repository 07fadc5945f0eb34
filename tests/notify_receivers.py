"""Receivers of notifications, on the loopback, that check and answer as the real ones do.

Signatures are checked by another library than ours, from the words of the services' pages.
"""

import base64
import json
import ssl
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC
from raw_server import Peer, serving

from syncd.config.notify import Channel, parse_channel
from syncd.context import CancelSource, Deadline
from syncd.errors import SyncdError
from syncd.telemetry.notify.base import Notice, Sender
from syncd.telemetry.notify.registry import build

TOKEN = "f00dfacef00dfacef00dface"
SECRET = "SEC5ca1ab1e-not-to-be-told"
HOSTILE = (
    'job "x" <!channel> <@all> @all @everyone [pay](https://evil.example) **b** `c` <font'
    " color=red> & &lt;b&gt; # h\n> quote\r\n\x1b[31mred\u202e\0 \N{PILE OF POO}"
)
Answer = tuple[int, Mapping[str, str], bytes]


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        return {name: each[0] for name, each in parse_qs(urlsplit(self.target).query).items()}

    @property
    def document(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class Receiver:
    """Answers each request by a function, and remembers it."""

    judge: Callable[[Received], Answer]
    received: list[Received] = field(default_factory=list)
    url: str = ""

    def __call__(self, peer: Peer) -> None:
        head, _, body = peer.request().partition(b"\r\n\r\n")
        line, *rest = head.decode().split("\r\n")
        method, target, _ = line.split(" ")
        headers = {n.lower(): v for n, v in (each.split(": ", 1) for each in rest)}
        request = Received(method, target, headers, body)
        self.received.append(request)
        status, extra, content = self.judge(request)
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in extra.items()]
        peer.send("\r\n".join([*lines, "", ""]).encode() + content)

    @property
    def last(self) -> Received:
        return self.received[-1]


@contextmanager
def receiving(
    judge: Callable[[Received], Answer], path: str = "/", tls: ssl.SSLContext | None = None
) -> Iterator[Receiver]:
    """Give a receiver; its URL ends with `path`."""
    receiver = Receiver(judge)
    with serving(receiver, tls) as server:
        host = "localhost" if tls else "127.0.0.1"
        receiver.url = f"{'https' if tls else 'http'}://{host}:{server.port}{path}"
        yield receiver


def mac(key: bytes, message: bytes) -> bytes:
    """Return the HMAC-SHA256 of a message, of OpenSSL."""
    made = HMAC(key, hashes.SHA256())
    made.update(message)
    return made.finalize()


def as_json(document: object, status: int = 200) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(document).encode()


def dingtalk(request: Received) -> Answer:
    """Answer as a robot of DingTalk whose safety setting is a signature."""
    query = request.query
    if query.get("access_token") != TOKEN:
        return as_json({"errcode": 300001, "errmsg": "token is not exist"})
    if abs(time.time() * 1000 - int(query.get("timestamp", "0"))) > 3_600_000:
        return as_json({"errcode": 310000, "errmsg": "invalid timestamp"})
    signed = f"{query['timestamp']}\n{SECRET}".encode()
    if base64.b64decode(query["sign"]) != mac(SECRET.encode(), signed):
        return as_json({"errcode": 310000, "errmsg": f"sign not match: {query['sign']}"})
    told = request.document["markdown"]
    if request.document["msgtype"] != "markdown" or not told["title"] or not told["text"]:
        return as_json({"errcode": 40035, "errmsg": "缺少参数 json"})
    return as_json({"errcode": 0, "errmsg": "ok"})


def feishu(request: Received) -> Answer:
    """Answer as a robot of Feishu whose safety setting is a signature."""
    if not request.target.endswith(TOKEN):
        return as_json({"code": 19001, "msg": "param invalid: incoming webhook access token"})
    document = request.document
    seconds = int(document.get("timestamp", "0"))
    key = f"{seconds}\n{SECRET}".encode()
    fresh = abs(time.time() - seconds) < 3600
    if not fresh or base64.b64decode(document["sign"]) != mac(key, b""):
        return as_json(
            {"code": 19021, "msg": "sign match fail or timestamp is not within one hour"}
        )
    if document["msg_type"] != "interactive" or len(request.body) > 20_000:
        return as_json({"code": 9499, "msg": "Bad Request", "data": {}}, 400)
    return as_json({"StatusCode": 0, "StatusMessage": "success", "code": 0, "msg": "success"})


def wecom(request: Received) -> Answer:
    """Answer as a robot of WeCom."""
    if request.query.get("key") != TOKEN:
        return as_json({"errcode": 93000, "errmsg": "invalid webhook url, from ip: 10.0.0.1"})
    if len(request.document["markdown"]["content"].encode()) > 4096:
        return as_json({"errcode": 40058, "errmsg": "markdown.content exceed max length 4096"})
    return as_json({"errcode": 0, "errmsg": "ok"})


def slack(request: Received) -> Answer:
    """Answer as Slack."""
    plain = {"Content-Type": "text/html"}
    if not request.target.endswith(TOKEN):
        return 403, plain, b"invalid_token"
    blocks = {block["type"]: block["text"]["text"] for block in request.document["blocks"]}
    if len(blocks["header"]) > 150 or not 1 <= len(blocks["section"]) <= 3000:
        return 400, plain, b"invalid_blocks"
    return 200, plain, b"ok"


def webhook(request: Received) -> Answer:
    """Answer as an endpoint that checks the signature of its sender."""
    version, _, told = request.headers["x-syncd-signature"].partition("=")
    made = HMAC(SECRET.encode(), hashes.SHA256())
    made.update(request.headers["x-syncd-timestamp"].encode() + b"." + request.body)
    try:
        made.verify(bytes.fromhex(told))
    except InvalidSignature:
        return 401, {}, b"who are you?"
    fresh = abs(time.time() - int(request.headers["x-syncd-timestamp"])) < 300
    return (204 if version == "v1" and fresh else 401), {}, b""


SERVICES: Mapping[str, tuple[Callable[[Received], Answer], str]] = {
    "dingtalk": (dingtalk, f"/robot/send?access_token={TOKEN}"),
    "feishu": (feishu, f"/open-apis/bot/v2/hook/{TOKEN}"),
    "wecom": (wecom, f"/cgi-bin/webhook/send?key={TOKEN}"),
    "slack": (slack, f"/services/T0/B0/{TOKEN}"),
    "webhook": (webhook, f"/hooks/{TOKEN}"),
}
"""By the kind of a channel: how its service answers, and where."""
SIGNED = ("dingtalk", "feishu", "webhook")


def channel(kind: str, url: str, **keys: object) -> Channel:
    """Return the configuration of a channel over HTTP."""
    keys = {"timeout": "5s"} | keys
    if kind in SIGNED:
        keys = {"secret": SECRET} | keys
    return parse_channel({"channel": kind, "url": url} | keys)


def sender(kind: str, url: str, **keys: object) -> Sender:
    """Return what sends to a channel over HTTP."""
    return build("oncall", channel(kind, url, **keys))


def notice(**changed: Any) -> Notice:
    """Return a notice of a job that failed."""
    facts = (
        ("outcome", "failed"),
        ("class", "network"),
        ("times", 3),
        ("since", "2026-03-01T12:00:00+00:00"),
        ("counts", {"added": 1, "updated": 0}),
        ("error", "no connection: Connection refused"),
        ("duration_seconds", 200.0),
    )
    return Notice(**{
        "id": "0195-1", "event": "failed", "key": "job hosts", "job": "hosts", "host": "db1",
        "title": "job hosts failed 3 times", "facts": facts, "look": "syncd show 0195",
        "at": datetime(2026, 3, 1, 12, 5, tzinfo=UTC), "severity": "critical",
    } | changed)  # fmt: skip


def hostile() -> Notice:
    """Return a notice in which nothing can be trusted, and all is long."""
    name = ("\N{PILE OF POO}" + HOSTILE)[:128]
    facts = (("error", HOSTILE * 20), (HOSTILE, HOSTILE), ("counts", {HOSTILE: 7}))
    return notice(id=HOSTILE, key=name, job=name, title=HOSTILE * 5, host=name, facts=facts)


def send(to: Sender, what: Notice | None = None, seconds: float = 10.0) -> None:
    """Send a notice."""
    to.send(what or notice(), Deadline.after(seconds), CancelSource().token)


def refusal(to: Sender, seconds: float = 10.0) -> SyncdError:
    """Return the error of a message that is not taken; nothing in it tells a secret."""
    with pytest.raises(SyncdError) as raised:
        send(to, seconds=seconds)
    told, error = "".join(traceback.format_exception(raised.value)), raised.value
    while error is not None:
        told, error = told + repr(error), error.__cause__ or error.__context__
    assert not [each for each in (SECRET, TOKEN) if each in told]
    return raised.value

"""How channels are told over HTTP: one request, and what its answer means.

The URL of a channel lets anybody write there, so it is a secret: no error tells its path or query,
nor does what a service says of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from syncd.config import secrets
from syncd.config.notify import HttpChannel
from syncd.context import CancelToken, Deadline
from syncd.errors import (
    Authentication,
    BadData,
    ConfigurationError,
    Network,
    Permission,
    SyncdError,
    Throttled,
    Unexpected,
)
from syncd.http_client import HttpClient, Response
from syncd.http_tls import TlsFiles
from syncd.telemetry.masking import Masker
from syncd.telemetry.notify.text import cut, one_line

LONGEST_WAIT: Final = 86_400.0  # seconds that a service may ask for
_MOST_READ: Final = 64 * 2**10  # bytes of an answer
_SHOWN: Final = 200  # characters of an answer
_SECRET_PART: Final = 12  # characters of a part of a URL that is taken for a secret


@dataclass(frozen=True, slots=True)
class Code:
    """What a service's code of an error means; `wait` is in seconds, for a Throttled."""

    kind: type[SyncdError]
    meaning: str
    wait: float | None = None


def address(channel: HttpChannel) -> str:
    """Read the URL of a channel; raises ConfigurationError, without telling it."""
    url = secrets.resolve(channel.url).get_secret_value()
    if not _is_address(url):
        raise ConfigurationError(f"url: {channel.url} holds no URL such as https://host/path")
    parts = urlsplit(url)
    inside = [*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query))]
    for each in inside:
        if len(each) >= _SECRET_PART:
            secrets.remember(each)
    return url


def post(
    channel: HttpChannel,
    url: str,
    body: bytes,
    deadline: Deadline,
    cancel: CancelToken,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Send JSON to a channel and return what it answers; redirects are not followed.

    Raises what `HttpClient.request` does; TimedOut after the channel's own time limit, too.
    """
    return _ask(channel, url, body, _with_type(headers or {}), deadline, cancel)


def probe(channel: HttpChannel, deadline: Deadline, cancel: CancelToken) -> int:
    """Ask the host of a channel for its first page, and return the status; nothing is sent.

    Raises ConfigurationError, Network, TimedOut, the token's error when cancelled.
    """
    parts = urlsplit(address(channel))
    return _ask(channel, f"{parts.scheme}://{parts.netloc}/", None, {}, deadline, cancel).status


def _ask(
    channel: HttpChannel,
    url: str,
    body: bytes | None,
    headers: Mapping[str, str],
    deadline: Deadline,
    cancel: CancelToken,
) -> Response:
    client = HttpClient(channel.proxy, TlsFiles(ca=channel.tls_ca))
    try:
        return client.request(
            "GET" if body is None else "POST",
            url,
            headers=headers,
            body=body,
            deadline=deadline.sooner(channel.timeout.total_seconds()),
            cancel=cancel,
            limit=_MOST_READ,
        )
    except SyncdError as error:
        if cancel.is_set():
            raise
        failure = type(error)(_without(url, str(error)))
    finally:
        client.close()
    raise failure  # outside, so that the library's error, which may quote the URL, is not chained


def encoded(document: object) -> bytes:
    """Return a document as JSON, in UTF-8."""
    return msgspec.json.encode(document)


def decoded(response: Response, what: str) -> dict[str, Any]:
    """Return the object that was answered; raises BadData for what is none.

    A page of something in between is worth another try later.
    """
    try:
        document = msgspec.json.decode(response.body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise BadData(f"{what} answers what is no JSON object: {shown(response)}")
    return document


def check_status(response: Response, what: str) -> None:
    """Raise what an HTTP status stands for, but for 2xx (RFC 9110, 15)."""
    status, told = response.status, f"{what} answers {response.status}: {shown(response)}"
    if 200 <= status < 300:
        return
    wait = retry_after(response)
    if status == 429 or (status == 503 and wait is not None):
        raise Throttled(told, wait)
    if status >= 500 or status in (408, 425):
        raise Network(told)
    if 300 <= status < 400:
        raise Unexpected(f"{what} answers {status}: a redirect, which is not followed")
    raise {401: Authentication, 403: Permission}.get(status, Unexpected)(told)


def check_code(what: str, code: object, message: object, codes: Mapping[int, Code]) -> None:
    """Raise what a code inside an answer stands for; 0 is success."""
    if code == 0:
        return
    known = codes.get(code) if isinstance(code, int) else None
    told = _masked(f"{what} answers {one_line(str(code))}: {one_line(str(message))}")
    if known is None:
        raise Unexpected(cut(told, _SHOWN))
    told = f"{cut(told, _SHOWN)} ({known.meaning})"
    raise Throttled(told, known.wait) if known.kind is Throttled else known.kind(told)


def retry_after(response: Response) -> float | None:
    """Return the seconds of a Retry-After header in either form (RFC 9110, 10.2.3), or None."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:9]), LONGEST_WAIT))
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    seconds = (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), LONGEST_WAIT)


def shown(response: Response) -> str:
    """Return the beginning of an answer's body as it may be told."""
    text = one_line(response.body[: 4 * _SHOWN].decode(errors="replace"))
    return cut(_masked(text), _SHOWN) or "(nothing)"


def _with_type(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers with the type of the body, unless they say it themselves."""
    if any(name.lower() == "content-type" for name in headers):
        return dict(headers)
    return {"Content-Type": "application/json; charset=utf-8", **headers}


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises when it is no port
    except ValueError:
        return False
    plain = url.isprintable() and " " not in url and not parts.username and not parts.password
    return plain and parts.scheme in ("https", "http") and bool(parts.hostname)


def _without(url: str, text: str) -> str:
    """Return an error's text without the path of a URL."""
    parts = urlsplit(url)
    for path in (parts.path, unquote(parts.path)):
        text = text.replace(f"{parts.netloc}{path}", parts.netloc) if len(path) > 1 else text
    return _masked(text)


_masked: Final = Masker(secrets.known)

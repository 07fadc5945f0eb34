"""Endpoints of one's own: everything that is known of a notice, as JSON, signed.

docs/notifications.md has the fields and how a receiver checks the signature.
"""

import hashlib
import hmac
import time
from typing import Any, Final

from syncd.config import secrets
from syncd.config.notify import Webhook
from syncd.config.secrets import Secret
from syncd.context import CancelToken, Deadline
from syncd.errors import ConfigurationError
from syncd.telemetry.notify import posting
from syncd.telemetry.notify.base import Notice
from syncd.telemetry.notify.text import plain

DELIVERY: Final = "X-Syncd-Delivery"
TIMESTAMP: Final = "X-Syncd-Timestamp"
SIGNATURE: Final = "X-Syncd-Signature"
_WHAT: Final = "the endpoint"


class WebhookSender:
    """Sends documents to one endpoint, any 2xx of which is a success."""

    def __init__(self, channel: Webhook) -> None:
        self._channel = channel

    def send(self, notice: Notice, deadline: Deadline, cancel: CancelToken) -> None:
        """Send a notice."""
        channel = self._channel
        url, body = posting.address(channel), posting.encoded(document(notice))
        headers = {name: _header(name, each) for name, each in channel.headers.items()}
        ours = {DELIVERY: _printable(notice.id), TIMESTAMP: str(int(time.time()))}
        if channel.secret:
            secret = secrets.resolve(channel.secret).get_secret_value()
            ours[SIGNATURE] = signature(secret, ours[TIMESTAMP], body)
        mine = {name.lower() for name in (DELIVERY, TIMESTAMP, SIGNATURE)}
        headers = {name: each for name, each in headers.items() if name.lower() not in mine}
        response = posting.post(channel, url, body, deadline, cancel, headers | ours)
        posting.check_status(response, _WHAT)


def document(notice: Notice) -> dict[str, Any]:
    """Return what is sent: the notice, the facts by their names, and all of it in words."""
    return notice.to_json() | {"facts": dict(notice.facts), "text": plain(notice)}


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return the header that proves who sent a body, and when."""
    signed = timestamp.encode() + b"." + body
    return f"v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


def _header(name: str, value: str | Secret) -> str:
    """Return the value of a header; raises ConfigurationError for what no header can hold."""
    text = value if isinstance(value, str) else secrets.resolve(value).get_secret_value()
    if not (text.isascii() and text.isprintable()):
        raise ConfigurationError(f"headers.{name} holds what a header can't: see its characters")
    return text


def _printable(text: str) -> str:
    return "".join(each if "!" <= each <= "~" else "?" for each in text[:200])

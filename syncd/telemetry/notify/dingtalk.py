"""Robots of DingTalk groups.

https://open.dingtalk.com/document/robots/custom-robot-access (address, signature, messages, 20
messages in a minute, after which it refuses them for ten) and
https://open.dingtalk.com/document/orgapp/robot-error-code (codes).
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from syncd.config import secrets
from syncd.config.notify import DingTalk
from syncd.context import CancelToken, Deadline
from syncd.errors import Authentication, Network, Permission, Throttled, Unexpected
from syncd.telemetry.notify import posting
from syncd.telemetry.notify.base import Notice
from syncd.telemetry.notify.markup import harmless
from syncd.telemetry.notify.posting import Code
from syncd.telemetry.notify.text import fitted, headline, lines

_WHAT: Final = "DingTalk"
_TITLE: Final = 64  # characters, shown in the list of chats
_TEXT: Final = 5_000  # bytes
_PAUSE: Final = 600.0  # seconds

CODES: Final[Mapping[int, Code]] = {
    -1: Code(Network, "the service is busy"),
    130101: Code(Throttled, "more than 20 messages in a minute", _PAUSE),
    410100: Code(Throttled, "more than 20 messages in a minute", _PAUSE),
    300001: Code(Authentication, "the token in the URL is not valid"),
    310000: Code(
        Authentication,
        "its safety settings: see secret, words, addresses, and this machine's clock",
    ),
    400013: Code(Unexpected, "the group is dissolved"),
    400101: Code(Authentication, "the token in the URL is not valid"),
    400102: Code(Permission, "the robot is stopped"),
    400106: Code(Authentication, "the robot does not exist any more"),
    430101: Code(Unexpected, "it holds a link that is not allowed"),
    430102: Code(Unexpected, "it holds words that are not allowed"),
    430104: Code(Unexpected, "its content is not allowed"),
}


class DingTalkSender:
    """Sends Markdown to one group."""

    def __init__(self, channel: DingTalk) -> None:
        self._channel = channel

    def send(self, notice: Notice, deadline: Deadline, cancel: CancelToken) -> None:
        """Send a notice."""
        url = posting.address(self._channel)
        if self._channel.secret:
            secret = secrets.resolve(self._channel.secret).get_secret_value()
            url = signed(url, secret, round(time.time() * 1000))
        body = posting.encoded(message(notice))
        response = posting.post(self._channel, url, body, deadline, cancel)
        posting.check_status(response, _WHAT)
        told = posting.decoded(response, _WHAT)
        posting.check_code(_WHAT, told.get("errcode"), told.get("errmsg"), CODES)


def signed(url: str, secret: str, milliseconds: int) -> str:
    """Return a URL with time and signature; both are taken for an hour."""
    text = f"{milliseconds}\n{secret}".encode()
    signature = base64.b64encode(hmac.digest(secret.encode(), text, hashlib.sha256)).decode()
    query = urlencode({"timestamp": milliseconds, "sign": signature})
    return f"{url}{'&' if '?' in url else '?'}{query}"


def message(notice: Notice) -> dict[str, object]:
    """Return the document of a message, which mentions nobody."""

    def markdown(most: int) -> str:
        told = [f"- **{harmless(label)}**: {harmless(text)}" for label, text in lines(notice, most)]
        return "\n".join([f"#### {harmless(headline(notice))}", "", *told])

    return {
        "msgtype": "markdown",
        "markdown": {
            "title": harmless(headline(notice, _TITLE)),
            "text": fitted(_TEXT, markdown),
        },
        "at": {"isAtAll": False},
    }

"""Robots of Feishu (Lark) groups.

https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot (address, signature, codes, 20 KB
a request, 100 messages in a minute and 5 in a second). Cards of plain text: there nothing is taken
for markup or for a mention.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import Any, Final

from syncd.config import secrets
from syncd.config.notify import Feishu
from syncd.context import CancelToken, Deadline
from syncd.errors import Authentication, Permission, Throttled, Unexpected
from syncd.http_client import Response
from syncd.telemetry.notify import posting
from syncd.telemetry.notify.base import Notice, Severity
from syncd.telemetry.notify.posting import Code
from syncd.telemetry.notify.text import fitted, headline, lines

_WHAT: Final = "Feishu"
_TEXT: Final = 8_000  # bytes: within 20 KB even if each is escaped
_COLOURS: Final[Mapping[Severity, str]] = {"info": "green", "warning": "orange", "critical": "red"}

CODES: Final[Mapping[int, Code]] = {
    9499: Code(Unexpected, "it does not understand the message"),
    11232: Code(Throttled, "it takes no more messages just now", 60.0),
    19001: Code(Authentication, "the token in the URL is not valid"),
    19021: Code(Authentication, "the signature does not fit, or this machine's clock is wrong"),
    19022: Code(Permission, "the robot does not take messages from this address"),
    19024: Code(Permission, "the message has none of the words that the robot asks for"),
    99991400: Code(Throttled, "it takes no more messages just now", 60.0),
}


class FeishuSender:
    """Sends cards to one group."""

    def __init__(self, channel: Feishu) -> None:
        self._channel = channel

    def send(self, notice: Notice, deadline: Deadline, cancel: CancelToken) -> None:
        """Send a notice."""
        url, document = posting.address(self._channel), message(notice)
        if self._channel.secret:
            secret = secrets.resolve(self._channel.secret).get_secret_value()
            document |= signature(secret, int(time.time()))
        body = posting.encoded(document)
        _check(posting.post(self._channel, url, body, deadline, cancel))


def signature(secret: str, seconds: int) -> dict[str, str]:
    """Return the fields that sign a message: the key is time and secret, what is signed nothing."""
    digest = hmac.digest(f"{seconds}\n{secret}".encode(), b"", hashlib.sha256)
    return {"timestamp": str(seconds), "sign": base64.b64encode(digest).decode()}


def message(notice: Notice) -> dict[str, object]:
    """Return the document of a message."""

    def plain(most: int) -> str:
        return "\n".join(f"{label}: {text}" for label, text in lines(notice, most))

    return {
        "msg_type": "interactive",
        "card": {
            "config": {"wide_screen_mode": True},
            "header": {
                "template": _COLOURS[notice.severity],
                "title": _plain_text(headline(notice)),
            },
            "elements": [{"tag": "div", "text": _plain_text(fitted(_TEXT, plain))}],
        },
    }


def _plain_text(text: str) -> dict[str, str]:
    return {"tag": "plain_text", "content": text}


def _check(response: Response) -> None:
    """Raise what an answer stands for; a code tells more than the status that it comes with."""
    told: dict[str, Any] = {}
    if response.status in (200, 400):
        told = posting.decoded(response, _WHAT)
    if "code" not in told:
        posting.check_status(response, _WHAT)
    # robots of long ago answer StatusCode alone
    code = told.get("code", told.get("StatusCode"))
    posting.check_code(_WHAT, code, told.get("msg", told.get("StatusMessage")), CODES)

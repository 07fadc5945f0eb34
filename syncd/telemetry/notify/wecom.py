"""Robots of WeCom groups.

https://developer.work.weixin.qq.com/document/path/91770 (address, Markdown of at most 4096 bytes,
20 messages in a minute) and https://developer.work.weixin.qq.com/document/path/90313 (codes).
"""

from collections.abc import Mapping
from typing import Final

from syncd.config.notify import WeCom
from syncd.context import CancelToken, Deadline
from syncd.errors import Authentication, Network, Permission, Throttled, Unexpected
from syncd.telemetry.notify import posting
from syncd.telemetry.notify.base import Notice, Severity
from syncd.telemetry.notify.markup import harmless
from syncd.telemetry.notify.posting import Code
from syncd.telemetry.notify.text import fitted, headline, lines

_WHAT: Final = "WeCom"
_TEXT: Final = 4_096  # bytes
_COLOURS: Final[Mapping[Severity, str]] = {
    "info": "info", "warning": "warning", "critical": "warning",
}  # fmt: skip
"""It knows green, grey (comment) and orange."""

CODES: Final[Mapping[int, Code]] = {
    -1: Code(Network, "the service is busy"),
    40008: Code(Unexpected, "it does not understand the message"),
    40058: Code(Unexpected, "it does not understand the message"),
    44004: Code(Unexpected, "the message is empty"),
    45002: Code(Unexpected, "the message is too long"),
    45009: Code(Throttled, "more than 20 messages in a minute", 60.0),
    45033: Code(Throttled, "too many calls at once", 10.0),
    60020: Code(Permission, "the robot does not take messages from this address"),
    93000: Code(Authentication, "the key in the URL is not valid"),
    93004: Code(Permission, "the robot is stopped"),
    93008: Code(Permission, "the robot is not in the group any more"),
}


class WeComSender:
    """Sends Markdown to one group."""

    def __init__(self, channel: WeCom) -> None:
        self._channel = channel

    def send(self, notice: Notice, deadline: Deadline, cancel: CancelToken) -> None:
        """Send a notice."""
        url, body = posting.address(self._channel), posting.encoded(message(notice))
        response = posting.post(self._channel, url, body, deadline, cancel)
        posting.check_status(response, _WHAT)
        told = posting.decoded(response, _WHAT)
        posting.check_code(_WHAT, told.get("errcode"), told.get("errmsg"), CODES)


def message(notice: Notice) -> dict[str, object]:
    """Return the document of a message, which mentions nobody."""
    colour = _COLOURS[notice.severity]

    def markdown(most: int) -> str:
        told = [f"> {harmless(label)}: {harmless(text)}" for label, text in lines(notice, most)]
        return "\n".join([f'<font color="{colour}">{harmless(headline(notice))}</font>', *told])

    return {"msgtype": "markdown", "markdown": {"content": fitted(_TEXT, markdown)}}

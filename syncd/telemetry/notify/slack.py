"""Incoming webhooks of Slack, and of what speaks its format.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks (messages, and errors as
words in the body), https://docs.slack.dev/messaging/formatting-message-text (what is escaped),
https://docs.slack.dev/apis/web-api/rate-limits (429 with Retry-After, one message a second).
"""

from collections.abc import Mapping
from typing import Final

from syncd.config.notify import Slack
from syncd.context import CancelToken, Deadline
from syncd.errors import Authentication, BadData, Permission, SyncdError, Unexpected
from syncd.http_client import Response
from syncd.telemetry.notify import posting
from syncd.telemetry.notify.base import Notice
from syncd.telemetry.notify.markup import quiet
from syncd.telemetry.notify.text import cut, headline, lines, plain

_WHAT: Final = "Slack"
_HEADER: Final = 150  # characters of a block of kind header
_SECTION: Final = 3_000  # characters of a block of kind section
_TEXT: Final = 4_000  # characters, as is recommended

WORDS: Final[Mapping[str, tuple[type[SyncdError], str]]] = {
    "invalid_token": (Authentication, "the URL is not valid any more"),
    "no_active_hooks": (Authentication, "the webhook is disabled"),
    "no_service": (Authentication, "the webhook is removed or disabled"),
    "no_service_id": (Authentication, "the URL is not valid"),
    "no_team": (Authentication, "the workspace in the URL does not exist"),
    "team_disabled": (Permission, "the workspace is disabled"),
    "action_prohibited": (Permission, "the workspace does not allow it"),
    "posting_to_general_channel_denied": (Permission, "only admins may write there"),
    "channel_is_archived": (Unexpected, "the channel is archived"),
    "channel_not_found": (Unexpected, "the channel does not exist"),
    "user_not_found": (Unexpected, "the user does not exist"),
    "invalid_payload": (Unexpected, "it does not understand the message"),
    "invalid_blocks": (Unexpected, "it does not understand the message"),
    "no_text": (Unexpected, "the message is empty"),
}


class SlackSender:
    """Sends messages to one channel."""

    def __init__(self, channel: Slack) -> None:
        self._channel = channel

    def send(self, notice: Notice, deadline: Deadline, cancel: CancelToken) -> None:
        """Send a notice."""
        url, body = posting.address(self._channel), posting.encoded(message(notice))
        _check(posting.post(self._channel, url, body, deadline, cancel))


def message(notice: Notice) -> dict[str, object]:
    """Return the document of a message.

    Slack shows the blocks, in which only plain text stands; the text is for its notifications, and
    for those that know no blocks.
    """
    told = "\n".join(f"{label}: {text}" for label, text in lines(notice))
    return {
        "text": _escaped(plain(notice), _TEXT),
        "blocks": [
            {"type": "header", "text": _plain_text(headline(notice), _HEADER)},
            {"type": "section", "text": _plain_text(told, _SECTION)},
        ],
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _plain_text(text: str, most: int) -> dict[str, object]:
    return {"type": "plain_text", "text": _escaped(text, most), "emoji": False}


def _escaped(text: str, most: int) -> str:
    """Return a text that calls nobody, whose escaped form has so many characters at most."""
    text = quiet(text)
    for longest in (most, most // 2, most // 5):
        shown = cut(text, longest)
        for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            shown = shown.replace(sign, entity)
        if len(shown) <= most:
            break
    return shown


def _check(response: Response) -> None:
    """Raise what an answer stands for: `ok`, or a word that tells more than its status."""
    said = posting.shown(response)
    if response.status < 500 and said in WORDS:
        kind, meaning = WORDS[said]
        raise kind(f"{_WHAT} answers {response.status}: {said} ({meaning})")
    posting.check_status(response, _WHAT)
    if said != "ok":
        raise BadData(f'{_WHAT} answers "{said}" instead of ok')

"""Mail over SMTP (RFC 5321), one message for all recipients."""

import hashlib
from datetime import UTC
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Final

from syncd.config.notify import Email
from syncd.context import CancelToken, Deadline
from syncd.errors import ConfigurationError, Unexpected
from syncd.telemetry.notify import smtp
from syncd.telemetry.notify.base import Notice
from syncd.telemetry.notify.text import headline, lines

_BODY_LINE: Final = 2_000  # characters


class MailSender:
    """Sends mail from one address to some others."""

    def __init__(self, name: str, channel: Email) -> None:
        self._name, self._channel = name, channel

    def send(self, notice: Notice, deadline: Deadline, cancel: CancelToken) -> None:
        """Send a notice; raises Unexpected where only some of the recipients were taken."""
        made = message(self._name, self._channel, notice)
        lost = smtp.converse(
            self._channel, deadline, cancel, lambda server: server.send_message(made)
        )
        if lost:
            count = len(self._channel.to)
            told = f"sent to {count - len(lost)} of {count} recipients"
            raise Unexpected(f"{told}, without {smtp.refused(lost)}")


def message(name: str, channel: Email, notice: Notice) -> EmailMessage:
    """Return the mail of a notice, which is the same however often it is made.

    What lasts and its end are one thread (RFC 5322, 3.6.4); no holiday reply comes back (RFC 3834).
    Raises ConfigurationError for what is no address.
    """
    made = EmailMessage(policy=SMTP)
    made["Subject"] = headline(notice)
    sender = made["From"] = _address("sender", channel.sender)
    made["To"] = tuple(_address("to", each) for each in channel.to)
    made["Date"] = notice.at.astimezone(UTC)
    made["Message-ID"] = _identity(sender.domain, "notice", name, notice.id)
    made["References"] = _identity(sender.domain, "key", name, notice.key)
    made["Auto-Submitted"] = "auto-generated"
    told = "".join(f"{label}: {words}\n" for label, words in lines(notice, _BODY_LINE))
    made.set_content(f"{headline(notice)}\n\n{told}", cte="quoted-printable")
    return made


def _address(key: str, text: str) -> Address:
    try:
        return Address(addr_spec=text)
    except (ValueError, IndexError, MessageError) as error:
        raise ConfigurationError(f"{key}: {text!r} is no address that mail can go to") from error


def _identity(domain: str, *of: str) -> str:
    """Return an id of a message: the same for the same parts, and nothing of them in it."""
    digest = hashlib.sha256("\0".join(of).encode()).hexdigest()
    return f"<{digest[:40]}@{domain}>"

"""What a notification says, and what every channel does with one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Protocol, Self

import msgspec

from syncd.context import CancelToken, Deadline
from syncd.errors import BadData, storable
from syncd.model.notice import Event

Severity = Literal["info", "warning", "critical"]
Told = Literal[Event, "test"]
"""What is told; test is of no event, but asked for by somebody who sets a channel up."""
Value = str | int | float | Mapping[str, int]
Facts = tuple[tuple[str, Value], ...]

SEVERITIES: Final[Mapping[Told, Severity]] = {
    "success": "info",
    "failed": "critical",
    "overrun": "warning",
    "stale": "critical",
    "recovered": "info",
    "guarded": "warning",
    "resource": "critical",
    "reload_failed": "warning",
    "test": "info",
}
"""How grave each event is, where nothing else is known."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message, the same for all channels and however often it is sent.

    `id` is unique to it: receivers know by it what they have already. `key` names what lasts, and
    is the same when that is told again and when it is over. `facts` are in the order in which they
    are shown: names are snake_case, `..._seconds` is a length of time, `since` a time of RFC 3339.
    `look` is the command that tells more, "" for none. What PostgreSQL's text refuses is replaced.
    """

    id: str
    event: Told
    key: str
    job: str | None
    host: str
    title: str
    facts: Facts
    look: str
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    severity: Severity

    def __post_init__(self) -> None:
        for name in ("id", "key", "job", "host", "title", "look"):
            if (text := getattr(self, name)) is not None:
                object.__setattr__(self, name, storable(text))
        facts = tuple((storable(name), _storable(value)) for name, value in self.facts)
        object.__setattr__(self, "facts", facts)

    def to_json(self) -> dict[str, Any]:
        """Return the document from which `from_json` makes an equal notice; jsonb can hold it."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document

    @classmethod
    def from_json(cls, document: object) -> Self:
        """Read a document; raises BadData for what is none, such as one of a later version."""
        try:
            return msgspec.convert(document, cls)
        except msgspec.ValidationError as error:
            raise BadData(f"this is no notification: {error}") from error


class Sender(Protocol):
    """A channel; one is for any number of threads and messages, and keeps nothing open."""

    def send(self, notice: Notice, deadline: Deadline, cancel: CancelToken) -> None:
        """Send a notice, and return once the other side has taken it.

        Secrets are read now, so that a changed one is used. Raises Network, Throttled, TimedOut and
        BadData (an answer of something else, such as a page of a proxy) where a later try may
        succeed; Authentication, Permission and Unexpected where none would; ConfigurationError for
        a secret that can't be read; the token's error when cancelled. No error tells a secret.
        """


def _storable(value: Value) -> Value:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {storable(name): count for name, count in value.items()}
    return value

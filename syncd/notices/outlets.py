"""Where messages go: channels that people read, and the dead-man services that jobs ping."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from syncd.config import secrets
from syncd.config.fields import SecretValue
from syncd.config.notify import Channel
from syncd.context import CancelToken, Deadline
from syncd.errors import ConfigurationError, Network, SyncdError, TimedOut, Unexpected
from syncd.http_client import HttpClient
from syncd.notices.post import Outlet
from syncd.notices.tries import MESSAGES, PINGS, Patience
from syncd.telemetry.notify import registry
from syncd.telemetry.notify.base import Notice, Sender

PING_LABEL: Final = "job pings"
"""All pings in the metrics: there is one a job. No channel can have a name with a space."""
_PATHS: Final[Mapping[str, str]] = {"start": "/start", "success": "", "failed": "/fail"}
_PING_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class ChannelOutlet:
    """A channel of the configuration."""

    label: str
    timeout: timedelta
    sender: Sender
    patience: Patience = MESSAGES

    def send(
        self, content: Mapping[str, Any], given_up: int, deadline: Deadline, cancel: CancelToken
    ) -> None:
        """Send a notice, which says how many before it are lost."""
        notice = Notice.from_json(content)
        if given_up:
            notice = replace(notice, facts=(*notice.facts, ("not_delivered_before", given_up)))
        self.sender.send(notice, deadline, cancel)


@dataclass(frozen=True, slots=True)
class PingOutlet:
    """The ping_url of a job; the URL is read when it is called, and told nowhere."""

    url: SecretValue
    client: HttpClient
    label: str = PING_LABEL
    timeout: timedelta = timedelta(seconds=_PING_SECONDS)
    patience: Patience = PINGS

    def send(
        self,
        content: Mapping[str, Any],
        given_up: int,  # noqa: ARG002 - a service counts what it gets
        deadline: Deadline,
        cancel: CancelToken,
    ) -> None:
        """Call the URL for what happened; any 2xx will do."""
        url = ping_url(secrets.resolve(self.url).get_secret_value(), str(content.get("ping")))
        try:
            answer = self.client.request(
                "GET", url, headers={}, body=None, deadline=deadline, cancel=cancel
            )
        except (Network, TimedOut) as error:  # their text begins with the URL
            raise type(error)(f"ping: {str(error).partition(': ')[2]}") from None
        _check(answer.status)


def ping_url(url: str, what: str) -> str:
    """Return the URL to call when a run has started, succeeded or failed.

    What tells them apart is added to the path; a query stays behind it.
    Raises ConfigurationError for a URL that is none.
    """
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        known = False
    if not known:
        raise ConfigurationError("ping_url is no URL of http or https")
    path = parts.path.rstrip("/") if _PATHS[what] else parts.path
    return parts._replace(path=path + _PATHS[what], fragment="").geturl()


def _check(status: int) -> None:
    if 200 <= status < 300:
        return
    error: type[SyncdError] = Network if status >= 500 or status in (408, 429) else Unexpected
    raise error(f"ping: answered {status}")


def channel_outlets(channels: Mapping[str, Channel]) -> dict[str, Outlet]:
    """Return the outlets of the channels that are not taken out."""
    return {
        name: ChannelOutlet(name, channel.timeout, registry.build(name, channel))
        for name, channel in channels.items()
        if channel.enabled
    }

"""The keys of notification channels: a channel is one class and one line of CHANNELS."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from syncd.config.durations import parse_duration
from syncd.config.fields import (
    AbsolutePath,
    PositiveDuration,
    Proxy,
    SecretValue,
    ServerHost,
    is_loopback,
    one_of,
)
from syncd.config.http_fields import (
    FieldNames,
    Headers,
    MailAddress,
    MailAddresses,
    SecretUrl,
    Text,
)
from syncd.config.schema import Table
from syncd.config.spelling import hint
from syncd.model.notice import EVENTS, Event


class Channel(Table):
    """Where notifications go."""

    channel: str = Field(description="dingtalk, feishu, wecom, slack, email or webhook.")
    enabled: bool = Field(default=True, description="false takes the channel out.")
    on: Annotated[tuple[Event, ...], one_of(*EVENTS)] = Field(
        default=("failed", "overrun", "stale", "recovered", "guarded", "resource", "reload_failed"),
        description="What is told: success, failed, overrun, stale, recovered, guarded, resource, "
        "reload_failed.",
    )
    jobs: FieldNames = Field(
        default=(),
        description='Jobs that it tells of, such as "stat-*"; [] for all. What concerns no job is '
        "always told.",
    )
    repeat_after: PositiveDuration = Field(
        default=parse_duration("1h"),
        description="What lasts is told again after this time, then after twice as long, and so "
        "on up to a day.",
    )
    timeout: PositiveDuration = Field(
        default=parse_duration("10s"), description="Time limit of one message."
    )


class HttpChannel(Channel):
    """A channel that is told over HTTP."""

    url: SecretUrl = Field(
        description="Where it takes messages; whoever knows it can write there, so it is a secret."
    )
    proxy: Proxy | None = Field(
        default=None, description="URL of an HTTP proxy without a password. Unset: none."
    )
    tls_ca: AbsolutePath | None = Field(
        default=None,
        description="File of the certificates that are trusted, in PEM. Unset: the system's.",
    )


class DingTalk(HttpChannel):
    """A robot of a DingTalk group."""

    channel: Literal["dingtalk"] = Field(description="A robot of a DingTalk group.")
    secret: SecretValue | None = Field(
        default=None, description="Its signing secret (SEC...). Unset: not signed."
    )


class Feishu(HttpChannel):
    """A robot of a Feishu (Lark) group."""

    channel: Literal["feishu"] = Field(description="A robot of a Feishu (Lark) group.")
    secret: SecretValue | None = Field(
        default=None, description="Its signing secret. Unset: not signed."
    )


class WeCom(HttpChannel):
    """A robot of a WeCom group."""

    channel: Literal["wecom"] = Field(description="A robot of a WeCom group.")


class Slack(HttpChannel):
    """An incoming webhook of Slack, or of what speaks its format."""

    channel: Literal["slack"] = Field(description="An incoming webhook of Slack.")


class Webhook(HttpChannel):
    """Any endpoint that takes JSON."""

    channel: Literal["webhook"] = Field(description="Any endpoint that takes JSON.")
    secret: SecretValue | None = Field(
        default=None,
        description="Signs time and body (HMAC-SHA256), in X-Syncd-Signature. Unset: not signed.",
    )
    headers: Headers = Field(
        default={}, description="Headers, by name; a value may be a secret reference."
    )


class Email(Channel):
    """Mail over SMTP."""

    channel: Literal["email"] = Field(description="Mail over SMTP.")
    host: ServerHost = Field(description="The mail server.")
    port: int | None = Field(
        default=None, ge=1, le=65_535, description="Unset: 587, 465 with tls, 25 with none."
    )
    tls: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        description="starttls, tls from the first byte, or none (on loopback with a password).",
    )
    tls_ca: AbsolutePath | None = Field(
        default=None,
        description="File of the certificates that are trusted, in PEM. Unset: the system's.",
    )
    user: Text = Field(default="", description='User to log in as; "" for none.')
    password: SecretValue | None = Field(default=None, description="Its password.")
    sender: MailAddress = Field(description="Address that the mail comes from.")
    to: MailAddresses = Field(description="Addresses that it goes to.")

    @model_validator(mode="after")
    def _log_in_fits(self) -> Self:
        if bool(self.user) != (self.password is not None):
            raise ValueError("user and password go together")
        if self.user and self.tls == "none" and not is_loopback(self.host):
            raise ValueError('tls = "none" would send the password unencrypted')
        if not self.to:
            raise ValueError("to names nobody")
        return self


CHANNELS: Final[dict[str, type[Channel]]] = {
    "dingtalk": DingTalk,
    "feishu": Feishu,
    "wecom": WeCom,
    "slack": Slack,
    "email": Email,
    "webhook": Webhook,
}


def parse_channel(value: object) -> Channel:
    """Read one channel by its kind; the kind's own complaints come through."""
    if isinstance(value, Channel):
        return value
    if not isinstance(value, dict):
        raise ValueError("must be a table")  # noqa: TRY004 - pydantic collects ValueErrors only
    kind = value.get("channel")
    known = CHANNELS.get(kind) if isinstance(kind, str) else None
    if known is None:
        text = "is required" if kind is None else "unknown channel"
        hints = {"hint": hint("" if kind is None else str(kind), CHANNELS)}
        raise PydanticCustomError("channel_kind", f"{text}{{hint}}", hints)
    return known.model_validate(value)

"""The keys of HTTP calls: what is sent, what must come back, and where tokens come from."""

import json
from typing import Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from syncd.config.durations import parse_duration
from syncd.config.fields import AbsolutePath, PositiveDuration, PositiveSize, Proxy, SecretValue
from syncd.config.http_fields import (
    Body,
    FieldNames,
    HeaderName,
    Headers,
    HeaderValue,
    HostPatterns,
    JsonPath,
    JsonPaths,
    JsonValues,
    KeyHeader,
    Pairs,
    Pattern,
    Patterns,
    SavedPaths,
    StatusCodes,
    Text,
    Url,
    User,
)
from syncd.config.schema import Table, TableName
from syncd.config.sizes import parse_size
from syncd.config.templates import names

_MOST_ANSWER: Final = parse_size("64MiB")

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

_NOT_IDEMPOTENT: Final = ("POST", "PATCH")
"""Methods by which doing it twice is not doing it once (RFC 9110, 9.2.2; RFC 5789, 2)."""


class Http(Table):
    """Where the HTTP calls of jobs and tokens may go."""

    allow_hosts: HostPatterns = Field(
        default=(),
        description='Hosts that may be called, such as "api.internal" or "*.internal", with '
        '":PORT" for one port alone; redirects and status URLs too. [] for any.',
    )


class Connection(Table):
    """How a server is reached."""

    timeout: PositiveDuration | None = Field(
        default=None, description="Time limit of one call; unset: the job's api_timeout."
    )
    tls_ca: AbsolutePath | None = Field(
        default=None,
        description="File of the certificates that are trusted, in PEM. Unset: the system's.",
    )
    tls_cert: AbsolutePath | None = Field(
        default=None, description="File of a client certificate, in PEM; with tls_key."
    )
    tls_key: AbsolutePath | None = Field(
        default=None, description="File of the certificate's private key, in PEM."
    )
    tls_verify: bool = Field(
        default=True,
        description="false takes any certificate: whoever is in between can read and answer.",
    )
    proxy: Proxy | None = Field(
        default=None, description="URL of an HTTP proxy without a password. Unset: none."
    )

    @model_validator(mode="after")
    def _tls_fits(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        if self.tls_ca and not self.tls_verify:
            raise ValueError("tls_ca is of no use with tls_verify = false")
        return self


class Basic(Table):
    """Basic authentication (RFC 7617)."""

    user: User = Field(description="The user's name.")
    password: SecretValue = Field(description="Its password.")


class Hmac(Table):
    """The key of a signature, and where it is sent."""

    secret: SecretValue = Field(description="The shared key.")
    key_id: HeaderValue = Field(default="", description="Name of the key, sent as X-Key-Id.")
    header: HeaderName = Field(
        default="X-Signature", description="Header of the signature, in hexadecimal."
    )
    time_header: HeaderName = Field(
        default="X-Timestamp", description="Header of the time, in seconds since 1970."
    )


class Message(Connection):
    """What is sent."""

    url: Url = Field(description="Where to: https:// or http://.")
    query: Pairs = Field(
        default={}, description="Parameters added to the URL's query; secrets may stand here."
    )
    headers: Headers = Field(
        default={}, description="Headers, by name; a value may be a secret reference."
    )
    body: Body | None = Field(
        default=None,
        description="A table or list is sent as JSON, a string as it is. Inside, a table of one "
        "key credential, env or file is a secret reference.",
    )
    form: Pairs = Field(
        default={}, description="Sent as application/x-www-form-urlencoded; not with body."
    )
    content_type: HeaderValue = Field(
        default="", description="Unset: application/json, of a string text/plain."
    )
    basic: Basic | None = Field(default=None, description="User and password.")

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if self.body is not None and self.form:
            raise ValueError("body and form exclude each other")
        if isinstance(self.body, str) and names(self.body) and "json" in self.content_type.lower():
            _check_json(self.body)
        return self


def _check_json(body: str) -> None:
    """Raise ValueError for JSON in which a name stands elsewhere than inside a string."""
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError(
            "body: {{ names }} stand inside the strings of JSON alone, and JSON is what"
            " content_type says"
        ) from None


class Request(Message):
    """One HTTP request."""

    url: Url = Field(description="Where to: https:// or http://; may hold {{ names }}.")
    method: Method = Field(
        default="GET", description="GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS."
    )
    token: TableName | None = Field(
        default=None, description="Name of a token, of a table [tokens.NAME]."
    )
    bearer: SecretValue | None = Field(
        default=None, description="A secret sent as Authorization: Bearer."
    )
    hmac: Hmac | None = Field(
        default=None,
        description="A signature of the request (HMAC-SHA256) over method, path, time and body.",
    )
    idempotency_key: KeyHeader = Field(
        default="Idempotency-Key",
        description="Header in which POST and PATCH carry the run's id, the same over all "
        "attempts, so that the server does it once. false where the server honours none: then "
        "the call is sent at most once, and never repeated.",
    )
    redirects: int = Field(
        default=0, ge=0, le=10, description="So many redirects are followed; 0 for none."
    )
    max_answer: PositiveSize = Field(
        default=parse_size("1MiB"),
        description="No more of an answer is read, 64MiB at most; what must be looked for inside "
        "a longer one fails.",
    )
    mask: FieldNames = Field(
        default=(),
        description="Names of fields, of query parameters and of headers whose values are never "
        "recorded, beside those that are known to be secrets.",
    )

    @field_validator("max_answer")
    @classmethod
    def _fits_memory(cls, size: int) -> int:
        if size > _MOST_ANSWER:  # it is held more than once: packed, unpacked, as text, as JSON
            raise ValueError("must be at most 64MiB")
        return size

    @model_validator(mode="after")
    def _one_authorization(self) -> Self:
        named = [name for name in self.headers if name.lower() == "authorization"]
        ways = [key for key in ("basic", "bearer") if getattr(self, key) is not None] + named
        if len(ways) > 1:
            raise ValueError(f"{ways[0]} and {ways[1]} exclude each other: both are Authorization")
        return self

    @model_validator(mode="after")
    def _key_is_of_the_run(self) -> Self:
        """Refuse a key that all runs share: a server would take the second for the first."""
        values = {name.lower(): value for name, value in self.headers.items()}
        value = values.get((self.key_header or "").lower())
        told = names(value) if isinstance(value, str) else ()
        if value is not None and not {"run.id", "run.scheduled_for"} & set(told):
            raise ValueError(
                f"headers.{self.key_header} is the same in all runs, and a server that knows it"
                " would do the first alone: leave it out, put {{ run.id }} into it, or set"
                " idempotency_key = false"
            )
        return self

    def header_of(self, name: str) -> str | None:
        """Return the key that already gives a header, as a token that comes in it does."""
        if name.lower() == "authorization" and (self.basic or self.bearer):
            return "basic" if self.basic else "bearer"
        return next(
            (f"headers.{each}" for each in self.headers if each.lower() == name.lower()), None
        )

    @property
    def key_header(self) -> str | None:
        """Return the header that carries the idempotency key, if one does."""
        key = self.idempotency_key
        return key if self.method in _NOT_IDEMPOTENT and isinstance(key, str) else None

    @property
    def safe_to_repeat(self) -> bool:
        """Tell whether sending it twice has the effect of sending it once."""
        return self.method not in _NOT_IDEMPOTENT or self.key_header is not None


class Expect(Table):
    """What an answer must be."""

    status: StatusCodes = Field(default=(), description="Codes that count; [] for any 2xx.")
    headers: Patterns = Field(
        default={}, description="Headers that must be there, each matching a regular expression."
    )
    json_: JsonValues = Field(
        default={},
        alias="json",
        description='Values by path, such as { "data.state" = "done" }; of a list any one.',
    )
    matches: Pattern | None = Field(
        default=None, description="A regular expression that is found in the body."
    )
    within: PositiveDuration | None = Field(
        default=None, description="The whole answer must have come in this time."
    )

    @property
    def reads_body(self) -> bool:
        """Tell whether the body decides."""
        return bool(self.json_) or self.matches is not None


class Poll(Table):
    """How a call that was accepted (202) is followed until it is done."""

    every: PositiveDuration = Field(
        default=parse_duration("5s"), description="Pause between two looks; Retry-After counts."
    )
    url: Url | None = Field(
        default=None, description="Status URL; may hold {{ names }}. Unset: the Location header's."
    )
    path: JsonPath | None = Field(
        default=None, description="Or the path of the status URL in the answer."
    )
    until: Expect | None = Field(
        default=None, description="When it is done; unset: at any 2xx but 202."
    )
    failed: Expect | None = Field(default=None, description="When it has failed.")
    timeout: PositiveDuration | None = Field(
        default=None, description="Time limit of the whole wait; unset: the run's."
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.url and self.path:
            raise ValueError("url and path exclude each other")
        return self


class Call(Table):
    """One call of several."""

    name: TableName | None = Field(default=None, description="What the records call it.")
    request: Request = Field(description="What is sent.")
    expect: Expect = Field(default=Expect(), description="What must come back; unset: any 2xx.")
    poll: Poll | None = Field(
        default=None,
        description="How an answer 202 is followed. Unset: by its Location, unless expect.status "
        "names 202.",
    )
    save: SavedPaths = Field(
        default={},
        description='Values of the answer for later calls, by path: { plan_id = "data.id" } is '
        "{{ plan_id }} there.",
    )

    @model_validator(mode="after")
    def _has_what_is_looked_at(self) -> Self:
        looks = self.expect.reads_body or self.save or (self.poll and self.poll.path)
        if self.request.method == "HEAD" and looks:
            raise ValueError("an answer to HEAD has no body: json, matches, save and path need one")
        return self


class Login(Message):
    """A request that is answered with a token."""

    method: Method = Field(default="POST", description="POST, or what the endpoint asks for.")

    @model_validator(mode="after")
    def _is_answered(self) -> Self:
        if self.method == "HEAD":
            raise ValueError("an answer to HEAD has no body, and no token in it")
        return self


class ClientCredentials(Connection):
    """The client credentials grant of OAuth 2.0 (RFC 6749, 4.4)."""

    url: Url = Field(description="The token endpoint.")
    client_id: Text = Field(description="Id of the client.")
    client_secret: SecretValue = Field(description="Its secret.")
    scope: Text = Field(default="", description="Scopes, separated by spaces.")
    form: Pairs = Field(default={}, description="Further parameters, such as audience.")
    secret_in: Literal["header", "body"] = Field(
        default="header",
        description="Where id and secret stand: header (basic authentication) or body.",
    )


class Token(Table):
    """A token that is fetched once for all jobs that need it, and renewed."""

    login: Login | None = Field(default=None, description="The request that gives the token.")
    client_credentials: ClientCredentials | None = Field(
        default=None, description="Or the client credentials grant of OAuth 2.0."
    )
    token: JsonPaths = Field(
        default=("access_token", "token", "data.token", "data.access_token"),
        description="Path of the token in the answer; of several the first that is there.",
    )
    expires: JsonPath = Field(
        default="expires_in",
        description="Path of its lifetime in seconds, or of the moment of its end. Not there: the "
        "exp of a JWT, else lifetime.",
    )
    lifetime: PositiveDuration = Field(
        default=parse_duration("1h"), description="How long it is good where nothing tells."
    )
    header: HeaderName = Field(
        default="Authorization", description="Header in which calls carry it."
    )
    scheme: HeaderValue = Field(
        default="Bearer", description='What stands before it in the header; "" for nothing.'
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.login is None) == (self.client_credentials is None):
            raise ValueError("needs login or client_credentials: one of them")
        return self

    @property
    def source(self) -> Login | ClientCredentials:
        """Return where it comes from."""
        found = self.login or self.client_credentials
        assert found is not None  # noqa: S101 - validated
        return found

"""The values that HTTP calls are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from syncd.config.http import Connection, Hmac
from syncd.http_client import Origin


@dataclass(frozen=True, slots=True)
class Signing:
    """How a request is signed: where, with which key, and as of when."""

    how: Hmac
    secret: str = field(repr=False)
    at: datetime


@dataclass(frozen=True, slots=True)
class Composed:
    """A request as it will be sent, but for its token, with every secret in its place.

    `safe` tells whether sending it twice has the effect of once; `masked` are names of fields,
    parameters and headers whose values are not to be recorded, beside those known as secrets.
    `home` is the origin that the configuration names: the headers in `credentials`, a body that
    holds secrets, client certificates and tokens go nowhere else. Both sets are of lower case.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    safe: bool
    token: str | None
    redirects: int
    max_answer: int
    masked: frozenset[str]
    connection: Connection = field(repr=False)
    home: Origin
    credentials: frozenset[str]
    secret_body: bool
    signing: Signing | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A request or an answer's beginning as it may be shown: without any secret."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class Credential:
    """A token in the header that carries it; both are secrets to whoever shows a request."""

    token: str = field(repr=False)
    header: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Times:
    """How long the parts of a call took, in seconds; None for what was not reached."""

    connect: float | None
    first_byte: float | None
    total: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: of a body that is longer than the limit only its beginning (`cut`).

    `url` is where it came from, after redirects; `elsewhere` tells that it answers another request
    than the one composed: of another method, or one without credentials. The body is decoded as
    Content-Encoding says; if it could not be, `flaw` says why.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    cut: bool
    url: str = field(repr=False)
    times: Times
    flaw: str = ""
    elsewhere: bool = False

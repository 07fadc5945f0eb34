"""One request and its answer, redirects followed: where it may go, and what may go along.

What identifies the caller goes to the origin that the configuration names, and nowhere else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from syncd.calls import hosts
from syncd.calls.base import Answer, Composed, Credential, Times
from syncd.calls.clients import Clients
from syncd.calls.compose import redirected
from syncd.calls.decoding import decoded
from syncd.calls.masked import public_url, safe_text
from syncd.context import CancelToken, Deadline
from syncd.errors import Network, TimedOut, Unexpected
from syncd.http_call import Trace
from syncd.http_client import Response, origin, resolved

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a request: the work's deadline, and the seconds for one that names none."""

    deadline: Deadline
    cancel: CancelToken
    api_timeout: float

    def of(self, composed: Composed) -> Deadline:
        """Return when a request's answer must have come."""
        own = composed.connection.timeout
        return self.deadline.sooner(self.api_timeout if own is None else own.total_seconds())


def exchange(
    clients: Clients,
    composed: Composed,
    credential: Credential | None,
    limits: Limits,
    allow_hosts: Sequence[str],
    trace: Trace,
    *,
    fresh: bool = True,
) -> Answer:
    """Send a request and return the answer, whatever its status; redirects as the request says.

    `trace` tells afterwards, and after an error, whether anything was sent. Only a look that may be
    repeated should do without a `fresh` connection. The time limit is for all redirects together.

    Raises Permission for a host that may not be called, ConfigurationError for files of TLS,
    Unexpected for a redirect that is not followed, TimedOut, Network, or the token's error.
    """
    deadline, seen, method = limits.of(composed), set[tuple[str, str]](), composed.method
    while True:
        hosts.check(composed.url, allow_hosts)
        seen.add((composed.method, composed.url))
        response = _send(clients, composed, credential, limits, deadline, trace, fresh=fresh)
        target = _target(response, composed)
        if target is None:
            return _answer(response, composed, trace, method)
        if target in seen or len(seen) > composed.redirects:
            raise Unexpected(f"{_public(composed)}: more than {composed.redirects} redirects")
        composed = redirected(composed, *target)


def _send(
    clients: Clients,
    composed: Composed,
    credential: Credential | None,
    limits: Limits,
    deadline: Deadline,
    trace: Trace,
    *,
    fresh: bool,
) -> Response:
    """Send one request; an error of the client may quote what came, so its text is masked."""
    at_home = origin(composed.url) == composed.home
    client = clients.get(composed.connection, certified=at_home)
    try:
        return client.request(
            composed.method,
            composed.url,
            headers=_headers(composed, credential if at_home else None, at_home=at_home),
            body=composed.body,
            deadline=deadline,
            cancel=limits.cancel,
            trace=trace,
            limit=composed.max_answer,
            fresh=fresh,
        )
    except (Network, TimedOut) as error:
        raise type(error)(safe_text(str(error), composed.masked)) from error


def _headers(
    composed: Composed, credential: Credential | None, *, at_home: bool
) -> Mapping[str, str]:
    """Return the headers of one request, as http.client takes them: UTF-8 as if it were Latin-1."""
    headers = {
        name: value
        for name, value in composed.headers.items()
        if at_home or name.lower() not in composed.credentials
    }
    if credential is not None:
        headers = {n: v for n, v in headers.items() if n.lower() != credential.header.lower()}
        headers[credential.header] = credential.value
    if not any(name.lower() == "accept-encoding" for name in headers):
        headers["Accept-Encoding"] = "gzip, deflate"
    return {name: value.encode().decode("latin-1") for name, value in headers.items()}


def _target(response: Response, composed: Composed) -> tuple[str, str] | None:
    """Return method and URL to which an answer redirects; None when it is the answer."""
    location = response.headers.get("Location")
    if response.status not in _REDIRECTS or not composed.redirects or not location:
        return None
    url = _resolved(composed, location)
    if composed.url.startswith("https:") and url.startswith("http:"):
        raise _refused(composed, url, "from https to http")
    if response.status == 303 or (response.status < 303 and composed.method == "POST"):
        return ("HEAD" if composed.method == "HEAD" else "GET"), url
    if not composed.safe:
        raise _refused(composed, url, "of a call that must not be repeated")
    if composed.secret_body and origin(url) != composed.home:
        raise _refused(composed, url, "of secrets to another host")
    return composed.method, url


def _resolved(composed: Composed, location: str) -> str:
    try:
        return resolved(composed.url, location)
    except ValueError as error:
        raise Unexpected(f"{_public(composed)}: redirected to what {error}") from error


def _refused(composed: Composed, url: str, what: str) -> Unexpected:
    to = public_url(url, composed.masked)
    return Unexpected(f"{_public(composed)}: a redirect {what} is not followed: {to}")


def _answer(response: Response, composed: Composed, trace: Trace, method: str) -> Answer:
    """Return the answer at the end of what was begun with a method."""
    body, cut, flaw = decoded(response, composed.max_answer)
    times = Times(trace.connect, trace.first_byte, trace.total)
    elsewhere = composed.method != method or origin(composed.url) != composed.home
    return Answer(
        response.status, response.headers, body, cut, composed.url, times, flaw, elsewhere
    )


def _public(composed: Composed) -> str:
    return f"{composed.method} {public_url(composed.url, composed.masked)}"

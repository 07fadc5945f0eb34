"""What is sent: a request of the configuration, its names filled in, its secrets in place."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl, quote_plus, urlsplit

from syncd.calls.base import Composed, Signing
from syncd.calls.filling import Filler
from syncd.calls.masked import names_secret
from syncd.calls.signing import signed
from syncd.config.http import ClientCredentials, Login, Message, Request
from syncd.config.secrets import Secret
from syncd.config.sizes import parse_size
from syncd.errors import Unexpected
from syncd.http_client import normal, origin

LOGIN_ANSWER: Final = parse_size("1MiB")
"""Bytes of an answer that holds a token, at most."""
_CARRYING: Final = frozenset({"authorization", "cookie", "proxy-authorization"})


def compose(
    request: Request | Login | ClientCredentials,
    values: Mapping[str, str],
    *,
    key: str,
    now: datetime,
    masked: bool = False,
) -> Composed:
    """Return what is sent for a request; `key` is its idempotency key, `now` is signed.

    `masked` puts asterisks in place of secrets, none of which is read then. Raises
    ConfigurationError for a secret that can't be read or that its place can't hold, Unexpected for
    a value that its place can't hold, Guarded for a name that has no value.
    """
    filler = Filler(values, masked=masked)
    if isinstance(request, ClientCredentials):
        return _grant(request, filler)
    url = filler.url(request.url, request.query)
    made = _message(request, request.method, url, filler, now)
    body, kind = filler.body(request)
    headers = dict(made.headers)
    if kind:
        _add(headers, "Content-Type", kind)
    if isinstance(request, Request) and request.key_header:
        _add(headers, request.key_header, key)
    return signed(replace(made, headers=headers, body=body, secret_body=_secret_body(request)))


def compose_poll(
    request: Request, url: str, values: Mapping[str, str], *, now: datetime, masked: bool = False
) -> Composed:
    """Return the look at a status URL of a call that was accepted.

    The URL is absolute, and taken as it is. If it is of the request's own origin it gets what
    identifies the caller: headers, parameters that are secrets, a signature of its own. Raises as
    `compose`, and Unexpected for what is no URL.
    """
    filler = Filler(values, masked=masked)
    try:
        url = normal(url)
        if origin(url) == origin(request.url):
            url = _identified(url, request, filler)
    except ValueError as error:
        raise Unexpected(f"the status URL {error}") from error
    made = _message(request, "GET", url, filler, now)
    headers = {n: each for n, each in made.headers.items() if not n.lower().startswith("content-")}
    return signed(replace(made, headers=headers))


def filled_url(template: str, values: Mapping[str, str]) -> str:
    """Return a configured URL with its names filled in; raises as `compose`."""
    return Filler(values, masked=False).url(template)


def redirected(composed: Composed, method: str, url: str) -> Composed:
    """Return what is sent where a redirect leads; with another method it loses its body."""
    if method == composed.method:
        return signed(replace(composed, url=url))
    headers = {
        name: each
        for name, each in composed.headers.items()
        if not name.lower().startswith("content-")
    }
    got = replace(composed, method=method, url=url, headers=headers, body=None)
    return signed(replace(got, safe=True, secret_body=False))


def _message(
    request: Request | Login, method: str, url: str, filler: Filler, now: datetime
) -> Composed:
    """Return a request without its body, to be signed yet."""
    headers = filler.headers(request.headers)
    if request.basic is not None:
        headers["Authorization"] = filler.basic(request.basic)
    if isinstance(request, Request) and request.bearer is not None:
        headers["Authorization"] = filler.bearer(request.bearer)
    masked = frozenset(name.lower() for name in (*_masked(request), *_secret_names(request)))
    made = Composed(
        method, url, headers, None, safe=True, token=None, redirects=0, max_answer=LOGIN_ANSWER,
        masked=masked, connection=request, home=origin(request.url),
        credentials=frozenset(
            name.lower()
            for name in headers
            if name.lower() in _CARRYING or names_secret(name, masked)
        ),
        secret_body=False,
    )  # fmt: skip
    if not isinstance(request, Request):
        return made
    how = request.hmac
    return replace(
        made, safe=request.safe_to_repeat or method == "GET", token=request.token,
        redirects=request.redirects, max_answer=request.max_answer,
        signing=Signing(how, filler.reveal(how.secret), now) if how else None,
    )  # fmt: skip


def _grant(grant: ClientCredentials, filler: Filler) -> Composed:
    """Return the request of the client credentials grant (RFC 6749, 4.4.2 and 2.3.1)."""
    form = {"grant_type": "client_credentials", **grant.form}
    if grant.scope:
        form["scope"] = grant.scope
    headers = {
        "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    if grant.secret_in == "header":  # noqa: S105 - a place
        secret = quote_plus(filler.reveal(grant.client_secret))
        headers["Authorization"] = filler.user_and_password(quote_plus(grant.client_id), secret)
    else:
        form |= {"client_id": grant.client_id, "client_secret": grant.client_secret}
    secret_names = (name for name, each in form.items() if isinstance(each, Secret))
    return Composed(
        "POST", filler.url(grant.url), headers, filler.pairs(form).encode(), safe=True, token=None,
        redirects=0, max_answer=LOGIN_ANSWER, masked=frozenset(n.lower() for n in secret_names),
        connection=grant, home=origin(grant.url), credentials=frozenset({"authorization"}),
        secret_body=True,
    )  # fmt: skip


def _identified(url: str, request: Request, filler: Filler) -> str:
    """Add the parameters that identify the caller to a URL that does not have them."""
    there = {name for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True)}
    secret = {
        name: each
        for name, each in request.query.items()
        if name not in there and (isinstance(each, Secret) or names_secret(name, frozenset()))
    }
    added = filler.pairs(secret)
    return f"{url}{'&' if urlsplit(url).query else '?'}{added}" if added else url


def _masked(request: Request | Login) -> Sequence[str]:
    return request.mask if isinstance(request, Request) else ()


def _secret_names(request: Message) -> Iterator[str]:
    """Yield the names whose values are given as secrets, wherever they stand."""
    for pairs in (request.headers, request.query, request.form):
        yield from (name for name, each in pairs.items() if isinstance(each, Secret))
    yield from (name for name, each in _fields(request.body) if isinstance(each, Secret))


def _secret_body(request: Request | Login) -> bool:
    """Tell whether a body may hold a secret."""
    masked = frozenset(name.lower() for name in _masked(request))
    if isinstance(request.body, str):
        return names_secret(request.body, masked)
    fields = (*request.form.items(), *_fields(request.body))
    return any(isinstance(each, Secret) or names_secret(name, masked) for name, each in fields)


def _fields(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Yield the values inside a body with the names of the fields that they are in."""
    match value:
        case Mapping():
            for key, each in value.items():
                yield from _fields(each, str(key))
        case list() | tuple():
            for each in value:
                yield from _fields(each, name)
        case _:
            yield name, value


def _add(headers: dict[str, str], name: str, value: str) -> None:
    """Add a header, unless the configuration gives one of that name."""
    if not any(each.lower() == name.lower() for each in headers):
        headers[name] = value

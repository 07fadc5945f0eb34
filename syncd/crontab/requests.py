"""A draft in the words of the configuration: `request` tables, with each secret sealed."""

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from urllib.parse import unquote, unquote_plus

from syncd.config import http_secrets, templates
from syncd.config.durations import format_duration
from syncd.config.http_fields import KNOWN_SECRET_FIELDS, REFERENCES
from syncd.crontab.drafts import FORM, JSON, METHODS, Draft
from syncd.crontab.reasons import NotUnderstood
from syncd.crontab.secret_words import Sealed, is_secret_name, looks_secret
from syncd.crontab.shell import OF_USER, TODAY

PATIENT: Final = "15m"
"""For a call without a time limit: curl waits for ever, wget so long for a byte."""
_DEPTH: Final = 30
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_GUESSED: Final = re.compile(r"(ftp|dict|ldap|imap|smtp|pop3)\.", re.IGNORECASE)
_KEY: Final = re.compile(r"(?<!idempotency)-key$", re.IGNORECASE)
_SIGNED: Final = re.compile(r"signature|(^|-)(digest|md5)$|^x(-[a-z]+)?-sign$", re.IGNORECASE)
_LARGEST: Final = 2**63
_FILLED: Final = frozenset({"url", "query", "headers", "body", "form"})
"""What may hold {{ names }}."""

Table = dict[str, Any]


def requests_of(draft: Draft) -> list[Table]:
    """Return the table of each URL of a draft; raises NotUnderstood."""
    body = {} if draft.as_query else _body(draft)
    method = draft.method or ("HEAD" if draft.head else "POST" if body else "GET")
    if method not in METHODS:
        raise NotUnderstood(f"{draft.program}: the method {method[:20]}")
    shared = {**_headers(draft, with_body=bool(body)), **body, **_connection(draft)}
    if method in ("POST", "PATCH"):
        shared["idempotency_key"] = False
    first: Table = {} if method == "GET" else {"method": method}
    return [_filled({**first, **_target(draft, url), **shared}) for url in draft.urls]


def _target(draft: Draft, url: str) -> Table:
    """Return the URL, what was secret in its query, and who calls."""
    url = url.partition("#")[0]
    if draft.as_query and draft.data:
        url += ("&" if "?" in url else "?") + "&".join(draft.data)
    scheme, separator, rest = url.partition("://")
    if not separator:
        if draft.program == "curl" and _GUESSED.match(url):
            raise NotUnderstood("curl: takes another protocol for this host")
        scheme, rest = "http", url  # as curl and wget do
    address, mark, query = rest.partition("?")
    place, slash, path = address.partition("/")
    user, at, host = place.rpartition("@")
    kept, sealed = _query(query)
    plain = f"{scheme.lower()}://{host}{slash}{path}{mark if kept else ''}{kept}"
    torn = ":" in place and not at and "@" in path  # a password with a slash that nobody quoted
    if torn or looks_secret(unquote(plain)):
        raise NotUnderstood(f"{draft.program}: the URL holds what looks like a secret")
    if draft.user is None and at:
        if ":" not in user:
            raise NotUnderstood(f"{draft.program}: a user without a password in the URL")
        return {"url": plain, **sealed, "basic": _basic(_decoded(user, unquote))}
    return {"url": plain, **sealed}


def _query(query: str) -> tuple[str, Table]:
    """Return the parameters that may be shown, as they stand, and the others."""
    kept, sealed = [], {}
    for each in query.split("&"):
        name, equals, value = each.partition("=")
        name = unquote_plus(name)
        if not (equals and value and _is_secret(name, unquote_plus(value))):
            kept.append(each)
            continue
        if name in sealed:
            raise NotUnderstood("a secret parameter stands twice in the URL")
        sealed[name] = seal(_decoded(value, unquote_plus), name, f"the parameter {name}")
    return "&".join(kept), {"query": sealed} if sealed else {}


def _decoded(text: str, decode: Callable[..., str]) -> str:
    """Return a part of a URL as what it stands for; raises NotUnderstood for what is no text."""
    try:
        return decode(text, errors="strict")
    except UnicodeDecodeError as error:
        raise NotUnderstood("a secret in the URL is not UTF-8 text") from error


def _is_secret(name: str, value: str) -> bool:
    keyed = http_secrets.looks_random(value) and not _UUID.fullmatch(value)
    return is_secret_name(name) or keyed or http_secrets.is_authorization(value)


def seal(value: str, role: str, what: str) -> Sealed:
    """Take a secret out; raises NotUnderstood for one that is not the same each time."""
    _refuse_user(value)
    if TODAY in value:
        raise NotUnderstood(f"{what} holds the day")
    return Sealed(value, role.lower(), what)


def _basic(pair: str) -> Table:
    _refuse_user(pair)
    user, _, password = pair.partition(":")
    if not password or not user.isprintable():
        raise NotUnderstood("a user without a password")
    return {"user": user, "password": seal(password, "password", f"the password of {user[:40]}")}


def _headers(draft: Draft, *, with_body: bool) -> Table:
    """Return headers and what they say about who calls."""
    found: Table = {}
    authorization = draft.take_header("authorization")
    if sum(each is not None for each in (draft.user, draft.bearer, authorization)) > 1:
        raise NotUnderstood(f"{draft.program}: says twice who calls")
    if draft.user is not None:
        found["basic"] = _basic(draft.user)
    elif draft.bearer is not None:
        found["bearer"] = seal(draft.bearer, "token", "the bearer token")
    elif authorization is not None:
        found.update(_authorization(authorization))
    elif draft.token:
        found["token"] = draft.token
    if with_body and (content_type := draft.take_header("content-type")):
        draft.content_type = content_type
    headers: Table = {
        name: (
            seal(value, name, f"the header {name}")
            if _is_secret(name, value) or _KEY.search(name)
            else value
        )
        for name, value in draft.headers.items()
    }
    if any(isinstance(each, str) and looks_secret(each) for each in headers.values()):
        raise NotUnderstood(f"{draft.program}: a header holds what looks like a secret")
    headers.update(found.pop("headers", {}))
    return {**({"headers": headers} if headers else {}), **found}


def _authorization(value: str) -> Table:
    scheme, _, rest = value.partition(" ")
    rest = rest.strip()
    if scheme.lower() == "bearer" and rest:
        return {"bearer": seal(rest, "token", "the bearer token")}
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(rest, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError, ValueError):
            pair = ""
        if pair.partition(":")[2]:
            return {"basic": _basic(pair)}
    return {"headers": {"Authorization": seal(value, "authorization", "the header Authorization")}}


def _body(draft: Draft) -> Table:
    if not draft.data:
        return {}
    text = draft.joined_by.join(draft.data)
    known = next((v for n, v in draft.headers.items() if n.lower() == "content-type"), "")
    kind = known or draft.content_type
    plain = kind.partition(";")[0].strip().lower()
    if not text:
        return {"body": "", "content_type": kind}
    signed = any(_SIGNED.search(name) for name in draft.headers)  # as it stands, byte for byte
    if text[:1] in "{[" and not signed and (found := _json(text)) is not None:
        return {"body": found, **({} if kind == JSON else {"content_type": kind})}
    if plain == FORM and (pairs := _form(text)) is not None:
        return {"form": pairs, **({} if kind == FORM else {"content_type": kind})}
    if http_secrets.in_text(text) or looks_secret(text):
        raise NotUnderstood(f"{draft.program}: the body holds what looks like a secret")
    return {"body": text, "content_type": kind}


def _form(text: str) -> Table | None:
    """Return the pairs of a form; None for what is none, or says something twice."""
    found: Table = {}
    for each in text.split("&"):
        try:
            name, equals, value = (
                unquote_plus(part, errors="strict") for part in each.partition("=")
            )
        except UnicodeDecodeError:
            return None
        if not equals or not name or name in found or TODAY in name or not name.isprintable():
            return None
        secret = bool(value) and is_secret_name(name)
        found[name] = seal(value, name, f"the field {name}") if secret else value
    return found


def _json(text: str) -> Any:  # noqa: ANN401 - what JSON holds
    """Return a document as TOML can hold it, its secrets sealed; None where it can't."""
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_float=_exact, parse_constant=_exact)
        return _sealed(found, "", 0)
    except (ValueError, RecursionError):
        return None


def _once(pairs: Sequence[tuple[str, Any]]) -> Table:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)


def _exact(text: str) -> float:
    """Return a number that is written again as it stands here."""
    if not math.isfinite(found := float(text)) or repr(found) != text:
        raise ValueError(text)
    return found


def _sealed(value: Any, name: str, depth: int) -> Any:  # noqa: ANN401 - what JSON holds
    """Return a value with the strings under names of secrets sealed; ValueError for null."""
    secret = bool(KNOWN_SECRET_FIELDS.search(name))
    if depth > _DEPTH:
        raise ValueError("nested too deeply")
    match value:
        case bool():
            return value
        case str():
            return _sealed_text(value, name)
        case int() if -_LARGEST <= value < _LARGEST:
            if secret and "token" not in name.lower():
                raise NotUnderstood(f"the field {name[:40]} is a secret that is no text")
            return value
        case float():
            return value
        case dict() if not (len(value) == 1 and name and next(iter(value)) in REFERENCES):
            return {
                key: _sealed(each, name if secret else key, depth + 1)
                for key, each in value.items()
            }
        case list():
            return [_sealed(each, name or "[]", depth + 1) for each in value]
    raise ValueError("TOML has no word for it")


def _sealed_text(value: str, name: str) -> Sealed | str:
    value.encode()  # ValueError for half a character, which TOML has no word for
    if value and is_secret_name(name):
        return seal(value, name, f"the field {name[:40]}")
    if looks_secret(value):
        raise NotUnderstood("the body holds what looks like a secret")
    return value


def _connection(draft: Draft) -> Table:
    found: Table = {"timeout": _duration(draft.timeout) if draft.timeout else PATIENT}
    if draft.follows and draft.redirects:
        found["redirects"] = draft.redirects
    if draft.tls_ca and draft.tls_verify:
        found["tls_ca"] = draft.tls_ca
    if draft.tls_cert:
        found |= {"tls_cert": draft.tls_cert, "tls_key": draft.tls_key or draft.tls_cert}
    if not draft.tls_verify:
        found["tls_verify"] = False
    if draft.proxy and not draft.no_proxy:
        found["proxy"] = draft.proxy if "://" in draft.proxy else f"http://{draft.proxy}"
        if "@" in draft.proxy:  # also behind a slash that nobody quoted
            raise NotUnderstood(f"{draft.program}: a proxy with a password")
    return found


def _duration(length: float) -> str:
    if length >= 10**9:
        raise NotUnderstood("a time limit of more than ten years")
    return format_duration(timedelta(seconds=math.ceil(length)))


def retries_of(drafts: Sequence[Draft]) -> list[str] | None:
    """Return the waits that --retry means, None where it is not said."""
    said = [draft for draft in drafts if draft.retries is not None]
    if not said:
        return None
    most = max(said, key=lambda draft: draft.retries or 0)
    waits = [most.retry_delay or min(2**n, 600) for n in range(min(most.retries or 0, 20))]
    return [_duration(wait) for wait in waits]


def _filled(table: Mapping[str, Any]) -> Table:
    """Put the day in its place, and refuse what would be filled in though it never was a name."""
    return {key: _with_day(value, allowed=key in _FILLED) for key, value in table.items()}


def _refuse_user(*texts: str) -> None:
    if any(OF_USER in text for text in texts):
        raise NotUnderstood("sends what is different for each user, such as $HOME")


def _with_day(value: Any, *, allowed: bool) -> Any:  # noqa: ANN401 - whatever a table holds
    match value:
        case str():
            _refuse_user(value)
            if templates.names(value):
                raise NotUnderstood("holds {{ }}, which syncd would fill in")
            if TODAY in value and not allowed:
                raise NotUnderstood("the day stands where syncd takes none")
            return value.replace(TODAY, "{{ date }}")
        case dict():
            _refuse_user(*value)
            if any(TODAY in key or templates.names(key) for key in value):
                raise NotUnderstood("the day stands in a name")
            return {key: _with_day(each, allowed=allowed) for key, each in value.items()}
        case list():
            return [_with_day(each, allowed=allowed) for each in value]
    return value

"""What of a request and of an answer may be recorded and shown: nothing that is a secret.

Secrets are found in two ways: by value, those that this process has read or was given, and by the
name of the field, parameter or header that holds one. Texts are searched as they are, not parsed:
what is cut off in the middle, or no JSON at all, is masked all the same.
"""

import json
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_plus, urlsplit, urlunsplit

from syncd.calls.base import Answer, Composed, Credential, Shown
from syncd.config import secrets
from syncd.config.http_fields import KNOWN_SECRET_FIELDS
from syncd.errors import storable
from syncd.telemetry.masking import MASK, Masker

KEPT: Final = 64 * 2**10
"""Bytes of an answer that are recorded."""
REQUEST_IDS: Final = (
    "x-request-id", "request-id", "x-correlation-id", "x-trace-id", "traceparent", "x-b3-traceid",
    "x-amzn-requestid", "x-amzn-trace-id", "x-ms-request-id", "x-acs-request-id",
    "x-cloud-trace-context", "cf-ray",
)  # fmt: skip
"""Headers by which servers name a request in their own logs."""

_WORD: Final = re.compile(r"[\w.-]*")
_BY_VALUE: Final = Masker(secrets.known)
_LONGER_THAN_NAMES: Final = Masker(lambda: (s for s in secrets.known() if not _WORD.fullmatch(s)))
_CHARSET: Final = re.compile(r"charset\s*=\s*[\"']?([\w.:-]{1,40})", re.IGNORECASE)
_KEY: Final = re.compile(r'(\\{0,7})"((?:[^"\\]|\\[^"]){1,256})\1"\s{0,64}:\s{0,64}')
_SCALAR: Final = re.compile(r"[^\s,\]}]*")
_NOT_SECRET: Final = frozenset({"true", "false", "null", ""})
_BRACKETS: Final = re.compile(r'["{}\[\]]')
_STRING_ENDS: Final = re.compile(r'[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_PAIR: Final = re.compile(r"(?<![\w.-])([\w.-]{1,100})[\"']?[ \t]{0,8}[=:][ \t]{0,8}")
_VALUE: Final = re.compile(
    r"(?:bearer|basic)[ \t]{1,8}[^\s&,;<>\"']+|\"[^\"\n]*\"?|'[^'\n]*'?|[^\s&,;<>\"']+",
    re.IGNORECASE,
)
_ELEMENT: Final = re.compile(r"(<(?:[\w.-]{1,64}:)?([\w.-]{1,100})(?:\s[^<>]{0,512})?>)([^<]+)")
_CREDENTIALS: Final = re.compile(
    r"\bbearer[ \t]{1,8}(?=[A-Za-z._~+/=-]{0,200}[0-9])[A-Za-z0-9._~+/=-]{8,}|"
    r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?",
    re.IGNORECASE,
)


def names_secret(name: str, masked: frozenset[str]) -> bool:
    """Tell whether the value of a field, parameter or header is taken for a secret."""
    return name.lower() in masked or KNOWN_SECRET_FIELDS.search(name) is not None


def safe_text(text: str, masked: frozenset[str] = frozenset()) -> str:
    """Return a text in which every secret is masked, by value and by name; PostgreSQL takes it.

    `masked` are further names, in lower case. Its time grows with the length alone.
    """
    # A secret that is a word may be a part of a name, by which another one is found; one that is
    # more than a word may hold a name, and would be taken apart there.
    text = _json_fields(_LONGER_THAN_NAMES(text), masked)
    text = _pairs(text, masked)
    text = _ELEMENT.sub(lambda found: _element(found, masked), text)
    return storable(_BY_VALUE(_CREDENTIALS.sub(MASK, text)))


def recorded(answer: Answer, masked: frozenset[str]) -> str:
    """Return the first 64 KiB of an answer's body as they may be recorded."""
    return _beginning(answer.body, answer.headers, masked)


def body_text(body: bytes, headers: Mapping[str, str]) -> str:
    """Return a body's text by its charset, else UTF-8; what does not fit is replaced."""
    found = _CHARSET.search(headers.get("Content-Type") or "")
    try:
        return body.decode(found[1] if found else "utf-8-sig", "replace")
    except (LookupError, UnicodeError, ValueError):  # no charset of text, or none at all
        return body.decode("utf-8", "replace")


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return what the server calls the request, if its headers tell."""
    found = (headers.get(name) for name in REQUEST_IDS)
    named = next((each for each in found if each and each.strip()), None)
    return safe_text(named.strip())[:256] if named else None


def public_url(url: str, masked: frozenset[str] = frozenset()) -> str:
    """Return a URL without user and password, and without the values of secret parameters."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(no URL)"
    pairs = [_parameter(each, masked) for each in parts.query.split("&")]
    host = parts.netloc.rpartition("@")[2]
    return storable(_BY_VALUE(urlunsplit((parts.scheme, host, parts.path, "&".join(pairs), ""))))


def show(composed: Composed, credential: Credential | None = None) -> Shown:
    """Return a request as it may be shown."""
    headers = {name: _header(name, value, composed) for name, value in composed.headers.items()}
    if credential is not None:
        headers[credential.header] = MASK
    return Shown(
        composed.method,
        public_url(composed.url, composed.masked),
        headers,
        _beginning(composed.body or b"", _folded(composed.headers), composed.masked),
    )


def _beginning(body: bytes, headers: Mapping[str, str], masked: frozenset[str]) -> str:
    """Return the masked text of a body's beginning, in which no secret stands in part."""
    text = body_text(body[:KEPT], headers)
    if len(body) >= KEPT:
        parts = (_part_at_end(text, secret) for secret in secrets.known())
        text = text[: len(text) - max(parts, default=0)]
    return safe_text(text, masked)


def _part_at_end(text: str, secret: str) -> int:
    """Return how many characters of a secret's beginning stand at the end of a text that is cut."""
    most = min(len(secret) - 1, len(text))
    return next((size for size in range(most, 0, -1) if text.endswith(secret[:size])), 0)


def _folded(headers: Mapping[str, str]) -> dict[str, str]:
    kind = (value for name, value in headers.items() if name.lower() == "content-type")
    return {"Content-Type": next(kind, "")}


def _header(name: str, value: str, composed: Composed) -> str:
    if names_secret(name, composed.masked):
        return MASK
    return safe_text(value, composed.masked)


def _parameter(text: str, masked: frozenset[str]) -> str:
    name, equals, _ = text.partition("=")
    return f"{name}={MASK}" if equals and names_secret(unquote_plus(name), masked) else text


def _pairs(text: str, masked: frozenset[str]) -> str:
    """Mask the values of secret names in a form, a command line, headers, or prose."""
    pieces, at = [], 0
    for found in _PAIR.finditer(text):
        if found.start() < at or not _is_named(found[1], masked):
            continue
        value = _VALUE.match(text, found.end())
        bare = value[0].strip("\"'}])") if value else ""
        if value and bare != MASK and bare.lower() not in _NOT_SECRET:
            pieces += [text[at : found.end()], MASK]
            at = value.end()
    return "".join((*pieces, text[at:]))


def _is_named(name: str, masked: frozenset[str]) -> bool:
    """Tell whether `password`, `--password` or `db.password` is the name of a secret."""
    return any(names_secret(each, masked) for each in (name, name.rpartition(".")[2].lstrip("-")))


def _element(found: re.Match[str], masked: frozenset[str]) -> str:
    return f"{found[1]}{MASK}" if names_secret(found[2], masked) else found[0]


def _json_fields(text: str, masked: frozenset[str]) -> str:
    """Mask the values of JSON's secret fields, whole objects too."""
    pieces, at = [], 0
    for found in _KEY.finditer(text):
        if found.start() < at or not names_secret(_plain(found[2]), masked):
            continue
        end = _value_end(text, found.end(), found[1])
        if text[found.end() : end].strip() not in _NOT_SECRET:
            pieces += [text[at : found.end()], f'{found[1]}"{MASK}{found[1]}"']
            at = end
    return "".join((*pieces, text[at:]))


def _plain(key: str) -> str:
    """Return a key without the escapes of JSON."""
    if "\\" not in key:
        return key
    try:
        return str(json.loads(f'"{key}"'))
    except ValueError:
        return key


def _value_end(text: str, start: int, escape: str) -> int:
    """Return where the value that begins at `start` ends; a cut one ends with the text."""
    if escape:  # JSON inside a string of JSON: its quotes are escaped
        return _escaped_end(text, start, f'{escape}"')
    if text.startswith('"', start):
        return _string_end(text, start)
    if not text.startswith(("{", "["), start):
        return _scalar_end(text, start)
    depth, at = 0, start
    while found := _BRACKETS.search(text, at):
        if found[0] == '"':
            at = _string_end(text, found.start())
            continue
        depth += 1 if found[0] in "{[" else -1
        at = found.end()
        if depth == 0:
            return at
    return len(text)


def _escaped_end(text: str, start: int, quote: str) -> int:
    if text.startswith(("{", "["), start):
        return len(text)  # rare enough to hide all that follows
    if not text.startswith(quote, start):
        return _scalar_end(text, start)
    found = re.compile(rf"(?<!\\){re.escape(quote)}").search(text, start + len(quote))
    return found.end() if found else len(text)


def _scalar_end(text: str, start: int) -> int:
    found = _SCALAR.match(text, start)
    return found.end() if found else start


def _string_end(text: str, start: int) -> int:
    found = _STRING_ENDS.match(text, start + 1)
    return found.end() if found else len(text)

"""The kinds of values that the keys of HTTP calls hold, each with one clear complaint."""

import math
import re
import warnings
from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import quote, urlsplit

from pydantic import PlainSerializer, PlainValidator

from syncd.config import hosts, templates
from syncd.config.secrets import Secret, parse_secret
from syncd.config.spelling import quoted

REFERENCES: Final = ("credential", "env", "file")
KNOWN_SECRET_FIELDS: Final = re.compile(
    r"passw(or)?d|pass[-_]?(phrase|code)|pass(?![a-z])|pwd|secret|token(?![-_]?type)|jwt|signature"
    r"|(api|app|access|auth|private|signing|encryption|subscription|functions)[-_]?key"
    r"|authorization|(?<![a-z])auth(?![a-z])|cookie|credential|session[-_]?id",
    re.IGNORECASE,
)
"""Names of fields, headers and query parameters whose values are taken for secrets."""

_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}", re.ASCII)  # RFC 9110, 5.6.2
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_URL: Final = re.compile(r"(https?)://([^/?#]+)([^#]*)(#?).*", re.IGNORECASE | re.DOTALL)
_MAIL: Final = re.compile(r"[^\s@,;<>\"()]{1,64}@[A-Za-z0-9.-]{1,253}", re.ASCII)
_DEPTH: Final = 32
_LARGEST_NUMBER: Final = 2**63
_LONGEST_PATTERN: Final = 4096
_OURS: Final = frozenset({
    "connection", "content-length", "host", "transfer-encoding", "expect", "te", "upgrade",
})  # fmt: skip
"""Headers that the client writes itself; another value would break the message's frame."""


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")  # noqa: TRY004 - pydantic collects ValueErrors only
    if not value.isprintable():
        raise ValueError("must be printable, without line breaks")
    return value


def _header_value(value: object) -> str:
    text = _text(value)
    if not text.isascii():  # RFC 9110, 5.5
        raise ValueError("must be of ASCII characters alone")
    return text


def _user(value: object) -> str:
    text = _text(value)
    if ":" in text:  # RFC 7617, 2
        raise ValueError("must hold no colon")
    return text


def _url(value: object) -> str:
    """Take a URL, and write its host and what is not ASCII as they are sent."""
    parts = _URL.fullmatch(_text(value))
    if not parts:
        raise ValueError("must be a URL such as https://host/path")
    scheme, authority, rest, fragment = parts.groups()
    if "{" in authority or "}" in authority:
        raise ValueError("must name its host: {{ names }} may stand behind it alone")
    if "@" in authority:
        raise ValueError("must hold no user and password: see basic")
    if fragment:
        raise ValueError("must hold no fragment (#): it would never be sent")
    if " " in templates.fill(rest, dict.fromkeys(templates.names(rest), "")):
        raise ValueError("must hold no space: write %20")
    sent = "".join(each if each.isascii() else quote(each) for each in rest)
    return f"{scheme.lower()}://{_authority(authority)}{sent}"


def _authority(text: str) -> str:
    """Return host and port as they are sent."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = hosts.plain(parts.hostname or ""), parts.port
    except ValueError as error:
        raise ValueError("must be a URL such as https://host/path: that is no host") from error
    if port == 0:
        raise ValueError("must be a URL such as https://host/path: there is no port 0")
    written = f"[{host}]" if ":" in host else host
    return written if port is None else f"{written}:{port}"


def _secret_url(value: object) -> Secret:
    """Take a URL that is a secret, or a reference to it."""
    secret = parse_secret(value)
    if secret.source == "inline":
        text = secret.inline.get_secret_value()
        _url(text)
        if templates.names(text):
            raise ValueError("must hold no {{ names }}")
    return secret


def _mail(value: object) -> str:
    if not _MAIL.fullmatch(_text(value)):
        raise ValueError("must be an address such as ops@example.com")
    return _text(value)


def _mails(value: object) -> tuple[str, ...]:
    return tuple(map(_mail, _names(value)))


def _header_name(value: object) -> str:
    if not _HEADER.fullmatch(_text(value)):
        raise ValueError("must be the name of a header")
    if _text(value).lower() in _OURS:
        raise ValueError("is a header that syncd writes itself")
    return _text(value)


def _header_or_false(value: object) -> str | bool:
    if isinstance(value, bool):
        if value:
            raise ValueError("must be the name of a header, or false")
        return False
    return _header_name(value)


def _table(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError('must be a table, such as { name = "value" }')  # noqa: TRY004
    return value


def _headers(value: object) -> dict[str, str | Secret]:
    found: dict[str, str | Secret] = {}
    for name, each in _table(value).items():
        try:
            _header_name(name)
            plain = _header_value(each) if isinstance(each, str) else parse_secret(each)
            found[name] = _hidden(plain, name)
        except ValueError as error:
            raise ValueError(f"{quoted(name)} {error}") from error
    if len({name.lower() for name in found}) < len(found):
        raise ValueError("names a header twice, in upper and lower case")
    return found


def _pairs(value: object) -> dict[str, str | Secret]:
    """Take texts, numbers and secret references by name."""
    found: dict[str, str | Secret] = {}
    for name, each in _table(value).items():
        match each:
            case bool():
                found[name] = str(each).lower()
            case str():
                found[name] = _hidden(each, name)
            case int() | float():
                found[name] = str(_number(each))
            case Mapping() | Secret():
                found[name] = _reference(each, name)
            case _:
                raise ValueError(f"{quoted(name)} must be a string, a number or a reference")
    return found


def _reference(value: object, name: str) -> Secret:
    try:
        return parse_secret(value)
    except ValueError as error:
        raise ValueError(f"{quoted(name)} {error}") from error


def _body(value: object) -> object:
    """Take what JSON can hold; inside it, tables of one key may be secret references."""
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping | list | tuple):
        raise ValueError("must be a table, a list or a string")  # noqa: TRY004
    if isinstance(value, Mapping):
        return {name: _hidden_inside(_inside(each, 1), name) for name, each in value.items()}
    return tuple(_hidden_inside(_inside(each, 1), "") for each in value)


def _hidden_inside(value: object, name: str) -> object:
    """Take texts of a body for secrets where the names of their fields tell that they are."""
    match value:
        case str():
            return _hidden(value, name)
        case Mapping():
            return {inner: _hidden_inside(each, inner) for inner, each in value.items()}
        case tuple():
            return tuple(_hidden_inside(each, name) for each in value)
    return value


def _hidden(value: str | Secret, name: str) -> str | Secret:
    """Take a text for a secret where its name tells that it is one, to be masked by its value."""
    if isinstance(value, Secret) or not KNOWN_SECRET_FIELDS.search(name) or templates.names(value):
        return value
    return parse_secret(value) if value and "\0" not in value else value


def _inside(value: object, depth: int) -> object:
    if depth > _DEPTH:
        raise ValueError("is nested too deeply")
    match value:
        case bool() | str() | Secret():
            return value
        case int() | float():
            return _number(value)
        case Mapping() if len(value) == 1 and next(iter(value)) in REFERENCES:
            return parse_secret(value)
        case Mapping():
            return {name: _inside(each, depth + 1) for name, each in value.items()}
        case list() | tuple():
            return tuple(_inside(each, depth + 1) for each in value)
    raise ValueError("holds what JSON has no word for: write dates as strings")


def _number(value: float) -> float:
    """Take what JSON's readers agree on (RFC 8259, 6)."""
    if not math.isfinite(value) or (isinstance(value, int) and abs(value) > _LARGEST_NUMBER):
        raise ValueError("holds a number that can't be sent: not finite, or above 64 bits")
    return value


def _path(value: object) -> str:
    text = _text(value)
    if not text or not all(text.split(".")) or len(text) > 256:
        raise ValueError('must be a path such as "data.items.0.id"')
    return text


def _paths(value: object) -> tuple[str, ...]:
    found = (value,) if isinstance(value, str) else value
    if not isinstance(found, list | tuple) or not 1 <= len(found) <= 20:
        raise ValueError("must be a path or a list of 1 to 20 paths")
    return tuple(_path(each) for each in found)


def _json_values(value: object) -> dict[str, Any]:
    return {_path(path): _inside(each, 1) for path, each in _table(value).items()}


def _saved(value: object) -> dict[str, str]:
    found = {}
    for name, each in _table(value).items():
        if name in templates.OF_RUN:
            raise ValueError(f"{quoted(name)} has a meaning already")
        if not _WORD.fullmatch(name):
            raise ValueError(f"{quoted(name)} can't be a name: letters, digits and '_'")
        path = _path(each)
        if KNOWN_SECRET_FIELDS.search(f"{name} {path}"):
            raise ValueError(f"{quoted(name)} looks like a secret, which would stand in the store:"
                             " a [tokens] table keeps it out")  # fmt: skip
        found[name] = path
    return found


def _pattern(value: object) -> re.Pattern[str]:
    if isinstance(value, re.Pattern):
        return value
    if not isinstance(value, str):
        raise ValueError("must be a string")  # noqa: TRY004
    if len(value) > _LONGEST_PATTERN:
        raise ValueError(f"must be at most {_LONGEST_PATTERN} characters long")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of syntax that may mean something else one day
            return re.compile(value)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"is no regular expression: {error}") from error


def _patterns(value: object) -> dict[str, re.Pattern[str]]:
    return {_header_name(name): _pattern(each) for name, each in _table(value).items()}


def _status_codes(value: object) -> tuple[int, ...]:
    found = [value] if isinstance(value, int) else value
    if not isinstance(found, list | tuple):
        raise ValueError("must be a list of codes, such as [200, 202]")  # noqa: TRY004
    for code in found:
        if isinstance(code, bool) or not isinstance(code, int) or not 200 <= code <= 599:
            raise ValueError("must hold codes between 200 and 599")
    return tuple(found)


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError('must be a list, such as ["a", "b"]')  # noqa: TRY004
    return tuple(_text(each) for each in value)


def _host_patterns(value: object) -> tuple[str, ...]:
    return tuple(map(_host_pattern, _names(value)))


def _host_pattern(text: str) -> str:
    try:
        return hosts.pattern(text)
    except ValueError as error:
        examples = '"api.internal", "*.internal", "host:8443"'
        raise ValueError(f"{quoted(text)} is no host: {examples}") from error


Text = Annotated[str, PlainValidator(_text)]
Url = Annotated[str, PlainValidator(_url)]
SecretUrl = Annotated[Secret, PlainValidator(_secret_url), PlainSerializer(str)]
User = Annotated[str, PlainValidator(_user)]
MailAddress = Annotated[str, PlainValidator(_mail)]
MailAddresses = Annotated[tuple[str, ...], PlainValidator(_mails)]
HeaderValue = Annotated[str, PlainValidator(_header_value)]
HeaderName = Annotated[str, PlainValidator(_header_name)]
KeyHeader = Annotated[str | bool, PlainValidator(_header_or_false)]
Headers = Annotated[Mapping[str, str | Secret], PlainValidator(_headers)]
Pairs = Annotated[Mapping[str, str | Secret], PlainValidator(_pairs)]
Body = Annotated[Any, PlainValidator(_body)]
JsonPath = Annotated[str, PlainValidator(_path)]
JsonPaths = Annotated[tuple[str, ...], PlainValidator(_paths)]
JsonValues = Annotated[Mapping[str, Any], PlainValidator(_json_values)]
SavedPaths = Annotated[Mapping[str, str], PlainValidator(_saved)]
Pattern = Annotated[
    re.Pattern[str], PlainValidator(_pattern), PlainSerializer(lambda each: each.pattern)
]
Patterns = Annotated[
    Mapping[str, re.Pattern[str]],
    PlainValidator(_patterns),
    PlainSerializer(lambda each: {name: pattern.pattern for name, pattern in each.items()}),
]
StatusCodes = Annotated[tuple[int, ...], PlainValidator(_status_codes)]
FieldNames = Annotated[tuple[str, ...], PlainValidator(_names)]
HostPatterns = Annotated[tuple[str, ...], PlainValidator(_host_patterns)]

"""Configuration files as they may be shown: without the secrets that are written into them.

The text itself is masked, not what a schema makes of it: an old version may not fit this program,
and comments hold secrets too. What is no TOML at all shows its known keys and nothing else.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from pydantic.fields import FieldInfo

from syncd.config import http_secrets
from syncd.config.files import NAMED
from syncd.config.http_fields import KNOWN_SECRET_FIELDS, REFERENCES
from syncd.config.schema_paths import (
    fields_at,
    holds_secret,
    is_sent,
    known_names,
    secret_keys,
)
from syncd.config.secrets import dsn_passwords
from syncd.config.toml_spans import Span, comments_of, values_of

_HARMLESS_HEADERS: Final = ("accept", "accept-language", "cache-control", "content-type",
                            "user-agent")  # fmt: skip
_HARMLESS_FIELD: Final = re.compile(
    r"user(name)?|login|account|domain|tenant|realm|grant_?type|scope|audience|client_?id",
    re.IGNORECASE,
)
_WORD: Final = (
    r"pass[-_ ]?(?:word|wd|phrase|code)|passwd|pwd|secret|token|signature|dsn"
    r"|(?:access|api|private|encryption|secret)[-_ ]?key|auth|bearer|cookie|webhook"
)
_SECRET_KEY: Final = re.compile(rf"{_WORD}|^(?:headers?|url|key)$", re.IGNORECASE)
_SECRET_FIELD: Final = re.compile(
    rf"{KNOWN_SECRET_FIELDS.pattern}|dsn|webhook|^(?:key|pin|otp)$", re.IGNORECASE
)
_TELLING: Final = re.compile(
    rf"(?:{_WORD})[\w.-]{{0,64}}[\"']?\s{{0,16}}[=:]|\bbearer\s|\b(?:LTAI|AKID)\w{{8}}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY",
    re.IGNORECASE,
)
"""What makes a text suspicious whatever its key: an assignment, the beginning of a cloud's key.
A private key is one too, wherever it is pasted."""
_URL: Final = re.compile(r"://(\S+)")
_HEADER: Final = re.compile(r"\s*\[{1,2}\s*([A-Za-z_]+)(?:\.[A-Za-z0-9_-]+)*\s*\]{1,2}\s*")
_KEY: Final = re.compile(r"\s*([A-Za-z_]+)\s*=")


@dataclass(frozen=True, slots=True)
class Hidden:
    """A text to be shown, line for line; `secrets` are the values that it shows no more."""

    lines: list[str]
    secrets: frozenset[str]
    is_toml: bool


def hide(text: str, mask: str) -> Hidden:
    """Put a mask in place of each secret of a file's text."""
    try:
        tomllib.loads(text)
        values, comments = values_of(text), comments_of(text)
    except (ValueError, RecursionError):
        lines = [_known_key(line, mask) for line in text.split("\n")]
        return Hidden(lines, frozenset(), is_toml=False)
    inside = Counter(each.place[:length] for each in values for length in range(len(each.place)))
    secret = [
        span
        for span in values
        if _is_secret(span, text[span.start : span.end], alone=inside[span.place[:-1]] == 1)
    ]
    telling = [span for span in comments if _is_telling(text[span.start : span.end])]
    shown = _replaced(text, [*secret, *telling], mask)
    found = {form for span in secret for form in _forms(text[span.start : span.end])}
    return Hidden(shown.split("\n"), frozenset(found), is_toml=True)


def _replaced(text: str, spans: list[Span], mask: str) -> str:
    """Put the mask in place of spans; the text keeps its number of lines."""
    parts, end = [], 0
    for span in sorted(spans, key=lambda each: each.start):
        old = text[span.start : span.end]
        new = f"# {mask}" if old.startswith("#") else f'"{mask}"'
        parts += [text[end : span.start], "\n".join([new, *[mask] * old.count("\n")])]
        end = span.end
    return "".join([*parts, text[end:]])


def _is_secret(span: Span, written: str, *, alone: bool) -> bool:
    """Tell whether a value is, or may be, a secret: by its key, and by itself.

    `alone` tells that its table holds nothing else, as a reference to a secret does.
    """
    value = _plain(written)
    known = fields_at(span.path)
    if not known:
        return _looks_secret(span.path, value)
    for name, info, rest in known:
        if is_sent(name):
            reference = alone and len(rest) > 1 and rest[-1] in REFERENCES
            sent = not reference and _is_sent_secret(span.path[0], (name, *rest), value)
            if sent:
                return True
        elif _is_secret_key(name, info, rest, value):
            return True
    return False


def _is_secret_key(name: str, info: FieldInfo, rest: tuple[str, ...], value: Any) -> bool:  # noqa: ANN401
    """Tell whether the value of a key of the schema is a secret, or seems to be."""
    if holds_secret(info):
        return rest not in [(each,) for each in REFERENCES] and not (
            name == "dsn" and not rest and _is_harmless_dsn(value)
        )
    if any(map(_SECRET_KEY.search, rest)):
        return True
    is_url = name == "url" and isinstance(value, str)
    return _tells(str(value)) or (is_url and _is_telling_url(value))


def _is_sent_secret(table: str, keys: tuple[str, ...], value: Any) -> bool:  # noqa: ANN401
    """Tell whether what is sent is, or may be, a secret: of a login all but a few words."""
    if isinstance(value, str) and table == "tokens" and not _HARMLESS_FIELD.fullmatch(keys[-1]):
        return True
    if keys[0] == "headers":
        return keys[-1].lower() not in _HARMLESS_HEADERS or _tells(str(value))
    text = str(value)
    return (
        any(map(_SECRET_FIELD.search, keys[1:]))
        or _tells(text)
        or http_secrets.in_text(text)
        or http_secrets.looks_random(text)
    )


def _is_telling_url(url: str) -> bool:
    return bool(http_secrets.in_url(url)) or http_secrets.looks_random(url)


def _is_telling(comment: str) -> bool:
    return _tells(comment) or http_secrets.looks_random(comment)


def _looks_secret(path: tuple[str, ...], value: Any) -> bool:  # noqa: ANN401
    """Tell whether a value seems to be a secret where the schema knows no key."""
    chosen = path[0] in NAMED and len(path) > 2 and path[1] not in secret_keys()
    keys = path[2:] if chosen else path
    for number, key in enumerate(keys):
        if key in secret_keys() or _SECRET_KEY.search(key):
            return keys[number + 1 :] not in [(each,) for each in REFERENCES]
    return _tells(str(value))


def _is_harmless_dsn(value: Any) -> bool:  # noqa: ANN401 - of any type in an invalid file
    return isinstance(value, str) and not _tells(value) and not dsn_passwords(value)


def _tells(text: str) -> bool:
    """Tell whether a text seems to hold a secret; a URL's password is one."""
    urls = (url.rpartition("@")[0] for url in _URL.findall(text))
    return bool(_TELLING.search(text) or _TELLING.search(unquote(text))) or ":" in "".join(urls)


def _forms(written: str) -> Iterator[str]:
    """Yield what must not be shown elsewhere either: the value, its lines, a password in it."""
    value = _plain(written)
    yield str(value)
    if isinstance(value, str):
        yield from (line.strip() for line in value.split("\n"))
        yield from dsn_passwords(value)


def _plain(written: str) -> Any:  # noqa: ANN401 - any TOML value
    """Return the value that a piece of TOML stands for."""
    return tomllib.loads(f"value = {written}")["value"]


def _known_key(line: str, mask: str) -> str:
    """Show a line of a text whose structure is not known: a header, a key, or nothing of it."""
    tables, keys = known_names()
    header, key = _HEADER.fullmatch(line), _KEY.match(line)
    if not line.strip() or (header and header[1] in tables):
        return line
    return f"{key[0]} {mask}" if key and key[1] in keys else mask


__all__ = ["Hidden", "hide", "secret_keys"]

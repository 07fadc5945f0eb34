"""Configuration files as they may be shown: without the secrets that are written into them.

The text itself is masked, not what a schema makes of it: an old version may not fit this program,
and comments hold secrets too. What is no TOML at all shows its known keys and nothing else.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, get_args
from urllib.parse import unquote

from pydantic import BaseModel

from syncd.config.configuration import Tables
from syncd.config.jobs import KINDS
from syncd.config.secrets import Secret, dsn_passwords
from syncd.config.toml_spans import Span, comments_of, values_of

REFERENCES: Final = ("credential", "env", "file")

_NAMED: Final = ("accounts", "jobs", "notify", "servers")
"""Tables whose entries have names that people choose."""
_WORD: Final = (
    r"pass[-_ ]?(?:word|wd|phrase|code)|passwd|pwd|secret|token|signature|dsn"
    r"|(?:access|api|private|encryption|secret)[-_ ]?key|auth|bearer|cookie|webhook"
)
_SECRET_KEY: Final = re.compile(rf"{_WORD}|^(?:headers?|url|key)$", re.IGNORECASE)
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
    secret = [span for span in values if _is_secret(span, text[span.start : span.end])]
    telling = [span for span in comments if _tells(text[span.start : span.end])]
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


def _is_secret(span: Span, written: str) -> bool:
    """Tell whether a value is, or may be, a secret: by its key, and by itself."""
    path = span.path
    chosen = path[0] in _NAMED and len(path) > 2 and path[1] not in secret_keys()
    keys = path[2:] if chosen else path
    for number, key in enumerate(keys):
        if key in secret_keys() or _SECRET_KEY.search(key):
            if keys[number + 1 :] in [(each,) for each in REFERENCES]:
                return False
            return not (key == "dsn" and _is_harmless_dsn(_plain(written)))
    return _tells(str(_plain(written)))


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


@cache
def secret_keys() -> frozenset[str]:
    """Return the keys that the schema knows as secrets."""
    return frozenset(
        name
        for model in _models()
        for name, info in model.model_fields.items()
        if _holds_secret(info.annotation)
    )


def _holds_secret(kind: Any) -> bool:  # noqa: ANN401 - any annotation, `Secret | None` too
    return kind is Secret or any(map(_holds_secret, get_args(kind)))


@cache
def known_names() -> tuple[frozenset[str], frozenset[str]]:
    """Return the names of the tables, and the keys of all of them."""
    keys = {name for model in _models() for name in model.model_fields}
    return frozenset(Tables.model_fields), frozenset(keys)


def _models() -> set[type[BaseModel]]:
    """Return every kind of table that the schema has."""
    found: set[type[BaseModel]] = set()
    waiting: list[Any] = [Tables, *KINDS.values()]
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if kind not in found:
                found.add(kind)
                waiting += [info.annotation for info in kind.model_fields.values()]
        else:
            waiting += get_args(kind)
    return found

"""Secrets inside the texts of HTTP calls, as far as a text shows that it holds one."""

import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from syncd.config import templates
from syncd.config.http_fields import KNOWN_SECRET_FIELDS

_AUTHORIZATION: Final = re.compile(r"\s*(basic|bearer|token|negotiate)\s+[^\s{]", re.IGNORECASE)
_ASSIGNED: Final = re.compile(
    rf"(?:{KNOWN_SECRET_FIELDS.pattern})[\w-]{{0,64}}[\"']?\s*[:=]\s*[\"']?[^\s\"'{{&]",
    re.IGNORECASE,
)
_RANDOM: Final = re.compile(
    r"(?<![A-Za-z0-9])(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{20,}"
    r"|(?<![\w-])(?=[\w-]*[0-9])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])[\w-]{24,}"
    r"|\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b",
    re.ASCII,
)


def in_url(url: str) -> list[str]:
    """Return the names of a URL's parameters that hold a secret, written out."""
    try:
        pairs = parse_qsl(urlsplit(url).query, keep_blank_values=False)
    except ValueError:
        return []
    return [
        name
        for name, value in pairs
        if KNOWN_SECRET_FIELDS.search(name) and not templates.names(value)
    ]


def in_text(text: str) -> bool:
    """Tell whether a text gives a value to what is named like a secret: JSON, a form, lines."""
    return bool(_ASSIGNED.search(text))


def is_authorization(value: str) -> bool:
    """Tell whether the value of a header is a credential, whatever the header's name."""
    return bool(_AUTHORIZATION.match(value))


def looks_random(text: str) -> bool:
    """Tell whether a piece of a text looks like a key: long, of letters and digits."""
    return bool(_RANDOM.search(text))


def public_url(url: str) -> str:
    """Return a URL without its query and without what looks like a key in its path."""
    shown = url.partition("?")[0]
    scheme, _, rest = shown.partition("://")
    host, slash, path = rest.partition("/")
    parts = ("***" if looks_random(part) else part for part in path.split("/"))
    return f"{scheme}://{host}{slash}{'/'.join(parts)}"

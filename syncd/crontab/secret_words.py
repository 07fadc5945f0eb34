"""What looks like a secret, and texts without it.

Where a text can't be read as what it means, it ends at the first thing that may be a secret.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from syncd.config.http_fields import KNOWN_SECRET_FIELDS

MASK: Final = "***"
SHORTEST: Final = 4
"""Characters; a shorter secret would be found by chance."""
_SHOWN: Final = 300
_READ: Final = 5000

_MORE: Final = re.compile(
    r"(x[-_])?(ak|sk|auth|key|sid|sig|sign|session([-_]?id)?)|([\w-]*[-_])?(pw|pin)", re.IGNORECASE
)
_JWT: Final = re.compile(r"eyJ[A-Za-z0-9_-]{8,}")
_USER: Final = re.compile(r"://[^/\s@]*@")
_MAYBE_USER: Final = re.compile(r"://[^\s\"']*@")
_OPTION: Final = re.compile(
    r"(?<![\w-])-[A-Za-z#0-9]*[uUbE]"  # curl, wget: users, cookies, certificates
    r"|(?<![\w-])-p(?=\S)|\bsshpass\s+-p|\bredis-cli\s(?:.*?\s)?-a"
    r"|--(?:user|proxy-user|cert|http-user)\b|(?i:[?&](?:key|sig|sign|auth|ak|sk)=|\bbasic\s|\bbearer\s)"
)
_LONG: Final = re.compile(r"(?=[A-Za-z_+=-]*[0-9])(?=[0-9_+=-]*[A-Za-z])[A-Za-z0-9_+=-]{20,}")


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret on its way out of the crontab: `role` becomes part of its new name."""

    value: str
    role: str
    what: str

    def __repr__(self) -> str:
        """Name it, never the value."""
        return f"Sealed({self.role!r})"


def is_secret_name(name: str) -> bool:
    """Tell whether a parameter, a header or a variable of this name holds a secret."""
    return bool(KNOWN_SECRET_FIELDS.search(name) or _MORE.fullmatch(name))


def looks_secret(text: str) -> bool:
    """Tell whether a text holds what is a secret wherever it stands."""
    return bool(_JWT.search(text) or _USER.search(text))


def longest_first(values: Iterable[str]) -> tuple[str, ...]:
    """Return secrets in the order in which they are taken out: one may be a part of another."""
    return tuple(sorted((v for v in values if len(v) >= SHORTEST), key=len, reverse=True))


def without(text: str, values: Iterable[str]) -> str:
    """Return a text without these secrets (`longest_first`), printable."""
    for value in values:
        text = text.replace(value, MASK)
    return "".join(each if each.isprintable() else " " if each == "\t" else "?" for each in text)


def masked(text: str, values: Iterable[str] = ()) -> str:
    """Return a text as it may be shown: printable, and cut at what may be a secret."""
    text = without(text, values)[:_READ]
    stops = (_OPTION.search(text), KNOWN_SECRET_FIELDS.search(text), _MAYBE_USER.search(text))
    ends = [found.start() if found.re is _MAYBE_USER else found.end() for found in stops if found]
    if ends:
        text = f"{text[: min(ends)]} {MASK}"
    text = _LONG.sub(MASK, text)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."

"""Names of jobs, from the comment above a line or from what it calls."""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

from syncd.crontab.lines import Entry
from syncd.crontab.secret_words import masked

_ODD: Final = re.compile(r"[^A-Za-z0-9]+")
_TITLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9 _-]{2,39}[.:]?", re.ASCII)
_DULL: Final = re.compile(r"api|rest|v[0-9]+|index|[0-9]+|cgi-bin", re.IGNORECASE)
_EXTENSION: Final = re.compile(r"\.(php|aspx?|jsp|cgi|do|json|html?|sh)$", re.IGNORECASE)
_RANDOM: Final = re.compile(r"(?=.*[0-9])[A-Za-z0-9_=-]{16,}|[0-9a-f]{8}-[0-9a-f-]{27}")
LONGEST: Final = 48
_CUT: Final = 90  # a number behind it does not matter: the longest name of a secret is 255


class Names:
    """Names that are given once each; those that come again get a number."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._last: dict[str, int] = {}

    def free(self, name: str) -> str:
        """Return a name, with the first number behind it that is free where it is taken."""
        number, found = self._last.get(name, 1), name
        while found in self._taken:
            number += 1
            found = f"{name[:_CUT]}-{number}"
        self._last[name] = max(number - 1, 1)
        return found

    def take(self, name: str) -> None:
        """Let nobody else have a name."""
        self._taken.add(name)


def job_name(entry: Entry, url: str, prefix: str) -> str:
    """Return a name of letters, digits and `-` for a line that calls a URL first."""
    name = _of_comment(entry) or _of_url(url) or "call"
    return f"{prefix}{name}"[: max(LONGEST, len(prefix) + 1)].rstrip("-")


def _of_comment(entry: Entry) -> str:
    """Return a comment of up to four words as a name; longer ones explain and name nothing."""
    if not entry.alone or len(entry.comments) != 1:
        return ""
    text = entry.comments[0]
    if not _TITLE.fullmatch(text) or len(text.split()) > 4 or masked(text) != text:
        return ""
    return _slug(text)


def _of_url(url: str) -> str:
    """Return the last parts of a path that say something, else the host."""
    address = url.partition("://")[2].partition("?")[0]
    host, _, path = address.partition("/")
    parts = [_EXTENSION.sub("", each) for each in path.split("/")]
    telling = [
        each
        for each in parts
        if each and "{{" not in each and not _DULL.fullmatch(each) and not _RANDOM.fullmatch(each)
    ]
    return _slug("-".join(unquote(each) for each in telling[-3:])) or _slug(
        host.partition(":")[0].removeprefix("[").removesuffix("]")
    )


def _slug(text: str) -> str:
    return _ODD.sub("-", text).strip("-").lower()

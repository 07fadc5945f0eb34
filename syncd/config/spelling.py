"""What is allowed, and the nearest valid spelling of what was written instead."""

import difflib
from collections.abc import Iterable
from typing import Final

_FEW: Final = 40


def hint(word: str, allowed: Iterable[str], example: str = "") -> str:
    """Return the end of a complaint: `; did you mean "x"?; allowed: x, y`.

    `example` stands in for a list of allowed words that is too long to show.
    """
    words = sorted(allowed)
    near = difflib.get_close_matches(word[:64], words, n=1)
    meant = f'; did you mean "{near[0]}"?' if near else ""
    shown = ", ".join(words) if len(words) <= _FEW else example
    return f"{_quoted(word)}{meant}{f'; allowed: {shown}' if shown else ''}"


def _quoted(word: str) -> str:
    shown = "".join(each if each.isprintable() else "?" for each in word[:64])
    return f' "{shown}"' if word else ""

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
    named = f" {quoted(word)}" if word else ""
    return f"{named}{meant}{f'; allowed: {shown}' if shown else ''}"


def quoted(word: str) -> str:
    """Return what somebody wrote as it may be shown: cut, without what a terminal acts upon."""
    return '"' + "".join(each if each.isprintable() else "?" for each in word[:64]) + '"'

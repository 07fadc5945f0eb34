"""Texts with `{{ names }}` in them: what may stand there, and what is put in its place.

Nothing is evaluated: a name is looked up in what is known of a run, and that is all.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

OF_RUN: Final = ("run.id", "run.scheduled_for", "date")
"""The names that every run knows; what a call saves comes to them."""

_PLACE: Final = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


def names(text: str) -> list[str]:
    """Return the names that a text holds, in their order."""
    return _PLACE.findall(text)


def is_broken(text: str) -> bool:
    """Tell whether a text begins a name without ending it; `}}` alone is how JSON may end."""
    return "{{" in _PLACE.sub(" ", text)


def fill(text: str, values: Mapping[str, str], quote: Callable[[str], str] = str) -> str:
    """Return a text with the value of each name in its place, quoted as the place needs it.

    Raises KeyError for a name that has no value.
    """
    return _PLACE.sub(lambda place: quote(values[place[1]]), text)

"""Secrets are taken out of texts at the last moment, whichever way they got in.

A value may have been quoted on its way: in a URL, in JSON, by `repr` in an exception's text, and
once more by the renderer of the line. Every such form of every known secret is looked for.
"""

import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import quote, quote_plus

MASK: Final = "******"

SHORTEST: Final = 4
"""Characters; a shorter value occurs by chance in every line, and masking it would hide the log."""


class Masker:
    """Replaces the values of all secrets that are known when it is called."""

    def __init__(self, secrets: Callable[[], Iterable[str]]) -> None:
        self._secrets = secrets

    def __call__(self, text: str) -> str:
        """Return `text` without any secret of at least four characters."""
        for form in _forms(frozenset(self._secrets())):
            text = text.replace(form, MASK)
        return text


@lru_cache(maxsize=4)
def _forms(secrets: frozenset[str]) -> tuple[str, ...]:
    """Return all forms of the secrets, the longest first: one may be a part of another."""
    forms = {
        rendered
        for secret in secrets
        if len(secret) >= SHORTEST
        for quoted in _quoted(secret)
        for rendered in _rendered(quoted)
    }
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def _quoted(secret: str) -> set[str]:
    """Return a secret as URLs, JSON and `repr` write it, and as servers misread it in a header."""
    data = secret.encode(errors="surrogatepass")
    urls = {quote(data, safe=""), quote(data), quote_plus(data)}
    misread = data.decode("latin-1")
    return {*_rendered(secret), *_rendered(misread), *urls, *(_lower_hex(url) for url in urls)}


def _rendered(text: str) -> set[str]:
    """Return a text as the renderers of log lines may write it."""
    lines = text.replace('"', '\\"').replace("\n", "\\n")
    return {
        text,
        lines,
        text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"),
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        repr(text)[1:-1],
    }


def _lower_hex(url: str) -> str:
    """Return a quoted text with %2f in place of %2F, as some clients write it."""
    head, *parts = url.split("%")
    return head + "".join("%" + part[:2].lower() + part[2:] for part in parts)

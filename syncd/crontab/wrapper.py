"""Scripts of one's own that call an endpoint: a pattern says how their words are read."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from syncd.crontab.drafts import JSON, METHODS, Draft, seconds
from syncd.crontab.reasons import NotUnderstood
from syncd.crontab.secret_words import masked

PLACES: Final = ("ENDPOINT", "METHOD", "BODY", "TIMEOUT", "LOG")
_PLACE: Final = re.compile(r"[A-Z][A-Z0-9_]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Wrapper:
    """A pattern such as `api-call.sh ENDPOINT [LOG]`, and what its script adds to each call."""

    program: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    base_url: str
    method: str
    token: str

    def read(self, words: Sequence[str]) -> Draft:
        """Read the words behind the program; raises NotUnderstood."""
        pattern = self.required + self.optional
        if not len(self.required) <= len(words) <= len(pattern):
            raise NotUnderstood(
                f"{self.program}: {len(words)} arguments are not those of --wrapper"
            )
        draft = Draft(self.program, method=self.method, content_type=JSON, token=self.token)
        for place, word in zip(pattern, words, strict=False):
            self._take(draft, place, word)
        return draft

    def _take(self, draft: Draft, place: str, word: str) -> None:
        match place:
            case "ENDPOINT":
                draft.urls.append(self._url(word))
            case "METHOD":
                draft.method = word.upper()
            case "BODY":
                draft.data.append(word)
            case "TIMEOUT":
                draft.timeout = seconds(self.program, word, "smhd") or None
            case "LOG":
                draft.note(f"{self.program} wrote to {masked(word)}; see syncd logs")
            case _ if place != word:
                raise NotUnderstood(
                    f'{self.program}: where --wrapper has "{place}", another word stands'
                )

    def _url(self, word: str) -> str:
        if "://" in word:
            return word
        if not self.base_url:
            raise NotUnderstood(f"{self.program}: an endpoint without its host; say --base-url")
        return f"{self.base_url.rstrip('/')}/{word.lstrip('/')}"


def parse_wrapper(pattern: str, base_url: str, method: str, token: str) -> Wrapper:
    """Read a pattern; raises ValueError, with the reason, for one that is none."""
    program, *places = pattern.split() or [""]
    optional = [each for each in places if each.startswith("[") and each.endswith("]")]
    required = places[: len(places) - len(optional)]
    if not program or "/" in program or places[len(required) :] != optional:
        raise ValueError(f'"{pattern}" is not of the form: script.sh ENDPOINT [LOG]')
    names = [*required, *(each[1:-1] for each in optional)]
    for name in names:
        if _PLACE.fullmatch(name) and name not in PLACES:
            raise ValueError(f"{name} is none of {', '.join(PLACES)}")
    if "ENDPOINT" not in required or len(set(names)) < len(names):
        raise ValueError(f'"{pattern}" must name ENDPOINT, and nothing twice')
    if method and method not in METHODS:
        raise ValueError(f"{method} is none of {', '.join(METHODS)}")
    return Wrapper(program, tuple(required), tuple(names[len(required) :]), base_url, method, token)

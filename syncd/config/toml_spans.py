"""Where the values and comments of a TOML text stand, which the standard reader does not tell.

For texts that tomllib has accepted: this scanner finds its way, and checks nothing twice.
(TOML 1.0, toml.io/en/v1.0.0.)
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_GAP: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_COMMENT: Final = re.compile(r"#[^\n]*")
_KEY: Final = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_STRING: Final = re.compile(
    r""""{3}(?:[^\\]|\\.)*?"{3,5}|'{3}.*?'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\'""", re.DOTALL
)
_BARE: Final = re.compile(r"[^,\]}\n#]*[^,\]}\n# \t\r]")


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of the text; `path` has the keys that lead to a value, () for a comment."""

    path: tuple[str, ...]
    start: int
    end: int


def values_of(text: str) -> list[Span]:
    """Return each value that is no array and no table, in order; raises ValueError when lost."""
    return list(_Scanner(text).document())


def comments_of(text: str) -> list[Span]:
    """Return each comment, in order."""
    scanner = _Scanner(text)
    for _ in scanner.document():
        pass
    return scanner.comments


class _Scanner:
    """One way through a text; each step begins where the last one ended."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self.comments: list[Span] = []

    def document(self) -> Iterator[Span]:
        """Yield the values of all statements."""
        table: tuple[str, ...] = ()
        while self._gap():
            if self._takes("["):
                double = self._takes("[")
                table = self._path()
                self._expect("]]" if double else "]")
            else:
                path = table + self._path()
                self._expect("=")
                yield from self._value(path)

    def _value(self, path: tuple[str, ...]) -> Iterator[Span]:
        self._skip(_SPACE)
        if self._takes("["):
            yield from self._items(path)
        elif self._takes("{"):
            yield from self._pairs(path)
        else:
            start = self._at
            self._skip(_STRING) or self._need(_BARE)
            yield Span(path, start, self._at)

    def _items(self, path: tuple[str, ...]) -> Iterator[Span]:
        """Yield the values of an array."""
        while self._gap() and not self._takes("]"):
            yield from self._value(path)
            self._gap()
            self._takes(",")

    def _pairs(self, path: tuple[str, ...]) -> Iterator[Span]:
        """Yield the values of an inline table."""
        while self._gap() and not self._takes("}"):
            more = self._path()
            self._expect("=")
            yield from self._value(path + more)
            self._gap()
            self._takes(",")

    def _path(self) -> tuple[str, ...]:
        """Read a dotted key."""
        parts = []
        while True:
            self._skip(_SPACE)
            parts.append(_unquoted(self._need(_KEY)))
            self._skip(_SPACE)
            if not self._takes("."):
                return tuple(parts)

    def _gap(self) -> bool:
        """Pass over space, lines' ends and comments; tell whether anything follows."""
        start = self._at
        self._skip(_GAP)
        self.comments += [
            Span((), *each.span()) for each in _COMMENT.finditer(self._text, start, self._at)
        ]
        return self._at < len(self._text)

    def _takes(self, sign: str) -> bool:
        found = self._text.startswith(sign, self._at)
        self._at += len(sign) * found
        return found

    def _expect(self, sign: str) -> None:
        if not self._takes(sign):
            raise ValueError(f"no {sign!r} at character {self._at}")

    def _skip(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return found[0] if found else ""

    def _need(self, pattern: re.Pattern[str]) -> str:
        return self._skip(pattern) or self._lost()

    def _lost(self) -> str:
        raise ValueError(f"unexpected text at character {self._at}")


def _unquoted(key: str) -> str:
    return str(next(iter(tomllib.loads(f"{key} = 0")))) if key[0] in "\"'" else key

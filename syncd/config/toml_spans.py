"""Where the values and comments of a TOML text stand, which the standard reader does not tell.

For texts that tomllib has accepted: this scanner finds its way, and checks nothing twice.
(TOML 1.0, toml.io/en/v1.0.0.)
"""

import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress
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


_DEEPEST: Final = 64
"""Of a dotted key of more parts, which no table has, the first ones are enough to find it."""


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of the text; `path` has the keys that lead to a value, () for a comment.

    `place` has the numbers of items of arrays too.
    """

    path: tuple[str, ...]
    start: int
    end: int
    place: tuple[str, ...] = ()


def values_of(text: str) -> list[Span]:
    """Return each value that is no array and no table, in order; raises ValueError when lost."""
    return list(_Scanner(text).document())


def comments_of(text: str) -> list[Span]:
    """Return each comment, in order."""
    scanner = _Scanner(text)
    for _ in scanner.document():
        pass
    return scanner.comments


def starts_of(text: str) -> dict[tuple[str, ...], int]:
    """Return where each key, table and item of an array first stands, by its path.

    Of a text that tomllib does not accept, what stands before the place where it makes no sense.
    """
    scanner = _Scanner(text)
    with suppress(ValueError, RecursionError):
        for _ in scanner.document():
            pass
    return scanner.starts


class _Scanner:
    """One way through a text; each step begins where the last one ended.

    The paths of `starts` are places.
    """

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._items_of: dict[tuple[str, ...], int] = {}
        self.comments: list[Span] = []
        self.starts: dict[tuple[str, ...], int] = {}

    def document(self) -> Iterator[Span]:
        """Yield the values of all statements."""
        table: tuple[str, ...] = ()
        place: tuple[str, ...] = ()
        while self._gap():
            start = self._at
            if self._takes("["):
                double = self._takes("[")
                table = self._path()
                self._expect("]]" if double else "]")
                place = self._table(table, start, double=double)
            else:
                yield from self._pair(table, place)

    def _table(self, keys: tuple[str, ...], start: int, *, double: bool) -> tuple[str, ...]:
        """Note a header; return its path with the numbers of the items that it stands in."""
        place: tuple[str, ...] = ()
        for key in keys[:_DEEPEST]:
            if place in self._items_of:
                place += (str(self._items_of[place]),)
            place += (key,)
        self.starts.setdefault(place, start)
        if double:
            self._items_of[place] = self._items_of.get(place, -1) + 1
        if place in self._items_of:
            place += (str(self._items_of[place]),)
            self.starts.setdefault(place, start)
        return place

    def _pair(self, path: tuple[str, ...], place: tuple[str, ...]) -> Iterator[Span]:
        """Read a key and yield its values."""
        start = self._at
        keys = self._path()
        self._expect("=")
        for length in range(1, min(len(keys), _DEEPEST) + 1):
            self.starts.setdefault(place + keys[:length], start)
        yield from self._value(path + keys, place + keys)

    def _value(self, path: tuple[str, ...], place: tuple[str, ...]) -> Iterator[Span]:
        self._skip(_SPACE)
        if self._takes("["):
            yield from self._items(path, place)
        elif self._takes("{"):
            yield from self._pairs(path, place)
        else:
            start = self._at
            self._skip(_STRING) or self._need(_BARE)
            yield Span(path, start, self._at, place)

    def _items(self, path: tuple[str, ...], place: tuple[str, ...]) -> Iterator[Span]:
        """Yield the values of an array."""
        number = 0
        while self._gap() and not self._takes("]"):
            self.starts.setdefault((*place, str(number)), self._at)
            yield from self._value(path, (*place, str(number)))
            self._gap()
            self._takes(",")
            number += 1

    def _pairs(self, path: tuple[str, ...], place: tuple[str, ...]) -> Iterator[Span]:
        """Yield the values of an inline table."""
        while self._gap() and not self._takes("}"):
            yield from self._pair(path, place)
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

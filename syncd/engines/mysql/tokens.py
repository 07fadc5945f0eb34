"""The words of a statement that the server prints: names, texts, words and marks, one by one."""

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, NoReturn, cast

from syncd.errors import BadData

Kind = Literal["name", "text", "word", "mark", "end"]

_TOKEN: Final = re.compile(
    r"""\s*(?: (?P<name>`(?:[^`]|``)*`)
             | (?P<text>'(?:[^'\\]|\\.|'')*' | <secret>)
             | (?P<word>[A-Za-z0-9_]+)
             | (?P<mark>[(),.@*]) )""",
    re.VERBOSE | re.DOTALL,
)
_SPACE: Final = re.compile(r"\s*")
_ESCAPED: Final = re.compile(r"''|\\(.)", re.DOTALL)


class Token(NamedTuple):
    """One of them; `value` is without quotes, and a word as it is printed."""

    kind: Kind
    value: str


_END: Final = Token("end", "")


class Tokens:
    """A statement that is read from left to right; raises BadData, never with a text of it."""

    def __init__(self, statement: str) -> None:
        self._tokens = list(_tokens(statement))
        self._next = 0

    @property
    def next(self) -> Token:
        """Return the token that is read next."""
        return self._tokens[self._next]

    def take(self) -> Token:
        """Return the next token and go past it."""
        token = self.next
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def take_any(self, *kinds: Kind) -> str:
        """Go past a token of one of these kinds and return its value."""
        if self.next.kind not in kinds:
            self.fail()
        return self.take().value

    def accept(self, *values: str) -> bool:
        """Go past these words or marks if they all come next; tell whether they did."""
        for at, value in enumerate(values, self._next):
            token = self._tokens[at]  # the end is none of them, so this stops there
            if token.value != value or token.kind not in ("word", "mark"):
                return False
        self._next += len(values)
        return True

    def expect(self, *values: str) -> None:
        """Go past these words or marks, which have to come next."""
        if not self.accept(*values):
            self.fail()

    def fail(self) -> NoReturn:
        """Raise BadData that tells what comes next, unless it may be a secret."""
        token = self.next
        found = {"text": "a text", "end": "the end"}.get(token.kind, repr(token.value))
        raise BadData(f"SHOW GRANTS is not understood: {found} comes where it is not known")


def _tokens(statement: str) -> Iterator[Token]:
    at = 0
    while found := _TOKEN.match(statement, at):
        at = found.end()
        yield _token(found)
    if _SPACE.fullmatch(statement, at) is None:
        raise BadData(f"SHOW GRANTS is not understood at its character {at + 1}")
    yield _END


def _token(found: re.Match[str]) -> Token:
    kind = cast(Kind, found.lastgroup)
    value = found[kind]
    if kind == "name":
        value = value[1:-1].replace("``", "`")
    elif kind == "text":
        value = _ESCAPED.sub(lambda escape: escape[1] or "'", value[1:-1])
    return Token(kind, value)

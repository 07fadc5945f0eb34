"""The part of the shell's language that lines of crontabs are written in; the rest is refused.

Nothing is run and nothing is read: a word is what the shell would make of it, or the line is left
alone. What is known only later stands as a mark that no line can contain: TODAY, OF_USER.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from syncd.crontab.reasons import NotUnderstood

TODAY: Final = "\U000f0000"
"""Stands for the day, as YYYY-MM-DD: not printable, so `lines.py` lets no line with it pass."""

OF_USER: Final = "\U000f0001"
"""Stands for what cron sets and is different for each user, such as $HOME."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_BRACED: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_OPERATOR: Final = re.compile(r"&&|\|\||\|&|&>>?|>&|>>|>\||<<|<&|<>|[;&|<>()]")
_REDIRECTIONS: Final = frozenset({"&>", "&>>", ">&", ">>", ">|", ">"})
_SCRIPT_WORDS: Final = frozenset({
    "!", "[", "[[", "{", "}", "case", "do", "done", "else", "eval", "fi", "for", "function", "if",
    "source", ".", "test", "then", "until", "while", "export", "set", "trap", "unset",
})  # fmt: skip
_UNBROKEN: Final = re.compile(r"[^\s;&|]*")
_SEPARATOR: Final = re.compile(r",|\.\.")
"""What bash, as which some systems run /bin/sh, makes several words of, and dash does not."""

ASSIGNMENT: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.ASCII | re.DOTALL)
_SPACES: Final = " \t"
_BEFORE_COMMENT: Final = ("", *" \t;&|<>()")


@dataclass(slots=True)
class Step:
    """A command with the operator in front of it ("" for the first), and where its output goes.

    `appends` tells that all of it goes to the end of files, as logs do.
    """

    joint: str
    words: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    appends: bool = True

    @property
    def writes_file(self) -> bool:
        """Tell whether the output makes a file anew, which somebody may read then."""
        return not self.appends and any(not each.startswith("/dev/") for each in self.outputs)

    @property
    def program(self) -> str:
        """Return the name of what is run, without its folder and the variables set for it."""
        found = (each for each in self.words if not ASSIGNMENT.fullmatch(each))
        return next(found, "").rpartition("/")[2]


def read_command(
    text: str, variables: Mapping[str, str], today: Callable[[str], bool]
) -> list[Step]:
    """Return the steps of a command line; `today` tells whether a substitution gives the day.

    Raises NotUnderstood.
    """
    return _Reader(text, variables, today).steps()


class _Reader:
    """Reads one command line from its start to its end."""

    def __init__(
        self, text: str, variables: Mapping[str, str], today: Callable[[str], bool]
    ) -> None:
        self._text, self._at = text, 0
        self._variables, self._today = variables, today
        self._word: list[str] | None = None
        self._quoted = False
        self._found = [Step("")]
        self._redirects = False
        self._braceless = 0  # until there no braces begin

    def steps(self) -> list[Step]:
        while self._at < len(self._text):
            self._one()
        self._end_word()
        if self._redirects:
            raise NotUnderstood("a redirection leads nowhere")
        if len(self._found) > 1 and not self._found[-1].words:
            last = self._found.pop()
            if last.joint not in (";", "&") or last.outputs:
                raise NotUnderstood("the command line is not complete")
        return self._found

    def _one(self) -> None:
        char = self._text[self._at]
        if char in _SPACES:
            self._end_word()
            self._at += 1
        elif (
            char == "#"
            and self._word is None
            and self._text[max(self._at - 1, 0) : self._at] in _BEFORE_COMMENT
        ):
            self._at = len(self._text)
        elif char in ";&|<>()":
            self._operator()
        elif char == "'":
            self._add(self._until("'"), quoted=True)
        elif char == '"':
            self._double_quoted()
        elif char == "\\":
            self._add(self._text[self._at + 1 : self._at + 2] or "\\", quoted=True)
            self._at += 2
        elif char in "$`":
            self._split(self._expansion())
        elif char == "{" and self._begins_braces():
            raise NotUnderstood("holds braces that shells read differently: quote them")
        else:
            self._add(char, quoted=False)
            self._at += 1

    def _begins_braces(self) -> bool:
        """Tell whether a list or a range in braces begins here, or might to some shell."""
        if self._at < self._braceless:  # else each of many braces would look through them all
            return False
        rest = _UNBROKEN.match(self._text, self._at)
        word = rest[0] if rest else ""
        separator = _SEPARATOR.search(word)
        if separator and "}" in word[separator.end() :]:
            return True
        self._braceless = self._at + len(word)
        return False

    def _add(self, text: str, *, quoted: bool = False) -> None:
        if self._word is None:
            self._word, self._quoted = [], False
        self._word.append(text)
        self._quoted |= quoted

    def _end_word(self) -> None:
        if self._word is None:
            return
        text, self._word = "".join(self._word), None
        step = self._found[-1]
        if self._redirects:
            self._redirects = False
            step.outputs.append(text)
        elif not step.words and not self._quoted and text in _SCRIPT_WORDS:
            raise NotUnderstood(f'is a script: "{text}"')
        else:
            step.words.append(text)

    def _operator(self) -> None:
        found = _OPERATOR.match(self._text, self._at)
        operator = found[0] if found else self._text[self._at]
        if operator in _REDIRECTIONS:
            if self._word is not None and not self._quoted and "".join(self._word).isdecimal():
                self._word = None  # the 2 of 2>
            self._end_word()
            self._at += len(operator)
            self._redirect(operator)
            return
        self._end_word()
        self._at += len(operator)
        if operator in ("(", ")") or "<" in operator or operator == "|&":
            raise NotUnderstood(f'is a script: "{operator}"')
        if not self._found[-1].words or self._redirects:
            raise NotUnderstood(f'"{operator}" stands behind no command')
        self._found.append(Step(operator))

    def _redirect(self, operator: str) -> None:
        if self._redirects:
            raise NotUnderstood("a redirection leads nowhere")
        copied = re.compile(r"[ \t]*([0-9]+|-)(?![^\s;&|<>()])").match(self._text, self._at)
        if operator == ">&" and copied:
            self._at = copied.end()
        else:
            self._redirects = True
            self._found[-1].appends &= operator in (">>", "&>>")

    def _until(self, quote: str) -> str:
        """Return what stands up to the next such quote, and go behind it."""
        end = self._text.find(quote, self._at + 1)
        if end < 0:
            raise NotUnderstood(f"a quote {quote} is not closed")
        text, self._at = self._text[self._at + 1 : end], end + 1
        return text

    def _double_quoted(self) -> None:
        self._at += 1
        self._add("", quoted=True)
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == '"':
                self._at += 1
                return
            if char in "$`":
                self._add(self._expansion(quoted=True), quoted=True)
                continue
            if char == "\\" and self._text[self._at + 1 : self._at + 2] in tuple('$`"\\'):
                self._at += 1
                char = self._text[self._at]
            self._add(char, quoted=True)
            self._at += 1
        raise NotUnderstood('a quote " is not closed')

    def _split(self, value: str) -> None:
        """Add a value that stands without quotes: its spaces part words."""
        for part in re.split(r"([ \t]+)", value):
            if part.strip(_SPACES):
                self._add(part)
            elif part:
                self._end_word()

    def _expansion(self, *, quoted: bool = False) -> str:
        """Return what a `$` or backquote stands for, and go behind it."""
        if self._text[self._at] == "`":
            return self._substituted(self._until("`"))
        self._at += 1
        following = self._text[self._at : self._at + 1]
        if self._text.startswith(("((", "["), self._at):
            raise NotUnderstood("reckons with $((...))")
        if following == "(":
            return self._substituted(self._parenthesised())
        if found := _BRACED.match(self._text, self._at) or _NAME.match(self._text, self._at):
            self._at = found.end()
            return self._variable(found[1] if found.re is _BRACED else found[0])
        if following and (following in "{?$!#@*-0123456789" or (following in "\"'" and not quoted)):
            raise NotUnderstood(f"uses ${following}")
        return "$"

    def _variable(self, name: str) -> str:
        if name not in self._variables:
            raise NotUnderstood(f"uses ${name[:40]}, which no line above sets")
        return self._variables[name]

    def _parenthesised(self) -> str:
        depth, start = 0, self._at + 1
        for at in range(self._at, len(self._text)):
            depth += {"(": 1, ")": -1}.get(self._text[at], 0)
            if not depth:
                self._at = at + 1
                return self._text[start:at]
        raise NotUnderstood("a $( is not closed")

    def _substituted(self, command: str) -> str:
        if self._today(command):
            return TODAY
        raise NotUnderstood("puts in what another command prints: $(...)")

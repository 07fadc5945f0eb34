"""Text as roff(7) for the man(7) macros: escaped, a sentence a line, never longer than a screen."""

import re
import textwrap
from collections.abc import Iterable
from typing import Final

WIDTH: Final = 78

_SPECIAL: Final = {
    "\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti",
    "…": "...", "·": r"\(md", "×": r"\(mu", "→": r"\(->",
}  # fmt: skip
_INLINE: Final = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*|\[([^\]]+)\]\([^)]+\)")
_SENTENCE: Final = re.compile(r"(?<=[.;:?!])(?<!\.\.\.) +(?=\S)")
_LITERAL: Final = re.compile(r"(?<![A-Za-z])-|-(?![A-Za-z])")  # what is no hyphen between letters
_GLUE: Final = "\0"  # keeps what is set in one font on one line


def literal(text: str) -> str:
    """Return a text whose every character stands for itself, to be typed as it is shown."""
    return _ascii("".join(_SPECIAL.get(char, char) for char in text))


def bold(text: str) -> str:
    """Return a literal text in bold."""
    return rf"\fB{literal(text)}\fP"


def italic(text: str) -> str:
    """Return a literal text in italics."""
    return rf"\fI{literal(text)}\fP"


def inline(text: str) -> str:
    """Return a text with Markdown's `code`, **strong**, *emphasis* and [links](x) as fonts."""
    pieces, end = [], 0
    for match in _INLINE.finditer(text):
        pieces.append(_plain(text[end : match.start()]))
        code, strong, emphasis, link = match.groups()
        if code is not None:
            pieces.append(bold(code).replace(" ", _GLUE))
        elif link is not None:
            pieces.append(inline(link))
        else:
            pieces.append(bold(strong) if strong is not None else italic(emphasis))
        end = match.end()
    return "".join([*pieces, _plain(text[end:])])


def filled(text: str) -> list[str]:
    """Return a paragraph of roff as input lines: each sentence begins a line."""
    lines: list[str] = []
    for sentence in _SENTENCE.split(" ".join(text.split())):
        lines += textwrap.wrap(sentence, WIDTH, break_long_words=False, break_on_hyphens=False)
    return [_guarded(line) for line in lines]


def paragraph(text: str) -> list[str]:
    """Return a paragraph of Markdown as input lines."""
    return filled(inline(text))


def tagged(tag: str, *paragraphs: str) -> list[str]:
    """Return an indented description under a tag, which is roff already."""
    lines = [".TP", _guarded(tag)]
    for number, each in enumerate(paragraphs):
        lines += [*([".IP"] if number else []), *paragraph(each)]
    return lines


def example(lines: Iterable[str]) -> list[str]:
    """Return lines that are shown as they are, with an indent."""
    return [".PP", ".in +4n", ".EX", *(_guarded(literal(line)) for line in lines), ".EE", ".in"]


def _plain(text: str) -> str:
    """Return prose: a hyphen between letters is one, any other a minus sign to be typed."""
    text = text.replace("\\", r"\e")
    return _ascii(_LITERAL.sub(r"\\-", text).replace("…", "...").replace("`", r"\(ga"))


def _ascii(text: str) -> str:
    known = "".join(_SPECIAL.get(char, char) if ord(char) > 126 else char for char in text)
    return "".join(char if ord(char) < 127 else rf"\[u{ord(char):04X}]" for char in known)


def _guarded(line: str) -> str:
    """Return a line that does not begin a request (or an empty one, which would break)."""
    line = line.replace(_GLUE, " ")
    return rf"\&{line}" if line.startswith((".", "'")) else line

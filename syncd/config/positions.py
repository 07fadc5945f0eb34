"""Line numbers of keys in a TOML file, which the standard library's reader does not tell.

Best effort, for messages only: the text was read by tomllib before, so that this scanner may be
simple. It knows headers, keys and what spans lines; keys inside inline tables have no line.
"""

import re
import tomllib
from collections.abc import Iterator
from typing import Final

_KEY: Final = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_PATH: Final = rf"{_KEY}(?:[ \t]*\.[ \t]*{_KEY})*"
_HEADER: Final = re.compile(rf"[ \t]*\[\[?[ \t]*({_PATH})[ \t]*\]")
_ASSIGN: Final = re.compile(rf"[ \t]*({_PATH})[ \t]*=")
_PART: Final = re.compile(_KEY)
# An unclosed quote takes the rest of its line, so that the scan stays linear for any text.
_TOKEN: Final = re.compile(
    r"""\"{3}|'{3}|"(?:[^"\\]|\\.)*"|'[^']*'|["'].*|\#.*|[\[{]|[\]}]""",
)


def lines_of(text: str) -> dict[tuple[str, ...], int]:
    """Return the line, from 1, on which each key path first stands; tables count as keys."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in _statements(text):
        if header := _HEADER.match(line):
            table = _parts(header[1])
            found.setdefault(table, number)
        elif assign := _ASSIGN.match(line):
            path = (*table, *_parts(assign[1]))
            for length in range(len(table) + 1, len(path) + 1):
                found.setdefault(path[:length], number)
    return found


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines on which a statement begins, passing over what goes on from one before."""
    quotes, depth = "", 0
    for number, line in enumerate(text.split("\n"), start=1):
        rest = line
        if quotes:
            _, ended, rest = line.partition(quotes)
            if not ended:
                continue
        elif not depth:
            yield number, line
        quotes, depth = _carried(rest, depth)


def _carried(line: str, depth: int) -> tuple[str, int]:
    """Return what the end of a line leaves open: a multi-line string's quotes, brackets."""
    position = 0
    while token := _TOKEN.search(line, position):
        position = token.end()
        if token[0] in ('"""', "'''"):
            end = line.find(token[0], position)
            if end < 0:
                return token[0], depth
            position = end + 3
        elif token[0] in ("[", "{"):
            depth += 1
        elif token[0] in ("]", "}"):
            depth = max(0, depth - 1)
    return "", depth


def _parts(path: str) -> tuple[str, ...]:
    return tuple(_unquoted(part) for part in _PART.findall(path))


def _unquoted(part: str) -> str:
    if part[0] not in "\"'":
        return part
    try:
        return str(tomllib.loads(f"key = {part}")["key"])
    except tomllib.TOMLDecodeError:
        return part[1:-1]

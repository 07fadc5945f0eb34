"""What two versions of the configuration files differ in, told without their secrets."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final, Literal

from syncd.config import secrets
from syncd.config.files import NAMED, Unreadable, decode
from syncd.config.problems import key_path
from syncd.config.toml_secrets import Hidden, hide
from syncd.telemetry.masking import MASK, Masker

Files = Mapping[str, bytes]

_CONTEXT: Final = 3  # lines


@dataclass(frozen=True, slots=True)
class FileDiff:
    """How a file differs; `lines` is its unified diff, in which a changed secret is a mask twice.

    `unread` tells that one of its sides is no TOML: of that side only keys are shown.
    """

    name: str
    change: Literal["added", "removed", "changed"]
    lines: list[str]
    unread: bool


def differences(old: Files, new: Files, others: Iterable[Files] = ()) -> list[FileDiff]:
    """Return the files that differ, by name, without a secret of either version.

    Nor is one told that stands in `others`: a remark may quote a secret of long ago.
    """
    before = {name: _Side(content) for name, content in old.items()}
    after = {name: _Side(content) for name, content in new.items()}
    contents = {content for files in others for content in files.values()}
    sides = [*before.values(), *after.values(), *map(_Side, contents)]
    hidden = secrets.known().union(*(side.secrets for side in sides))
    masker = Masker(lambda: hidden)
    names = [*old, *(name for name in new if name not in old)]
    return [
        _difference(name, before.get(name, _NOTHING), after.get(name, _NOTHING), masker)
        for name in names
        if old.get(name) != new.get(name)
    ]


class _Side:
    """One file of one version: its lines as they are compared, and as they are shown."""

    def __init__(self, content: bytes | None) -> None:
        self.exists, self.text = content is not None, ""
        hidden = Hidden([], frozenset(), is_toml=True)
        if content is not None:
            self.text = _text(content)
            hidden = hide(self.text, MASK)
        self.lines = self.text.split("\n") if self.exists else []
        self.shown, self.secrets, self.is_toml = hidden.lines, hidden.secrets, hidden.is_toml


_NOTHING: Final = _Side(None)


def _text(content: bytes) -> str:
    try:
        return decode(content)
    except Unreadable:
        return content.decode("utf-8", "replace")


def _difference(name: str, old: _Side, new: _Side, masker: Masker) -> FileDiff:
    unread = not (old.is_toml and new.is_toml)
    lines = [masker(line) for line in _unified(old, new)]
    if old.exists and new.exists:
        return FileDiff(name, "changed", lines, unread)
    return FileDiff(name, "added" if new.exists else "removed", lines, unread)


def _unified(old: _Side, new: _Side) -> Iterator[str]:
    """Yield the hunks of a unified diff: lines are compared as they are, and shown masked."""
    matcher = SequenceMatcher(None, old.lines, new.lines)
    for group in matcher.get_grouped_opcodes(_CONTEXT):
        (_, a1, _, b1, _), (_, _, a2, _, b2) = group[0], group[-1]
        yield f"@@ -{_range(a1, a2)} +{_range(b1, b2)} @@"
        for kind, i1, i2, j1, j2 in group:
            if kind == "equal":
                for i, j in zip(range(i1, i2), range(j1, j2), strict=True):
                    yield f" {_common(old, i, new, j)}"
            else:
                yield from (f"-{line}" for line in old.shown[i1:i2])
                yield from (f"+{line}" for line in new.shown[j1:j2])


def _common(old: _Side, i: int, new: _Side, j: int) -> str:
    """Return a line that stands in both; a side that is no TOML masks it only for want of sense."""
    shown = [(side, side.shown[n]) for side, n in ((old, i), (new, j))]
    sensible = [line for side, line in shown if side.is_toml] or [line for _, line in shown]
    return next((line for line in sensible if line != old.lines[i]), sensible[0])


def _range(start: int, end: int) -> str:
    """Return the lines of a hunk as the format writes them; of none, the line before it."""
    length = end - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"


def summary(old: Files, new: Files) -> list[str]:
    """Return in short what became of tables and keys: `jobs.hosts`, `+jobs.more`, `-accounts.a`.

    A file that is no TOML on one side is named itself; so are files that are only written
    otherwise.
    """
    names = [*old, *(name for name in new if name not in old)]
    differing = [name for name in names if old.get(name) != new.get(name)]
    opaque = [n for n in differing if _tables(old.get(n)) is None or _tables(new.get(n)) is None]
    before, after = _units(old, opaque), _units(new, opaque)
    found = [
        _sign(path in before, path in after) + key_path(path)
        for path in [*before, *(path for path in after if path not in before)]
        if before.get(path, _ABSENT) != after.get(path, _ABSENT)
    ]
    return found + [
        _sign(name in old, name in new) + name for name in (opaque if found else differing)
    ]


_ABSENT: Final = object()


def _sign(before: bool, after: bool) -> str:  # noqa: FBT001 - two of a kind
    return "" if before and after else "+" if after else "-"


def _tables(content: bytes | None) -> dict[str, Any] | None:
    """Return what a file says, None for one that is no TOML; nothing for one that is not there."""
    try:
        return tomllib.loads(_text(content or b""))
    except (ValueError, RecursionError):
        return None


def _units(files: Files, opaque: list[str]) -> dict[tuple[str, ...], Any]:
    """Return the keys of the files by their paths; a named table counts as one."""
    found: dict[tuple[str, ...], Any] = {}
    for name, content in files.items():
        tables = (None if name in opaque else _tables(content)) or {}
        for table, value in tables.items():
            if isinstance(value, dict) and (value or table not in NAMED):
                found |= {(table, key): each for key, each in value.items()}
            else:
                found[table,] = value
    return found

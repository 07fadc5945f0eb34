"""Reading the files: the main one, then `conf.d/*.toml`, each table from one file only."""

import os
import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from syncd.config import http_secrets, templates
from syncd.config.http_fields import KNOWN_SECRET_FIELDS, REFERENCES
from syncd.config.positions import lines_of
from syncd.config.problems import Problem, key_path
from syncd.config.secrets import dsn_passwords
from syncd.config.source_file import SourceFile

LARGEST: Final = 1024 * 1024
NAMED: Final = ("accounts", "jobs", "notify", "servers", "tokens")
"""The tables of tables: each of their entries counts as a table of its own."""
_DEEPEST: Final = 100  # levels of tables and lists
_LARGEST_NUMBER: Final = 2**63
CONF_D: Final = "conf.d"
_SECRET_KEYS: Final = frozenset({
    "access_key_secret", "bearer", "client_secret", "password", "ping_url", "secret",
})  # fmt: skip
_NOT_SENT: Final = frozenset({"expect", "failed", "mask", "save", "until"})
"""Tables whose keys name what comes back."""
_SENT: Final = frozenset({"body", "form", "headers", "query"})
"""Tables whose keys are the other side's, not ours."""


@dataclass(slots=True)
class FileSet:
    """What the files say together; `broken` when one of them could not be read at all.

    `unread` are the problems of those that stand there, and of which not even the bytes are known.
    """

    tables: dict[str, Any] = field(default_factory=dict)
    lines: dict[tuple[str, ...], tuple[str, int]] = field(default_factory=dict)
    sources: list[SourceFile] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unread: list[Problem] = field(default_factory=list)
    broken: bool = False


class Unreadable(Exception):
    """A file that gives no tables; the message says why."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def read_files(main: Path) -> FileSet:
    """Read the main file and the `conf.d` beside it, in name order; never raises."""
    found = FileSet()
    for path in (main, *_extra_files(main.parent / CONF_D, found)):
        name = path.name if path == main else f"{CONF_D}/{path.name}"
        try:
            source = SourceFile(path, name, *_read(path))
        except Unreadable as reason:
            problem = _refuse(found, path, reason)
            found.unread += [problem] if os.path.lexists(path) else []
        else:
            _take(found, source)
    return found


def of_sources(sources: Iterable[SourceFile]) -> FileSet:
    """Return what files say that were read before; never raises."""
    found = FileSet()
    for source in sources:
        _take(found, source)
    return found


def _take(found: FileSet, source: SourceFile) -> None:
    """Add a file to those before."""
    found.sources.append(source)
    try:
        text = decode(source.content)
        tables, lines = _parse(text), lines_of(text)
    except Unreadable as reason:
        _refuse(found, source.path, reason)
        return
    if source.open_to_others:
        found.problems += _inline_secrets(tables, str(source.path), lines)
    _merge(found, tables, str(source.path), lines)


def _refuse(found: FileSet, path: Path, reason: Unreadable) -> Problem:
    found.broken = True
    found.problems.append(Problem(str(path), reason.line, "", str(reason)))
    return found.problems[-1]


def _extra_files(folder: Path, found: FileSet) -> list[Path]:
    try:
        names = sorted(
            each for each in folder.iterdir() if each.suffix == ".toml" and each.name[0] != "."
        )
    except FileNotFoundError:
        return []
    except OSError as error:
        reason = Unreadable(f"can't be listed: {error.strerror}")
        found.unread.append(_refuse(found, folder, reason))
        return []
    return names


def read_text(path: Path) -> str:
    """Return a file's text; raises Unreadable."""
    return decode(_read(path)[0])


def _read(path: Path) -> tuple[bytes, bool]:
    """Return a file's bytes, and whether others than its owner and group can read it.

    Raises Unreadable.
    """
    try:
        # Asked first: opening a named pipe would wait for a writer.
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise Unreadable("is a directory" if stat.S_ISDIR(mode) else "is not a regular file")
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except FileNotFoundError as error:
        raise Unreadable("does not exist") from error
    except (OSError, ValueError) as error:
        raise Unreadable(f"can't be read: {getattr(error, 'strerror', None) or error}") from error
    if len(content) > LARGEST:
        raise Unreadable(f"is larger than {LARGEST // 1024} KiB")
    return content, bool(mode & stat.S_IROTH)


def decode(content: bytes) -> str:
    """Return the text of a file; raises Unreadable, with the line, when it is not UTF-8."""
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Unreadable(f"is not UTF-8 text (byte {error.start + 1})", line) from error


def _parse(text: str) -> dict[str, Any]:
    try:
        return _bounded(tomllib.loads(text))
    except RecursionError as error:
        raise Unreadable("is not usable TOML: nested too deeply") from error
    except ValueError as error:  # TOMLDecodeError, and integers of thousands of digits
        raise Unreadable(f"is not TOML: {error}", _line_of(str(error), text)) from error


def _bounded(tables: dict[str, Any]) -> dict[str, Any]:
    """Return tables that every later step can walk through and write; raises Unreadable."""
    level: list[Any] = [tables]
    for _ in range(_DEEPEST):
        if any(isinstance(each, int) and abs(each) > _LARGEST_NUMBER for each in level):
            raise Unreadable("is not usable TOML: a whole number of more than 64 bits")
        level = [inner for each in level for inner in _inner(each)]
        if not level:
            return tables
    raise Unreadable("is not usable TOML: nested too deeply")


def _inner(value: Any) -> Iterable[Any]:  # noqa: ANN401 - any TOML value
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _line_of(message: str, text: str) -> int | None:
    """Return the line that tomllib names in its message."""
    if message.endswith("(at end of document)"):
        return text.count("\n") + 1
    number = message.rpartition("(at line ")[2].partition(",")[0]
    return int(number) if number.isdigit() else None


def _merge(
    found: FileSet,
    tables: Mapping[str, Any],
    file: str,
    lines: Mapping[tuple[str, ...], int],
) -> None:
    """Add a file's tables to those of the files before; a table that stands twice is a problem."""
    for path, value in _units(tables):
        target = found.tables
        for name in path[:-1]:
            target = target.setdefault(name, {})
        # A bare header, as the shipped file has them, defines nothing.
        if not isinstance(target, dict) or {} not in (value, target.get(path[-1], {})):
            other, line = found.lines.get(path) or found.lines.get(path[:1], ("another file", 0))
            place = f"{other}:{line}" if line else other
            message = f"is defined in {place} already; a table stands in one file"
            found.problems.append(Problem(file, lines.get(path), key_path(path), message))
        elif value != {} or path[-1] not in target:
            target[path[-1]] = value
            found.lines[path] = (file, lines.get(path, 1))
    for path, line in lines.items():
        found.lines.setdefault(path, (file, line))


def _units(tables: Mapping[str, Any]) -> list[tuple[tuple[str, ...], Any]]:
    """Return what must stand in one file: `store` as a whole, each account, server and job."""
    units: list[tuple[tuple[str, ...], Any]] = []
    for name, value in tables.items():
        if name in NAMED and isinstance(value, dict):
            units += [((name, key), each) for key, each in value.items()]
        else:
            units.append(((name,), value))
    return units


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _inline_secrets(
    tables: Mapping[str, Any], file: str, lines: Mapping[tuple[str, ...], int]
) -> list[Problem]:
    """Return the secrets written into a file that everybody can read."""
    message = (
        "an inline secret in a file that others can read: use a reference, or chmod o-r the file"
    )
    paths: list[tuple[str, ...]] = [
        path
        for name in NAMED
        for path, value in _texts(tables.get(name), (name,))
        if inline_secret(path, value)
    ]
    dsn = _table(tables.get("store")).get("dsn")
    if isinstance(dsn, str) and dsn_passwords(dsn):
        paths.append(("store", "dsn"))
    return [Problem(file, _nearest(lines, path), key_path(path), message) for path in paths]


def _texts(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the strings inside tables and lists, by the paths of their keys, but references."""
    match value:
        case dict() if is_reference(value):
            return
        case dict():
            for name, each in value.items():
                yield from _texts(each, (*path, name))
        case list():
            for index, each in enumerate(value):
                yield from _texts(each, (*path, str(index)))
        case str():
            yield path, value


def is_reference(table: Mapping[str, Any]) -> bool:
    """Tell whether a table stands for a secret, such as { credential = "NAME" }."""
    return len(table) == 1 and all(
        name in REFERENCES and isinstance(value, str) for name, value in table.items()
    )


def inline_secret(path: tuple[str, ...], value: str) -> bool:
    """Tell whether a string is a secret by where it stands: its key, or a field that is sent.

    A `{{ name }}` is none: what is put there is no secret.
    """
    keys = path[2:]
    if not keys or any(key in _NOT_SENT for key in keys):
        return False
    if path[0] in ("jobs", "notify", "tokens"):
        sent = next((place for place, key in enumerate(keys) if key in _SENT), None)
        if sent is not None:
            return _sends_secret(keys[sent:], value)
    if keys[-1] == "url":
        return path[0] == "notify" or bool(http_secrets.in_url(value))
    return keys[-1] in _SECRET_KEYS


def _sends_secret(keys: tuple[str, ...], value: str) -> bool:
    """Tell whether a string inside headers, query, form or body is, or holds, a secret."""
    if keys == ("body",):
        return http_secrets.in_text(value)
    name = next(key for key in reversed(keys) if not key.isdecimal())
    named = bool(KNOWN_SECRET_FIELDS.search(name)) and not templates.names(value)
    return named or (keys[0] == "headers" and http_secrets.is_authorization(value))


def _nearest(lines: Mapping[tuple[str, ...], int], path: tuple[str, ...]) -> int | None:
    """Return the line of a key, or of the nearest table around it."""
    known = (lines.get(path[:length]) for length in range(len(path), 0, -1))
    return next((line for line in known if line is not None), None)

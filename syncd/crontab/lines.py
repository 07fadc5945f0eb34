"""The lines of a crontab, as crontab(5) of Debian's cron and of cronie describes them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

LONGEST: Final = 128 * 1024
"""Characters of a line; cronie takes as many, Debian's cron 998."""

MOST_LINES: Final = 5_000
"""Of a crontab; cron itself takes fewer."""

_SETTING: Final = re.compile(
    r"""(?:"([A-Za-z_]\w*)"|'([A-Za-z_]\w*)'|([A-Za-z_]\w*))\s*=\s*(.*)""", re.ASCII | re.DOTALL
)
_TIME: Final = re.compile(r"-?[0-9*][0-9*/,~-]*|~[0-9]*", re.ASCII)
_DAY: Final = re.compile(r"[0-9A-Za-z*/,~-]+", re.ASCII)
_STOP: Final = re.compile(r"(?<!\\)%")


@dataclass(frozen=True, slots=True)
class Entry:
    """A line with a schedule and a command.

    `command` is what the shell is given, `stdin` what it reads (after the first `%`, None for
    nothing), `environ` what the lines above set, `comments` what stands directly above it;
    `alone` tells that those comments are of this line only.
    """

    number: int
    text: str
    fields: str
    command: str
    stdin: str | None
    environ: Mapping[str, str]
    comments: tuple[str, ...]
    alone: bool = True


@dataclass(frozen=True, slots=True)
class Odd:
    """A line that is none of a crontab, with the reason, or one that was put out of use."""

    number: int
    text: str
    reason: str = ""


@dataclass(slots=True)
class Crontab:
    """What was read: entries, lines that are none, disabled ones, and who gets the mail."""

    entries: list[Entry] = field(default_factory=list)
    odd: list[Odd] = field(default_factory=list)
    disabled: list[Odd] = field(default_factory=list)
    mail: dict[str, int] = field(default_factory=dict)
    settings: list[tuple[str, str]] = field(default_factory=list)
    unended: bool = False


def read_lines(content: bytes, *, system: bool) -> Crontab:
    """Read a crontab; `system` for one whose sixth column is a user. Never raises."""
    found = Crontab(unended=bool(content) and not content.endswith(b"\n"))
    environ: dict[str, str] = {}
    comments: list[str] = []
    for number, raw in enumerate(_raw_lines(content), 1):
        if number > MOST_LINES:
            found.odd.append(Odd(number, "", f"and all below it: more than {MOST_LINES:,} lines"))
            break
        text = raw.strip()
        if text.startswith("#"):
            if is_disabled(text):
                found.disabled.append(Odd(number, text))
            else:
                comments.append(text.lstrip("#").strip())
            continue
        if text:
            _take(found, Odd(number, text), environ, tuple(comments), system=system)
        comments = []
    return found


def _raw_lines(content: bytes) -> Iterator[str]:
    for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        yield line.removesuffix(b"\r").decode(errors="surrogateescape")


def _take(
    found: Crontab, line: Odd, environ: dict[str, str], comments: tuple[str, ...], *, system: bool
) -> None:
    """Add a line that is neither empty nor a comment."""
    if reason := _unusable(line.text):
        found.odd.append(replace(line, reason=reason))
    elif setting := _SETTING.fullmatch(line.text):
        name = setting[1] or setting[2] or setting[3]
        environ[name] = value = _unquoted(setting[4].strip())
        found.settings.append((name, value))
        if name == "MAILTO" and value:
            found.mail.setdefault(value, line.number)
    else:
        entry = _entry(line, dict(environ), comments, system=system)
        if isinstance(entry, Entry):
            _share_comments(found, entry)
            found.entries.append(entry)
        else:
            found.odd.append(entry)


def _share_comments(found: Crontab, entry: Entry) -> None:
    """Take comments for those of a group when the next line is an entry without its own."""
    before = found.entries[-1] if found.entries else None
    if before and before.number == entry.number - 1 and not entry.comments:
        found.entries[-1] = replace(before, alone=False)


def _unusable(text: str) -> str:
    if len(text) > LONGEST:
        return f"is longer than {LONGEST:,} characters"
    if any("\udc80" <= each <= "\udcff" for each in text):
        return "is not UTF-8 text"
    if not all(each.isprintable() or each == "\t" for each in text):
        return "holds control characters"
    return ""


def _unquoted(value: str) -> str:
    """Return a value without quotes that match; nothing inside is expanded (crontab(5))."""
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value


def _entry(
    line: Odd, environ: dict[str, str], comments: tuple[str, ...], *, system: bool
) -> Entry | Odd:
    count = 1 if line.text.startswith("@") else 5
    parts = line.text.split(None, count)
    if len(parts) <= count:
        return replace(line, reason="is no crontab line: five fields or @NAME, and a command")
    fields, rest = " ".join(parts[:count]), parts[count]
    if system:
        user, _, rest = rest.replace("\t", " ").partition(" ")
        if not rest.strip() or not re.fullmatch(r"[A-Za-z_][\w.-]*\$?", user, re.ASCII):
            return replace(line, reason="has no user and command behind its schedule")
    command, *stdin = (each.replace("\\%", "%") for each in _STOP.split(rest.strip()))
    return Entry(line.number, line.text, fields, command, _written(stdin), environ, comments)


def _written(parts: list[str]) -> str | None:
    """Return what cron writes to a command: a line of each part, but no empty one at the end."""
    if not parts:
        return None
    text = "\n".join(parts)
    return f"{text}\n" if text and not text.endswith("\n") else text


def is_disabled(text: str) -> bool:
    """Tell whether a comment is an entry that somebody put out of use."""
    words = text.lstrip("# \t").split(None, 5)
    if len(words) > 1 and re.fullmatch(r"@(reboot|hourly|daily|midnight|weekly|monthly|yearly"
                                       r"|annually)", words[0]):  # fmt: skip
        return True
    return (
        len(words) == 6
        and all(_TIME.fullmatch(each) for each in words[:3])
        and all(_DAY.fullmatch(each) for each in words[3:5])
    )

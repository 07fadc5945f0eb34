"""The meaning of a command line: which calls it makes, in which order, and what goes with them."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from syncd.crontab.curl import READ_TWICE, read_curl
from syncd.crontab.drafts import Draft
from syncd.crontab.prefixes import unwrap
from syncd.crontab.reasons import NotUnderstood
from syncd.crontab.shell import OF_USER, Step, read_command
from syncd.crontab.wget import read_wget
from syncd.crontab.wrapper import Wrapper

_SAYING: Final = frozenset({":", "date", "echo", "logger", "printf", "true"})
"""Programs that change nothing but a log."""
_SINKS: Final = frozenset({"cat", "logger", "systemd-cat", "tee", "ts"})
_MAILING: Final = frozenset({"mail", "mailx", "sendmail"})
MAILED: Final = "a failure was mailed: a channel of [notify] does"
_DEPTH: Final = 3
_RANDOM_SLEEP: Final = re.compile(
    r"(?:/bin/|/usr/bin/)?sleep\s+(?:\$\(\(\s*\$?RANDOM\s*%\s*([0-9]{1,5})\s*\)\)"
    r"|\$\[\s*\$?RANDOM\s*%\s*([0-9]{1,5})\s*\])s?\s*(?:&&|;)\s*",
    re.ASCII,
)
_PING_HOST: Final = re.compile(r"(.*\.)?(hc\..*|healthchecks?[.-].*)", re.IGNORECASE)
_PING_PATH: Final = re.compile(
    r"/(?:[A-Za-z0-9_-]{22}/[\w.-]+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a command line is read in."""

    environ: Mapping[str, str]
    stdin: str | None
    wrappers: Sequence[Wrapper]
    today: Callable[[str], bool]


@dataclass(slots=True)
class Meaning:
    """The calls of a line in their order, and what its job says beside them."""

    calls: list[Draft] = field(default_factory=list)
    ping: str = ""
    waits: bool = False
    spread: int = 0
    notes: list[str] = field(default_factory=list)


def understand(command: str, around: Surroundings) -> Meaning:
    """Return what a command line means; raises NotUnderstood."""
    meaning = Meaning()
    if found := _RANDOM_SLEEP.match(command):
        meaning.spread, command = int(found[1] or found[2]), command[found.end() :]
    reader = _Reader(meaning, around)
    reader.run(command, "", dict(around.environ), 0)
    if not meaning.calls:
        raise NotUnderstood("calls no endpoint")
    started = meaning.calls[0].urls == [f"{meaning.ping}/start"]
    if meaning.ping and started and len(meaning.calls) > 1:
        del meaning.calls[0]
    return meaning


class _Reader:
    def __init__(self, meaning: Meaning, around: Surroundings) -> None:
        self._meaning, self._around = meaning, around
        self._folder = ""
        self._caught = self._failed = self._read = False

    def run(self, command: str, joint: str, environ: dict[str, str], depth: int) -> None:
        """Read a command line, which may be one inside another."""
        if depth > _DEPTH:
            raise NotUnderstood("runs shells in shells")
        for step in read_command(command, environ, self._around.today):
            if not step.words:
                raise NotUnderstood("runs nothing")
            step.joint = step.joint or joint
            self._step(step, environ, depth)

    def _step(self, step: Step, environ: dict[str, str], depth: int) -> None:
        if step.joint == "|":
            self._caught = True  # by the program behind it, which alone is asked how it went
            if self._failed and step.program in _MAILING:
                self._meaning.notes.append(MAILED)
            elif step.program not in _SINKS:
                raise NotUnderstood(f'hands the answer to "{step.program[:40]}"')
            else:
                self._sink(step)
        elif step.joint == "||":
            self._otherwise(step, environ)
        elif step.program == "cd":
            self._go(step)
        elif step.program == "sleep":
            raise NotUnderstood("sleeps first: a schedule has whole minutes, spread chooses more")
        elif step.program not in _SAYING:
            self._call(step, environ, depth)
        elif step.writes_file:
            raise NotUnderstood(f'writes a file with "{step.program}"')

    def _sink(self, step: Step) -> None:
        """Read where a program behind a `|` puts what it is handed."""
        files = step.outputs if step.writes_file else []
        if step.program == "tee" and not {"-a", "--append"} & set(step.words):
            files = [*files, *(each for each in step.words[1:] if not each.startswith("-"))]
        if files and not self._meaning.calls:
            raise NotUnderstood(f'writes a file with "{step.program}"')
        for each in files:
            self._meaning.calls[-1].keep(each)

    def _go(self, step: Step) -> None:
        if len(step.words) != 2 or not step.words[1].startswith(("/", OF_USER)):
            raise NotUnderstood("goes to a folder that the line does not show")
        self._folder = step.words[1]

    def _otherwise(self, step: Step, environ: dict[str, str]) -> None:
        """Read what is done about a failure."""
        self._caught = self._failed = True
        if step.program in _MAILING:
            self._meaning.notes.append(MAILED)
            return
        if step.program in _SAYING and step.writes_file:
            raise NotUnderstood(f'writes a file with "{step.program}"')
        if step.program in _SAYING or step.words == ["exit", "0"]:
            return
        if step.program in ("curl", "wget"):
            found = unwrap(step.words, environ)
            ping = self._draft(found.words, found.environ)
            url = ping.urls[0].removesuffix("/fail")
            if url != ping.urls[0] and self._meaning.ping in ("", url) and is_ping(ping, url):
                self._meaning.ping = url
                return
        raise NotUnderstood(f'runs "{step.program[:40]}" when the call failed')

    def _call(self, step: Step, environ: dict[str, str], depth: int) -> None:
        meaning = self._meaning
        if step.joint == "&":
            raise NotUnderstood("an & ends a command there: was a URL meant to be quoted?")
        if meaning.calls and (step.joint == ";" or self._caught):
            raise NotUnderstood("calls again whether or not the first call failed: two jobs?")
        found = unwrap(step.words, environ)
        meaning.waits |= found.waits
        meaning.notes += found.notes
        before = len(meaning.calls)
        if found.script is not None:
            self.run(found.script, step.joint, found.environ, depth + 1)
        else:
            draft = self._draft(found.words, found.environ)
            if meaning.calls and is_ping(draft, draft.urls[0]):
                meaning.ping = meaning.ping or draft.urls[0]
                return
            meaning.calls.append(draft)
        for call in meaning.calls[before:]:
            if found.limit:
                call.timeout = min(call.timeout or found.limit, found.limit)
            for each in step.outputs if step.writes_file else ():
                call.keep(each)

    def _draft(self, words: list[str], environ: dict[str, str]) -> Draft:
        program = words[0].rpartition("/")[2] if words else ""
        if program == "curl":
            draft = read_curl(words[1:], self._around.stdin, self._folder, environ)
            if draft.reads_input and self._read:
                raise NotUnderstood(READ_TWICE)
            self._read |= draft.reads_input
            return draft
        if program == "wget":
            return read_wget(words[1:], self._folder, environ)
        for wrapper in self._around.wrappers:
            if wrapper.program == program:
                return wrapper.read(words[1:])
        raise NotUnderstood(f'runs "{program[:40]}", which is no call that syncd knows')


def is_ping(draft: Draft, url: str) -> bool:
    """Tell whether a call only tells a dead-man service that a run was well."""
    if (
        len(draft.urls) != 1
        or draft.user
        or draft.bearer
        or draft.method not in ("", "GET", "HEAD")
    ):
        return False
    if draft.data or draft.headers:
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or parts.query:
        return False
    path = parts.path.removeprefix("/ping")
    known = path != parts.path or _PING_HOST.fullmatch(host)
    return host == "hc-ping.com" or bool(known and _PING_PATH.fullmatch(path))

"""Programs that run another one: what they do to it is said in a job's words or does not matter."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from syncd.crontab.drafts import seconds
from syncd.crontab.options import Options, options
from syncd.crontab.reasons import NotUnderstood
from syncd.crontab.secret_words import masked
from syncd.crontab.shell import ASSIGNMENT

_NICENESS: Final = re.compile(r"-[0-9]+", re.ASCII)
_TIMEOUT: Final = options(
    "timeout", "foreground preserve-status v/verbose", "k/kill-after s/signal"
)
_FLOCK: Final = options(
    "flock",
    "n/nonblock nb ex/exclusive o/close F/no-fork verbose",
    "w/timeout wait E/conflict-exit-code",
)
_QUIET: Final = {
    "chronic": options("chronic", "v/verbose e/stderr", ""),
    "command": options("command", "", ""),
    "cronic": options("cronic", "", ""),
    "env": options("env", "", ""),
    "exec": options("exec", "", ""),
    "ionice": options("ionice", "t/ignore", "c/class n/classdata"),
    "nice": options("nice", "", "n/adjustment"),
    "nohup": options("nohup", "", ""),
    "systemd-cat": options("systemd-cat", "", "t/identifier p/priority"),
    "time": options("time", "p/portability", ""),
}
SHELLS: Final = frozenset({"bash", "dash", "ksh", "sh", "zsh"})


@dataclass(slots=True)
class Wrapped:
    """What is left to run: its words or a `script` for a shell, and what was said around it."""

    words: list[str]
    environ: dict[str, str]
    script: str | None = None
    limit: float | None = None
    waits: bool = False
    notes: list[str] = field(default_factory=list)


def unwrap(words: list[str], environ: dict[str, str]) -> Wrapped:
    """Take the programs off that only run another one; raises NotUnderstood."""
    found = Wrapped(list(words), dict(environ))
    while found.script is None and found.words and _step(found):
        pass
    return found


def _step(found: Wrapped) -> bool:
    """Take one off; tell whether there was one."""
    first = found.words[0]
    if setting := ASSIGNMENT.fullmatch(first):
        found.environ[setting[1]] = setting[2]
        del found.words[0]
        return True
    program = first.rpartition("/")[2]
    if program in SHELLS and len(found.words) > 1:
        return _shell(found)
    if program in _QUIET:
        _quiet(found, _QUIET[program])
        return True
    take = _KNOWN.get(program)
    if take:
        take(found)
    return bool(take)


def _quiet(found: Wrapped, known: Options) -> None:
    rest = found.words[1:]
    if known.program == "nice" and rest and _NICENESS.fullmatch(rest[0]):
        rest = rest[1:]
    _, found.words = known.leading(rest)


def _shell(found: Wrapped) -> bool:
    """Take `sh -c TEXT` for its text, `sh FILE ...` for the file."""
    option = found.words[1]
    if re.fullmatch(r"-[lec]*c[lec]*", option) and len(found.words) == 3:
        found.script = found.words[2]
    elif option.startswith("-"):
        raise NotUnderstood(f"runs a shell with {option[:10]}")
    else:
        del found.words[0]
    return True


def _timeout(found: Wrapped) -> None:
    _, rest = _TIMEOUT.leading(found.words[1:])
    if len(rest) < 2:
        raise NotUnderstood("timeout: runs nothing")
    limit = seconds("timeout", rest[0], "smhd")
    if limit:
        found.limit = limit if found.limit is None else min(limit, found.limit)
    found.words = rest[1:]


def _flock(found: Wrapped) -> None:
    """Take a lock for what overlap says: a run that is due while one is active."""
    given, rest = _FLOCK.leading(found.words[1:])
    if len(rest) < 2 or rest[0].isdecimal():
        raise NotUnderstood("flock: locks what the line does not show")
    found.waits = not given.keys() & {"nonblock", "nb"}
    found.notes.append(f"overlap stands for the lock {masked(rest[0])}, but for this job alone")
    if rest[1] not in ("-c", "--command"):
        more, found.words = _FLOCK.leading(rest[1:])
        found.waits &= not more.keys() & {"nonblock", "nb"}
    elif len(rest) == 3:
        found.script = rest[2]
    else:
        raise NotUnderstood("flock: -c takes one text")


_KNOWN: Final[dict[str, Callable[[Wrapped], None]]] = {"timeout": _timeout, "flock": _flock}

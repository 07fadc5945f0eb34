"""An entry of a crontab as a job: its tables as the configuration takes them, or why not."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from syncd.config.durations import format_duration, parse_duration
from syncd.config.files import inline_secret, is_reference
from syncd.config.jobs import HttpJob
from syncd.crontab.commands import Meaning, Surroundings, understand
from syncd.crontab.lines import Entry
from syncd.crontab.prefixes import SHELLS
from syncd.crontab.reasons import NotUnderstood
from syncd.crontab.requests import requests_of, retries_of, seal
from syncd.crontab.schedule import read_schedule
from syncd.crontab.shell import OF_USER
from syncd.crontab.wrapper import Wrapper

_DAY: Final = re.compile(
    r"""\s*(?:/usr)?(?:/bin/)?date(\s+-u|\s+--utc)?\s+(["']?)(?:\+%F|\+%Y-%m-%d|-I|-Idate|--iso-8601)\2\s*""",
    re.ASCII,
)
_UTC: Final = frozenset(
    {"UTC", "Etc/UTC", "Etc/UCT", "UCT", "Zulu", "Etc/Zulu", "Universal", "UTC0"}
)
_USUAL: Final = HttpJob.model_fields["timeout"].default
MOST_CALLS: Final = 50  # of a job
_MARGIN: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Options:
    """How a crontab is to be read.

    `zone` is that of the machine whose cron ran it, `secrets` the folder that secrets are written
    to, None for credentials of the service.
    """

    system: bool = False
    wrappers: tuple[Wrapper, ...] = ()
    prefix: str = ""
    zone: str = "UTC"
    secrets: Path | None = None


@dataclass(frozen=True, slots=True)
class Unnamed:
    """A job before it has its name and its secrets their places; `notes` are for its comments."""

    tables: dict[str, Any]
    notes: tuple[str, ...]

    @property
    def first_url(self) -> str:
        """Return what is called first."""
        job = self.tables
        request = job["request"] if "request" in job else job["calls"][0]["request"]
        return str(request["url"])


def job_of(entry: Entry, options: Options) -> Unnamed:
    """Return what an entry asks for; raises NotUnderstood."""
    schedule = read_schedule(entry.fields, entry.environ.get("RANDOM_DELAY", ""))
    zone = _zone(entry.environ.get("CRON_TZ") or options.zone)
    clock = entry.environ.get("TZ") or options.zone  # of what cron starts, whatever CRON_TZ says

    def today(command: str) -> bool:
        found = _DAY.fullmatch(command)
        shown = "UTC" if found and found[1] else clock
        if found and not _same(shown, zone):
            raise NotUnderstood(f"$(date) is the day in {shown}, {{{{ date }}}} that in {zone}")
        return bool(found)

    if entry.environ.get("SHELL", "sh").rpartition("/")[2] not in SHELLS:
        raise NotUnderstood("SHELL names no shell that syncd knows")
    around = Surroundings(_variables(entry), entry.stdin, options.wrappers, today)
    meaning = understand(entry.command, around)
    job: dict[str, Any] = {"kind": "http", "schedule": schedule.expression, "timezone": zone}
    if spread := schedule.spread + timedelta(seconds=meaning.spread):
        job["spread"] = format_duration(spread)
    job.update(_rules(meaning))
    if sum(len(draft.urls) for draft in meaning.calls) > MOST_CALLS:
        raise NotUnderstood(f"makes more than {MOST_CALLS} calls")
    requests = [each for draft in meaning.calls for each in requests_of(draft)]
    job.update(_limit(requests))
    if len(requests) == 1:
        job["request"] = requests[0]
    else:
        job["calls"] = [{"request": each} for each in requests]
    return Unnamed(job, tuple(_notes(meaning)))


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise NotUnderstood("CRON_TZ names no time zone") from error
    return name


def _same(one: str, other: str) -> bool:
    return one.removeprefix(":") == other or {one, other} <= _UTC


def _variables(entry: Entry) -> Mapping[str, str]:
    """Return what the command can use (crontab(5)): what cron sets, then what the file does."""
    ours = dict.fromkeys(("HOME", "LOGNAME", "PATH", "USER"), OF_USER)
    return {**ours, "SHELL": "/bin/sh", **entry.environ}


def _rules(meaning: Meaning) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if meaning.waits:
        found["overlap"] = "queue"
    retries = retries_of(meaning.calls)
    if retries is not None:
        found["retries"] = retries
    if meaning.ping:
        found["ping_url"] = seal(meaning.ping, "ping", "the URL of the dead-man service")
    return found


def _limit(requests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a time limit of the run where its calls may take longer than is usual."""
    longest = sum((parse_duration(each["timeout"]) for each in requests), timedelta())
    if longest < parse_duration(_USUAL):
        return {}
    return {"timeout": format_duration(longest + _MARGIN)}


def _notes(meaning: Meaning) -> list[str]:
    notes = [*meaning.notes, *(note for draft in meaning.calls for note in draft.notes)]
    notes += [
        f"{draft.program} goes on to the next URL after a failure, a job does not"
        for draft in meaning.calls
        if len(draft.urls) > 1
    ]
    return list(dict.fromkeys(notes))


def refuse_invalid(job: Mapping[str, Any]) -> None:
    """Raise NotUnderstood for a job that the configuration would not take."""
    try:
        HttpJob.model_validate(job)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(each) for each in first["loc"])
        reason = f"{place} {first['msg'].removeprefix('Value error, ')}".strip()
        raise NotUnderstood(f"makes no valid job: {reason}") from error
    _refuse_inline(job, ("jobs", "x"))


def _refuse_inline(value: object, path: tuple[str, ...]) -> None:
    match value:
        case dict() if is_reference(value):
            return
        case dict():
            for name, each in value.items():
                _refuse_inline(each, (*path, name))
        case list():
            for index, each in enumerate(value):
                _refuse_inline(each, (*path, str(index)))
        case str() if inline_secret(path, value):
            raise NotUnderstood(f"{path[-1][:40]} would be a secret in the clear")

"""The time fields of a crontab line as a schedule of ours, where both mean the same.

Days: cron(8) of Debian and cronie take day-of-month AND day-of-week when either begins with `*`,
else OR, and so does `syncd/triggers/cron.py`. What only ours knows (L, LW, MON#2) no cron takes,
and of `5/15` crons differ: Debian's refuses it, others count from 5 to the end.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

from syncd.crontab.reasons import NotUnderstood
from syncd.triggers.cron import MACROS, Cron

_VALUE: Final = r"(?:[0-9]{1,2}|[A-Za-z]{3})"
_TERM: Final = re.compile(rf"\*(?:/[0-9]+)?|{_VALUE}(?:-{_VALUE}(?:/[0-9]+)?)?", re.ASCII)
_STEPPED_VALUE: Final = re.compile(rf"{_VALUE}/[0-9]+", re.ASCII)
_RANDOM: Final = re.compile(r"([0-9]{0,2})~([0-9]{0,2})", re.ASCII)
_MOST_DELAY: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class Schedule:
    """Five fields or a macro, and how much later a line may begin."""

    expression: str
    spread: timedelta


def read_schedule(fields: str, delay: str = "") -> Schedule:
    """Read the fields in front of a command, `delay` being RANDOM_DELAY in minutes.

    Raises NotUnderstood.
    """
    spread = timedelta(minutes=_delay(delay))
    if fields.startswith("@"):
        return Schedule(_macro(fields), spread)
    words = fields.split()
    words[0] = words[0].removeprefix("-")  # only whether cron tells syslog of it
    words[0], width = _random_minute(words[0])
    for word in words:
        _refuse_odd(word)
    expression = " ".join(words)
    try:
        Cron(expression, ZoneInfo("UTC"))
    except ValueError as error:
        raise NotUnderstood(f"the schedule {error}") from error
    return Schedule(expression, spread + width)


def _macro(name: str) -> str:
    if name.lower() == "@reboot":
        raise NotUnderstood("@reboot is no time: a job is due by the clock")
    if name.lower() not in MACROS:
        raise NotUnderstood(f"{name[:20]} is no schedule that syncd knows")
    return name.lower()


def _delay(text: str) -> int:
    if not text:
        return 0
    if not re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) or int(text) > _MOST_DELAY:
        raise NotUnderstood("RANDOM_DELAY is no number of minutes up to a day")
    return int(text)


def _random_minute(field: str) -> tuple[str, timedelta]:
    """Return the first minute of cronie's `A~B`, and how many minutes it chooses from."""
    if not (found := _RANDOM.fullmatch(field)):
        return field, timedelta()
    first, last = int(found[1] or 0), int(found[2] or 59)
    if not first <= last <= 59:
        raise NotUnderstood(f'the minutes "{field}" are no range')
    return str(first), timedelta(minutes=last - first + 1)


def _refuse_odd(word: str) -> None:
    if "~" in word:
        raise NotUnderstood(f'"{word[:20]}" is random: only a range of minutes A~B has a spread')
    for term in word.split(","):
        if _STEPPED_VALUE.fullmatch(term):
            raise NotUnderstood(
                f'crons differ about "{term}": write a range, such as {term[0]}-59/5'
            )
        if not _TERM.fullmatch(term):
            raise NotUnderstood(f'the schedule holds "{term[:20]}", which is none of crontab(5)')

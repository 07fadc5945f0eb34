"""The files of dates that jobs name: read with the configuration, and frozen into it."""

from pathlib import Path
from typing import Any

from syncd.config.files import Unreadable, read_text
from syncd.config.problems import MOST, Problem, key_path
from syncd.triggers.calendars import BadCalendar, Calendar


def take_calendars(tables: dict[str, Any], folder: Path) -> list[Problem]:
    """Put the calendars in place of the paths that jobs name; return what is wrong with them.

    `tables` is what the files say, before it is validated; paths are relative to `folder`. A file
    that several jobs name is read, and complained about, once.
    """
    taken: dict[str, Calendar] = {}
    problems: list[Problem] = []
    jobs = tables.get("jobs")
    for name, job in jobs.items() if isinstance(jobs, dict) else ():
        written = job.get("calendar") if isinstance(job, dict) else None
        if not isinstance(written, str) or not written:
            continue  # for the schema to complain about
        if written not in taken:
            key = key_path(("jobs", name, "calendar"))
            taken[written] = _read(folder / written, key, problems)
        job["calendar"] = taken[written]
    return problems


def _read(path: Path, key: str, problems: list[Problem]) -> Calendar:
    """Return the calendar of a file, an empty one where that is a problem."""
    try:
        return Calendar.parse(read_text(path), str(path))
    except Unreadable as reason:
        problems.append(Problem(str(path), reason.line, key, str(reason)))
    except BadCalendar as error:
        lines = error.lines[:MOST]
        problems += [Problem(str(path), line, key, message) for line, message in lines]
        if more := len(error.lines) - len(lines):
            problems.append(Problem(str(path), None, key, f"and {more} more problems"))
    return Calendar(frozenset(), str(path))

"""Crontabs as tests write them: one command, and what became of it."""

import tomllib

from syncd.crontab.importing import import_crontab
from syncd.crontab.jobs import Options
from syncd.crontab.wrapper import parse_wrapper


def imported(text, **options):
    """Import a crontab; what is printed of it must be TOML that says what was meant."""
    found = import_crontab(text if isinstance(text, bytes) else text.encode(), Options(**options))
    tables = tomllib.loads(found.toml)
    assert tables.get("jobs", {}) == {job.name: job.tables for job in found.jobs}
    return found


def job(command, before="", schedule="0 * * * *", **options):
    """Return the tables of the one job that a command becomes."""
    found = imported(f"{before}{schedule} {command}\n", **options)
    assert [odd.reason for odd in found.left] == []
    (only,) = found.jobs
    return only.tables


def request(command, before="", **options):
    """Return the request of a command, without the time limit that all have."""
    tables = dict(job(command, before, **options)["request"])
    if tables["timeout"] == "15m":
        del tables["timeout"]
    return tables


def reason(command, before="", schedule="0 * * * *", **options):
    """Return why a command is not understood."""
    found = imported(f"{before}{schedule} {command}\n", **options)
    assert [each.name for each in found.jobs] == []
    (odd,) = found.left
    return odd.reason


def wrapper(pattern, base_url="https://api.internal", method="", token=""):
    """Return the option that reads calls of a script."""
    return (parse_wrapper(pattern, base_url, method, token),)

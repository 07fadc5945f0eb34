"""`syncd check`: validates the configuration and prints what would run."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from syncd.cli.cells import cell, some
from syncd.cli.moments import parse_moment
from syncd.cli.names import JOB
from syncd.cli.screen import print_json, print_table, tell
from syncd.cli.settings import Settings

if TYPE_CHECKING:
    from syncd.config.configuration import Config


@click.command
@click.option("--quiet", is_flag=True, help="Print only problems.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--next", "count", type=click.IntRange(0, 1000), default=3, show_default=True,
              help="How many due times of each job.")  # fmt: skip
@click.option("--from", "start", metavar="TIME", help="Due times after this moment, not now.")
@click.option("--job", type=JOB, help="Only this job.")
@click.option("--without-secrets", is_flag=True, help="Don't look whether secrets can be read.")
@click.pass_obj
def check(
    settings: Settings,
    *,
    quiet: bool,
    as_json: bool,
    count: int,
    start: str | None,
    job: str | None,
    without_secrets: bool,
) -> None:
    """Validate the configuration and print each job with its next runs; connects nowhere."""
    from syncd.config.load import ConfigInvalid, load
    from syncd.config.preview import as_json as document
    from syncd.config.preview import upcoming
    from syncd.errors import NotFound

    try:
        config = load(settings.file, check_secrets=not without_secrets, outside=True)
    except ConfigInvalid as error:
        if as_json:
            print_json(document([], error.problems))
        raise
    for warning in config.warnings:
        tell(f"warning: {warning}")
    if not without_secrets and not quiet:
        _tell_unread(config)
    if job is not None and job not in config.enabled_jobs():
        raise NotFound(f"there is no enabled job {job!r}")
    now = parse_moment(start, settings.zone, "--from") if start else datetime.now(UTC)
    jobs = upcoming(config, now, count, job)
    if as_json:
        print_json(document(jobs, []))
    elif not quiet:
        rows = [
            [
                cell(each.name), cell(_kind(each.kind, each.servers, each.calls)),
                cell(_schedule(each.schedule, each.priority, each.overlap)),
                cell(each.timezone),
                cell(_due_times(each.next_runs, each.waits_until, each.given_up)),
            ]
            for each in jobs
        ]  # fmt: skip
        headers = ["job", "kind", "schedule", "timezone", "next runs"]
        print_table(headers, rows, "the configuration is valid, and has no enabled job")


def _tell_unread(config: "Config") -> None:
    """Name the secrets that were not looked at."""
    from syncd.config.references import secret_references
    from syncd.config.secrets import for_service_alone

    unread = {str(s) for s in secret_references(config).values() if for_service_alone(s)}
    if unread:
        tell(f"not read, since systemd gives it to the service alone: {', '.join(sorted(unread))}")


def _kind(kind: str, servers: Sequence[str], calls: Sequence[tuple[str, str]]) -> str:
    """Return what a job does, and on which servers, or what it calls."""
    if calls:
        more = f" and {len(calls) - 1} more" if len(calls) > 1 else ""
        return f"{kind}: {' '.join(calls[0])}{more}"
    return f"{kind} of {some(servers)}" if servers else kind


def _schedule(schedule: str, priority: str, overlap: str) -> str:
    """Return when a job is due, and how its runs stand to others where that is not the default."""
    options = [f"{priority} priority"] if priority != "normal" else []
    options += [f"overlap {overlap}"] if overlap != "skip" else []
    return ", ".join([schedule or "by hand", *options])


def _due_times(
    dues: Sequence[datetime], waits: Sequence[datetime | None], given_up: Sequence[bool]
) -> str:
    """Return the moments to the minute, or to the second where one is not on a whole minute."""
    precision = "seconds" if any(due.second for due in dues) else "minutes"
    return ", ".join(
        due.isoformat(" ", precision) + (_in_window(due, until, lost=lost) if until else "")
        for due, until, lost in zip(dues, waits, given_up, strict=True)
    )


def _in_window(due: datetime, until: datetime, *, lost: bool) -> str:
    """Return what becomes of a due time in a window."""
    end = _end(due, until)
    return f" (given up: window until {end})" if lost else f" (waits until {end})"


def _end(due: datetime, until: datetime) -> str:
    """Return when a window ends, without what it shares with the due time."""
    same_day = (due.date(), due.utcoffset()) == (until.date(), until.utcoffset())
    return until.strftime("%H:%M") if same_day else until.isoformat(" ", "minutes")

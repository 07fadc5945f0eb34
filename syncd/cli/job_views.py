"""How jobs look: a line each in a list, everything about one, and what is wrong with any."""

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any, Final

from syncd.cli.cells import Cell, cell, word
from syncd.cli.job_words import Began, account_words, state_words, trouble_words
from syncd.cli.moments import ago, clock_time, moment_cell
from syncd.cli.records import error_text, print_facts
from syncd.cli.screen import print_line, print_table

Json = dict[str, Any]
_LONGEST: Final = 100  # characters of an error in a list
_NEVER: Final = {
    "status": None, "finished_at": None, "last_success_at": None, "error_class": None,
    "error": None,
}  # fmt: skip


def print_jobs(jobs: Sequence[Json], began: Began, zone: tzinfo) -> None:
    """Print jobs with what comes next, how the last run ended, and what they do now."""
    rows = [
        [
            cell(job["name"]), cell(job["schedule"] or "by hand"),
            cell(job["next_run"] and clock_time(job["next_run"], zone)), _last(job),
            _state(job, began, zone),
        ]
        for job in jobs
    ]  # fmt: skip
    print_table(["job", "schedule", "next run", "last run", "state"], rows, "no enabled job")


def print_job(job: Json, began: Began, zone: tzinfo) -> None:
    """Print everything about a job, with the runs that wait."""
    print_facts(_facts(job, began, zone))
    if job["waiting"]:
        print_line()
        _print_waiting(job["waiting"], zone)


def print_troubles(jobs: Sequence[Json], began: Began, zone: tzinfo) -> None:
    """Print a line for each job that is stuck, paused or held."""
    for job in jobs:
        words = trouble_words(job, began, zone)
        if words:
            more = f" (syncd resume {job['name']})" if job["paused"] or job["held"] else ""
            print_line(Cell("! ", "red"), cell(f"{job['name']}: {'; '.join(words)}{more}"))


def _last(job: Json) -> Cell:
    last = job["last"] or _NEVER
    if not last["status"]:
        return cell(None)
    return Cell(f"{last['status']} {ago(last['finished_at'])}", word(last["status"]).style)


def _state(job: Json, began: Began, zone: tzinfo) -> Cell:
    """Return what a job does, and how its last run failed."""
    words = state_words(job, began, zone)
    last = job["last"] or _NEVER
    if last["status"] == "failed" and (error := error_text(last)):
        short = error if len(error) <= _LONGEST else f"{error[: _LONGEST - 1]}…"
        words.append(f"failed: {short}")
    if job["stuck"] or job["held"]:
        return cell("; ".join(words), "red")
    kept = job["paused"] or job["waiting"]
    return cell("; ".join(words), "yellow" if kept else "cyan" if job["running"] else "")


def _facts(job: Json, began: Began, zone: tzinfo) -> list[tuple[str, Cell]]:
    """Return what is known of a job, name by name."""
    last, skip = job["last"] or _NEVER, job["last_skip"]
    schedule, in_zone = job["schedule"] or "by hand", job["timezone"]
    if job["schedule"] and not schedule.endswith(in_zone):  # that of cron's fields has its own
        schedule = f"{schedule} ({in_zone})"
    return [
        ("job", cell(job["name"])),
        ("kind", cell(job["kind"])),
        ("schedule", cell(schedule)),
        (
            "interval",
            cell(job["interval_seconds"] and f"{job['interval_seconds']:,.0f} s at present"),
        ),
        ("priority", cell(job["priority"])),
        ("overlap", cell(job["overlap"])),
        ("state", cell("; ".join(state_words(job, began, zone)))),
        ("next run", moment_cell(job["next_run"], zone)),
        ("running", cell(job["running"])),
        ("stuck", cell(job["stuck"], "red")),
        *(("held", _held(held, zone)) for held in job["held"]),
        ("last skip", cell(skip and f"{moment_cell(skip['due'], zone).text}: {skip['reason']}")),
        ("last run", _last(job)),
        ("ended", moment_cell(last["finished_at"], zone)),
        ("succeeded", moment_cell(last["last_success_at"], zone)),
        ("error", cell(error_text(last), "red")),
    ]


def _held(held: Json, zone: tzinfo) -> Cell:
    return cell(f"{account_words(held, zone)}: {held['reason']}", "red")


def _print_waiting(waiting: Sequence[Json], zone: tzinfo) -> None:
    headers = ["waiting run", "trigger", "priority", "attempt", "due", "since", "reason", "until"]
    rows = [
        [
            cell(run["run"]), cell(run["trigger"]), cell(run["priority"]), cell(run["attempt"]),
            *(cell(clock_time(run[name], zone)) for name in ("scheduled_for", "since")),
            cell(run["reason"]), cell(run["until"] and clock_time(run["until"], zone)),
        ]
        for run in waiting
    ]  # fmt: skip
    print_table(headers, rows, "")

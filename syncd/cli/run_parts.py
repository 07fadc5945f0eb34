"""Everything about a run, and what it worked on as its kind is best looked at."""

from datetime import tzinfo
from typing import Any

from syncd.cli.cells import Cell, cell, word
from syncd.cli.compared import print_checks
from syncd.cli.copied import print_copies
from syncd.cli.moments import moment_cell
from syncd.cli.records import error_text, print_calls, print_facts, print_items
from syncd.cli.screen import print_line, print_table

Json = dict[str, Any]


def print_run(run: Json, zone: tzinfo) -> None:
    """Print everything about a run."""
    print_facts(_facts(run, zone))
    print_line()
    print_parts(run, zone)
    if run.get("calls"):  # an older daemon tells of none
        print_line()
        print_calls(run["calls"], zone)
    if run["errors"]:
        print_line()
        rows = [
            [
                cell(error["resource_id"]), cell(error["attempt"]), cell(error["error_class"]),
                cell(error["error"]), moment_cell(error["occurred_at"], zone),
            ]
            for error in run["errors"]
        ]  # fmt: skip
        print_table(["resource", "attempt", "class", "error", "at"], rows, "")


def print_parts(run: Json, zone: tzinfo) -> None:
    """Print the items of a run."""
    match run["kind"]:
        case "table_copy":
            print_copies(run, zone)
        case "consistency_check":
            print_checks(run)
        case _:
            print_items(run["items"])


def _facts(run: Json, zone: tzinfo) -> list[tuple[str, Cell]]:
    return [
        ("run", cell(run["id"])),
        ("job", cell(f"{run['job']} ({run['kind']})")),
        ("status", word(run["status"])),
        ("trigger", cell(run["trigger"])),
        ("asked by", cell(run["requested_by"])),
        *((f"of {part}", cell(names)) for part, names in run["selection"].items()),
        ("attempt", cell(f"{run['attempt']} of {run['max_attempts']}")),
        ("due", moment_cell(run["scheduled_for"], zone)),
        ("started", moment_cell(run["started_at"], zone)),
        ("finished", moment_cell(run["finished_at"], zone)),
        ("next attempt", moment_cell(run["next_attempt_at"], zone)),
        ("seconds", cell(run["duration_seconds"])),
        ("error", cell(error_text(run), "red")),
        ("log", cell(f"syncd logs {run['id']}")),
    ]

"""`syncd sync`: runs jobs now, or with `--plan` tells what a run would change."""

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any
from uuid import UUID

import click

from syncd.cli.cells import Cell, before_and_after, cell, mark
from syncd.cli.compared import check_notes
from syncd.cli.copied import copy_notes
from syncd.cli.names import JOB, LEVEL
from syncd.cli.privileges import GRANTED, REVOKED, changed_lines, other_fields
from syncd.cli.records import count_cells, error_text, print_calls, summary
from syncd.cli.requests import are_requests, print_requests
from syncd.cli.run_parts import print_parts
from syncd.cli.screen import complain, print_json, print_line, print_lines
from syncd.cli.selecting import selecting
from syncd.cli.session import Session, working
from syncd.cli.settings import Settings
from syncd.cli.watch import ended_well, tell_failure, watch
from syncd.errors import SyncdError
from syncd.model.run import Priority, Selection

Json = dict[str, Any]


@click.command
@click.argument("jobs", metavar="JOB...", type=JOB, nargs=-1, required=True)
@click.option("--plan", "only_plan", is_flag=True, help="Change nothing; tell what would change.")
@selecting
@click.option("--priority", type=LEVEL, help="Of the runs, in a daemon; else the job's.")
@click.option("--verbose", "-v", is_flag=True, help="Show the log of a run without daemon.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def sync(
    ctx: click.Context,
    jobs: tuple[str, ...],
    *,
    only_plan: bool,
    selection: Selection,
    priority: Priority | None,
    verbose: bool,
    as_json: bool,
) -> None:
    """Run jobs now and wait: in the daemon when one answers, else in this process."""
    distinct = list(dict.fromkeys(jobs))
    if only_plan and priority:
        raise click.UsageError("--priority is of no use with --plan, which queues no run")
    settings: Settings = ctx.obj
    with working(settings, verbose=verbose) as session:
        if only_plan:
            exit_status = _plan(session, distinct, selection, as_json=as_json)
        else:
            started, refused = _start(session, distinct, selection, priority)
            runs = watch(session, started, settings.zone)
            exit_status = _print_outcome(runs, settings.zone, as_json=as_json)
            if refused:
                raise refused
    ctx.exit(exit_status)


def _start(
    session: Session, jobs: Sequence[str], selection: Selection, priority: Priority | None
) -> tuple[dict[UUID, str], SyncdError | None]:
    """Start runs up to the first that is refused; return them with their jobs, and the refusal."""
    started: dict[UUID, str] = {}
    for job in jobs:
        try:
            started[session.acts.trigger(job, selection, session.by, priority)] = job
        except SyncdError as error:
            return started, error
    return started, None


def _print_outcome(runs: Sequence[Json], zone: tzinfo, *, as_json: bool) -> int:
    """Print how runs went; return the exit status."""
    if as_json:
        print_json([summary(run) for run in runs])
    for run in runs:
        if not as_json and run.get("calls"):  # they tell more than their one item
            print_calls(run["calls"], zone)
        elif not as_json:
            print_parts(run, zone)
        tell_failure(run)
    return 0 if ended_well(runs) else 1


def _plan(session: Session, jobs: Sequence[str], selection: Selection, *, as_json: bool) -> int:
    """Print what runs of the jobs would change; return the exit status."""
    items = [item for job in jobs for item in session.acts.plan(job, selection, session.by)]
    if as_json:
        print_json(items)
    for item in items:
        if not as_json and (item["changes"] or not item["error_class"]):
            _print_item(item)
        if item["error_class"]:
            complain(f"{item['target']}: {error_text(item)}")
    return 1 if any(item["error_class"] for item in items) else 0


def _print_item(item: Json) -> None:
    """Print one target and its changes, a line each; or the requests that would be sent."""
    if are_requests(item["changes"]):
        print_requests(item["target"], item["changes"])
        return
    total, added, updated, deleted, unchanged, errors = count_cells(item["counts"])
    print_line(
        Cell(cell(item["target"]).text, "bold"), Cell(": "), total, Cell(" listed, "),
        added, Cell(" to add, "), updated, Cell(" to update, "), deleted, Cell(" to delete, "),
        unchanged, Cell(" unchanged, "), errors, Cell(" errors"),
    )  # fmt: skip
    details = item.get("details", {})  # an older daemon tells of none
    for note in (*copy_notes(details), *check_notes(details)):
        print_line(Cell("  "), cell(note, "dim"))
    for change in item["changes"]:
        _print_change(change)


def _print_change(change: Mapping[str, Any]) -> None:
    """Print a change; of a database account each privilege that comes or goes on its own line."""
    fields = change["fields"]
    name = (Cell("  "), cell(change["name"])) if change["name"] else ()
    print_line(
        Cell("  "), mark(change["change"]), Cell(" "), cell(change["resource_id"]), *name,
        Cell("  "), Cell(_fields(change), "dim"),
    )  # fmt: skip
    print_lines(changed_lines(fields.get(GRANTED, ()), fields.get(REVOKED, ())))


def _fields(change: Mapping[str, Any]) -> str:
    """Return what an update changes; what is added or deleted has its name already.

    Of a table it is its new columns, of a row that would be rejected why, of one that differs how;
    of a schema that it is one.
    """
    fields = change["fields"]
    if change.get("thing") == "schema":
        return "schema"
    if change.get("thing") == "table":
        return f"columns {', '.join(fields.get('columns', ()))}"
    if change["change"] == "rejected":
        return str(fields.get("error", ""))
    if change["change"] == "differs":
        return before_and_after(fields, "≠")
    if change["change"] in ("added", "deleted"):
        return ""
    return other_fields(fields)

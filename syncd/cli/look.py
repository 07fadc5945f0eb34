"""The commands that look at the daemon and its runs."""

from collections.abc import Mapping
from typing import Any, Final

import click
from click.core import ParameterSource

from syncd.cli.cells import Cell, cell, word
from syncd.cli.export import OF_JOB, SINCE, WITH_STATUS, export
from syncd.cli.job_views import print_job, print_jobs, print_troubles
from syncd.cli.job_words import began, gate_words
from syncd.cli.moments import ago, how_long, parse_moment
from syncd.cli.names import JOB, RUN
from syncd.cli.progress_words import how_far
from syncd.cli.records import print_runs
from syncd.cli.run_parts import print_run
from syncd.cli.screen import complain, print_json, print_line, print_table, tell
from syncd.cli.session import reading
from syncd.cli.settings import Settings
from syncd.control.client import Client
from syncd.errors import NotFound
from syncd.model.queries import RunQuery

Json = dict[str, Any]
_OF_TABLES: Final = ("table_copy", "consistency_check")
_MOST_TABLES: Final = 10  # of a job
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command
@_JSON
@click.pass_obj
def status(settings: Settings, *, as_json: bool) -> None:
    """Show how the daemon is: its health, its jobs, what stands, what is held back."""
    client = Client(settings.socket)
    state = client.status()
    if as_json:
        print_json(state)
        return
    scheduler = client.scheduler()
    _print_health(state, gate_words(scheduler["gates"]))
    if scheduler["leader"]:
        rows, since = client.jobs(), began(scheduler)
        print_line()
        print_jobs(rows, since, settings.zone)
        print_troubles(rows, since, settings.zone)
        _print_progress(rows, client.progress())
    if state["resources"]:
        print_line()
        _print_inventory(state["resources"])
    for held in state["guarded"] or ():
        _print_guarded(held)


@click.command
@click.argument("job", type=JOB, required=False)
@_JSON
@click.pass_obj
def jobs(settings: Settings, job: str | None, *, as_json: bool) -> None:
    """List the jobs that the daemon runs.

    With JOB: everything about that one, and which runs of it wait.
    """
    client = Client(settings.socket)
    rows, scheduler = client.jobs(), client.scheduler()
    for words in gate_words(scheduler["gates"]):
        complain(words)
    if job is None:
        if as_json:
            print_json(rows)
        else:
            print_jobs(rows, began(scheduler), settings.zone)
        return
    found = next((row for row in rows if row["name"] == job), None)
    if found is None:
        raise NotFound(f"there is no enabled job {job!r}")
    if as_json:
        print_json(found)
    else:
        print_job(found, began(scheduler), settings.zone)


@click.group(invoke_without_command=True, subcommand_metavar="[COMMAND]...")
@OF_JOB
@WITH_STATUS
@SINCE
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@_JSON
@click.pass_context
def runs(
    ctx: click.Context,
    *,
    job: str | None,
    state: Any,  # noqa: ANN401 - one of the choices
    since: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List runs, the newest first."""
    if ctx.invoked_subcommand:
        _refuse_options(ctx)
        return
    settings: Settings = ctx.obj
    moment = parse_moment(since, settings.zone, "--since") if since else None
    with reading(settings) as reads:
        rows = reads.runs(RunQuery(job, state, moment, limit))
    if as_json:
        print_json(rows)
    else:
        print_runs(rows, settings.zone)
    if len(rows) == limit:
        tell(f"the newest {limit} runs; there may be more: --limit")


runs.add_command(export)


def _refuse_options(ctx: click.Context) -> None:
    """Refuse options of the list in front of a subcommand, which would be of no effect."""
    for name in ctx.params:
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = next(each.opts[0] for each in ctx.command.params if each.name == name)
            raise click.UsageError(f"{option} must stand behind {ctx.invoked_subcommand}")


@click.command
@click.argument("run", type=RUN)
@_JSON
@click.pass_obj
def show(settings: Settings, run: str, *, as_json: bool) -> None:
    """Show a run with its items, calls and errors; RUN is its id, or a beginning that is unique."""
    with reading(settings) as reads:
        found = reads.run(run)
    if as_json:
        print_json(found)
    else:
        print_run(found, settings.zone)


def _print_health(state: Json, gates: list[str]) -> None:
    ready = Cell("ready", "green") if state["ready"] else Cell("not ready", "red")
    print_line(
        Cell("syncd ", "bold"), cell(state["version"]), Cell(", "), ready,
        Cell(f", pid {state['pid']}, started {ago(state['started_at'])}"),
    )  # fmt: skip
    print_line(cell(state["status"]))
    for check in state["checks"]:
        if not check["ok"]:
            print_line(Cell("! ", "red"), cell(f"{check['name']}: {check['detail']}"))
    if state["outbox_records"]:
        print_line(Cell("! ", "red"), cell(f"{state['outbox_records']} records wait for the store"))
    for gate in gates:
        print_line(Cell("! ", "red"), cell(gate))
    if "store_error" in state:
        print_line(Cell("! ", "red"), cell(state["store_error"]))


def _print_progress(jobs: list[Json], progress: Mapping[str, Json]) -> None:
    """Print how far the tables are that are copied or compared now."""
    for job in jobs:
        run = progress.get(str(job["running"])) if job["kind"] in _OF_TABLES else None
        targets = run["targets"] if run else {}
        running = {name: each for name, each in targets.items() if each["state"] == "running"}
        for name, target in list(running.items())[:_MOST_TABLES]:
            print_line(Cell("> ", "cyan"), cell(f"{job['name']}: {name}: {how_far([target])}"))
        if (more := len(running) - _MOST_TABLES) > 0:
            print_line(Cell("> ", "cyan"), cell(f"{job['name']}: and {more} more tables"))


def _print_inventory(rows: list[Json]) -> None:
    cells = [
        [cell(row["account"]), cell(row["type"]), word(row["state"]), cell(row["count"])]
        for row in rows
    ]
    print_table(["account", "type", "state", "count"], cells, "")


def _print_guarded(held: Json) -> None:
    where = "/".join(part for part in map(held.get, ("account", "region", "type")) if part)
    told = f"{held['count']} deletions of {where} are held back for {how_long(held['guarded_at'])}"
    after = "approved for the next run" if held["approved"] else f"syncd approve {held['job']}"
    print_line(Cell("! ", "red"), cell(f"{told}: {after}"))

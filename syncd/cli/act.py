"""The commands that act on the running daemon."""

from contextlib import suppress
from datetime import tzinfo
from typing import Final
from uuid import UUID

import click

from syncd.cli.cells import cell
from syncd.cli.names import JOB, LEVEL, RUN
from syncd.cli.records import summary
from syncd.cli.run_parts import print_parts
from syncd.cli.screen import print_json, print_line, tell
from syncd.cli.selecting import selecting
from syncd.cli.session import Session, me
from syncd.cli.settings import Settings
from syncd.cli.watch import ended_well, reasons, tell_failure, watch
from syncd.control.client import Client
from syncd.errors import SyncdError
from syncd.model.run import Priority, Selection

_AT_ONCE: Final = 0.3  # seconds
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command
@click.argument("job", type=JOB)
@click.option("--wait", "until_end", is_flag=True, help="Wait for the end of the run.")
@selecting
@click.option("--priority", type=LEVEL, help="Of the run; else the job's.")
@_JSON
@click.pass_context
def trigger(
    ctx: click.Context,
    job: str,
    *,
    until_end: bool,
    selection: Selection,
    priority: Priority | None,
    as_json: bool,
) -> None:
    """Queue a run of JOB and print its id.

    Where it does not start at once, standard error tells why.
    """
    client = Client(ctx.obj.socket)
    run_id = client.trigger(job, selection, me(), priority)
    if not until_end:
        if as_json:
            print_json({"id": run_id})
        else:
            print_line(cell(str(run_id)))
        with suppress(SyncdError):  # what was asked for is done
            _tell_why_it_waits(client, run_id, job, ctx.obj.zone)
        return
    (run,) = watch(Session(client, client, me(), local=False), {run_id: job}, ctx.obj.zone)
    if as_json:
        print_json(summary(run))
    else:
        print_parts(run, ctx.obj.zone)
    tell_failure(run)
    ctx.exit(0 if ended_well([run]) else 1)


def _tell_why_it_waits(client: Client, run_id: UUID, job: str, zone: tzinfo) -> None:
    """Say why a run does not start at once; each waits for the fraction of a second."""
    if str(run_id) not in reasons(client, zone) or client.wait(run_id, _AT_ONCE):
        return
    if words := reasons(client, zone).get(str(run_id)):
        tell(f"{job} {words}")


@click.command
@click.argument("run", type=RUN)
@_JSON
@click.pass_obj
def cancel(settings: Settings, run: str, *, as_json: bool) -> None:
    """Cancel a run that waits or runs; RUN is its id, or a beginning that is unique."""
    client = Client(settings.socket)
    run_id = UUID(client.run(run)["id"])
    client.cancel(run_id, me())
    if as_json:
        print_json({"id": run_id})
    else:
        tell(f"run {run_id} is told to stop")


@click.command
@click.argument("job", type=JOB)
@_JSON
@click.pass_obj
def approve(settings: Settings, job: str, *, as_json: bool) -> None:
    """Let the deletions of JOB that are held back go, in its next run."""
    count = Client(settings.socket).approve(job, me())
    if as_json:
        print_json({"approved": count})
    else:
        tell(
            f"{count} deletions of {job} may go in its next run, within 24 hours"
            if count
            else f"no deletions of {job} are held back"
        )


@click.command
@click.option("--wait", is_flag=True, help="Wait for the verdict, as is always done.")
@_JSON
@click.pass_obj
def reload(settings: Settings, *, wait: bool, as_json: bool) -> None:  # noqa: ARG001
    """Have the daemon read its configuration again; fails, with the problems, when it refuses."""
    fixed = Client(settings.socket).reload(me())
    if as_json:
        print_json({"restart_needed": fixed})
        return
    tell("the configuration is reloaded")
    for key in fixed:
        tell(f"{key} has changed: needs a restart")

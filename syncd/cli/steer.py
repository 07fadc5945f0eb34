"""The commands that steer the schedule of the running daemon."""

from uuid import UUID

import click

from syncd.cli.moments import DURATION, clock_time
from syncd.cli.names import JOB, LEVEL, RUN
from syncd.cli.screen import print_json, tell
from syncd.cli.session import me
from syncd.cli.settings import Settings
from syncd.control.client import Client
from syncd.model.holder import holder_words
from syncd.model.run import Priority

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command
@click.argument("run", type=RUN)
@click.argument("level", type=LEVEL)
@_JSON
@click.pass_obj
def priority(settings: Settings, run: str, level: Priority, *, as_json: bool) -> None:
    """Move a waiting run before others, or behind them.

    RUN is its id, or a beginning that is unique. An urgent run may interrupt one that allows it.
    """
    client = Client(settings.socket)
    run_id = UUID(client.run(run)["id"])
    client.prioritise(run_id, level, me())
    if as_json:
        print_json({"id": run_id, "priority": level})
    else:
        tell(f"run {run_id} waits with priority {level}")


@click.command
@click.argument("job", type=JOB)
@click.option(
    "--for", "duration", type=DURATION, help="For so long, such as 2h; else until resumed."
)
@_JSON
@click.pass_obj
def pause(settings: Settings, job: str, *, duration: float | None, as_json: bool) -> None:
    """Start no run of JOB for a while.

    A run that is under way goes on. A further pause replaces the first.
    """
    answer = Client(settings.socket).pause(job, duration, me())
    if as_json:
        print_json(answer)
        return
    until = answer["paused"]["until"]
    end = clock_time(until, settings.zone) if until else "somebody resumes it"
    tell(f"{job} is paused until {end}; to end that: syncd resume {job}")


@click.command
@click.argument("job", type=JOB)
@_JSON
@click.pass_obj
def resume(settings: Settings, job: str, *, as_json: bool) -> None:
    """End the pause of JOB.

    Accounts and tokens of the job that were refused are tried again by its next run.
    """
    answer = Client(settings.socket).resume(job, me())
    if as_json:
        print_json(answer)
        return
    tell(f"{job} is resumed" if answer["was_paused"] else f"{job} was not paused")
    for holder in answer["freed"]:
        tell(f"{holder_words(holder)} is tried again by the next run")

"""The commands that are a service of their own: the daemon, the demonstration, migrations."""

import os
import sys
from pathlib import Path

import click

from syncd.cli.cells import cell
from syncd.cli.screen import print_json, print_table
from syncd.cli.settings import Settings


@click.command
@click.option(
    "--log-format",
    type=click.Choice(["auto", "console", "logfmt", "journal", "json"]),
    default="auto",
    show_default=True,
    help="How log lines look; auto asks where they go.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="The least grave lines that are logged.",
)
@click.pass_context
def run(ctx: click.Context, log_format: str, log_level: str) -> None:
    """Run the daemon, in the foreground."""
    _stay_lean()
    from syncd import app

    ctx.exit(app.run(ctx.obj.file, log_format, log_level))  # type: ignore[arg-type]  # of Choice


def _stay_lean() -> None:
    """Keep out of the daemon what its libraries would load besides: 6 MiB at rest, a tenth second.

    structlog takes rich where it is installed, to draw tracebacks that we have it log as text;
    pydantic searches all installed packages for plugins.
    """
    if "structlog" not in sys.modules:
        sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # "not to be had", to import
        os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")


@click.command
@click.option("--seconds", type=click.FloatRange(min=1), help="End by itself after so long.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of all that is random.")
@click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep everything in this directory; else in a temporary one.",
)
@click.pass_context
def demo(ctx: click.Context, seconds: float | None, seed: int, state_dir: Path | None) -> None:
    """Show syncd at work on two emulated clouds; Ctrl-C ends it and removes everything."""
    from syncd.demo import command

    ctx.exit(command.run(seconds=seconds, seed=seed, state_dir=state_dir))


@click.command
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def migrate(settings: Settings, *, as_json: bool) -> None:
    """Bring the schema of the store up to date; the daemon does so when it starts."""
    from syncd import app
    from syncd.store import migrate as migrations

    with app.local_store(settings.config) as store:
        applied = migrations.migrate(store)
    rows = [{"number": m.number, "name": m.name, "requires": m.requires} for m in applied]
    if as_json:
        print_json(rows)
    else:
        cells = [[cell(f"{row['number']:04}"), cell(row["name"])] for row in rows]
        print_table(["migration", "name"], cells, "the store is up to date")

"""The commands that are a service of their own: the daemon, the demonstration, migrations."""

import click

from syncd.cli.screen import print_json, print_table, tell
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
    from syncd import app

    ctx.exit(app.run(ctx.obj.file, log_format, log_level))  # type: ignore[arg-type]  # of Choice


@click.command
@click.pass_context
def demo(ctx: click.Context) -> None:
    """Show syncd at work on two emulated clouds; Ctrl-C ends it and removes everything."""
    from syncd.demo import command

    ctx.exit(command.run())


@click.command
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def migrate(settings: Settings, *, as_json: bool) -> None:
    """Bring the schema of the store up to date; the daemon does so when it starts."""
    from syncd import app

    rows = [
        {"number": each.number, "name": each.name, "requires": each.requires}
        for each in app.migrate(settings.config)
    ]
    if as_json:
        print_json(rows)
    elif rows:
        from syncd.cli.cells import cell

        cells = [[cell(f"{row['number']:04}"), cell(row["name"])] for row in rows]
        print_table(["migration", "name"], cells, "")
    else:
        tell("the store is up to date")

"""The entry point: the group of commands, each imported when it is asked for; errors as one line.

The daemon starts through here too, so nothing heavy is imported before the command is known.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

from syncd import __version__
from syncd.cli.screen import complain
from syncd.cli.settings import DEFAULT_FILE, Settings
from syncd.errors import (
    BadRequest,
    ConfigurationError,
    StoreError,
    SyncdError,
    Unreachable,
)

FAILED, USAGE, INCOMPLETE, UNAVAILABLE, CONFIGURATION = 1, 2, 65, 69, 78
"""Exit statuses; the last three are EX_DATAERR, EX_UNAVAILABLE and EX_CONFIG of sysexits.h."""

_MODULES: Final = {
    "service": ("run", "demo", "migrate"),
    "check": ("check",),
    "import_crontab": ("import-crontab",),
    "config": ("config",),
    "sync": ("sync",),
    "look": ("status", "jobs", "runs", "show"),
    "logs": ("logs",),
    "act": ("trigger", "cancel", "approve", "reload"),
    "steer": ("priority", "pause", "resume"),
    "inventory": ("resources", "changes"),
    "db_accounts": ("db-accounts",),
    "sizes": ("sizes",),
    "backup": ("backup",),
    "doctor": ("doctor",),
    "notify": ("notify",),
}
COMMANDS: Final = {name: module for module, names in _MODULES.items() for name in names}


class _Commands(click.Group):
    """Imports a command's module when the command is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names in the order in which help shows them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return a command by its name."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"syncd.cli.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as the library says
        """Run the command; an error of ours becomes a line and an exit status."""
        with _errors_told(ctx):
            return super().invoke(ctx)


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s", prog_name="syncd")
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path, readable=False),  # said by the loader, as all else about it
    default=DEFAULT_FILE,
    show_default=True,
    help="The main configuration file; conf.d beside it is read too.",
)
@click.pass_context
def cli(ctx: click.Context, file: Path) -> None:
    """Keep an inventory of clouds and databases true in PostgreSQL.

    Exit status: 0; 1 when what was asked for failed; 2 for wrong usage; 65 when import-crontab did
    not understand every line; 69 when the daemon or the store can't be reached; 78 for a
    configuration that can't be used.
    """
    ctx.obj = Settings(file)


def main() -> None:
    """Run the command line of this process, also where standard streams were closed."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - stays open
    cli(prog_name="syncd")


def exit_status(error: SyncdError) -> int:
    """Return the exit status for an error."""
    match error:
        case Unreachable() | StoreError():
            return UNAVAILABLE
        case ConfigurationError():
            return CONFIGURATION
        case BadRequest():
            return USAGE
    return FAILED


@contextmanager
def _errors_told(ctx: click.Context) -> Iterator[None]:
    try:
        yield
    except SyncdError as error:
        complain(str(error) or type(error).__name__)
        if isinstance(error, Unreachable) and (doubt := ctx.obj.doubt):
            complain(f"it may be elsewhere, for the configuration can't be used:\n{doubt}")
        ctx.exit(exit_status(error))

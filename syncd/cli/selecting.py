"""The options by which a command is for a part of a job's targets alone."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from syncd.cli.names import ACCOUNT, REGION, SERVER, TABLE
from syncd.model.run import Selection


def selecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options, and what they say as `selection`."""

    @click.option(
        "--account",
        "accounts",
        type=ACCOUNT,
        multiple=True,
        help="Only this account; may be repeated.",
    )
    @click.option(
        "--region", "regions", type=REGION, multiple=True, help="Only this region; may be repeated."
    )
    @click.option(
        "--server", "servers", type=SERVER, multiple=True, help="Only this server; may be repeated."
    )
    @click.option(
        "--table",
        "tables",
        type=TABLE,
        multiple=True,
        help="Only this table of a copy or check; may be repeated.",
    )
    @wraps(command)
    def chosen(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever the command takes
        parts = {name: frozenset(options.pop(name)) for name in Selection.PARTS}
        return command(*args, selection=Selection(**parts), **options)

    return chosen  # fmt: skip

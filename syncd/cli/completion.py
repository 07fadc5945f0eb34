"""What shells complete beside commands and options: names, found quickly and quietly or not at all.

Whoever completes waits at a prompt: the configuration is read, and where it can't be, the daemon is
asked with a short time limit. What fails gives no names, and no words that would spoil the line.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from syncd.cli.settings import DEFAULT_FILE, Settings
from syncd.errors import ConfigurationError, SyncdError

PATIENCE: Final = 1.0
"""Seconds without a byte after which the daemon is not waited for."""

NEWEST: Final = 20  # runs offered

Names = Callable[[Settings], Iterator[tuple[str, str]]]
"""Yields names, each with a few words on it."""


def completions(
    names: Names, ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """Return the names that begin so and are not given yet; none where they can't be found."""
    file: Path = ctx.find_root().params.get("file") or DEFAULT_FILE
    settings = Settings(file.expanduser())  # a shell completes the words as they were typed
    given = ctx.params.get(param.name or "") or ()
    found = []
    with suppress(SyncdError, OSError):
        for name, words in names(settings):
            if name.startswith(incomplete) and not (isinstance(given, tuple) and name in given):
                found.append(CompletionItem(name, help=words))
    return found


def jobs(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the enabled jobs."""
    try:
        known = settings.config.enabled_jobs()
    except ConfigurationError:
        for row in _client(settings).jobs():
            yield row["name"], f"{row['kind']}, {row['schedule'] or 'by hand'}"
        return
    for name, job in known.items():
        yield name, f"{job.kind}, {job.schedule_text or 'by hand'}"


def accounts(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the enabled accounts."""
    for name, account in settings.config.accounts.items():
        if account.enabled:
            yield name, account.provider


def servers(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the enabled database servers."""
    for name, server in settings.config.servers.items():
        if server.enabled:
            yield name, server.engine


def tables(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the tables of the enabled jobs that copy or check some, each once."""
    found: dict[str, str] = {}
    for name, job in settings.config.enabled_jobs().items():
        for table in job.items:
            found[table] = f"{found[table]}, {name}" if table in found else name
    yield from found.items()


def channels(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the channels of notifications, those that are taken out, too."""
    for name, channel in settings.config.notify.items():
        yield name, channel.channel


def runs(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the newest runs, by their ids."""
    from syncd.model.queries import RunQuery

    for row in _client(settings).runs(RunQuery(limit=NEWEST)):
        yield str(row["id"]), f"{row['job']}, {row['status']}"


def _client(settings: Settings) -> Any:  # noqa: ANN401 - Client, imported when it is needed
    from syncd.control.client import Client

    return Client(settings.socket, PATIENCE)

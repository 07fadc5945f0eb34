"""Whom a command talks to: the daemon behind the control socket, else the store or this process."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from syncd.cli.settings import Settings
from syncd.control.client import Client
from syncd.control.commands import Json
from syncd.control.reads import Reads
from syncd.control.users import user_name
from syncd.errors import StoreError, Unreachable
from syncd.model.run import Selection


class Acts(Protocol):
    """The part of `Commands` that a process without a daemon offers too."""

    def progress(self) -> Mapping[str, Json]:
        """Return the progress of the active runs by run id."""

    def trigger(self, job: str, selection: Selection, by: str) -> UUID:
        """Start or queue a run and return its id."""

    def wait(self, run_id: UUID, seconds: float) -> bool:
        """Wait until a run has a final status; tell whether it has."""

    def plan(self, job: str, selection: Selection, by: str) -> Sequence[Json]:
        """Return what a run would change."""

    def cancel(self, run_id: UUID, by: str) -> None:
        """Cancel a run."""


@dataclass(frozen=True, slots=True)
class Session:
    """Runs and records, in the daemon or (`local`) in this process."""

    acts: Acts
    reads: Reads
    local: bool


def me() -> str:
    """Return the name of the user whose process this is."""
    return user_name(os.getuid())


@contextmanager
def reading(settings: Settings) -> Iterator[Reads]:
    """Give the records: of the daemon, or of the store when no daemon answers.

    Raises Unreachable when neither does.
    """
    client = Client(settings.socket)
    nobody = _nobody_answers(client)
    if nobody is None:
        yield client
        return
    from syncd import app
    from syncd.control.store_reads import StoreReads

    with ExitStack() as stack:
        try:
            store = stack.enter_context(app.local_store(settings.config))
        except StoreError as error:
            raise Unreachable(f"{nobody}\nnor does the store: {error}") from error
        yield StoreReads(store.transaction)


@contextmanager
def working(settings: Settings) -> Iterator[Session]:
    """Give what runs jobs: the daemon, or this process when no daemon answers."""
    client = Client(settings.socket)
    if _nobody_answers(client) is None:
        yield Session(client, client, local=False)
        return
    from syncd import app
    from syncd.config import secrets
    from syncd.control.store_reads import StoreReads
    from syncd.telemetry.logging import configure

    configure("auto", "warning", secrets.known)
    with app.local_session(settings.config) as local:
        yield Session(local, StoreReads(local.read), local=True)


def _nobody_answers(client: Client) -> Unreachable | None:
    """Return why the daemon can't be asked, None when it can."""
    try:
        client.probe()
    except Unreachable as error:
        return error
    return None

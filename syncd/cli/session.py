"""Whom a command talks to: the daemon behind the control socket, else the store or this process."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar
from uuid import UUID

from syncd.cli.settings import Settings
from syncd.control.client import Client
from syncd.control.commands import Json
from syncd.control.reads import Reads
from syncd.control.users import user_name
from syncd.errors import Conflict, StoreError, Unreachable
from syncd.model.run import Priority, Selection

T = TypeVar("T")


class Acts(Protocol):
    """The part of `Commands` that a process without a daemon offers too."""

    def progress(self) -> Mapping[str, Json]:
        """Return the progress of the active runs by run id."""

    def waiting(self) -> Sequence[Json]:
        """Return the runs that wait, each with `run`, `job`, `reason` and `until`."""

    def trigger(
        self, job: str, selection: Selection, by: str, priority: Priority | None = None
    ) -> UUID:
        """Start or queue a run and return its id."""

    def wait(self, run_id: UUID, seconds: float) -> bool:
        """Wait until a run has a final status; tell whether it has."""

    def plan(self, job: str, selection: Selection, by: str) -> Sequence[Json]:
        """Return what a run would change."""

    def cancel(self, run_id: UUID, by: str) -> None:
        """Cancel a run."""


@dataclass(frozen=True, slots=True)
class Session:
    """Runs and records, in the daemon or (`local`) in this process; `by` is who asks."""

    acts: Acts
    reads: Reads
    by: str
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
    from syncd.store.migrate import is_current

    @contextmanager
    def local() -> Iterator[Reads]:
        with app.local_store(settings.config) as store:
            with store.transaction() as tx:
                if not is_current(tx):
                    raise StoreError("the store has no schema yet; `syncd migrate` makes it")
            yield StoreReads(store.transaction)

    with _entered(nobody, local()) as reads:
        yield reads


@contextmanager
def working(settings: Settings, *, verbose: bool) -> Iterator[Session]:
    """Give what runs jobs: the daemon, or this process when no daemon answers.

    This process's log is shown only if `verbose`: what it says is in the records too.
    """
    client = Client(settings.socket)
    by = me()  # before this process may become another user
    nobody = _nobody_answers(client)
    if nobody is None:
        yield Session(client, client, by, local=False)
        return
    from syncd import app
    from syncd.config import secrets
    from syncd.control.store_reads import StoreReads
    from syncd.telemetry.logging import configure

    with Path(os.devnull).open("w") as nowhere:
        configure("auto", "info", secrets.known, sys.stderr if verbose else nowhere)
        with _entered(nobody, app.local_session(settings.config)) as local:
            yield Session(local, StoreReads(local.read), by, local=True)


@contextmanager
def _entered(nobody: Unreachable, local: AbstractContextManager[T]) -> Iterator[T]:
    """Enter what stands in for a daemon; when that fails, both failures are told."""
    with ExitStack() as stack:
        try:
            entered = stack.enter_context(local)
        except (StoreError, Conflict) as error:
            raise Unreachable(f"{nobody}\nand without it: {error}") from error
        yield entered


def _nobody_answers(client: Client) -> Unreachable | None:
    """Return why the daemon can't be asked, None when it can."""
    try:
        client.probe()
    except Unreachable as error:
        return error
    return None

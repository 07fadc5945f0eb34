"""Waits for runs to end, with progress on a terminal's standard error, and why a run waits."""

import sys
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import tzinfo
from functools import cache, partial
from typing import Any, Protocol
from uuid import UUID

from syncd.cli.cells import clean
from syncd.cli.job_words import wait_words
from syncd.cli.progress_words import how_far
from syncd.cli.records import error_text
from syncd.cli.screen import complain, tell
from syncd.cli.session import Acts, Session
from syncd.errors import Conflict, SyncdError

Json = dict[str, Any]
TURN = 0.3  # seconds between two looks, with somebody who watches
FIRST_TURN, WAITING_TURN, PATIENT_TURN = 1.0, 5.0, 30.0  # and without
STOPPING = 15.0


def watch(session: Session, runs: Mapping[UUID, str], zone: tzinfo) -> list[Json]:
    """Wait for the end of runs, given with their jobs; return them with their items and errors.

    Says, with times of `zone`, why one does not start. Ctrl-C cancels those of this process; those
    of the daemon go on.
    """
    failure = cache(partial(_failure, session))
    ours = {str(run_id) for run_id in runs}
    try:
        with _display(runs) as display:
            for run_id in runs:
                while not session.acts.wait(run_id, display.turn):
                    waits = _waits(session.acts, ours, zone, failure)
                    display.show(session.acts.progress(), waits)
                display.ended(run_id)
    except KeyboardInterrupt:
        _interrupt(session, runs)
        raise
    return [session.reads.run(str(run_id)) for run_id in runs]


def reasons(acts: Acts, zone: tzinfo) -> dict[str, str]:
    """Return why each run that waits does so, by its id."""
    return {str(run["run"]): wait_words(run, zone) for run in acts.waiting()}


def ended_well(runs: Iterable[Json]) -> bool:
    """Tell whether all runs were successful."""
    return all(run["status"] == "success" for run in runs)


def tell_failure(run: Json) -> None:
    """Say why a run was not successful."""
    if run["status"] != "success":
        complain(f"{run['job']} {run['status']}: {error_text(run) or 'see its items'}")


def _waits(
    acts: Acts, ours: Container[str], zone: tzinfo, failure: Callable[[str, object], str]
) -> dict[str, str]:
    """Return why each of our runs that waits does so, with what failed before it is tried again."""
    found = {}
    for run in acts.waiting():
        if (run_id := str(run["run"])) in ours:
            before = failure(run_id, run["until"]) if run["reason"] == "retry" else ""
            found[run_id] = wait_words(run, zone) + before
    return found


def _failure(session: Session, run_id: str, until: object) -> str:  # noqa: ARG001 - of the cache
    """Return what a run failed by that is tried again: to be asked once for each wait."""
    try:
        error = error_text(session.reads.run(run_id))
    except SyncdError:
        return ""
    return f", since it failed: {error}" if error else ""


def _interrupt(session: Session, runs: Mapping[UUID, str]) -> None:
    for run_id, job in runs.items():
        if not session.local:
            tell(f"the run of {job} goes on in the daemon; to stop it: syncd cancel {run_id}")
            continue
        try:
            session.acts.cancel(run_id, session.by)
        except Conflict:
            continue  # it has ended
        session.acts.wait(run_id, STOPPING)


class _Display(Protocol):
    turn: float

    def show(self, progress: Mapping[str, Json], waits: Mapping[str, str]) -> None:
        """Show how far the runs are, and why some wait."""

    def ended(self, run_id: UUID) -> None:
        """Show that a run has ended."""


@contextmanager
def _display(runs: Mapping[UUID, str]) -> Iterator[_Display]:
    """Give bars on a terminal, and few lines elsewhere."""
    if not sys.stderr.isatty():
        yield _Lines(runs)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    text = TextColumn("{task.fields[seen]}", markup=False)
    name = TextColumn("{task.description}", markup=False)
    columns = (name, BarColumn(), MofNCompleteColumn(), text, TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks = {i: progress.add_task(clean(job), total=None, seen="") for i, job in runs.items()}
        yield _Bars(progress, tasks)


class _Lines:
    """A line when a run waits, and when it waits for something else."""

    def __init__(self, runs: Mapping[UUID, str]) -> None:
        self.turn = FIRST_TURN
        self._runs = runs
        self._told: Mapping[str, str] = {}

    def show(self, progress: Mapping[str, Json], waits: Mapping[str, str]) -> None:  # noqa: ARG002
        """Say what is new."""
        ours = {str(run_id): job for run_id, job in self._runs.items() if str(run_id) in waits}
        for run_id, job in ours.items():
            if waits[run_id] != self._told.get(run_id):
                tell(f"{job} {waits[run_id]}")
        self._told = waits
        self.turn = WAITING_TURN if ours else PATIENT_TURN

    def ended(self, run_id: UUID) -> None:
        """Show nothing."""


class _Bars:
    """One bar a run: its items, and how many resources or rows are done."""

    turn = TURN

    def __init__(self, progress: Any, tasks: Mapping[UUID, Any]) -> None:  # noqa: ANN401 - of rich
        self._progress, self._tasks = progress, tasks

    def show(self, progress: Mapping[str, Json], waits: Mapping[str, str]) -> None:
        """Move the bars."""
        for run_id, task in self._tasks.items():
            run = progress.get(str(run_id))
            if run is None or str(run_id) in waits:
                self._progress.update(task, seen=clean(waits.get(str(run_id), "waiting")))
                continue
            self._progress.update(
                task,
                total=run["items"] or None,
                completed=run["items_done"],
                seen=how_far(run["targets"].values()),
            )

    def ended(self, run_id: UUID) -> None:
        """Take the bar of a run away."""
        self._progress.remove_task(self._tasks[run_id])
        self._tasks = {other: task for other, task in self._tasks.items() if other != run_id}

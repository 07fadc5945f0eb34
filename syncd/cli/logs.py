"""The command that shows the log of a run: as it stands, or as it grows."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol, TypeVar
from uuid import UUID

import click

from syncd.cli.log_lines import Line, log_lines
from syncd.cli.names import JOB, RUN
from syncd.cli.screen import print_json_lines, print_lines, tell
from syncd.cli.session import reading
from syncd.cli.settings import Settings
from syncd.control.client import Client
from syncd.control.run_log import FileLogs, LogReads
from syncd.errors import NotFound, StoreError, Unreachable
from syncd.model.queries import RunQuery
from syncd.model.run import FINAL
from syncd.state_dir import as_owner
from syncd.telemetry.run_logs import RunLogs

Json = dict[str, Any]
T = TypeVar("T")
Show = Callable[[Iterable[Line]], None]
TURN = 0.5  # seconds between two looks


class _Source(LogReads, Protocol):
    """Where logs come from."""

    def has_job(self, job: str) -> bool:
        """Tell whether runs of a job may come."""

    def last(self, job: str) -> UUID | None:
        """Return the last run of a job, of those that have begun if there is one."""

    def next(self, job: str, run: UUID) -> UUID | None:
        """Return the run of a job that came after a run."""


@click.command
@click.argument("run", type=RUN, required=False)
@click.option("--job", type=JOB, metavar="JOB", help="The last run of this job.")
@click.option("-f", "--follow", is_flag=True, help="Go on as it grows, until the run has ended.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, an object a line.")
@click.pass_obj
def logs(
    settings: Settings, *, run: str | None, job: str | None, follow: bool, as_json: bool
) -> None:
    """Show the log of a run; RUN is its id, or a beginning that is unique.

    With --job and --follow, the runs that come next are shown too, until Ctrl-C.
    """
    if (run is None) == (job is None):
        raise click.UsageError("name a run, or a job with --job")
    source = _source(settings, follow=follow)

    def show(lines: Iterable[Line]) -> None:
        if as_json:
            print_json_lines(lines)
        else:
            print_lines([shown for line in lines for shown in log_lines(line, settings.zone)])

    try:
        if job is not None:
            _show_job(source, job, show, follow=follow)
        else:
            _show_run(source, str(run), show, follow=follow)
    except KeyboardInterrupt:
        if not follow:
            raise


def _show_run(source: LogReads, run: str, show: Show, *, follow: bool) -> None:
    """Show what there is, and what comes as long as it is followed and has not ended."""
    offset, told = 0, False
    while True:
        piece = source.log(run, offset)
        show(piece["lines"])
        run, offset = str(piece["id"]), piece["next"]
        if piece["more"]:
            continue
        if not piece["kept"] and not told:
            _tell_nothing(piece)
            told = True
        if piece["ended"] or not follow:
            return
        time.sleep(TURN)


def _tell_nothing(piece: Json) -> None:
    """Say why there is no log; raises NotFound when none will come."""
    run, status = piece["id"], piece["status"]
    if status in FINAL:
        where = f"; it was run by {piece['owner']}" if piece["owner"] else ""
        raise NotFound(f"the log of run {run} is not kept any more (retention.run_logs){where}")
    how = "waits" if status == "pending" else "has begun"
    tell(f"run {run} {how}: nothing is logged yet")


def _show_job(source: _Source, job: str, show: Show, *, follow: bool) -> None:
    run = source.last(job)
    if run is None:
        if not (follow and source.has_job(job)):
            raise NotFound(f"job {job!r} has no run")
        tell(f"job {job} has no run yet")
    while run is None:
        time.sleep(TURN)
        run = source.last(job)
    while True:
        tell(f"run {run} of {job}")
        _show_run(source, str(run), show, follow=follow)
        if not follow:
            return
        while (following := source.next(job, run)) is None:
            time.sleep(TURN)
        run = following


def _source(settings: Settings, *, follow: bool) -> _Source:
    """Return the daemon, or the files when none answers."""
    client = Client(settings.socket)
    try:
        client.probe()
    except Unreachable as error:
        source = _Files(settings, error)
        if follow:
            tell("no daemon answers: the log is followed until its last line, or Ctrl-C")
        return source
    return _Daemon(client)


class _Daemon:
    """The logs as the daemon gives them."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def log(self, run: str, offset: int) -> Json:
        """Ask for a piece."""
        return self._client.log(run, offset)

    def has_job(self, job: str) -> bool:
        """Look at the enabled jobs."""
        return any(row["name"] == job for row in self._client.jobs())

    def last(self, job: str) -> UUID | None:
        """Look at the newest runs."""
        rows = self._client.runs(RunQuery(job=job))
        row = next((row for row in rows if row["started_at"]), rows[0] if rows else None)
        return UUID(row["id"]) if row else None

    def next(self, job: str, run: UUID) -> UUID | None:
        """Look at the newest runs."""
        ids = [UUID(row["id"]) for row in self._client.runs(RunQuery(job=job))]
        return min((each for each in ids if each > run), default=None)  # ids are ordered by time


class _Files:
    """The logs as they are in the state directory; the store tells why there is none."""

    def __init__(self, settings: Settings, nobody: Unreachable) -> None:
        self._settings, self._nobody = settings, nobody
        self._state_dir = Path(settings.config.daemon.state_dir)
        self._files = FileLogs(RunLogs(self._state_dir))

    def log(self, run: str, offset: int) -> Json:
        """Read a piece; where there is none, the store's word on the run is all."""
        try:
            return self._read(lambda: self._files.log(run, offset))
        except NotFound:
            with reading(self._settings) as reads:
                row = reads.run(run)
        nothing = {"kept": False, "lines": [], "next": 0, "more": False, "ended": True}
        return {name: row[name] for name in ("id", "job", "status", "owner")} | nothing

    def has_job(self, job: str) -> bool:  # noqa: ARG002
        """Say no: nobody is there to run it."""
        return False

    def last(self, job: str) -> UUID | None:
        """Look at the youngest logs."""
        return self._read(lambda: self._files.last_of(job))

    def next(self, job: str, run: UUID) -> UUID | None:
        """Look at the youngest logs."""
        youngest = self.last(job)
        return youngest if youngest and youngest > run else None

    def _read(self, read: Callable[[], T]) -> T:
        """Return what is read, by root as the owner; when it can't be, both failures are told."""
        try:
            with as_owner(self._state_dir):
                return read()
        except StoreError as error:
            raise Unreachable(f"{self._nobody}\nand without it: {error}") from error

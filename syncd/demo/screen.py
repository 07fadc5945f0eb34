"""How the demonstration looks: an overview under a scrolling story, or plain lines in a pipe."""

import sys
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from syncd.demo.line import Line
from syncd.demo.scenes import CLOUDS
from syncd.demo.story import Story

_STYLES: Final = {
    "granted": "green", "revoked": "bold red", "added": "green", "restored": "green",
    "updated": "yellow", "deleted": "red", "run": "dim", "call": "dim",
    "failed": "bold red", "problem": "red", "retry": "magenta", "fault": "bold black on yellow",
    "healed": "bold green", "mended": "bold green",
    "told": "bold magenta", "approve": "bold cyan", "demo": "bold",
}  # fmt: skip
_STATES: Final = ("running", "stopped")
_FRESH: Final = 6.0  # seconds for which a region that changed is marked


class Screen(Protocol):
    """Shows lines, and how things stand."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def introduce(self, hints: Sequence[tuple[str, str]]) -> None:
        """Say what to type in another terminal, each with what it shows."""

    def tell(self, lines: Iterable[Line]) -> None:
        """Add lines to the story; raises OSError when nobody can read them any more."""

    def show(self, story: Story, jobs: Sequence[dict[str, Any]]) -> None:
        """Show the inventory and the jobs as they stand."""


class Plain:
    """Lines for a pipe or a file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return

    def introduce(self, hints: Sequence[tuple[str, str]]) -> None:
        """Write a line for each."""
        self.tell(_hints(hints))

    def tell(self, lines: Iterable[Line]) -> None:
        """Write lines, to be seen at once."""
        for line in lines:
            sys.stdout.write(f"{_clock(line)}  {line.kind:<8} {line.text}\n")
        sys.stdout.flush()

    def show(self, story: Story, jobs: Sequence[dict[str, Any]]) -> None:
        """Leave a pipe to the lines."""


class Lively:
    """Colours and a live overview for a terminal."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._hints = Table.grid(padding=(0, 2))

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def introduce(self, hints: Sequence[tuple[str, str]]) -> None:
        """Keep the hints in sight under the overview; the story begins with them whole."""
        self.tell(_hints(hints))
        for what, how in hints:
            self._hints.add_row(Text(what, "cyan"), Text(how, no_wrap=True, overflow="ellipsis"))

    def tell(self, lines: Iterable[Line]) -> None:
        """Let lines scroll by above the overview."""
        for line in lines:
            style = _STYLES.get(line.kind, "")
            whole = style if line.kind in ("failed", "healed", "approve", "demo") else ""
            text = Text.assemble(
                (f"{_clock(line)} ", "dim"), (f" {line.kind:<8} ", style), (f" {line.text}", whole)
            )
            self._live.console.print(text, highlight=False, soft_wrap=True)

    def show(self, story: Story, jobs: Sequence[dict[str, Any]]) -> None:
        """Redraw the overview."""
        hosts = sum(story.hosts.values())
        changed = ", ".join(f"{count} {what}" for what, count in sorted(story.changes.items()))
        overview = Panel(
            Group(_inventory(story), "", *_fleet(story), _jobs(jobs)),
            title=f"syncd: {hosts} hosts, {len(story.servers)} database servers",
            subtitle=f"{changed or 'no changes yet'}  ·  Ctrl-C stops everything",
            border_style="cyan",
        )
        self._live.update(Group(overview, self._hints), refresh=True)


def screen() -> Screen:
    """Return what fits the standard output."""
    if sys.stdout.isatty():
        return Lively(Console())
    return Plain()


def _hints(hints: Sequence[tuple[str, str]]) -> list[Line]:
    return [Line("look", f"{what:<8} {how}") for what, how in hints]


def _inventory(story: Story) -> Table:
    """Return the hosts by region and state."""
    table = Table(box=None, expand=True, header_style="bold")
    for header in ("cloud", "region"):
        table.add_column(header)
    for header in (*_STATES, "other", "hosts"):
        table.add_column(header, justify="right")
    now = time.monotonic()
    for account, region in sorted({(account, region) for account, region, _ in story.hosts}):
        counts = [story.hosts[account, region, state] for state in _STATES]
        total = sum(n for (a, r, _), n in story.hosts.items() if (a, r) == (account, region))
        numbers = [*counts, total - sum(counts), total]
        fresh = now - story.last_change.get((account, region), -_FRESH) < _FRESH
        cloud = CLOUDS.get(account.removesuffix("-demo"), account)
        table.add_row(cloud, region, *map(str, numbers), style="bold green" if fresh else "")
    return table


def _fleet(story: Story) -> list[Table | str]:
    """Return the database servers with their sizes, nothing while there are none."""
    table = Table(box=None, expand=True, header_style="bold")
    for header in ("database server", "databases", "size", "a week ago"):
        table.add_column(header, justify="left" if header == "database server" else "right")
    for server in story.servers:
        sizes = (server["size_bytes"], server["week_before_bytes"])
        table.add_row(server["server"], str(server["database_count"] or "-"), *map(_size, sizes))
    return [table, ""] if story.servers else []


def _size(count: int | None) -> str:
    return "-" if count is None else f"{count / 2**20:.1f} MiB"


def _jobs(jobs: Sequence[dict[str, Any]]) -> Table:
    """Return the jobs with their last outcome and next run."""
    table = Table(box=None, expand=True, header_style="bold")
    for header in ("job", "schedule", "last run", "took", "next run"):
        table.add_column(header, justify="right" if header == "took" else "left")
    for job in jobs:
        last = job.get("last") or {}
        status = "running" if job.get("running") else last.get("status") or "-"
        seconds = last.get("duration_seconds")
        table.add_row(
            job["name"],
            job["schedule"] or "by hand",
            Text(status, {"success": "green", "failed": "bold red"}.get(status, "cyan")),
            f"{seconds:.2f} s" if seconds is not None else "-",
            _local(datetime.fromisoformat(job["next_run"])) if job["next_run"] else "-",
        )
    return table


def _clock(line: Line) -> str:
    return _local(line.at)


def _local(moment: datetime) -> str:
    return f"{moment.astimezone():%H:%M:%S}"

"""`syncd runs export`: the runs of any time as lines for other programs, read page by page."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, get_args

import click
import msgspec

from syncd.cli.cells import clean
from syncd.cli.moments import parse_moment
from syncd.cli.names import JOB
from syncd.cli.screen import complain, json_line, print_text
from syncd.cli.session import reading
from syncd.cli.settings import Settings
from syncd.control.reads import Reads, Rows
from syncd.errors import SyncdError
from syncd.model.queries import RUN_COLUMNS, RUN_START, RunKey, RunQuery
from syncd.model.run import Status

PAGE: Final = 1_000

OF_JOB = click.option("--job", type=JOB, metavar="JOB", help="Only of this job.")
WITH_STATUS = click.option(
    "--status", "state", type=click.Choice(get_args(Status)), help="Only with this status."
)
SINCE = click.option("--since", metavar="TIME", help="Only created since: 7d ago, or a time.")


@click.command
@OF_JOB
@WITH_STATUS
@SINCE
@click.option("--until", metavar="TIME", help="Only created before: 1d ago, or a time.")
@click.option(
    "--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True,
    help="A JSON object a line, or CSV with a header.",
)  # fmt: skip
@click.pass_obj
def export(
    settings: Settings,
    *,
    job: str | None,
    state: Any,  # noqa: ANN401 - one of the choices
    since: str | None,
    until: str | None,
    form: str,
) -> None:
    """Print runs with all their columns, the oldest first, however many."""
    first = parse_moment(since, settings.zone, "--since") if since else None
    end = parse_moment(until, settings.zone, "--until") if until else datetime.now(UTC)
    query = RunQuery(job, state, first, PAGE, end, RUN_START)
    told = 0
    with reading(settings) as reads:
        if form == "csv":
            print_text(_csv_line(RUN_COLUMNS))
        try:
            for page in _pages(reads, query):
                print_text("".join(map(_FORMS[form], page)))
                told += len(page)
        except SyncdError:
            complain(f"the export is incomplete: it ends after {told:,} runs")
            raise


def _pages(reads: Reads, query: RunQuery) -> Iterator[Rows]:
    """Yield page after page; each begins after the last run of the one before."""
    while page := reads.runs(query):
        yield page
        if len(page) < query.limit:
            return
        key = page[-1]["created_at"], page[-1]["id"]
        query = replace(query, after=msgspec.convert(key, RunKey, strict=False))


def _csv_row(run: dict[str, Any]) -> str:
    return _csv_line(_csv_value(run.get(name)) for name in RUN_COLUMNS)


def _csv_line(values: Iterable[object]) -> str:
    """Return a record of RFC 4180, its line break included."""
    line = io.StringIO()
    csv.writer(line).writerow(values)
    return line.getvalue()


def _csv_value(value: object) -> object:
    """Return a value as the field of a record: times of ISO 8601, documents as JSON."""
    plain = msgspec.to_builtins(value)
    if isinstance(plain, dict | list):
        plain = msgspec.json.encode(plain).decode()
    return "\n".join(map(clean, plain.split("\n"))) if isinstance(plain, str) else plain


_FORMS: Final[dict[str, Callable[[dict[str, Any]], str]]] = {"csv": _csv_row, "jsonl": json_line}

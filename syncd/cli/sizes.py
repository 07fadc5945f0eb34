"""`syncd sizes`: how large databases and servers are, and with `--period` how they grow."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import tzinfo
from functools import partial
from typing import Any, Final, get_args

import click

from syncd.cli.cells import Cell, cell, size_cell, some
from syncd.cli.kept import sizes_doubt
from syncd.cli.known import check_server
from syncd.cli.names import SERVER, TEXT
from syncd.cli.screen import complain, print_json, print_line, print_table, tell
from syncd.cli.session import reading
from syncd.cli.settings import Settings
from syncd.model.queries import Period, SizeQuery, SizeStatQuery

Json = dict[str, Any]
_TOP: Final = 20
_TREND_STYLES: Final = {"growing": "yellow", "shrinking": "cyan"}


@click.command
@click.option("--server", type=SERVER, help="Only of this database server.")
@click.option("--database", type=TEXT, metavar="DATABASE", help="Only databases of this name.")
@click.option(
    "--period",
    type=click.Choice(get_args(Period)),
    help="Show the statistics of the last whole one instead.",
)
@click.option(
    "--top",
    type=click.IntRange(1, 10_000),
    default=_TOP,
    show_default=True,
    help="So many databases, the largest.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def sizes(
    settings: Settings,
    *,
    server: str | None,
    database: str | None,
    period: Period | None,
    top: int,
    as_json: bool,
) -> None:
    """List the largest databases, and the servers, with their newest sizes.

    A day, or with --period a first day, that is older than the newest of its server is marked (!);
    so are days before yesterday, and those of a server that no job looks at any more.
    """
    with reading(settings) as reads:
        if period is None:
            found = reads.sizes(SizeQuery(server, database, top))
        else:
            found = reads.size_stats(SizeStatQuery(period, server, database, top))
        if not found["databases"]:
            check_server(settings, reads, server)
    if as_json:
        print_json(found)
    else:
        of_sizes = partial(_print_sizes, zone=settings.zone)
        _print(found, of_sizes if period is None else _print_statistics)
    if period is None:
        rows = [*found["databases"], *found["servers"]]
        _tell_old(rows, settings.zone)
        _tell_unread(rows)
    if len(found["databases"]) == top:
        tell(f"the largest {top} databases; there may be more: --top")


def _print(
    found: Mapping[str, list[Json]], show: Callable[[Sequence[str], Iterable[Json]], None]
) -> None:
    """Print databases, and servers where there are any."""
    show(("server", "database"), found["databases"])
    if found["servers"]:
        print_line()
        show(("server",), found["servers"])


def _print_sizes(names: Sequence[str], rows: Iterable[Json], zone: tzinfo) -> None:
    """Print what stands; servers with how many databases their sums are of."""
    of_servers = "database" not in names
    count = ["databases"] if of_servers else ["tables"]
    headers = [*names, "size", "data", "index", "log", *count, "week", "as of"]
    table = [
        [
            *(cell(row[name], "dim" if row.get("system") else "") for name in names),
            *(size_cell(row[f"{part}_bytes"]) for part in ("size", "data", "index", "log")),
            _count(row["database_count" if of_servers else "tables"]),
            size_cell(_since(row["size_bytes"], row["week_before_bytes"]), signed=True),
            _day(row["collected_on"], row["newest_on"], doubted=bool(sizes_doubt(row, zone))),
        ]
        for row in rows
    ]
    print_table(headers, table, "no databases")


def _tell_old(rows: Iterable[Json], zone: tzinfo) -> None:
    """Say, a line a server, that no job looks at it any more, or since when it was not read."""
    doubts = {row["server"]: sizes_doubt(row, zone) for row in rows}
    for server, doubt in doubts.items():
        if doubt:
            complain(f"{server}: {doubt}")


def _tell_unread(rows: Iterable[Json]) -> None:
    """Say, a line a server, what has no size of its last day."""
    unread: dict[str, list[str]] = {}
    for row in rows:
        if not _is_newest(row["collected_on"], row["newest_on"]):
            unread.setdefault(row["server"], []).extend(_database(row))
    for server, names in unread.items():
        which = f": {some(names)}" if names else ""
        complain(f"{server}: not every database was read last time{which}")


def _database(row: Json) -> list[str]:
    """Return the name of a database; none of the row of a server."""
    return [row["database"]] if "database" in row else []


def _print_statistics(names: Sequence[str], rows: Iterable[Json]) -> None:
    """Print how large each was in its last period, and how it grew."""
    headers = [
        *names, "from", "average", "least", "most", "change", "percent", "a day", "trend", "gaps",
        "full on",
    ]  # fmt: skip
    table = [
        [
            *(cell(row[name]) for name in names),
            _day(row["period_start"], row.get("newest_start", row["period_start"])),
            size_cell(row["avg_bytes"]), size_cell(row["min_bytes"]), size_cell(row["max_bytes"]),
            size_cell(row["change_bytes"], signed=True), _percent(row),
            size_cell(row["growth_per_day"], signed=True),
            cell(row["trend"], _TREND_STYLES.get(row["trend"], "")),
            cell(row["gaps"], "yellow" if row["gaps"] else ""), cell(_text(row["forecast_on"])),
        ]
        for row in rows
    ]  # fmt: skip
    print_table(headers, table, "no statistics")


def _since(size: int | None, before: int | None) -> int | None:
    return None if size is None or before is None else size - before


def _count(number: int | None) -> Cell:
    """Return a number that stands to the right also where there is none."""
    return Cell(cell(number).text, right=True)


def _percent(row: Mapping[str, Any]) -> Cell:
    value = row["change_percent"]
    return _count(None) if value is None else Cell(f"{value:+,.1f}%", right=True)


def _day(day: object, newest: object, *, doubted: bool = False) -> Cell:
    """Return a row's day, marked when there is none, its server has a newer one, or in doubt."""
    told = cell(_text(day))
    return told if _is_newest(day, newest) and not doubted else Cell(f"! {told.text}", "yellow")


def _is_newest(day: object, newest: object) -> bool:
    return day is not None and _text(day) == _text(newest)


def _text(day: object) -> str | None:
    """Return a date, which a daemon tells as text, as text."""
    return None if day is None else str(day)

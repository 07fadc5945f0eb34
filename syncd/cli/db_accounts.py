"""`syncd db-accounts`: the accounts of database servers, what they may do and how that changed."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from typing import Any, Final, get_args

import click

from syncd.cli.cells import Cell, before_and_after, cell, mark
from syncd.cli.kept import accounts_doubt
from syncd.cli.known import check_server
from syncd.cli.moments import moment_cell, parse_moment
from syncd.cli.names import SERVER, TEXT
from syncd.cli.privileges import GRANTED, REVOKED, changed_lines, in_words
from syncd.cli.screen import (
    complain,
    print_json,
    print_json_rows,
    print_line,
    print_lines,
    print_table,
    tell,
)
from syncd.cli.session import reading
from syncd.cli.settings import Settings
from syncd.control.reads import Reads
from syncd.model.privilege import describe_change
from syncd.model.queries import Capability, DbAccountChangeQuery, DbAccountQuery

Json = dict[str, Any]
PAGE: Final = 1_000
LARGE_PAGE: Final = 100  # of rows with all privileges
_MOST_CHANGES: Final = 10_000
_CHANGES: Final = 100  # unless --limit says
_PARTS_TOLD: Final = 3


@click.command("db-accounts")
@click.option("--server", type=SERVER, help="Only of this database server.")
@click.option("--account", type=TEXT, metavar="ACCOUNT", help="Only this one, such as app@%.")
@click.option(
    "--with",
    "capabilities",
    type=click.Choice(get_args(Capability)),
    multiple=True,
    help="Only those with this capability; may be repeated: with all of them.",
)
@click.option("--grants", is_flag=True, help="Show each privilege, a line each.")
@click.option(
    "--changed-since",
    metavar="TIME",
    help="Show what changed instead, since: 1d ago, or a time.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help="At most so many; by default all, and the newest 100 changes.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def db_accounts(  # noqa: PLR0913 - the options
    settings: Settings,
    *,
    server: str | None,
    account: str | None,
    capabilities: tuple[Capability, ...],
    grants: bool,
    changed_since: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """List the accounts of database servers, with what they may do.

    What could not be read last time is shown as it was before, and marked (!); so is a server that
    no job looks at any more, or that was not read for a day.
    """
    if changed_since is None:
        query = DbAccountQuery(server, account, capabilities, privileges=grants or as_json)
        with reading(settings) as reads:
            _list(settings, reads, query, limit, as_json=as_json)
        return
    if grants:
        raise click.UsageError("--grants is of no use with --changed-since, which shows them")
    since = parse_moment(changed_since, settings.zone, "--changed-since")
    most = min(limit or _CHANGES, _MOST_CHANGES)
    with reading(settings) as reads:
        rows = reads.db_account_changes(
            DbAccountChangeQuery(since, server, account, capabilities, most)
        )
        if not rows:
            check_server(settings, reads, server)
    if as_json:
        print_json(rows)
    else:
        _print_changes(rows, settings.zone)
    if len(rows) == most:
        tell(f"the newest {most} changes; there may be more: --limit")


@dataclass(slots=True)
class _Unread:
    """What is not known of the servers as it is now, gathered while their accounts pass."""

    zone: tzinfo
    parts: dict[str, dict[str, str]] = field(default_factory=dict)
    doubts: dict[str, str] = field(default_factory=dict)

    def watch(self, rows: Iterator[Json]) -> Iterator[Json]:
        """Yield the rows."""
        for row in rows:
            if doubt := accounts_doubt(row, self.zone):
                self.doubts[row["server"]] = doubt
            for error in row["read_errors"]:
                told = f"{error['part']} ({error['error_class']}: {error['error']})"
                self.parts.setdefault(row["server"], {})[error["part"]] = told
            yield row

    def complain(self) -> None:
        """Say what is old and what is missing, a line a server each."""
        for server, doubt in self.doubts.items():
            complain(f"{server}: {doubt}")
        for server, parts in self.parts.items():
            told = "; ".join(list(parts.values())[:_PARTS_TOLD])
            more = f"; and {len(parts) - _PARTS_TOLD} more" if len(parts) > _PARTS_TOLD else ""
            count = "1 part" if len(parts) == 1 else f"{len(parts)} parts"
            complain(f"{server}: {count} could not be read, and what was known stays: {told}{more}")


def _list(
    settings: Settings, reads: Reads, query: DbAccountQuery, limit: int | None, *, as_json: bool
) -> None:
    """Print the accounts that stand."""
    zone = settings.zone
    unread = _Unread(zone)
    rows = unread.watch(_all(settings, reads, query, limit))
    if as_json:
        print_json_rows(rows)
    elif query.privileges:
        _print_grants(rows, zone)
    else:
        cells = [[*_cells(row, zone), moment_cell(row["changed_at"], zone)] for row in rows]
        headers = ["server", "account", "kind", "active", "capabilities", "privileges", "changed"]
        print_table(headers, cells, "no accounts")
    unread.complain()


def _cells(row: Json, zone: tzinfo) -> list[Cell]:
    server = cell(row["server"])
    if accounts_doubt(row, zone):
        server = Cell(f"! {server.text}", "yellow")
    count = cell(row["privilege_count"])
    if row["read_errors"]:
        count = Cell(f"! {count.text}", "red", right=True)
    active = cell(row["active"], "" if row["active"] else "dim")
    return [
        server, cell(row["account"]), cell(row["kind"]), active,
        cell(row["capabilities"]), count,
    ]  # fmt: skip


def _print_grants(rows: Iterator[Json], zone: tzinfo) -> None:
    """Print each account, what is known of it, and its privileges, a line each."""
    empty = True
    for row in rows:
        empty = False
        server, account, kind, active, capabilities, count = _cells(row, zone)
        print_line(
            Cell(server.text, server.style or "bold"), Cell(" "), Cell(account.text, "bold"),
            Cell(": "), kind,
            Cell(", active" if active.text == "yes" else ", not active"),
            Cell(f", {capabilities.text}" if row["capabilities"] else ""),
            Cell(", "), count, Cell(" privilege" if row["privilege_count"] == 1 else " privileges"),
        )  # fmt: skip
        print_lines([(Cell("    "), cell(text)) for text in in_words(row["privileges"])])
    if empty:
        tell("no accounts")


def _print_changes(rows: list[Json], zone: tzinfo) -> None:
    """Print what accounts gained and lost, each under its account."""
    for row in rows:
        attributes = {} if row["change"] in ("added", "deleted") else row["attributes_changed"]
        print_line(
            moment_cell(row["changed_at"], zone), Cell("  "), mark(row["change"]), Cell(" "),
            cell(row["server"], "bold"), Cell(" "), cell(row["account"], "bold"),
            Cell(f"  {row['change']}"), Cell(_after_gap(before_and_after(attributes)), "dim"),
        )  # fmt: skip
        print_lines(
            changed_lines(*(map(describe_change, row[side]) for side in (GRANTED, REVOKED)))
        )
    if not rows:
        tell("no changes")


def _after_gap(text: str) -> str:
    return f"  {text}" if text else ""


def _all(
    settings: Settings, reads: Reads, query: DbAccountQuery, limit: int | None
) -> Iterator[Json]:
    """Yield the rows of page after page; raises NotFound for a server that there is not."""
    size, left = LARGE_PAGE if query.privileges else PAGE, limit
    while left is None or left > 0:
        wanted = size if left is None else min(size, left)
        page = reads.db_accounts(replace(query, limit=wanted))
        if not page and query.after is None:
            check_server(settings, reads, query.server)
        yield from page
        if len(page) < wanted:
            return
        left = None if left is None else left - len(page)
        query = replace(query, after=(page[-1]["server"], page[-1]["account"]))

"""The commands that look at the inventory."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

import click

from syncd.cli.cells import before_and_after, cell, word
from syncd.cli.moments import moment_cell, parse_moment
from syncd.cli.names import ACCOUNT, JOB, REGION, TEXT
from syncd.cli.screen import print_json, print_json_rows, print_table, tell
from syncd.cli.session import reading
from syncd.cli.settings import Settings
from syncd.control.reads import Reads
from syncd.model.queries import RESOURCE_KEY, ChangeQuery, ResourceQuery
from syncd.model.resource import State

PAGE = 1_000
_OLD_PAGE = 10_000  # the largest: the store reckons all of the past anew for each page
_SHOWN = (
    "account", "region", "type", "resource_id", "name", "state", "instance_type", "private_ips",
    "public_ips",
)  # fmt: skip
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_ACCOUNT = click.option("--account", type=ACCOUNT, help="Only of this account.")


@click.command
@click.option("--type", "kind", type=TEXT, metavar="TYPE", help="Only of this type, such as host.")
@_ACCOUNT
@click.option("--region", type=REGION, help="Only of this region.")
@click.option("--state", type=click.Choice(get_args(State)), help="Only in this state.")
@click.option("--as-of", metavar="TIME", help="As it was: 10m ago, or at a time.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many; all by default.")
@_JSON
@click.pass_obj
def resources(  # noqa: PLR0913 - the options
    settings: Settings,
    *,
    kind: str | None,
    account: str | None,
    region: str | None,
    state: str | None,
    as_of: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """List the resources that stand, or stood."""
    moment = parse_moment(as_of, settings.zone, "--as-of") if as_of else None
    page = _OLD_PAGE if moment and not as_json else PAGE  # raw objects are large
    query = ResourceQuery(kind, account, region, state, moment, attributes=as_json, limit=page)
    with reading(settings) as reads:
        rows = _all(reads, query, limit)
        if as_json:
            print_json_rows(rows)
            return
        cells = [
            [word(row[name]) if name == "state" else cell(row[name]) for name in _SHOWN]
            for row in rows
        ]
    print_table([name.replace("_", " ") for name in _SHOWN], cells, "no resources")


@click.command
@click.option("--since", metavar="TIME", help="Only since: 1d ago, or a time.")
@click.option("--job", type=JOB, metavar="JOB", help="Only those that this job's runs found.")
@_ACCOUNT
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@_JSON
@click.pass_obj
def changes(
    settings: Settings,
    *,
    since: str | None,
    job: str | None,
    account: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List what was added, updated, deleted or restored, the newest first."""
    moment = parse_moment(since, settings.zone, "--since") if since else None
    with reading(settings) as reads:
        rows = reads.changes(ChangeQuery(moment, job, account, limit))
    if as_json:
        print_json(rows)
    else:
        cells = [
            [
                moment_cell(row["changed_at"], settings.zone), word(row["change"]),
                *(cell(row[name]) for name in RESOURCE_KEY), cell(_what(row)),
            ]
            for row in rows
        ]  # fmt: skip
        headers = ["at", "change", *(name.replace("_", " ") for name in RESOURCE_KEY), "what"]
        print_table(headers, cells, "no changes")
    if len(rows) == limit:
        tell(f"the newest {limit} changes; there may be more: --limit")


def _all(reads: Reads, query: ResourceQuery, limit: int | None) -> Iterator[dict[str, Any]]:
    """Yield the rows of page after page."""
    left = limit
    while left is None or left > 0:
        wanted = query.limit if left is None else min(query.limit, left)
        page = reads.resources(replace(query, limit=wanted))
        yield from page
        if len(page) < wanted:
            return
        left = None if left is None else left - len(page)
        account, region, kind, resource_id = (page[-1][name] for name in RESOURCE_KEY)
        query = replace(query, after=(account, region, kind, resource_id))


def _what(row: dict[str, Any]) -> str:
    """Return the changed fields, or the name of what came or went."""
    if row["change"] in ("added", "deleted"):
        return str(row["fields"].get("name", ""))
    return before_and_after(row["fields"])

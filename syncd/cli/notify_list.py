"""`syncd notify list`: the channels, what waits for them, and what lasts."""

from datetime import tzinfo
from typing import Any

import click

from syncd.cli.cells import Cell, cell
from syncd.cli.moments import ago, how_long, moment_cell
from syncd.cli.screen import print_json, print_line, print_table
from syncd.cli.session import reading
from syncd.cli.settings import Settings
from syncd.errors import ConfigurationError

Json = dict[str, Any]
_PING = "ping "


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_channels(settings: Settings, *, as_json: bool) -> None:
    """List the channels: what they are told, what waits, what went wrong; and what lasts."""
    with reading(settings) as reads:
        found = reads.notifications()
    rows = _with_configuration(settings, found["channels"])
    if as_json:
        print_json({"channels": rows, "lasting": found["lasting"]})
        return
    _print_channels([row for row in rows if not row["channel"].startswith(_PING)], settings.zone)
    pings = [row for row in rows if row["channel"].startswith(_PING) and row["last_error"]]
    if pings:
        print_line()
        _print_channels(pings, settings.zone)
    if found["lasting"]:
        print_line()
        _print_lasting(found["lasting"])


def _with_configuration(settings: Settings, rows: list[Json]) -> list[Json]:
    """Return the channels of the configuration and of the records; `kind` null: it is gone."""
    try:
        channels, jobs = dict(settings.config.notify), settings.config.enabled_jobs()
    except ConfigurationError:
        channels, jobs = {}, {}
    known = {row["channel"]: row for row in rows}
    pinged = [f"{_PING}{name}" for name, job in jobs.items() if job.ping_url is not None]
    names = [*channels, *pinged, *(name for name in known if name not in channels)]
    return [_row(name, channels.get(name), known.get(name)) for name in dict.fromkeys(names)]


def _row(name: str, channel: Any, known: Json | None) -> Json:  # noqa: ANN401 - a Channel
    nothing = {
        "waiting": 0, "waiting_since": None, "last_sent_at": None, "last_error": None,
        "last_error_at": None, "given_up": 0,
    }  # fmt: skip
    return {
        "channel": name,
        "kind": channel.channel if channel else "ping" if name.startswith(_PING) else None,
        "enabled": channel.enabled if channel else None,
        "on": list(channel.on) if channel else None,
        "jobs": list(channel.jobs) if channel else None,
        **nothing,
        **(known or {}),
    }


def _print_channels(rows: list[Json], zone: tzinfo) -> None:
    cells = [
        [
            cell(row["channel"]), _kind(row), cell(row["on"]), cell(row["jobs"]),
            cell(row["waiting"], "yellow" if row["waiting"] else ""),
            moment_cell(row["last_sent_at"], zone), _error(row),
        ]
        for row in rows
    ]  # fmt: skip
    headers = ["channel", "kind", "on", "jobs", "waiting", "last sent", "last error"]
    print_table(headers, cells, "no channel is configured: [notify.NAME]")


def _kind(row: Json) -> Cell:
    if row["kind"] is None:
        return Cell("gone", "dim")
    return Cell(f"{row['kind']}, off", "dim") if row["enabled"] is False else cell(row["kind"])


def _error(row: Json) -> Cell:
    if row["last_error"] is None:
        return cell(None)
    return cell(f"{row['last_error']} ({ago(row['last_error_at'])})", "red")


def _print_lasting(rows: list[Json]) -> None:
    cells = [
        [
            cell(row["key"]), cell(how_long(row["since"])), cell(row["times"]),
            cell(sorted(row["told"])), cell(row["detail"].get("error")),
        ]
        for row in rows
    ]  # fmt: skip
    print_table(["what lasts", "for", "times", "told", "error"], cells, "")

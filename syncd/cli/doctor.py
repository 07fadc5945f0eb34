"""`syncd doctor`: makes every check there is, in the daemon where one answers, else here."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from syncd import __version__
from syncd.cli.cells import Cell, cell
from syncd.cli.names import ACCOUNT, SERVER
from syncd.cli.screen import print_json, print_line, print_table
from syncd.cli.settings import Settings
from syncd.control.client import Client
from syncd.doctor.finding import Finding
from syncd.errors import NotFound, Unreachable

Json = dict[str, Any]

FAILED, CONFIGURATION = 1, 78

_STYLES: Final = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}
_PATIENCE: Final = 10.0  # seconds for an answer of the daemon that needs nothing but itself
_VALID: Final = "configuration.valid"


@click.command
@click.option(
    "--account", "accounts", type=ACCOUNT, multiple=True,
    help="Only the checks of this account; may be repeated.",
)  # fmt: skip
@click.option(
    "--server", "servers", type=SERVER, multiple=True,
    help="Only the checks of this database server; may be repeated.",
)  # fmt: skip
@click.option("--offline", is_flag=True, help="Ask no cloud, no database server, no channel.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def doctor(
    ctx: click.Context,
    *,
    accounts: tuple[str, ...],
    servers: tuple[str, ...],
    offline: bool,
    as_json: bool,
) -> None:
    """Make every check there is, and tell what to do about what is not well.

    The daemon makes them where one answers, since it has the credentials of its unit. Exit status:
    0 when nothing failed, 1 when something did, 78 when the configuration can't be used.
    """
    asked = Asked(accounts, servers, offline, as_json)
    report = _examined(ctx.obj, asked)
    if as_json:
        print_json(report)
    else:
        _print(report)
    broken = any(c["name"] == _VALID and c["state"] == "failed" for c in report["checks"])
    failed = FAILED if report["worst"] == "failed" else 0
    ctx.exit(CONFIGURATION if broken else failed)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be looked at, and how it is to be told."""

    accounts: Sequence[str]
    servers: Sequence[str]
    offline: bool
    as_json: bool


def _examined(settings: Settings, asked: Asked) -> Json:
    """Return the report, of the daemon or made here."""
    client = Client(settings.socket, _PATIENCE)
    try:
        client.probe()
    except Unreachable as error:
        silence = Finding(
            "warning", str(error), "systemctl restart syncd, or --config with its file"
        )
        return _made_here(settings, asked, silence)
    try:
        client.scheduler()  # answers at once, or something is wrong
        return client.examine(asked.accounts, asked.servers, __version__, offline=asked.offline)
    except Unreachable as error:
        silence = Finding("failed", str(error), "it hangs: systemctl restart syncd")
    except NotFound as error:
        if not str(error).startswith("no path"):
            raise
        found = "the daemon is of a version that can't be asked for its checks"
        silence = Finding("warning", found, "systemctl restart syncd, so that the new one runs")
    return _made_here(settings, asked, silence)


def _made_here(settings: Settings, asked: Asked, silence: Finding) -> Json:
    """Make the checks in this process; raises ConfigInvalid with all problems."""
    from syncd import app
    from syncd.config import secrets
    from syncd.config.problems import ConfigInvalid
    from syncd.telemetry.logging import configure

    try:
        config = settings.config
    except ConfigInvalid as error:
        if asked.as_json:
            print_json(_broken(error))
        raise
    with Path(os.devnull).open("w") as nowhere:  # the checks tell what the log would
        configure("auto", "info", secrets.known, nowhere)
        return app.examine(
            config, settings.file, silence, asked.accounts, asked.servers, offline=asked.offline
        )


def _broken(error: Any) -> Json:  # noqa: ANN401 - ConfigInvalid, imported late
    """Return the report on a configuration that can't be used: nothing else can be looked at."""
    from syncd.doctor.examination import Row, report
    from syncd.doctor.finding import failed

    return report([Row(_VALID, failed(str(each), "mend it"), 0.0) for each in error.problems])


def _folded(checks: Sequence[Json]) -> list[Json]:
    """Return the lines to show: what a group skips for one reason becomes one line."""
    shown: dict[tuple[str, ...], Json] = {}
    for number, check in enumerate(checks):
        group = check["name"].partition(".")[0]
        skipped = check["state"] == "skipped" and not check["subject"]
        key = (group, check["found"]) if skipped else (str(number),)
        shown[key] = check | {"name": f"{group}.*"} if key in shown else check
    return list(shown.values())


def _print(report: Json) -> None:
    """Print a line for each finding, and below them what is to be pasted elsewhere, whole."""
    rows = [
        [
            Cell(check["state"], _STYLES.get(check["state"], "")),
            cell(check["name"]),
            cell(check["subject"]),
            cell(check["found"] + (f" → {check['advice']}" if check["advice"] else "")),
        ]
        for check in _folded(report["checks"])
    ]
    print_table(["state", "check", "of", "found"], rows, "there is nothing to check")
    for each in report["policies"]:
        print_line(Cell(""))
        print_line(Cell("Policy for account "), cell(each["account"], "bold"), Cell(":"))
        print_line(cell(each["policy"]))
    for each in report.get("grants", ()):  # a daemon of a version before has none
        print_line(Cell(""))
        print_line(Cell("Statements for server "), cell(each["server"], "bold"), Cell(":"))
        for statement in each["statements"]:
            print_line(cell(statement))
    counts = [
        f"{count} {state}"
        for state in _STYLES
        if (count := sum(check["state"] == state for check in report["checks"]))
    ]
    print_line(Cell(""))
    print_line(Cell(", ".join(counts) or "no check", _STYLES.get(report["worst"], "")))

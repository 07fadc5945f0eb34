"""`syncd notify`: the channels that people are told by."""

from datetime import UTC, datetime
from typing import Any

import click

from syncd.cli.names import CHANNEL
from syncd.cli.notify_list import list_channels
from syncd.cli.screen import complain, print_json, tell
from syncd.cli.session import me
from syncd.cli.settings import Settings
from syncd.control.client import Client
from syncd.errors import Unreachable

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group
def notify() -> None:
    """Look at the channels of notifications, and try them."""


notify.add_command(list_channels)


@notify.command
@click.argument("channel", type=CHANNEL)
@_JSON
@click.pass_context
def test(ctx: click.Context, channel: str, *, as_json: bool) -> None:
    """Send a message to CHANNEL, and tell what came of it.

    The daemon sends it where one answers, since it has the credentials of its unit; else this
    process does. A channel with enabled = false is tried, too. Exit status: 0 when it was sent, 1
    when not.
    """
    came = _tried(ctx.obj, channel)
    if as_json:
        print_json(came)
    elif came["sent"]:
        tell(f"{channel}: sent in {came['seconds']:.1f} s")
    else:
        complain(f"{channel}: not sent, {came['error_class']}: {came['error']}")
        if came["retry_after"] is not None:
            complain(f"it takes messages again in {came['retry_after']:.0f} s")
    ctx.exit(0 if came["sent"] else 1)


def _tried(settings: Settings, channel: str) -> dict[str, Any]:
    """Return what came of a test, by the daemon or by this process."""
    client, by = Client(settings.socket), me()
    try:
        client.probe()
    except Unreachable:
        from syncd.telemetry.notify import trial

        return trial.send(settings.config.notify, channel, by, datetime.now(UTC))
    return client.test_channel(channel, by)

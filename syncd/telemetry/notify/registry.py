"""The channels that exist: a class and a line here make one."""

from syncd.config.notify import Channel
from syncd.telemetry.notify.base import Sender


def build(name: str, channel: Channel) -> Sender:
    """Return what sends to a channel, which the configuration calls `name`."""
    raise NotImplementedError(f"{name}: {channel.channel}")

"""A message that somebody asked for, to see whether a channel works; no queue has it."""

import socket
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from syncd.config.notify import Channel
from syncd.config.spelling import hint
from syncd.context import CancelSource, Deadline
from syncd.errors import NotFound, SyncdError, Throttled, describe
from syncd.telemetry.notify import registry, text
from syncd.telemetry.notify.base import SEVERITIES, Notice

LIMIT: Final = 60.0
"""Seconds that somebody waits at most, even where the channel's own limit is longer."""


def send(channels: Mapping[str, Channel], name: str, by: str, at: datetime) -> dict[str, Any]:
    """Send a test to a channel, also to one that is taken out, and tell what came of it.

    Returns {"channel", "kind", "sent", "seconds", "error_class", "error", "retry_after"}, the last
    three null where they don't apply; nothing in it is secret. Raises NotFound, with the nearest
    name, for a channel that there is not.
    """
    channel = channels.get(name)
    if channel is None:
        raise NotFound(f"there is no channel{hint(name, channels)}")
    began, error = time.monotonic(), None
    try:
        registry.build(name, channel).send(
            _notice(name, by, at),
            Deadline.after(LIMIT),
            CancelSource().token,
        )
    except SyncdError as refusal:
        error = refusal
    return {
        "channel": name,
        "kind": channel.channel,
        "sent": error is None,
        "seconds": round(time.monotonic() - began, 3),
        "error_class": error.error_class if error else None,
        "error": describe(error) if error else None,
        "retry_after": error.retry_after if isinstance(error, Throttled) else None,
    }


def _notice(name: str, by: str, at: datetime) -> Notice:
    return Notice(
        id=uuid4().hex,
        event="test",
        key=f"test {name}",
        job=None,
        host=socket.gethostname(),
        title=text.title("test", f"channel {name}"),
        facts=(("asked_by", by),),
        look=f"syncd notify test {name}",
        at=at,
        severity=SEVERITIES["test"],
    )

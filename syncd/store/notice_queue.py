"""The queue of messages to channels: bounded, in order, and kept until each is sent or given up.

No connection is held while a message is sent: to take one is to put its next try off, so that a
later leader does not send it at the same time. A message is sent twice only when its sender is
killed between the sending and its record.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from syncd.model.notice import Event
from syncd.store.database import Transaction

MOST_UNSENT: Final = 1_000
"""Messages that wait for one channel; beyond that the oldest are given up."""
AT_ONCE: Final = 3
"""Refusals of one message after which those behind it no longer wait for it."""
_FAR: Final = timedelta(hours=2)
"""Longer than any wait for a next try: one further away comes from a clock that was set back."""


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to be queued; `content` is a document that its channel understands."""

    channel: str
    event: Event
    key: str
    content: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Queued:
    """A message that waits; `given_up` counts those given up since one was last sent."""

    id: int
    event: Event
    content: dict[str, Any]
    created_at: datetime
    attempts: int
    next_attempt_at: datetime | None
    given_up: int


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a try: sent, given up for good, or to be tried again at a moment."""

    id: int
    at: datetime
    error: str | None = None
    refused: bool = False
    next_attempt_at: datetime | None = None


def add(tx: Transaction, messages: Iterable[NewMessage], now: datetime) -> set[str]:
    """Queue messages; return their channels. Of a channel with too many the oldest are given up."""
    rows = [(m.channel, m.event, m.key, Jsonb(m.content)) for m in messages]
    if not rows:
        return set()
    tx.execute(
        """insert into syncd.notification (channel, event, key, content, created_at)
           select channel, event, key, content, %s
           from unnest(%s::text[], %s::text[], %s::text[], %s::jsonb[]) with ordinality
                as new (channel, event, key, content, nth)
           order by nth""",
        (now, *map(list, zip(*rows, strict=True))),
    )
    channels = {row[0] for row in rows}
    tx.execute(
        """update syncd.notification n set given_up_at = %(now)s, error = %(why)s
           from (select id, row_number() over (partition by channel order by id desc) as nth
                 from syncd.notification
                 where channel = any (%(channels)s) and sent_at is null and given_up_at is null) w
           where n.id = w.id and w.nth > %(most)s""",
        {
            "now": now, "channels": list(channels), "most": MOST_UNSENT,
            "why": f"more than {MOST_UNSENT} messages waited",
        },
    )  # fmt: skip
    return channels


def head(tx: Transaction, channel: str, now: datetime) -> Queued | None:
    """Return the message that is a channel's next, held until the transaction ends.

    That is the oldest, but for one that was refused again and again and is not due: it lets the
    others pass. Its `next_attempt_at` is None when it may be sent now.
    """
    return (
        tx.cursor(row_factory=class_row(Queued))
        .execute(
            """select id, event, content, created_at, attempts,
                      case when next_attempt_at > %(now)s and next_attempt_at <= %(far)s
                           then next_attempt_at end as next_attempt_at,
                      (select count(*) from syncd.notification g
                       where g.channel = %(channel)s and g.given_up_at > coalesce(
                           (select sent_at from syncd.notification s
                            where s.channel = %(channel)s and s.sent_at is not null
                            order by s.id desc limit 1), '-infinity')) as given_up
               from syncd.notification
               where channel = %(channel)s and sent_at is null and given_up_at is null
               order by refused and attempts >= %(at_once)s and next_attempt_at > %(now)s
                        and next_attempt_at <= %(far)s, id
               limit 1 for update""",
            {"channel": channel, "now": now, "far": now + _FAR, "at_once": AT_ONCE},
        )
        .fetchone()
    )


def begin(tx: Transaction, message_id: int, until: datetime) -> None:
    """Note that a message is being sent, by when that is known to have ended."""
    tx.execute(
        """update syncd.notification
           set attempts = attempts + 1, next_attempt_at = %s, error = null where id = %s""",
        (until, message_id),
    )


def record(tx: Transaction, sent: Sent) -> None:
    """Note what became of a message."""
    tx.execute(
        """update syncd.notification
           set sent_at = case when %(error)s::text is null then %(at)s::timestamptz end,
               given_up_at = case when %(error)s::text is not null
                                   and %(next)s::timestamptz is null then %(at)s::timestamptz end,
               error = %(error)s, refused = %(refused)s, next_attempt_at = %(next)s
           where id = %(id)s and sent_at is null""",
        {
            "id": sent.id, "at": sent.at, "error": sent.error, "refused": sent.refused,
            "next": sent.next_attempt_at,
        },
    )  # fmt: skip


def waiting(tx: Transaction) -> dict[str, int]:
    """Return how many messages wait for each channel that any waits for."""
    return dict(
        tx.execute(
            """select channel, count(*) from syncd.notification
               where sent_at is null and given_up_at is null group by channel"""
        ).fetchall()
    )


def give_up_others(tx: Transaction, channels: Collection[str], now: datetime) -> int:
    """Give up what waits for channels that there are no more; return how many messages."""
    return tx.execute(
        """update syncd.notification set given_up_at = %s, error = 'there is no such channel now'
           where sent_at is null and given_up_at is null and channel <> all (%s)""",
        (now, list(channels)),
    ).rowcount


def try_again(tx: Transaction) -> None:
    """Let what waits for a next try be tried now: the channels may have been corrected.

    What has no error is being sent just now, perhaps by a daemon that does not know of its end.
    """
    tx.execute(
        """update syncd.notification set next_attempt_at = null
           where sent_at is null and given_up_at is null and error is not null"""
    )

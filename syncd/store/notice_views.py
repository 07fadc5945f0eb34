"""What people and programs read of notifications: how the channels are, and what lasts."""

from typing import Final

from syncd.store.bounded import MOST, Rows, select_all
from syncd.store.database import Transaction


def channels(tx: Transaction) -> Rows:
    """Return how each channel is that ever had a message, those that are gone too.

    Columns: channel, waiting, waiting_since, last_sent_at, last_error, last_error_at, given_up. The
    error is that of the newest message that was not sent; a job's pings have the channel
    `ping JOB`.
    """
    return select_all(tx, _CHANNELS, (MOST,))


def lasting(tx: Transaction) -> Rows:
    """Return what lasts and is told of: key, event, job, since, times, told, detail."""
    return select_all(
        tx,
        """select key, event, job, since, times, told, detail from syncd.alert
           where ended_at is null order by since, key limit %s""",
        (MOST,),
    )


# The distinct channels are found by skipping through the index, not by reading all messages.
_CHANNELS: Final = """
with recursive known as (
    (select channel from syncd.notification order by channel limit 1)
    union all
    select (select n.channel from syncd.notification n where n.channel > k.channel
            order by n.channel limit 1)
    from known k where k.channel is not null
)
select k.channel, w.waiting, w.waiting_since, s.sent_at as last_sent_at, f.error as last_error,
       f.at as last_error_at, g.given_up
from known k
cross join lateral (
    select count(*) as waiting, min(created_at) as waiting_since from syncd.notification n
    where n.channel = k.channel and n.sent_at is null and n.given_up_at is null
) w
cross join lateral (
    select count(*) as given_up from syncd.notification n
    where n.channel = k.channel and n.given_up_at is not null
) g
left join lateral (
    select sent_at from syncd.notification n
    where n.channel = k.channel and n.sent_at is not null order by n.id desc limit 1
) s on true
left join lateral (
    select error, coalesce(given_up_at, created_at) as at from syncd.notification n
    where n.channel = k.channel and n.error is not null order by n.id desc limit 1
) f on true
where k.channel is not null
order by k.channel
limit %s"""

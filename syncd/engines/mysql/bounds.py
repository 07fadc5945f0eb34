"""Below which time no row can come any more: the start of the oldest transaction that writes.

`trx_started` is in the zone of the operating system, whatever the session's is (tested on MariaDB
10.11; https://dev.mysql.com/doc/refman/8.4/en/information-schema-innodb-trx-table.html). A
statement has its NOW() a moment before its transaction is one of InnoDB: seconds are taken off.

InnoDB shows all who ask the same list, and makes no new one while they come within 0.1 s of each
other, for hours if need be. So a transaction of ours is begun first: a list that has it tells of
all that began before it, and no other one is believed.

A replica knows nothing of the transactions of its primary, nor a node of a cluster of those of the
others: what is committed there comes when it comes, however far behind.
"""

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from syncd.engines.mysql.connection import Session
from syncd.engines.mysql.times import written
from syncd.errors import ConfigurationError, Permission
from syncd.model.table import Column

_MARGIN: Final = timedelta(seconds=2)
_QUARTER: Final = timedelta(minutes=15)
_AHEAD: Final = 12  # quarters of an hour: no clock is put back by more

_LOOKS: Final = 9
_SLEEP: Final = "DO SLEEP(0.1 + 0.5 * RAND())"
"""Longer than InnoDB shows the same to who asks again, and by chance, so that copies that ask at
once do not keep each other waiting. Who asks all the time keeps us waiting for good."""

_BEGIN: Final = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
_OLDEST: Final = """
SELECT UTC_TIMESTAMP(), MIN(IF(ours, latest, twice)), MAX(ours) FROM (
    SELECT trx_mysql_thread_id = CONNECTION_ID() AS ours,
           CONVERT_TZ(trx_started, 'SYSTEM', '+00:00')
           - INTERVAL IF(CONVERT_TZ(trx_started, 'SYSTEM', '+00:00') > UTC_TIMESTAMP(), 1, 0) HOUR
               AS latest,
           IF(CONVERT_TZ(CONVERT_TZ(trx_started, 'SYSTEM', '+00:00') - INTERVAL 1 HOUR,
                         '+00:00', 'SYSTEM') = trx_started,
              CONVERT_TZ(trx_started, 'SYSTEM', '+00:00') - INTERVAL 1 HOUR,
              CONVERT_TZ(trx_started, 'SYSTEM', '+00:00')) AS twice
      FROM information_schema.INNODB_TRX
     WHERE trx_mysql_thread_id = CONNECTION_ID() OR trx_rows_modified > 0 OR trx_lock_structs > 0
) AS shown
"""
"""`twice` is for an hour that the clock shows twice: the earlier one. Ours began just now."""

_READ_ONLY: Final = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', 'innodb_read_only')"
"""What a replica is, also while it is stopped; the second one of Aurora."""
_APPLIER: Final = "system user"


def bound(session: Session, column: Column, zone: str) -> bytes | None:
    """Return the value, None where it can't be known: no column of times, PROCESS not granted.

    Nor is it on a replica, or where somebody else asks for transactions without a pause. A
    transaction of the session would be ended. Raises ConfigurationError for a zone that does not
    exist.
    """
    if column.type.kind not in ("date", "timestamp", "instant"):
        return None
    try:
        oldest = None if follows(session) else _oldest(session)
    except Permission:
        return None
    if oldest is None:
        return None
    safe = oldest - _MARGIN
    if column.type.kind != "instant":
        local = _in_zone(safe, zone) if zone else _in_zone_of_server(session, safe)
        if local is None:
            return None
        safe = local
    return written(safe, day=column.type.kind == "date")


def follows(session: Session) -> bool:
    """Tell whether rows come from other servers, as far as PROCESS lets us see who writes them.

    https://dev.mysql.com/doc/refman/8.4/en/replication-threads-monitor-main.html; the threads that
    only a server itself has are called the same in MariaDB, and do the work of daemons.
    """
    if any(row[1].upper() != "OFF" for row in session.rows(_READ_ONLY)):
        return True
    threads = session.rows("SHOW PROCESSLIST")  # id, user, host, database, command
    return any(row[1] == _APPLIER and row[4] != "Daemon" for row in threads)


def _oldest(session: Session) -> datetime | None:
    """Return when the oldest transaction began that writes, or a moment ago; None: not shown."""
    session.change(_BEGIN)
    try:
        for _ in range(_LOOKS):
            shown: tuple[datetime, datetime, int] = session.rows(_OLDEST)[0]
            now, oldest, ours = shown
            if ours:
                return min(now, oldest)
            session.change(_SLEEP)
        return None
    finally:
        if session.open:
            session.change("ROLLBACK")


def _in_zone(moment: datetime, zone: str) -> datetime:
    """Return the earliest that the clocks of a zone show from a moment in UTC on."""
    try:
        info = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigurationError(f"there is no time zone {zone}") from error
    return min(
        each.replace(tzinfo=UTC).astimezone(info).replace(tzinfo=None) for each in _later(moment)
    )


def _in_zone_of_server(session: Session, moment: datetime) -> datetime | None:
    """Return the same in the zone that the server's sessions begin with."""
    texts = [written(each).decode() for each in _later(moment)]
    shown = ", ".join(f"CONVERT_TZ('{text}', '+00:00', @@global.time_zone)" for text in texts)
    found = session.rows(f"SELECT LEAST({shown})")[0][0]
    if isinstance(found, bytes):
        found = found.decode()
    return datetime.fromisoformat(found) if isinstance(found, str) else found


def _later(moment: datetime) -> list[datetime]:
    """Return a moment and the quarters of an hour after it, at which clocks are put back."""
    first = moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0)
    return [moment, *(first + _QUARTER * number for number in range(1, _AHEAD + 1))]

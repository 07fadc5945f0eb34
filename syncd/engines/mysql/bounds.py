"""Below which time no row can come any more: the start of the oldest transaction that writes.

`trx_started` is in the zone of the operating system, whatever the session's is (tested on MariaDB
10.11; https://dev.mysql.com/doc/refman/8.4/en/information-schema-innodb-trx-table.html). What the
server shows of transactions may be a moment old, and a statement has its NOW() a moment before its
transaction is one of InnoDB: some seconds are taken off for both.
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

_OLDEST: Final = """
SELECT UTC_TIMESTAMP(), MIN(LEAST(
           CONVERT_TZ(trx_started, 'SYSTEM', '+00:00'),
           IF(CONVERT_TZ(CONVERT_TZ(trx_started, 'SYSTEM', '+00:00') - INTERVAL 1 HOUR,
                         '+00:00', 'SYSTEM') = trx_started,
              CONVERT_TZ(trx_started, 'SYSTEM', '+00:00') - INTERVAL 1 HOUR,
              CONVERT_TZ(trx_started, 'SYSTEM', '+00:00'))))
  FROM information_schema.INNODB_TRX
 WHERE trx_mysql_thread_id <> CONNECTION_ID() AND (trx_rows_modified > 0 OR trx_lock_structs > 0)
"""
"""The second time is of an hour that the clock shows twice: the earlier one."""


def bound(session: Session, column: Column, zone: str) -> bytes | None:
    """Return the value, None where it can't be known: no column of times, PROCESS not granted.

    Raises ConfigurationError for a zone that does not exist.
    """
    if column.type.kind not in ("date", "timestamp", "instant"):
        return None
    try:
        now, oldest = session.rows(_OLDEST)[0]
    except Permission:
        return None
    safe = (now if oldest is None else min(now, oldest)) - _MARGIN
    if column.type.kind != "instant":
        local = _in_zone(safe, zone) if zone else _in_zone_of_server(session, safe)
        if local is None:
            return None
        safe = local
    return written(safe, day=column.type.kind == "date")


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

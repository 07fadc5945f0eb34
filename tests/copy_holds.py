"""Ways to hold a copy up in the middle of a page, and ways to reach its servers through a proxy."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import psycopg
import pymysql
from copy_sides import MariaSide, PostgresSide, Side
from daemon_helpers import Row, until
from proxy import Connect, Proxy, to_socket

_WAITING = {
    "postgresql": "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
    " and datname = current_database()",
    "mysql": "select (select count(*) from information_schema.innodb_trx"
    " where trx_state = 'LOCK WAIT') + (select count(*) from information_schema.processlist"
    " where state like 'Waiting for table metadata lock')",
}


@contextmanager
def row_held(side: Side, table: str, number: int) -> Iterator[Any]:
    """Keep a row locked in the block; give the session that does, to be ended by it or here."""
    with closing(side.connect()) as connection:
        with connection.cursor() as cursor:
            cursor.execute(f"select id from {table} where id = {number} for update")
            assert len(cursor.fetchall()) == 1
        yield connection
        with suppress(psycopg.OperationalError, pymysql.Error):  # its server may have been killed
            connection.rollback()


def await_waiting(side: Side, count: int = 1, seconds: float = 20.0) -> None:
    """Wait until so many sessions wait for a lock."""

    def waiting() -> bool:
        if side.engine == "mysql":
            time.sleep(0.15)  # InnoDB tells the same again to who asks within 0.1 s
        return int(side.lines(_WAITING[side.engine])[0]) >= count

    until(waiting, seconds, f"{count} wait for a lock")


def behind(side: Side) -> Connect:
    """Return what connects to a side's server, for a proxy."""
    if isinstance(side, MariaSide):
        return to_socket(side.socket)
    assert isinstance(side, PostgresSide)
    return to_socket(f"{side.parts['host']}/.s.PGSQL.{side.parts['port']}")


@contextmanager
def through_proxy(side: Side, **changed: Any) -> Iterator[tuple[Proxy, Row]]:
    """Give a proxy in front of a side's server, and that as `[servers.NAME]`."""
    proxy = Proxy(behind(side))
    try:
        yield proxy, side.table(host="127.0.0.1", port=proxy.port, **changed)
    finally:
        proxy.close()

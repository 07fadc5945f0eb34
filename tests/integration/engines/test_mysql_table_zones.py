"""The bound on a server whose machine and whose sessions live in different zones."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from mariadb_server import private_mariadb
from mysql_tables import Shop, fresh_shop


@pytest.fixture(scope="module")
def abroad() -> Iterator[Shop]:
    """Give a server on a machine in Tokyo, whose sessions begin three hours east of Greenwich."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TZ", "Asia/Tokyo")
        with private_mariadb({"default-time-zone": "+03:00"}) as server, fresh_shop(server) as made:
            yield made


@pytest.mark.parametrize(
    ("column", "zone", "hours"),
    [("ts", "", 0), ("ts", "Asia/Tokyo", 0), ("d", "", 3), ("d", "Asia/Tokyo", 9)],
)
def test_the_bound_is_in_the_zone_of_the_column(
    abroad: Shop, column: str, zone: str, hours: int
) -> None:
    abroad.execute(
        "create or replace table t (id int primary key, d datetime, ts timestamp null)",
        "insert into t values (1, null, null)",
    )

    def ago(value: bytes | None) -> timedelta:
        assert value is not None
        shown = datetime.fromisoformat(value.decode()) - timedelta(hours=hours)
        return datetime.now(UTC).replace(tzinfo=None) - shown

    with abroad.source("t") as source:
        assert timedelta(0) < ago(source.bound(column, zone)) < timedelta(seconds=20)
        with abroad.server.connect(database=abroad.database) as writer, writer.cursor() as cursor:
            cursor.execute("start transaction")
            cursor.execute("update t set d = now()")
            time.sleep(0.2)
            held = source.bound(column, zone)
            assert timedelta(0) < ago(held) < timedelta(seconds=20)
            time.sleep(1.1)
            assert source.bound(column, zone) == held
            writer.rollback()

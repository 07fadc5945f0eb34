"""What comparisons send over the wire, counted by a proxy before each server."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from check_helpers import MariaDb, Place, Postgres, rules
from engine_run import context
from proxy import Proxy, to_port, to_socket
from thorough import times

from syncd.checks.check import Check
from syncd.checks.findings import Result
from syncd.engines.mysql import sides as mysql
from syncd.engines.postgresql import sides as postgresql

ROWS = times(400_000)
COLUMNS = "id bigint primary key, n bigint, name varchar(60), digest varchar(60)"


@dataclass
class Counter:
    """How many bytes went through, in both directions."""

    sent: int = 0

    def __call__(self, data: bytes) -> bytes:
        self.sent += len(data)
        return data


@contextmanager
def _counted(place: Place) -> Iterator[tuple[Place, Counter]]:
    """Give a place behind a proxy that counts."""
    counter, access = Counter(), place.access
    connect = to_port(access.port)
    if access.host.startswith("/"):
        connect = to_socket(f"{access.host}/.s.PGSQL.{access.port}")
    proxy = Proxy(connect, rewrite=counter)
    place.access = replace(access, host="127.0.0.1", port=proxy.port)
    try:
        yield place, counter
    finally:
        place.access = access
        proxy.close()


def _compared(left: Place, right: Place) -> tuple[Result, int]:
    """Compare by steps of the usual size; return the bytes on the busier of both wires too."""
    with _counted(left) as (one, ours), _counted(right) as (other, theirs):
        told = rules(one, other)
        check = Check(
            context(600), told, (one.sides(), told.left), (other.sides(), told.right),
            datetime.now(UTC),
        )  # fmt: skip
        result, _ = check.run()
    return result, max(ours.sent, theirs.sent)


@pytest.fixture
def full(postgres_place: Postgres, mariadb_place: MariaDb) -> tuple[Postgres, MariaDb]:
    """Give two large tables that are equal."""
    postgres_place.execute(
        f"create table t ({COLUMNS})",
        f"insert into t select i, i::bigint * 7919, 'name of row number ' || i, md5(i::text)"
        f" from generate_series(1, {ROWS}) i",
        "analyze t",
    )
    mariadb_place.execute(
        f"create table t ({COLUMNS})",
        f"insert into t select seq, seq * 7919, concat('name of row number ', seq), md5(seq)"
        f" from seq_1_to_{ROWS}",
    )
    return postgres_place, mariadb_place


def test_one_changed_byte_is_found_for_less_than_a_hundredth(
    full: tuple[Postgres, MariaDb],
) -> None:
    left, right = full
    [(size,)] = left.execute("select sum(octet_length(t::text)) from t")
    result, sent = _compared(left, right)
    assert result.equal
    assert sent < int(size) / 1000
    right.execute(f"update t set digest = insert(digest, 7, 1, 'x') where id = {ROWS // 3}")
    result, sent = _compared(left, right)
    assert result.found.differ == [(b"%d" % (ROWS // 3),)]
    assert sent < int(size) / 100


@pytest.mark.parametrize("rows", [7, 64, 1000])
def test_text_keys_are_read_in_pages(
    place: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    for module in postgresql, mysql:
        monkeypatch.setattr(module, "PAGE", rows)
    for engine in "postgresql", "mariadb":
        left, right = place(engine), place("postgresql")
        for each in left, right:
            each.execute("create table t (a varchar(20), b varchar(20), v int, primary key (a, b))")
            values = ", ".join(f"('{'aBü'[n % 3]}', '{n * 7919 % 64:02}{n}', 1)" for n in range(64))
            each.execute(f"insert into t values {values}")
        assert _compared(left, right)[0].equal
        left.execute("update t set v = 2 where b like '%33'")
        result, _ = _compared(left, right)
        assert len(result.found.differ) == len(result.found) == 2
        assert result.left_rows == 64

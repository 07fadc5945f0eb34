"""What a copy takes of memory: a bound that no number of rows moves, and few times a large row."""

from pathlib import Path

import pytest
from daemon_helpers import Process

from syncd.model.run import Selection

MIB = 1 << 20
MOST = 60 * MIB
LARGE = 50_000_000
ROOM = 35 * MIB
TIMES = {"other-pg to pg": 3, "maria to pg": 0, "other-pg to maria": 3, "maria to maria": 1}
"""How often a large row is held: one of PostgreSQL by libpq twice, and as bytes.

One of MariaDB is sent on to PostgreSQL while it is read, and to MariaDB from its values.
"""
LINE = b"It's a line of 50 bytes, with a \\ and\ta tab here.\n".hex()
TEXT = {
    "postgresql": f"repeat(convert_from(decode('{LINE}', 'hex'), 'UTF8'), {LARGE // 50})",
    "mysql": f"repeat(convert(unhex('{LINE}') using utf8mb4), {LARGE // 50})",
}
MAKE = {
    "postgresql": "create table orders (id bigint primary key, customer int, note text)",
    "mysql": "create table orders (id bigint primary key, customer int, note longtext)",
}
FILL = {
    "postgresql": "insert into orders select n, n % 1000, {} from generate_series({}, {}) n",
    "mysql": "insert into orders select seq, seq % 1000, {} from seq_{}_to_{}",
}
PAIRS = pytest.mark.parametrize(
    "pair", ["other-pg to pg", "maria to pg", "other-pg to maria", "maria to maria"]
)


def figure(process: Process, name: str) -> int:
    """Return a figure of proc(5) in bytes."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def peak(copy, process) -> int:
    """Return what a run takes at its most, above what the process has when it begins."""
    rest = figure(process, "VmRSS")
    Path(f"/proc/{process.pid}/clear_refs").write_text("5")
    number = copy.place.client.trigger("orders", Selection(), "me")
    assert any(copy.place.client.wait(number, 10) for _ in range(12))
    (row,) = copy.place.runs("id = %s", number)
    assert row["status"] == "success", copy.items(row)
    return figure(process, "VmHWM") - rest


def prepared(copy):
    copy.source.execute(MAKE[copy.source.engine])
    copy.copies("orders", "orders")
    copy.configure()
    return copy.up()


def fill(copy, value, first, last):
    copy.source.execute(FILL[copy.source.engine].format(value, first, last))


@PAIRS
def test_memory_does_not_grow_with_the_rows(between, pair):
    copy = between(pair)
    process = prepared(copy)
    fill(copy, "repeat('0123456789', 20)", 1, 10_000)
    small = [peak(copy, process), peak(copy, process)]
    fill(copy, "repeat('9876543210', 20)", 10_001, 200_000)
    copy.target.execute("delete from orders")
    large = [peak(copy, process), peak(copy, process)]
    print(f"{pair}: 10,000 rows {[one // MIB for one in small]} MiB,"
          f" 200,000 rows {[one // MIB for one in large]} MiB")  # fmt: skip
    assert max(small + large) < MOST
    assert max(large) < max(small) + 25 * MIB, "what a full page takes, and no more"
    assert copy.count("orders") == 200_000


@PAIRS
def test_memory_is_bounded_by_the_largest_row(between, pair):
    copy = between(pair)
    process = prepared(copy)
    fill(copy, TEXT[copy.source.engine], 1, 2)
    few = peak(copy, process)
    fill(copy, TEXT[copy.source.engine], 3, 6)
    many = peak(copy, process)
    print(f"{pair}: 2 rows {few // MIB} MiB, 6 rows {many // MIB} MiB")
    assert max(few, many) < ROOM + TIMES[pair] * LARGE
    digests = "select concat(id, ' ', md5(note)) from orders order by id"
    assert copy.target.lines(digests) == copy.source.lines(digests)
    assert copy.count("orders") == 6

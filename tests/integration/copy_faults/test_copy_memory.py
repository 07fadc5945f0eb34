"""What a copy takes of memory: a bound that no number of rows moves, and few times a large row."""

from pathlib import Path

import pytest
from daemon_helpers import Process

from syncd.model.run import Selection

MIB = 1 << 20
MOST = 60 * MIB
LARGE = 50_000_000
TIMES = {"postgresql": 5, "mysql": 7}
"""A row is held by the driver, as a row, and as what is sent; for MySQL that is a statement."""
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
    assert copy.place.client.wait(number, 120)
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
    fill(copy, f"repeat('0123456789', {LARGE // 10})", 1, 2)
    few = peak(copy, process)
    fill(copy, f"repeat('0123456789', {LARGE // 10})", 3, 6)
    many = peak(copy, process)
    print(f"{pair}: 2 rows {few // MIB} MiB, 6 rows {many // MIB} MiB")
    assert many < MOST + TIMES[copy.target.engine] * LARGE
    lengths = "select concat(id, ' ', length(note)) from orders order by id"
    assert copy.target.lines(lengths) == [f"{n} {LARGE}" for n in range(1, 7)]

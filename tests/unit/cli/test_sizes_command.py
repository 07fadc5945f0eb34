"""The sizes of databases and servers on the command line."""

import json
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from fake_daemon import MOMENT, syncd

from syncd.cli.cells import size_cell
from syncd.model.queries import SizeQuery, SizeStatQuery

GIB = 1 << 30
TODAY, EARLIER, LONG_AGO = (
    str((datetime.now(ZoneInfo("Asia/Shanghai")) - timedelta(days=days)).date())
    for days in (0, 3, 40)
)


def size_row(server="orders-db", **changed):
    return {
        "server": server, "collected_on": TODAY, "collected_at": MOMENT,
        "size_bytes": 3 * GIB // 2, "data_bytes": GIB, "index_bytes": None, "log_bytes": None,
        "tables": 12, "newest_on": TODAY, "week_before_bytes": GIB, "unmanaged": False,
    } | changed  # fmt: skip


def database_row(database, **changed):
    return size_row(engine="mysql", system=False, database=database, **changed)


def stat_row(**changed):
    return {
        "server": "orders-db", "period": "month", "period_start": "2026-02-01", "samples": 26,
        "gaps": 2, "avg_bytes": 1.5 * GIB, "min_bytes": GIB, "max_bytes": 2 * GIB,
        "first_bytes": GIB, "last_bytes": 2 * GIB, "change_bytes": -GIB, "change_percent": -33.333,
        "growth_per_day": 2048.4, "trend": "shrinking", "forecast_on": None, "computed_at": MOMENT,
    } | changed  # fmt: skip


def cells(line):
    """Return what stands in the columns of a line of a table."""
    return [part.strip() for part in line.split("  ") if part.strip()]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"), (1023, "1,023 B"), (1024, "1.0 KiB"), (1_048_575, "1.0 MiB"),
        (1536 << 20, "1.5 GiB"), (1 << 40, "1.0 TiB"), (1 << 62, "4,096.0 PiB"), (0.4, "0 B"),
        (-0.4, "0 B"), (-(3 << 19), "-1.5 MiB"), (1023.99, "1.0 KiB"), (None, "-"),
    ],
)  # fmt: skip
def test_sizes_are_written_in_the_largest_unit_that_fits(size, text):
    assert size_cell(size).text == text
    signed = f"+{text}" if size is not None and round(size) > 0 else text
    assert size_cell(size, signed=True).text == signed


def test_databases_and_servers_are_listed_with_their_day(served):
    served.reads.size_rows = {
        "databases": [
            database_row("shop"),
            database_row("late", collected_on=EARLIER, week_before_bytes=None),
            database_row("never", collected_on=None, size_bytes=None, tables=None),
        ],
        "servers": [
            size_row(database_count=3, collected_on=EARLIER),
            size_row(
                "new-db", collected_on=None, size_bytes=None, database_count=None, newest_on=None
            ),
        ],
    }
    result = syncd(served, "sizes")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert cells(lines[0]) == [
        "server", "database", "size", "data", "index", "log", "tables", "week", "as of",
    ]  # fmt: skip
    assert cells(lines[1]) == [
        "orders-db", "shop", "1.5 GiB", "1.0 GiB", "-", "-", "12", "+512.0 MiB", TODAY,
    ]  # fmt: skip
    assert cells(lines[2])[-2:] == ["-", f"! {EARLIER}"]
    assert cells(lines[3])[-2:] == ["-", "! -"]
    assert lines[4] == ""
    assert cells(lines[6]) == [
        "orders-db", "1.5 GiB", "1.0 GiB", "-", "-", "3", "+512.0 MiB", f"! {EARLIER}",
    ]  # fmt: skip
    assert cells(lines[7])[-2:] == ["-", "! -"]
    assert served.reads.asked == [SizeQuery(limit=20)]
    assert result.stderr.splitlines() == [
        "syncd: orders-db: not every database was read last time: late, never",
        "syncd: new-db: not every database was read last time",
    ]
    assert syncd(served, "sizes", "--json").stderr == result.stderr


def test_sizes_of_servers_that_are_not_read_any_more_are_marked(served):
    servers = [
        size_row("old-db", unmanaged=True, database_count=1),
        size_row("new-db", unmanaged=True, collected_on=None, newest_on=None, database_count=None),
        size_row("down-db", collected_on=LONG_AGO, newest_on=LONG_AGO, database_count=1),
        size_row(database_count=1),
    ]
    served.reads.size_rows = {
        "databases": [
            database_row("shop", server="old-db", unmanaged=True),
            database_row("shop", server="down-db", collected_on=LONG_AGO, newest_on=LONG_AGO),
        ],
        "servers": servers,
    }
    result = syncd(served, "sizes")
    days = [cells(line)[-1] for line in result.stdout.splitlines() if "-db" in line]
    assert days == [f"! {TODAY}", f"! {LONG_AGO}", f"! {TODAY}", "! -", f"! {LONG_AGO}", TODAY]
    assert result.stderr.splitlines()[:3] == [
        f"syncd: old-db: no job looks at it any more; its sizes are as of {TODAY}",
        f"syncd: down-db: not read since {LONG_AGO}",
        "syncd: new-db: no job looks at it any more",
    ]
    assert syncd(served, "sizes", "--json").stderr == result.stderr


def test_the_options_of_sizes_are_passed_on(served):
    served.reads.size_rows = {
        "databases": [stat_row(newest_start="2026-02-01") | database_row("shop")], "servers": [],
    }  # fmt: skip
    syncd(served, "sizes", "--server", "orders-db", "--database", "shop", "--top", "3")
    syncd(served, "sizes", "--period", "quarter", "--server", "orders-db")
    assert served.reads.asked == [
        SizeQuery("orders-db", "shop", 3), SizeStatQuery("quarter", "orders-db", None, 20),
    ]  # fmt: skip


def test_a_list_of_sizes_that_is_cut_says_so(served):
    served.reads.size_rows = {"databases": [database_row("a"), database_row("b")], "servers": []}
    result = syncd(served, "sizes", "--top", "2")
    assert result.stderr == "the largest 2 databases; there may be more: --top\n"
    assert len(result.stdout.splitlines()) == 3
    assert syncd(served, "sizes", "--top", "3").stderr == ""


def test_statistics_tell_how_each_grew(served):
    served.reads.size_rows = {
        "databases": [
            stat_row(database="shop", newest_start="2026-02-01"),
            stat_row(
                database="late", period_start="2026-01-01", newest_start="2026-02-01",
                change_bytes=None, change_percent=None, growth_per_day=None, trend=None, gaps=0,
                forecast_on="2027-05-06",
            ),
        ],
        "servers": [stat_row()],
    }  # fmt: skip
    result = syncd(served, "sizes", "--period", "month")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert cells(lines[0]) == [
        "server", "database", "from", "average", "least", "most", "change", "percent", "a day",
        "trend", "gaps", "full on",
    ]  # fmt: skip
    shop = [
        "2026-02-01", "1.5 GiB", "1.0 GiB", "2.0 GiB", "-1.0 GiB", "-33.3%", "+2.0 KiB",
        "shrinking", "2", "-",
    ]  # fmt: skip
    assert cells(lines[1]) == ["orders-db", "shop", *shop]
    assert cells(lines[2])[2:] == [
        "! 2026-01-01", "1.5 GiB", "1.0 GiB", "2.0 GiB", "-", "-", "-", "-", "0", "2027-05-06",
    ]  # fmt: skip
    assert cells(lines[5]) == ["orders-db", *shop]


@pytest.mark.parametrize("options", [[], ["--period", "day"]])
def test_bytes_are_exact_for_programs(served, options):
    exact = (1 << 62) + 1
    rows = {"databases": [database_row("shop", size_bytes=exact)], "servers": []}
    served.reads.size_rows = rows
    found = json.loads(syncd(served, "sizes", "--json", *options).stdout)
    assert found["databases"][0]["size_bytes"] == exact
    assert found["servers"] == []


def test_where_there_are_no_sizes_it_is_said(served):
    assert syncd(served, "sizes").stderr == "no databases\n"
    assert syncd(served, "sizes", "--period", "week").stderr == "no statistics\n"


@pytest.mark.parametrize(
    "arguments",
    [["--period", "year"], ["--top", "0"], ["--top", "10001"], ["--server", ""], ["shop"]],
)
def test_wrong_usage_of_sizes_exits_with_2(served, arguments):
    assert syncd(served, "sizes", *arguments).exit_code == 2
    assert served.reads.asked == []

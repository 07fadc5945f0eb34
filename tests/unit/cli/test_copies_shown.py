"""Runs that copied or compared tables, shown."""

import json
import re

import pytest
from fake_daemon import MOMENT, RUN, item_row, job_row, run_row, syncd

from syncd.cli.progress_words import how_far

COPIED = {
    "source": "shop-db shop.orders", "target": "house shop.orders", "pass": "incremental",
    "order": ["updated_at", "id"], "bytes": 3 << 20, "rows_per_second": 51_234,
    "watermark": "2026-03-01 11:59:00", "watermark_column": "updated_at", "bounded": True,
    "null_watermark": 12, "beyond_bound": 1, "rejected": 13, "nulled": {"born": 3, "x\x1b[2J": 1},
    "mended": {"note": 2}, "duplicates": 5, "created": True, "ignored_columns": ["a", "b"],
    "resumed": 1,
}  # fmt: skip
COMPARED = {
    "equal": False, "left_rows": 5_000, "right_rows": 4_999, "differing": 103, "only_left": 1,
    "only_right": 0, "differ": 102, "exact": False, "differing_ranges_skipped": 7, "settled": 2,
    "differences": [
        {"key": {"id": "7", "line": "1"}, "only": "left"},
        {"key": {"id": "8", "line": "\x1b[2J"}, "columns": {"qty": ["1", None], "n": ["***"] * 2}},
        *({"key": {"id": str(n), "line": "1"}, "columns": {"qty": ["1", "2"]}} for n in range(98)),
    ],
    "aggregates": {"qty": {"sum": ["10", None]}}, "repaired": 4, "not_compared": ["note"],
    "ranges": 64, "transferred_bytes": 2048,
}  # fmt: skip


@pytest.fixture
def shown(served):
    """Give the lines of a run with one item of these details."""

    def of(kind, details, item=None, **more):
        item = item_row(target="orders", details=details, **(item or {}))
        row = run_row(kind=kind) | {"items": [item], "errors": [], "error_count": 0, "calls": []}
        served.reads.run_answer = row | more
        result = syncd(served, "show", str(RUN))
        assert result.exit_code == 0, result.output
        return result.stdout.splitlines()

    return of


def columns(lines, header):
    """Return the values of the first line below a header, by the header's words."""
    at = next(n for n, line in enumerate(lines) if line.startswith(header))
    names = re.split(r"  +", lines[at].strip())
    return dict(zip(names, re.split(r"  +", lines[at + 1].strip()), strict=True))


def test_each_table_of_a_copy_has_its_figures_and_what_was_left_out(shown):
    found = columns(shown("table_copy", COPIED, {"errors": 13}), "table  ")
    remarks = found.pop("remarks")
    assert found == {
        "table": "orders", "status": "success", "pass": "incremental", "read": "10", "added": "1",
        "updated": "2", "deleted": "3", "unchanged": "7", "rejected": "13", "bytes": "3.0 MiB",
        "seconds": "1.5", "rows/s": "51,234", "watermark": "2026-03-01 11:59:00",
    }  # fmt: skip
    assert remarks.split("; ") == [
        "the table was made", "left out: a, b", "NULL in place of values: born 3, x\\x1b[2J 1",
        "mended texts: note 2", "5 rows in whose place a later one of the same key came",
        "12 rows without a watermark, which full passes alone read",
        "1 row later than what is safe to read yet", "resumed once",
    ]  # fmt: skip


@pytest.mark.parametrize(("which", "later"), [("full", False), ("incremental", True)])
def test_a_column_that_is_new_is_not_in_the_rows_of_before_yet(shown, which, later):
    found = columns(shown("table_copy", {"pass": which, "new_columns": ["a"]}), "table  ")
    told = ["new columns: a", "rows of before get the new columns with the next full pass"]
    assert found["remarks"].split("; ") == told[: 1 + later]


def test_a_table_that_failed_before_it_was_looked_at_is_shown_with_its_error(shown):
    failed = {"status": "failed", "error_class": "network", "error": "refused"}
    found = columns(shown("table_copy", {}, failed), "table  ")
    assert (found["status"], found["pass"], found["remarks"]) == ("failed", "-", "network: refused")


def test_the_figures_of_a_table_that_failed_are_those_of_the_pages_that_stand(shown):
    counts = {"total": 9, "added": 5, "updated": 1, "deleted": 0, "unchanged": 3, "errors": 0}
    failed = {"status": "failed", "error_class": "network", "error": "gone", "total": 0, "added": 0}
    found = columns(shown("table_copy", {"pass": "full", "committed": counts}, failed), "table  ")
    assert (found["read"], found["added"], found["deleted"]) == ("9", "5", "0")


def test_the_first_rejected_rows_are_shown_and_where_the_others_are(shown):
    rejected = [
        {"item": "orders", "key": f"[{n}]", "relation": "house shop.orders", "rejected_at": MOMENT,
         "error": "value \x1b[2J out of range", "row": json.dumps({"id": n, "text": "x" * 500})}
        for n in range(12)
    ]  # fmt: skip
    lines = shown("table_copy", COPIED, rejected_rows=rejected)
    at = next(n for n, line in enumerate(lines) if line.startswith("table   rejected key"))
    assert re.split(r"  +", lines[at + 1])[:3] == ["orders", "[0]", "value \\x1b[2J out of range"]
    assert max(map(len, lines[at:])) < 250
    assert lines[at + 11 :] == [f"and 3 more: syncd.rejected_row where run_id = '{RUN}'"]


def test_each_table_of_a_check_has_what_was_found(shown):
    failed = {"status": "failed", "error_class": "bad_data", "error": "103 rows differ"}
    found = columns(shown("consistency_check", COMPARED, failed), "table  ")
    remarks = found.pop("remarks")
    assert found == {
        "table": "orders", "status": "failed", "equal": "no", "left rows": "5,000",
        "right rows": "4,999", "only left": "1", "only right": "0", "differ": "102",
        "transferred": "2.0 KiB", "seconds": "1.5",
    }  # fmt: skip
    assert remarks.split("; ") == [
        "bad_data: 103 rows differ", "sum of qty: 10 ≠ NULL",
        "7 more ranges of rows differ, which were not looked into", "2 equal at the second look",
        "4 repaired", "not compared: note",
    ]  # fmt: skip


def test_the_first_keys_that_differ_are_shown_with_their_columns(shown):
    lines = shown("consistency_check", COMPARED)
    at = next(n for n, line in enumerate(lines) if line.startswith("key of orders"))
    assert [re.split(r"  +", line) for line in lines[at + 1 : at + 4]] == [
        ["id 7, line 1", "only left"],
        ["id 8, line \\x1b[2J", "qty: 1 ≠ NULL; n: *** ≠ ***"],
        ["id 0, line 1", "qty: 1 ≠ 2"],
    ]
    assert lines[at + 21 :] == ["and 83 more; --json has 80 of them"]


def test_tables_that_are_equal_say_so(shown):
    equal = {
        "equal": True, "left_rows": 5, "right_rows": 5, "differing": 0, "only_left": 0,
        "only_right": 0, "differ": 0, "exact": True, "settled": 0, "transferred_bytes": 10,
    }  # fmt: skip
    lines = shown("consistency_check", equal)
    found = columns(lines, "table  ")
    assert (found["equal"], found["differ"], found["remarks"]) == ("yes", "0", "-")
    assert not [line for line in lines if line.startswith("key of")]


@pytest.mark.parametrize("kind", ["table_copy", "consistency_check"])
def test_a_run_is_shown_whole_as_json_and_by_sync_too(served, shown, kind):
    details = {"table_copy": COPIED, "consistency_check": COMPARED}[kind]
    shown(kind, details)
    found = json.loads(syncd(served, "show", str(RUN), "--json").stdout)
    assert found["items"][0]["details"] == json.loads(json.dumps(details))
    served.commands.ended.set()
    assert syncd(served, "sync", "hosts").stdout.splitlines()[0].startswith("table   status")


def test_a_plan_names_tables_and_rows(served):
    counts = {"total": 9, "added": 5, "updated": 1, "deleted": 1, "unchanged": 1, "errors": 1}
    served.commands.planned = [{
        "target": "orders", "counts": counts, "error_class": None, "error": None,
        "details": {"pass": "full", "ignored_columns": ["a\x1b"], "nulled": {"born": 3},
                    "new_values": {"more": 7}},
        "changes": [
            {"change": "added", "thing": "table", "resource_id": "shop.orders", "name": "",
             "fields": {"columns": ["id", "qty"]}},
            {"change": "added", "thing": "row", "resource_id": '["1"]', "name": "shop.orders",
             "fields": {}},
            {"change": "rejected", "thing": "row", "resource_id": '["2"]', "name": "shop.orders",
             "fields": {"error": "out of range"}},
            {"change": "only left", "thing": "row", "resource_id": "3", "name": "", "fields": {}},
            {"change": "differs", "thing": "row", "resource_id": "4", "name": "",
             "fields": {"qty": ["1", None], "n": ["***", "***"]}},
        ],
    }]  # fmt: skip
    result = syncd(served, "sync", "hosts", "--plan", "--table", "orders")
    assert [line.rstrip() for line in result.stdout.splitlines()] == [
        "orders: 9 listed, 5 to add, 1 to update, 1 to delete, 1 unchanged, 1 errors",
        "  left out: a\\x1b",
        "  NULL in place of values: born 3",
        "  values for new columns, for which rows counted as unchanged may be updated: more 7",
        "  + shop.orders  columns id, qty",
        '  + ["1"]  shop.orders',
        '  ! ["2"]  shop.orders  out of range',
        "  < 3",
        "  ≠ 4  qty: 1 ≠ -; n: *** ≠ ***",
    ]


FAST = {"state": "running", "done": 1_200, "of": 5_000, "per_second": 300.4, "seconds_left": 72.5}
NEW = {"state": "running", "done": 7, "of": None, "per_second": None, "seconds_left": None}
DONE = NEW | {"state": "success"}


def test_status_tells_how_far_the_tables_of_a_copy_are(served, monkeypatch):
    targets = {"orders": FAST, "new\x1b[2J": NEW, "done": DONE}
    targets |= {f"t{n}": NEW for n in range(10)}
    running = {str(RUN): {"items": 12, "items_done": 1, "targets": targets}}
    monkeypatch.setattr(served.commands, "progress", lambda: running)
    served.commands.job_rows = [job_row(kind="table_copy", running=str(RUN))]
    lines = [line for line in syncd(served, "status").stdout.splitlines() if line[:2] == "> "]
    assert lines[:2] == [
        "> hosts: orders: 1,200 of 5,000, 300 a second, 1m left", "> hosts: new\\x1b[2J: 7",
    ]  # fmt: skip
    assert lines[-1] == "> hosts: and 2 more tables"
    assert len(lines) == 11
    served.commands.job_rows = [job_row(running=str(RUN))]
    assert "> " not in syncd(served, "status").stdout


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ([], "0"),
        ([FAST], "1,200 of 5,000, 300 a second, 1m left"),
        ([FAST, FAST | {"seconds_left": 5.0}], "2,400 of 10,000, 601 a second, 1m left"),
        ([FAST, DONE], "1,207, 300 a second, 1m left"),
        ([FAST, NEW], "1,207, 300 a second"),
        ([{"state": "running", "done": 5, "of": 10}], "5 of 10"),
    ],
)
def test_a_run_is_as_far_as_its_items_together(targets, words):
    assert how_far(targets) == words

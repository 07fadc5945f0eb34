"""Tables that are copied again and again while they are written: in the end, both are equal."""

import time

import pytest
from copy_writers import await_now, make_table, writing
from thorough import times

SECONDS = min(60, times(6))
"""How long the writers are at work; a minute if somebody asks for it."""


@pytest.mark.parametrize(
    "pair", ["other-pg to pg", "maria to pg", "other-pg to maria", "maria to maria"]
)
def test_late_commits_ties_and_nulls_are_all_copied_in_the_end(between, pair, seed):
    copy = between(pair)
    make_table(copy.source, "orders", 500)
    copy.copies(
        "orders", "orders", mode="incremental", watermark="updated_at", lookback="6s",
        delete="hard", max_delete_percent=100, page_rows=100,
    )  # fmt: skip
    copy.jobs["same"] = {"kind": "consistency_check", "copy": "orders", "recheck": "0s"}
    copy.configure()
    process = copy.up()
    runs = 0
    with writing(copy.source, "orders", seed, 0.5, threads=6, early=True) as writers:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            copy.succeed("orders")
            runs += 1
    print(f"{writers.commits} commits, {runs} runs")
    await_now(copy.source, "orders")
    copy.succeed("orders")
    stamped = "updated_at is not null"
    assert copy.difference("orders", stamped)[0] == [], "what the watermark tells"
    copy.change_to_full("orders")
    copy.succeed("orders")
    assert copy.equal("orders")
    row = copy.succeed("orders")
    assert (row["added"], row["updated"], row["deleted"]) == (0, 0, 0), "nothing is done again"
    check_the_check(copy)
    assert process.stop() == 0
    assert "Traceback" not in process.text


def check_the_check(copy):
    """Check that a check finds both sides equal, and one byte that is changed by hand."""
    (item,) = copy.items(copy.succeed("same"))
    told = item["details"]
    assert (told["equal"], told["exact"], told["differing"]) == (True, True, 0)
    assert told["left_rows"] == told["right_rows"] == copy.count("orders")
    copy.target.execute("update orders set note = 'first 8' where id = -7")
    row = copy.run("same")
    assert row["status"] == "failed"
    (item,) = copy.items(row)
    assert item["details"]["differences"] == [
        {"key": {"id": "-7"}, "columns": {"note": ["first 7", "first 8"]}}
    ]

"""Incremental copies: the watermark, its bound and its lookback."""

from dataclasses import replace
from datetime import timedelta

import pytest
from memory_copies import COLUMNS, Copies, Died, at, incremental
from memory_tables import MemoryTable

from syncd.copies.layout import Misfit
from syncd.model.copy import ColumnRules, Watermark
from syncd.model.run import Counts
from syncd.model.table import Type


def test_the_first_pass_is_full_and_the_next_ones_read_what_is_new():
    copies = incremental()
    limits = iter([100, 200])
    copies.source.bound = lambda: at(next(limits))
    copies.numbered(20)
    assert copies.run().counts == Counts(total=20, added=20)
    assert copies.report.details["pass"] == "full"
    assert copies.state.watermark == at(100)
    copies.fill((b"3", at(100), b"changed"), (b"30", at(150), b"new"), (b"31", at(200), b"later"))
    assert copies.run().counts == Counts(total=2, added=1, updated=1)
    assert copies.report.details["pass"] == "incremental"
    assert copies.report.details["beyond_bound"] == 1
    assert copies.report.details["order"] == ["changed", "id"]
    assert copies.state.watermark == at(200)


def test_the_bound_of_a_full_pass_is_taken_before_its_snapshot():
    copies = incremental()
    copies.source.bound = lambda: at(100)
    copies.numbered(3)

    def late(name: str) -> None:
        if name == "bound":
            copies.fill((b"50", at(99), b"committed by now"))

    copies.run(step=late)
    assert (b"50",) in copies.copied.rows


def test_without_a_bound_the_latest_value_seen_counts_but_for_the_future():
    copies = incremental()
    copies.numbered(10)
    copies.fill((b"99", b"2099-01-01 00:00:00", b"future"))
    copies.clock.at += timedelta(hours=1)
    copies.run()
    assert copies.state.watermark == at(10)
    assert copies.report.details["bounded"] is False
    copies.fill((b"11", at(10), b"a tie"), (b"12", at(12), b"new"))
    assert copies.run().counts == Counts(total=4, added=2, unchanged=2)
    assert copies.state.watermark == at(12)
    assert copies.same


def test_rows_without_a_watermark_are_read_by_full_passes_and_counted():
    copies = incremental(100, full_every=timedelta(days=1))
    copies.numbered(3)
    copies.run()
    copies.fill((b"9", None, b"never"))
    copies.run()
    assert copies.report.details["null_watermark"] == 1
    assert (b"9",) not in copies.copied.rows
    copies.clock.at += timedelta(days=1)
    copies.run()
    assert copies.report.details["pass"] == "full"
    assert copies.same


def test_lookback_reads_a_window_again():
    copies = incremental(100, watermark=Watermark("changed", timedelta(seconds=50)))
    copies.numbered(3)
    copies.run()
    copies.fill((b"4", at(60), b"late"), (b"5", at(40), b"too late"))
    copies.run()
    assert (b"4",) in copies.copied.rows
    assert (b"5",) not in copies.copied.rows


def test_a_bound_that_went_back_is_where_the_next_pass_begins():
    copies = incremental()
    limits = iter([100, 50, 70])
    copies.source.bound = lambda: at(next(limits))
    copies.numbered(3)
    copies.run()
    copies.run()
    assert copies.state.watermark == at(50)
    copies.fill((b"4", at(60), b"by the clock that was put back"))
    copies.run()
    assert copies.same


def test_a_bound_that_went_back_counts_though_its_pass_ends_early():
    copies = incremental()
    limits = iter([100, 50, 70])
    copies.source.bound = lambda: at(next(limits))
    copies.numbered(3)
    copies.run()
    with pytest.raises(Died):
        copies.run(step=lambda name: name == "page" and _raise(Died()))
    copies.fill((b"4", at(60), b"by the clock that was put back"))
    copies.run()
    assert copies.same


def test_lookback_begins_at_a_bound_that_went_back():
    copies = incremental(watermark=Watermark("changed", timedelta(seconds=20)))
    limits = iter([100, 50])
    copies.source.bound = lambda: at(next(limits))
    copies.numbered(3)
    copies.run()
    copies.fill((b"4", at(40), b"late, by the clock that was put back"))
    copies.run()
    assert copies.same


@pytest.mark.parametrize("bound", [200, None])
def test_an_incremental_pass_that_ended_early_spares_the_next_one_its_pages(bound):
    copies = incremental(page_rows=5)
    copies.clock.at += timedelta(hours=1)
    copies.numbered(1)
    copies.run()
    copies.source.bound = lambda: bound and at(bound)
    copies.numbered(40)

    def dies(name: str) -> None:
        if name == "commit" and len(copies.copied.rows) > 20:
            raise Died

    with pytest.raises(Died):
        copies.run(step=dies)
    assert copies.state.watermark == at(len(copies.copied.rows))
    assert copies.run().counts.total < 25
    assert copies.same


def test_rows_that_are_read_again_do_not_move_the_watermark_back():
    copies = incremental(100, watermark=Watermark("changed", timedelta(seconds=90)), page_rows=5)
    copies.numbered(60)
    copies.run()
    copies.source.bound = lambda: at(101)
    with pytest.raises(Died):
        copies.run(step=lambda name: name == "committed" and _raise(Died()))
    assert copies.state.position
    assert copies.state.watermark == at(100)


def _raise(error: BaseException) -> None:
    raise error


def test_a_first_full_pass_that_failed_is_followed_by_a_full_one():
    copies = incremental(100)
    copies.numbered(40)
    with pytest.raises(Died):
        copies.run(die_at=40)
    assert copies.state.watermark is None
    copies.run()
    assert copies.report.details["pass"] == "full"
    assert copies.same


def test_an_incremental_copy_of_an_emptied_target_is_full_until_one_is_over():
    copies = incremental(100)
    copies.numbered(40)
    copies.run()
    copies.copied.rows.clear()
    with pytest.raises(Died):
        copies.run(die_at=40)
    assert copies.copied.rows
    copies.run()
    assert copies.same


def test_rows_that_change_between_two_snapshots_are_not_lost():
    copies = Copies(mode="incremental", watermark=Watermark("id", 0))
    copies.source.tables["orders"] = MemoryTable(list(COLUMNS), ("note",))
    copies.fill(*((str(n).encode(), at(n), b"%02d" % n) for n in range(1, 41)))
    with pytest.raises(Died):
        copies.run(die_at=40)
    passed = len(copies.copied.rows)
    assert 0 < passed < 30
    copies.fill((b"41", at(41), b"01"), (b"42", at(42), b"40"))
    copies.attempt()
    assert copies.report.details["resumed"] == 1
    copies.run()
    assert copies.report.details["pass"] == "incremental"
    assert copies.same


@pytest.mark.parametrize("changed", ["watermark", "source", "query", "database"])
def test_a_watermark_of_something_else_counts_for_nothing(changed):
    copies = incremental(100)
    copies.numbered(4)
    copies.run()
    if changed == "watermark":
        copies.rules = replace(copies.rules, watermark=Watermark("id"))
    else:
        copies.source.tables["other"] = copies.orders
        other = {"source": {"table": "other"}, "query": {"query": "select"},
                 "database": {"database": "other"}}[changed]  # fmt: skip
        relation = replace(copies.rules.source, **other)
        copies.rules = replace(copies.rules, source=relation)
    copies.run()
    assert copies.report.details["pass"] == "full"


def test_a_numeric_watermark_has_no_bound_and_a_lookback_of_numbers():
    copies = Copies(mode="incremental", watermark=Watermark("id", 2))
    copies.source.bound = lambda: pytest.fail("asked for the bound of a number")
    copies.numbered(12)
    copies.run()
    assert copies.state.watermark == b"12"
    copies.numbered(2, first=13)
    assert copies.run().counts == Counts(total=5, added=2, unchanged=3)
    assert copies.report.details["order"] == ["id"]


@pytest.mark.parametrize(
    ("watermark", "told"),
    [
        (Watermark("note"), "neither a time nor a number"),
        (Watermark("changed", 5), "lookback has to be a duration"),
        (Watermark("id", timedelta(1)), "lookback has to be a number"),
        (Watermark("nothing"), "no column nothing"),
    ],
)
def test_watermarks_without_an_order_over_time_are_refused(watermark, told):
    copies = Copies(mode="incremental", watermark=watermark)
    with pytest.raises(Misfit, match=told):
        copies.run()
    assert copies.target.tables == {}


def test_a_watermark_that_is_not_copied_is_read_all_the_same():
    copies = incremental(100, columns=ColumnRules(exclude=("changed",)))
    copies.numbered(10)
    copies.run()
    copies.fill((b"11", at(100), b"new"))
    copies.source.bound = lambda: at(200)
    assert copies.run().counts.added == 1
    assert [column.name for column in copies.copied.columns] == ["id", "note"]


@pytest.mark.parametrize(("kind", "zone"), [("timestamp", "Asia/Shanghai"), ("instant", None)])
def test_the_zone_of_a_watermark_is_told_where_its_type_has_none(kind, zone):
    copies = Copies(mode="incremental", watermark=Watermark("changed", None, "Asia/Shanghai"))
    columns = [replace(each, type=Type(kind, scale=6)) if each.name == "changed" else each
               for each in COLUMNS]  # fmt: skip
    copies.source.tables["orders"] = MemoryTable(columns, ("id",))
    copies.numbered(3)
    copies.run()
    assert copies.report.details.get("watermark_zone") == zone

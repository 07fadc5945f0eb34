"""Plans of copies, and tables without a key."""

from dataclasses import replace

import pytest
from memory_copies import COLUMNS, Copies, at, refuse
from memory_tables import MemoryTable

from syncd.copies.layout import Misfit
from syncd.model.copy import ColumnRules
from syncd.model.run import Counts


def test_a_plan_tells_what_would_change_and_changes_nothing():
    copies = Copies(delete="hard", max_rejected=1)
    copies.numbered(20)
    copies.run()
    copies.fill((b"3", at(3), b"changed"), (b"40", at(11), b"new"), (b"41", at(12), b"bad"))
    copies.target.refuses = refuse(41)
    del copies.orders.rows[b"7",]
    before, states = dict(copies.copied.rows), dict(copies.target.states)
    copied = copies.plan()
    assert copied.counts == Counts(total=21, added=1, updated=1, unchanged=18, errors=1, deleted=1)
    assert copied.samples.added == [(b"40",)]
    assert copied.samples.updated == [(b"3",)]
    assert copied.samples.deleted == [(b"7",)]
    assert [each.key for each in copied.samples.rejected] == ['["41"]']
    assert (copies.copied.rows, copies.target.states) == (before, states)
    assert copies.rejected == {}


def test_a_plan_of_a_missing_table_says_that_it_would_be_made():
    copies = Copies()
    copies.numbered(7)
    copied = copies.plan()
    assert copied.created
    assert [column.name for column in copied.made] == ["id", "changed", "note"]
    assert copied.counts == Counts(total=7, added=7)
    assert copies.target.tables == {}
    assert copies.target.states == {}


def test_a_plan_with_a_column_to_be_added_adds_none():
    copies = Copies(columns=ColumnRules(new="evolve"), delete="soft")
    copies.target.tables["copied"] = MemoryTable(list(COLUMNS[:2]), ("id",))
    copies.numbered(3)
    copied = copies.plan()
    assert [column.name for column in copied.made] == ["note", "deleted_at"]
    assert len(copies.copied.columns) == 2
    copies.run()
    assert [column.name for column in copies.copied.columns] == [
        "id", "changed", "note", "deleted_at",
    ]  # fmt: skip
    assert copies.report.details["new_columns"] == ["note", "deleted_at"]


def without_note(**rules):
    """Return copies whose target has all four rows, but not the column of the notes of three."""
    copies = Copies(**rules)
    copies.source.bound = lambda: at(5)
    copies.target.tables["copied"] = MemoryTable(list(COLUMNS[:2]), ("id",))
    copies.numbered(3)
    copies.fill((b"4", at(4), None))
    copies.run()
    return copies


def test_a_plan_tells_of_rows_that_may_differ_in_new_columns_alone():
    copies = without_note()
    copies.configure(columns=ColumnRules(new="evolve"))
    assert copies.plan().counts == Counts(total=4, unchanged=4)
    assert copies.report.details["new_values"] == {"note": 3}
    assert copies.run().counts == Counts(total=4, updated=3, unchanged=1)
    assert "new_values" not in copies.report.details


def test_of_an_incremental_pass_only_what_it_reads_may_differ():
    copies = without_note(mode="incremental")
    copies.source.bound = lambda: at(10)
    copies.fill((b"6", at(6), b"new"), (b"11", at(11), b"later"))
    copies.configure(mode="incremental", columns=ColumnRules(new="evolve"))
    copies.plan()
    assert copies.report.details["new_values"] == {"note": 1}


@pytest.mark.parametrize(
    "rules",
    [
        {"columns": ColumnRules(new="freeze")},
        {"columns": ColumnRules(new="evolve", mask={"note": "null"})},
        {"columns": ColumnRules(new="evolve"), "conflict": "skip"},
    ],
)
def test_a_plan_tells_of_no_values_that_no_row_is_updated_for(rules):
    copies = without_note()
    copies.configure(**rules)
    copies.plan()
    assert "new_values" not in copies.report.details


def test_rows_without_a_key_are_refused_before_anything_is_written():
    copies = Copies()
    copies.source.tables["orders"] = MemoryTable(
        [replace(COLUMNS[0], nullable=True), *COLUMNS[1:]], ("id",)
    )
    copies.orders.rows[b"",] = (None, at(1), b"none")
    with pytest.raises(Misfit, match="1 rows have NULL in id"):
        copies.run()
    assert copies.target.tables == {}

"""Rows that are gone from the source of a copy, and what keeps them from being deleted."""

import pytest
from memory_copies import COLUMNS, Copies, at, refuse
from memory_tables import MemoryTable

from syncd.errors import Guarded
from syncd.model.deletion import DeletionPolicy
from syncd.model.run import Counts
from syncd.model.table import Column, Type


def test_rows_that_are_gone_are_deleted():
    copies = Copies(delete="hard")
    copies.numbered(20)
    copies.run()
    for n in (1, 7, 20):
        del copies.orders.rows[str(n).encode(),]
    assert copies.run().counts == Counts(total=17, unchanged=17, deleted=3)
    assert copies.same


def test_a_key_that_no_row_of_the_target_can_have_hinders_no_deletion():
    copies = Copies(delete="hard", max_rejected=9)
    copies.numbered(20)
    copies.target.refuses = refuse(5, 6)
    copies.target.refuses_key = lambda key: key in [(b"5",), (b"6",)]
    copies.run()
    del copies.orders.rows[b"7",]
    assert copies.run().counts == Counts(total=19, unchanged=17, errors=2, deleted=1)
    assert set(copies.orders.rows) - set(copies.copied.rows) == {(b"5",), (b"6",)}


def test_a_row_that_came_back_is_not_deleted():
    copies = Copies(delete="hard")
    copies.numbered(20)
    copies.run()
    gone = {key: copies.orders.rows.pop(key) for key in [(b"7",), (b"8",)]}

    def returns(name: str) -> None:
        if name == "existing":
            copies.orders.rows[b"7",] = gone[b"7",]

    assert copies.run(step=returns).counts.deleted == 1
    assert copies.same


def test_too_many_deletions_are_not_made():
    copies = Copies(delete="hard", deletions=DeletionPolicy(max_percent=30, max_count=2))
    copies.numbered(20)
    copies.run()
    for n in range(1, 11):
        del copies.orders.rows[str(n).encode(),]
    copies.fill((b"30", at(30), b"new"))
    copied = copies.run()
    assert isinstance(copied.failure, Guarded)
    assert "10 rows that" in str(copied.failure)
    assert "max_delete_percent = 30 and max_delete_count = 2" in str(copied.failure)
    assert copied.counts == Counts(total=11, added=1, unchanged=10)
    assert len(copies.copied.rows) == 21
    assert copies.report.details["guarded"] == 10
    again = copies.attempt()
    assert isinstance(again.failure, Guarded)


def test_as_many_as_stay_may_be_deleted():
    copies = Copies(delete="hard", deletions=DeletionPolicy(max_percent=30, max_count=10))
    copies.numbered(20)
    copies.run()
    for n in range(1, 11):
        del copies.orders.rows[str(n).encode(),]
    assert copies.run().counts.deleted == 10


@pytest.mark.parametrize("count", [1, 20])
def test_an_empty_source_deletes_nothing(count):
    copies = Copies(delete="hard")
    copies.numbered(count)
    copies.run()
    copies.orders.rows.clear()
    copied = copies.run()
    assert isinstance(copied.failure, Guarded)
    assert str(copied.failure).startswith("the source is empty: 1 row " if count == 1 else
                                          "the source is empty: 20 rows ")  # fmt: skip
    assert len(copies.copied.rows) == count
    assert str(copies.attempt().failure) == str(copied.failure)


def test_soft_deletion_marks_and_revives():
    copies = Copies(delete="soft")
    copies.numbered(5)
    copies.run()
    assert copies.copied.columns[-1].name == "deleted_at"
    gone = copies.orders.rows.pop((b"2",))
    assert copies.run().counts == Counts(total=4, unchanged=4, deleted=1)
    assert copies.copied.rows[b"2",][3] is not None
    assert copies.run().counts == Counts(total=4, unchanged=4)
    copies.orders.rows[b"2",] = gone
    assert copies.run().counts == Counts(total=5, unchanged=4, updated=1)
    assert copies.copied.rows[b"2",][3] is None


def test_a_mark_that_is_spelled_otherwise_is_set_all_the_same():
    copies = Copies(delete="soft")
    columns = [*COLUMNS[:1], Column("Deleted_At", Type("timestamp", scale=6), "datetime(6)")]
    copies.target.tables["copied"] = MemoryTable(columns, ("id",), engine="mariadb")
    copies.numbered(5)
    copies.run()
    del copies.orders.rows[b"2",]
    assert copies.run().counts.deleted == 1
    assert len(copies.copied.rows) == 5
    assert copies.copied.rows[b"2",][1] is not None

"""Rows that the target of a copy refuses: found, named, counted, put aside."""

from dataclasses import replace

import pytest
from memory_copies import COLUMNS, Copies, Died, at, incremental, refuse
from memory_tables import MemoryTable

from syncd.copies.rejects import TooManyRefused
from syncd.engines.tables import Busy
from syncd.errors import Conflict, StoreError
from syncd.model.copy import ColumnRules
from syncd.model.run import Counts


def test_refused_rows_are_put_aside(undecoded):
    copies = Copies(max_rejected=3)
    copies.target.undecoded = undecoded
    copies.target.refuses = refuse(2, 3, 19)
    copies.numbered(20)
    copied = copies.run()
    assert copied.counts == Counts(total=20, added=17, errors=3)
    assert sorted(copies.rejected) == ['["19"]', '["2"]', '["3"]']
    assert copies.rejected['["2"]'].error == "that is no good"
    assert '"note": "note"' in copies.rejected['["2"]'].row
    assert copies.report.details["rejected"] == 3
    assert len(copies.copied.rows) == 17


def test_one_refused_row_too_many_fails_and_keeps_nothing_of_its_page(undecoded):
    copies = Copies(max_rejected=1, page_rows=4)
    copies.target.undecoded = undecoded
    copies.target.refuses = refuse(3, 6)
    copies.numbered(20)
    with pytest.raises(TooManyRefused, match=r"2 rows were refused, more than max_rejected = 1"):
        copies.run()
    assert sorted(copies.copied.rows) == [(b"1",), (b"2",), (b"4",)]
    assert '["6"]' in copies.rejected


def test_without_a_limit_the_first_refused_row_is_named():
    copies = Copies()
    copies.target.refuses = refuse(3)
    copies.numbered(20)
    with pytest.raises(TooManyRefused, match=r"the row with the key 3 was refused.*no good"):
        copies.run()
    assert copies.copied.rows == {}


def test_refused_rows_count_over_the_attempts_of_a_run():
    copies = Copies(max_rejected=2)
    copies.target.refuses = refuse(1, 18, 19)
    copies.numbered(20)
    with pytest.raises(Died):
        copies.run(die_at=30)
    assert copies.state.counts.errors == 1
    with pytest.raises(TooManyRefused):
        copies.attempt()


def test_a_page_that_is_made_again_puts_no_row_aside_before(monkeypatch):
    monkeypatch.setattr("syncd.copies.pages.PAUSES", (0.0,))
    copies = Copies(max_rejected=5)
    copies.numbered(3)
    copies.run()
    copies.fill((b"2", at(2), b"new"), (b"9", at(9), b"late"))

    def others_first(name: str) -> None:
        if name == "part" and copies.target.refuses(row):
            copies.target.refuses = lambda _row: None
            raise Busy("others")

    row = {"id": b"2"}
    copies.target.refuses = refuse(2)
    copied = copies.run(step=others_first)
    assert (copied.counts.errors, copies.rejected) == (0, {})


def test_no_page_is_committed_whose_refused_rows_could_not_be_put_aside(undecoded, monkeypatch):
    copies = Copies(max_rejected=5)
    copies.target.undecoded = undecoded
    copies.numbered(3)
    copies.target.refuses = refuse(2)

    def without_store(_copies: Copies, _rows: object) -> None:
        raise StoreError("gone")

    with monkeypatch.context() as patch, pytest.raises(StoreError):  # noqa: PT012
        patch.setattr(Copies, "_reject", without_store)
        copies.run()
    assert copies.copied.rows == {}
    copies.attempt()
    assert len(copies.rejected) == 1


def test_rows_that_come_into_a_page_that_is_gone_through_by_rows_are_copied():
    copies = incremental(1.5)
    copies.numbered(1)
    copies.run()
    copies.source.bound = lambda: at(1000)
    copies.configure(mode="incremental", max_rejected=5)
    copies.fill(*((b"%d" % n, at(2), b"note") for n in range(10, 50, 2)))
    copies.target.refuses = refuse(12)

    def another(name: str) -> None:
        if name == "rows" and (b"11",) not in copies.orders.rows:
            copies.fill((b"11", at(2), b"between"))

    copies.run(step=another)
    del copies.orders.rows[b"12",]
    assert copies.same


def test_the_rejected_row_is_masked_as_the_copy_masks_it():
    copies = Copies(max_rejected=9, columns=ColumnRules(mask={"note": "hash"}))
    copies.target.refuses = refuse(2)
    copies.fill((b"1", at(1), b"secret"), (b"2", at(2), b"secret"))
    copies.run()
    assert "secret" not in str(copies.rejected)
    assert copies.copied.rows[b"1",][2] != b"secret"
    assert len(copies.copied.rows[b"1",][2]) == 64


def test_conflict_error_fails_and_keeps_nothing_of_the_page():
    copies = Copies(conflict="error", max_rejected=100)
    copies.numbered(8)
    copies.run()
    copies.fill((b"6", at(6), b"changed"), (b"5", at(5), b"note"), (b"0", at(0), b"new"))
    with pytest.raises(Conflict):
        copies.run()
    assert copies.copied.rows[b"6",][2] == b"note"
    assert copies.rejected == {}


def test_of_rows_with_one_key_the_last_counts_though_others_are_refused():
    copies = Copies(page_rows=50, max_rejected=5)
    copies.source.tables["orders"] = MemoryTable(list(COLUMNS), ("id", "note"))
    copies.fill((b"1", at(1), b"a"), (b"1", at(2), b"b"), (b"2", at(4), b"d"))
    copies.rules = replace(copies.rules, source=replace(copies.rules.source, key=("id",)))
    copies.target.refuses = refuse(2)
    copies.run()
    assert copies.copied.rows == {(b"1",): (b"1", at(2), b"b")}


def test_rows_in_whose_place_a_later_one_came_count_as_unchanged(undecoded):
    copies = Copies(page_rows=50)
    copies.target.undecoded = undecoded
    copies.source.tables["orders"] = MemoryTable(list(COLUMNS), ("id", "note"))
    copies.fill((b"1", at(1), b"a"), (b"1", at(2), b"b"), (b"2", at(3), b"c"))
    copies.rules = replace(copies.rules, source=replace(copies.rules.source, key=("id",)))
    copied = copies.run()
    assert copied.counts == Counts(total=3, added=2, unchanged=1)
    assert copies.report.details["duplicates"] == 1

"""Copies of a table, step by step, on tables in memory."""

from dataclasses import replace
from datetime import timedelta

import pytest
from memory_copies import COLUMNS, Copies, Died, at
from memory_tables import MemoryTable, busy

from syncd.copies.layout import Misfit
from syncd.copies.pages import PAUSES, TakenOver
from syncd.copies.rejects import TooManyRefused
from syncd.engines.tables import Busy
from syncd.errors import BadData, Cancelled, Conflict, Guarded, StoreError
from syncd.model.copy import ColumnRules, Watermark
from syncd.model.deletion import DeletionPolicy
from syncd.model.run import Counts
from syncd.model.table import Column, Type


def same(copies: Copies) -> bool:
    return copies.copied.rows == copies.orders.rows


@pytest.fixture(params=[True, False], ids=["undecoded", "by rows"])
def undecoded(request: pytest.FixtureRequest) -> bool:
    return request.param


def test_a_missing_table_is_made_and_filled(undecoded):
    copies = Copies()
    copies.target.undecoded = undecoded
    copies.numbered(50)
    copied = copies.run()
    assert same(copies)
    assert copied.counts == Counts(total=50, added=50)
    assert copied.created
    assert copies.report.details["created"] is True
    assert ("blocks" in copies.steps) is undecoded
    assert copies.report.seen[-1] == (50, 50)
    assert copies.state.phase == "done"
    assert copies.steps.count("settle") == 1


def test_an_empty_source_copies_nothing(undecoded):
    copies = Copies()
    copies.target.undecoded = undecoded
    assert copies.run().counts == Counts()
    assert copies.copied.rows == {}


def test_only_what_differs_is_updated(undecoded):
    copies = Copies()
    copies.target.undecoded = undecoded
    copies.numbered(10)
    copies.run()
    copies.fill((b"3", at(3), b"changed"), (b"11", at(11), b"new"))
    copied = copies.run()
    assert copied.counts == Counts(total=11, added=1, updated=1, unchanged=9)
    assert same(copies)


@pytest.mark.parametrize("undecoded", [True, False])
def test_whatever_step_it_dies_at_the_next_attempt_ends_what_it_began(undecoded):
    died = 0
    while True:
        copies = Copies(delete="hard")
        copies.target.undecoded = undecoded
        copies.numbered(30)
        copies.run()
        copies.fill((b"3", at(3), b"changed"), (b"40", at(11), b"new"))
        del copies.orders.rows[b"7",], copies.orders.rows[b"30",]
        copies.run_id, copies.attempts = copies._new_run()
        try:
            copies.attempt(die_at=died)
        except Died:
            died += 1
        else:
            break
        copied = copies.attempt()
        assert same(copies)
        assert copied.counts == Counts(total=29, added=1, updated=1, unchanged=27, deleted=2)
    assert died > 30


def test_an_attempt_goes_on_behind_the_last_page():
    copies = Copies()
    copies.numbered(40)
    seen = 0

    def dies(name: str) -> None:
        nonlocal seen
        seen += name == "committed"
        if seen == 5:
            raise Died

    with pytest.raises(Died):
        copies.run(step=dies)
    reached = copies.state.position
    copied = copies.attempt()
    assert copied.counts == Counts(total=40, added=40)
    assert copies.report.details["resumed"] == 1
    assert copies.steps.count("put") < 10
    assert reached == (b"20",)
    assert same(copies)


def test_an_attempt_whose_rows_have_another_order_begins_again():
    copies = Copies()
    copies.fill(*((b"%d" % n, at(n), b"%02d" % (50 - n)) for n in range(1, 41)))
    with pytest.raises(Died):
        copies.run(die_at=40)
    assert 0 < len(copies.copied.rows) < 40
    for server, name in ((copies.source, "orders"), (copies.target, "copied")):
        keyed = MemoryTable(list(COLUMNS), ("note", "id"))
        for row in server.tables[name].rows.values():
            keyed.put(*row)
        server.tables[name] = keyed
    copies.attempt()
    assert same(copies)


def test_a_new_run_does_not_go_on_where_another_one_ended():
    copies = Copies()
    copies.numbered(40)
    with pytest.raises(Died):
        copies.run(die_at=30)
    copies.fill((b"1", at(1), b"changed"))
    copied = copies.run()
    assert copied.counts.total == 40
    assert copied.counts.updated == 1
    assert same(copies)


def test_a_run_that_claimed_and_died_does_not_take_another_run_for_itself():
    copies = Copies()
    copies.numbered(3)
    copies.run()
    copies.numbered(5)
    copies.run_id, copies.attempts = copies._new_run()

    def dies(name: str) -> None:
        if name == "claimed":
            raise Died

    with pytest.raises(Died):
        copies.attempt(step=dies)
    assert copies.attempt().counts == Counts(total=5, added=2, unchanged=3)


def test_a_run_that_is_done_says_again_what_it_did():
    copies = Copies()
    copies.numbered(5)
    first = copies.run()
    details = copies.report.details
    again = copies.attempt()
    assert again.counts == first.counts
    assert "put" not in copies.steps
    del details["rows_per_second"]
    assert copies.report.details == details


def test_a_target_that_was_dropped_between_attempts_is_filled_from_the_start():
    copies = Copies()
    copies.numbered(40)
    with pytest.raises(Died):
        copies.run(die_at=30)
    assert copies.state.position
    del copies.target.tables["copied"]
    assert copies.attempt().counts == Counts(total=40, added=40)
    assert same(copies)


def test_a_target_that_is_dropped_under_the_copy_fails_it():
    copies = Copies()
    copies.numbered(40)

    def drops(name: str) -> None:
        if name == "written" and len(copies.copied.rows) > 10:
            del copies.target.tables["copied"]

    with pytest.raises(BadData):
        copies.run(step=drops)
    copies.attempt()
    assert same(copies)


def test_an_attempt_that_was_given_up_writes_nothing_more():
    copies = Copies()
    copies.numbered(20)
    others = []

    def other(name: str) -> None:
        if name == "put" and not others:
            others.append(True)
            copies.attempts += 1
            others.append(copies._make(copies.attempts, None, None))

    with pytest.raises(TakenOver):
        copies.run(step=other)
    assert others[1].counts.total == 20
    assert same(copies)
    assert copies.state.counts == others[1].counts


def test_a_page_that_an_earlier_attempt_commits_before_the_claim_counts():
    copies = Copies()
    copies.numbered(20)
    with pytest.raises(Died):
        copies.run(die_at=24)
    stood = copies.state
    zombie = replace(stood, position=(b"16",), counts=Counts(total=16, added=16))

    def commits(name: str) -> None:
        if name == "claim" and copies.state == stood:
            for row in list(copies.orders.rows.items())[:16]:
                copies.copied.rows[row[0]] = row[1]
            copies.target.states = dict.fromkeys(copies.target.states, zombie)

    assert copies.attempt(step=commits).counts == Counts(total=20, added=20)
    assert copies.steps.count("claim") == 2


@pytest.mark.parametrize("name", ["put", "commit", "rows", "part", "page", "save"])
def test_a_page_that_others_were_in_the_way_of_is_made_again(name, monkeypatch):
    monkeypatch.setattr("syncd.copies.pages.PAUSES", (0.0,) * len(PAUSES))
    copies = Copies()
    copies.target.undecoded = False
    copies.numbered(20)
    assert copies.run(step=busy(3, name)).counts == Counts(total=20, added=20)
    assert same(copies)


@pytest.mark.parametrize("name", ["keep keys", "delete", "existing", "commit"])
def test_deletions_that_others_were_in_the_way_of_are_made_again(name, monkeypatch):
    monkeypatch.setattr("syncd.copies.pages.PAUSES", (0.0,) * len(PAUSES))
    copies = Copies(delete="hard")
    copies.numbered(20)
    copies.run()
    del copies.orders.rows[b"7",], copies.orders.rows[b"8",]
    copied = copies.run(step=busy(3, name))
    assert copied.counts == Counts(total=18, unchanged=18, deleted=2)
    assert same(copies)


def test_deletions_whose_commit_fails_count_once(monkeypatch):
    monkeypatch.setattr("syncd.copies.pages.PAUSES", (0.0,) * len(PAUSES))
    copies = Copies(delete="hard")
    copies.numbered(20)
    copies.run()
    del copies.orders.rows[b"7",]
    failed = []

    def fails(name: str) -> None:
        if name == "commit" and "delete" in copies.steps and not failed:
            failed.append(name)
            raise Busy("a deadlock")

    assert copies.run(step=fails).counts.deleted == 1
    assert failed
    assert copies.state.counts.deleted == 1


def test_others_that_stay_in_the_way_fail_the_copy(monkeypatch):
    monkeypatch.setattr("syncd.copies.pages.PAUSES", (0.0,) * len(PAUSES))
    copies = Copies()
    copies.numbered(20)
    with pytest.raises(Busy):
        copies.run(step=busy(100, "put"))
    assert copies.run().counts.total == 20


def test_others_that_stay_in_the_way_for_long_are_not_waited_for_again(monkeypatch):
    monkeypatch.setattr("syncd.copies.pages.PATIENCE", 0.0)
    copies = Copies()
    copies.numbered(20)
    with pytest.raises(Busy):
        copies.run(step=busy(1, "put"))
    assert copies.run().counts.total == 20


def test_pauses_end_at_once_when_cancelled(monkeypatch):
    monkeypatch.setattr("syncd.copies.pages.PAUSES", (50.0,))
    copies = Copies()
    copies.numbered(20)

    def cancels(name: str) -> None:
        if name == "put":
            copies.cancel.cancel(Cancelled("by hand"))
            raise Busy("a deadlock")

    with pytest.raises(Cancelled):
        copies.run(step=cancels)


def test_a_cancelled_copy_ends_at_once_and_may_go_on():
    copies = Copies()
    copies.numbered(40)

    def cancels(name: str) -> None:
        if name == "written" and len(copies.copied.rows) > 10:
            copies.cancel.cancel(Cancelled("by hand"))

    with pytest.raises(Cancelled):
        copies.run(step=cancels)
    assert len(copies.copied.rows) < 40


def test_an_attempt_that_comes_too_late_leaves_the_copy_to_the_later_one():
    copies = Copies()
    copies.numbered(20)

    def other(name: str) -> None:
        if name == "claim" and copies.attempts == 1:
            copies.attempts += 1
            copies._make(copies.attempts, None, None)

    with pytest.raises(TakenOver):
        copies.run(step=other)
    assert same(copies)


# rows that are refused


def refuse(*numbers: int):
    bad = {str(number).encode() for number in numbers}
    return lambda row: "that is no good" if row["id"] in bad else None


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
    assert same(copies)


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


# deletions


def test_rows_that_are_gone_are_deleted():
    copies = Copies(delete="hard")
    copies.numbered(20)
    copies.run()
    for n in (1, 7, 20):
        del copies.orders.rows[str(n).encode(),]
    assert copies.run().counts == Counts(total=17, unchanged=17, deleted=3)
    assert same(copies)


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
    assert same(copies)


def test_too_many_deletions_are_not_made():
    copies = Copies(delete="hard", deletions=DeletionPolicy(max_percent=30, max_count=2))
    copies.numbered(20)
    copies.run()
    for n in range(1, 11):
        del copies.orders.rows[str(n).encode(),]
    copies.fill((b"30", at(30), b"new"))
    copied = copies.run()
    assert isinstance(copied.failure, Guarded)
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
    assert len(copies.copied.rows) == count


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


# incremental copies


def incremental(bound: float | None = None, **rules) -> Copies:
    copies = Copies(mode="incremental", **rules)
    copies.source.bound = lambda: None if bound is None else at(bound)
    return copies


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
    assert same(copies)


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
    assert same(copies)


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
    assert same(copies)


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
    assert same(copies)


def test_lookback_begins_at_a_bound_that_went_back():
    copies = incremental(watermark=Watermark("changed", timedelta(seconds=20)))
    limits = iter([100, 50])
    copies.source.bound = lambda: at(next(limits))
    copies.numbered(3)
    copies.run()
    copies.fill((b"4", at(40), b"late, by the clock that was put back"))
    copies.run()
    assert same(copies)


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
    assert same(copies)


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
    assert same(copies)


def test_an_incremental_copy_of_an_emptied_target_is_full_until_one_is_over():
    copies = incremental(100)
    copies.numbered(40)
    copies.run()
    copies.copied.rows.clear()
    with pytest.raises(Died):
        copies.run(die_at=40)
    assert copies.copied.rows
    copies.run()
    assert same(copies)


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
    assert same(copies)


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


# plans


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


# keys


def test_rows_without_a_key_are_refused_before_anything_is_written():
    copies = Copies()
    copies.source.tables["orders"] = MemoryTable(
        [replace(COLUMNS[0], nullable=True), *COLUMNS[1:]], ("id",)
    )
    copies.orders.rows[b"",] = (None, at(1), b"none")
    with pytest.raises(Misfit, match="1 rows have NULL in id"):
        copies.run()
    assert copies.target.tables == {}

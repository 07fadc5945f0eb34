"""Copies of a table, step by step, on tables in memory."""

from dataclasses import asdict, replace

import pytest
from memory_copies import COLUMNS, Copies, Died, at
from memory_tables import MemoryTable, busy

from syncd.copies.pages import PAUSES, TakenOver
from syncd.engines.tables import Busy
from syncd.errors import BadData, Cancelled
from syncd.model.run import Counts


def test_a_missing_table_is_made_and_filled(undecoded):
    copies = Copies()
    copies.target.undecoded = undecoded
    copies.numbered(50)
    copied = copies.run()
    assert copies.same
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
    assert copies.same


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
        assert copies.same
        assert copied.counts == Counts(total=29, added=1, updated=1, unchanged=27, deleted=2)
    assert died > 30


def test_what_stands_is_told_while_it_grows():
    copies = Copies(delete="hard")
    copies.numbered(20)
    copies.run()
    for n in (1, 7, 20):
        del copies.orders.rows[str(n).encode(),]
    copied = copies.run()
    told = [told for name, told in copies.report.standing if name == "committed"]
    assert told[0] == asdict(Counts(total=4, unchanged=4))
    assert told[-1] == asdict(copied.counts)
    assert copied.counts.deleted == 3
    assert [each["total"] for each in told] == sorted(each["total"] for each in told)


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
    assert copies.same


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
    assert copies.same


def test_a_new_run_does_not_go_on_where_another_one_ended():
    copies = Copies()
    copies.numbered(40)
    with pytest.raises(Died):
        copies.run(die_at=30)
    copies.fill((b"1", at(1), b"changed"))
    copied = copies.run()
    assert copied.counts.total == 40
    assert copied.counts.updated == 1
    assert copies.same


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
    assert copies.same


def test_a_target_that_is_dropped_under_the_copy_fails_it():
    copies = Copies()
    copies.numbered(40)

    def drops(name: str) -> None:
        if name == "written" and len(copies.copied.rows) > 10:
            del copies.target.tables["copied"]

    with pytest.raises(BadData):
        copies.run(step=drops)
    copies.attempt()
    assert copies.same


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
    assert copies.same
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
    assert copies.same


@pytest.mark.parametrize("name", ["keep keys", "delete", "existing", "commit"])
def test_deletions_that_others_were_in_the_way_of_are_made_again(name, monkeypatch):
    monkeypatch.setattr("syncd.copies.pages.PAUSES", (0.0,) * len(PAUSES))
    copies = Copies(delete="hard")
    copies.numbered(20)
    copies.run()
    del copies.orders.rows[b"7",], copies.orders.rows[b"8",]
    copied = copies.run(step=busy(3, name))
    assert copied.counts == Counts(total=18, unchanged=18, deleted=2)
    assert copies.same


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
    assert copies.same

"""Too many accounts gone at once wait for approval; an attempt that lost its run writes nothing."""

import pytest
from fleet_accounts import JOB, account

from syncd.context import CancelSource
from syncd.errors import Cancelled
from syncd.store import recovery, views

MANY = 30


@pytest.fixture
def full(fleet, server):
    """Give the server once its accounts are known."""
    server.accounts_now = [account(f"u{n:02}") for n in range(MANY)]
    assert fleet.run()["added"] == MANY
    return server


def missing(fleet):
    query = "select account from syncd.db_account where missing_since is not null"
    return {row["account"] for row in fleet.rows(f"{query} and deleted_at is null")}


def test_too_many_deletions_wait_until_they_are_approved(fleet, full):
    gone = {each.account for each in full.accounts_now[:20]}
    full.accounts_now = full.accounts_now[20:]
    run = fleet.run()
    assert (run["status"], run["error_class"], run["deleted"]) == ("failed", "guard", 0)
    assert "20 of 30 accounts are gone" in run["items"]["db1"]["error"]
    assert run["items"]["db1"]["details"] == {"guarded": 20}
    assert (len(fleet.living()), missing(fleet), fleet.changes(run)) == (MANY, gone, {})
    with fleet.store.transaction() as tx:
        (held,) = views.guarded(tx)
    assert (held["job"], held["account"], held["type"]) == (JOB, "db1", "db_account")
    assert fleet.approve() == 20
    run = fleet.run()
    assert (run["status"], run["deleted"]) == ("success", 20)
    assert set(fleet.changes(run)) == gone
    assert fleet.rows("select * from syncd.guarded_deletion") == []


def test_accounts_that_are_back_are_no_longer_missing(fleet, full):
    all_of_them, full.accounts_now = full.accounts_now, full.accounts_now[20:]
    fleet.run()
    full.accounts_now = all_of_them
    run = fleet.run()
    assert (run["status"], run["unchanged"]) == ("success", MANY)
    assert (missing(fleet), fleet.changes(run)) == (set(), {})


def test_a_few_deletions_happen_and_the_limits_are_those_of_the_job(fleet):
    (server,) = fleet.scripted("db1", max_delete_percent=0, max_delete_count=1)
    server.accounts_now = [account(f"u{n}") for n in range(5)]
    fleet.run()
    server.accounts_now.pop()
    assert fleet.run()["deleted"] == 1
    del server.accounts_now[2:]
    assert fleet.run()["error_class"] == "guard"


def test_a_run_that_was_taken_over_meanwhile_writes_nothing(fleet, full):
    def depose():
        with fleet.store.transaction() as tx:
            recovery.recover(tx, owner="daemon:other", epoch=2, local="cli:x", now=full.now)

    (full.now,) = (row["now"] for row in fleet.rows("select now() as now"))
    full.before_answer, full.accounts_now = depose, [account("new")]
    kept = ("db_account", "db_account_change", "db_object", "scope", "guarded_deletion")
    before = fleet.versions(*kept)
    run = fleet.run()
    assert (run["status"], run["error_class"]) == ("failed", "interrupted")
    assert fleet.versions(*kept) == before
    assert fleet.rows("select 1 from syncd.db_account_stage") == []


def test_a_run_that_is_cancelled_while_it_reads_writes_nothing(fleet, full):
    source = CancelSource()
    full.before_answer = lambda: source.cancel(Cancelled("enough"))
    full.accounts_now = full.accounts_now[1:]
    run = fleet.run(source=source)
    assert (run["status"], run["deleted"]) == ("cancelled", 0)
    assert len(fleet.living()) == MANY


def test_two_readings_of_a_server_at_once_do_not_undo_each_other(fleet, full):
    new, standing = [*full.accounts_now, account("new")], list(full.accounts_now)

    def other_first():
        full.before_answer, full.accounts_now = lambda: None, new
        fleet.apply_beside("db1")
        full.accounts_now = standing

    full.before_answer = other_first
    run = fleet.run()
    assert (run["error_class"], run["deleted"]) == ("conflict", 0)
    assert "new" in fleet.living()

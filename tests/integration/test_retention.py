"""Which old records go and which stay, in what steps, and what must not be disturbed meanwhile."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg
import pytest
from dispatch_helpers import SECONDS, Bench, HandClock, spec
from retention_helpers import (
    add_changes,
    add_resource,
    add_run,
    add_runs,
    ago,
    guard,
    ids,
    insert,
    retention,
    steady,
)

from syncd.context import CancelSource, Clock, Deadline
from syncd.dispatch.planner import plan
from syncd.dispatch.progress import ItemReport, RunProgress
from syncd.dispatch.service import rehearsal
from syncd.errors import Cancelled, StoreError
from syncd.model.run import Selection
from syncd.store import retention as store_retention
from syncd.telemetry.run_logs import RunLogs


@pytest.fixture
def bench(migrated_dsn, tmp_path):
    made = Bench(migrated_dsn, tmp_path, Clock())
    set(steady(made))
    yield made
    made.close()


@pytest.fixture
def logs(tmp_path):
    return RunLogs(tmp_path)


def counts(bench):
    """Return what the last run says it removed, by target."""
    rows = bench.execute(
        """select target, i.deleted from syncd.run_item i join syncd.run r on r.id = i.run_id
           where r.job = 'j' order by r.created_at"""
    )
    return dict(rows)


def succeed(bench, job):
    end = bench.run(job)
    assert (end.outcome.status, end.outcome.error) == ("success", None)
    return counts(bench)


def planned(bench, job):
    """Return what a plan says would go, by target."""
    context = rehearsal(spec("j", job), Selection(), Clock(), bench.log)
    done = plan(bench.store, spec("j", job), context, RunProgress())
    assert [one.error for one in done] == [None] * len(done)
    assert [list(one.changes) for one in done] == [[]] * len(done)
    return {one.target: one.counts.deleted for one in done}


def test_which_runs_go_and_which_stay(bench, logs):
    insert(bench, "job_state", job="in-force", schedule="")
    goes = {
        "success": add_run(bench, 91),
        "failed": add_run(bench, 91, status="failed"),
        "cancelled": add_run(bench, 91, status="cancelled"),
        "last of a job that is no more": add_run(bench, 91, "gone"),
        "success before the last one": add_run(bench, 310, "idle"),
        "between the last success and the last end": add_run(bench, 250, "idle", "failed"),
        "many items and errors": add_run(bench, 300, items=50, errors=70),
    }
    stays = {
        "young": add_run(bench, 89),
        "active": add_run(bench, 200, status="pending"),
        "under way": add_run(bench, 200, "other", status="running"),
        "long under way": add_run(bench, 95, finished=89),
        "last success": add_run(bench, 300, "idle"),
        "last ended": add_run(bench, 200, "idle", "failed"),
        "last of a job in force": add_run(bench, 300, "in-force", "cancelled"),
        "of a scope": add_run(bench, 300),
        "of the guard": add_run(bench, 300),
        "of the future": add_run(bench, -5),
    }
    insert(
        bench, "scope", account="prod", region="cn-a", type="host", last_run_id=stays["of a scope"]
    )
    guard(bench, "i-1", stays["of the guard"])
    before = ids(bench, "run")

    job = retention(bench, logs, jobs=["hosts", "idle"])
    assert planned(bench, job)["runs"] == len(goes)
    assert ids(bench, "run") == before
    assert succeed(bench, job)["runs"] == len(goes)

    after = ids(bench, "run")
    assert {name for name, run in goes.items() if run in after} == set()
    assert {name for name, run in stays.items() if run not in after} == set()
    assert before - after == set(goes.values())
    assert ids(bench, "run_item", "run_id") <= after
    assert ids(bench, "run_error", "run_id") == before - set(goes.values())
    assert succeed(bench, job)["runs"] == 0


def test_which_changes_go_and_which_stay(bench, logs):
    add_changes(bench, 3, 401, "old")
    add_changes(bench, 2, 399, "young")
    add_changes(bench, 1, -2, "of the future")
    job = retention(bench, logs)
    assert planned(bench, job)["changes"] == 3
    assert succeed(bench, job)["changes"] == 3
    assert ids(bench, "resource_change", "resource_id") == {"young", "of the future"}


def test_which_resources_go_and_which_stay(bench, logs):
    add_resource(bench, "deleted long ago", 31)
    add_resource(bench, "deleted lately", 29)
    add_resource(bench, "living")
    add_resource(bench, "missing", missing_since=ago(300))
    add_resource(bench, "guarded", 300)
    guard(bench, "guarded")
    job = retention(bench, logs)
    assert planned(bench, job)["deleted_resources"] == 1
    assert succeed(bench, job)["deleted_resources"] == 1
    assert ids(bench, "resource", "resource_id") == {
        "deleted lately", "living", "missing", "guarded"
    }  # fmt: skip


def test_which_logs_go_and_which_stay(bench, logs):
    old, young = UUID(int=1), UUID(int=2)
    for run, days in ((old, 31), (young, 29)):
        logs.append(run, b"{}")
        os.utime(logs.path / f"{run}.log", (ago(days).timestamp(),) * 2)
    job = retention(bench, logs)
    assert planned(bench, job)["run_logs"] == 1
    assert len(list(logs.path.iterdir())) == 2
    assert succeed(bench, job)["run_logs"] == 1
    assert [file.name for file in logs.path.iterdir()] == [f"{young}.log"]


def test_where_nothing_was_ever_recorded_nothing_goes(bench, logs):
    bench.execute("delete from syncd.run")
    assert set(succeed(bench, retention(bench, logs)).values()) == {0}


def total(bench):
    """Return how many rows there are of runs, with what belongs to them, and of changes."""
    tables = ("run", "run_item", "run_error", "resource_change")
    return sum(bench.one(f"select count(*) from syncd.{table}") for table in tables)


def batches(bench, expired, rows):
    """Remove all that is over; return how many rows each batch took."""
    sizes, start = [], store_retention.START
    while True:
        before = total(bench)
        with bench.store.transaction() as tx:
            gone = expired.remove(tx, start, rows)
        if gone is None:
            return sizes
        start = gone.last
        sizes.append(before - total(bench))


def test_it_goes_in_batches_of_bounded_size(bench):
    add_changes(bench, 45, 500)
    assert batches(bench, store_retention.old_changes(ago(400)), 10) == [10, 10, 10, 10, 5]


def test_a_run_counts_for_its_batch_with_its_items_and_errors(bench):
    """One that is larger than a batch goes with the little that is before it."""
    for day in range(100, 112):
        add_run(bench, day, "gone", items=2, errors=1)
    add_run(bench, 105.5, "gone", items=40, errors=3)
    with bench.store.transaction() as tx:
        expired = store_retention.old_runs(tx, ago(90), ())
    assert batches(bench, expired, 10) == [12, 12, 44, 12, 12]


def test_others_read_and_write_while_a_batch_is_under_way(bench, migrated_dsn):
    add_runs(bench, 500, 100)
    add_changes(bench, 500, 500)
    for number in range(20):
        add_resource(bench, f"i-{number}", 40)
    young = add_run(bench, 1, status="pending")
    with (
        bench.store.transaction() as tx,
        psycopg.connect(migrated_dsn, options="-c lock_timeout=200", autocommit=True) as other,
    ):
        for expired in (
            store_retention.old_runs(tx, ago(90), ()),
            store_retention.old_changes(ago(400)),
            store_retention.old_resources(ago(30)),
        ):
            assert expired.remove(tx, store_retention.START)
        assert other.execute("select count(*) from syncd.run where job = 'many'").fetchone() == (
            500,
        )
        other.execute("update syncd.run set status = 'running' where id = %s", (young,))
        other.execute(
            "insert into syncd.run_item (run_id, target, attempt) values (%s, 'a', 1)", (young,)
        )
        other.execute(
            """insert into syncd.run (id, job, kind, trigger, max_attempts, scheduled_for,
                                      created_at, config_digest)
               values (gen_random_uuid(), 'new', 'cloud', 'manual', 1, now(), now(), 'd')"""
        )
        other.execute(
            """insert into syncd.resource_change
                   (run_id, account, region, type, resource_id, change, changed_at, fields)
               values (gen_random_uuid(), 'a', 'r', 'host', 'i', 'added', now(), '{}')"""
        )
        other.execute("update syncd.resource set name = 'x' where deleted_at is null")


def test_runs_that_are_marked_as_told_while_a_batch_looks_at_them_go_all_the_same(
    bench, migrated_dsn
):
    """The daemon marks runs that were told of; such a run is the same one as before."""
    add_runs(bench, 20, 100)
    with bench.store.transaction() as tx:
        expired = store_retention.old_runs(tx, ago(90), ())
    with (
        psycopg.connect(migrated_dsn) as other,
        psycopg.connect(migrated_dsn, autocommit=True) as watcher,
        ThreadPoolExecutor(1) as beside,
    ):
        other.execute("update syncd.run set told_at = now()")
        removing = beside.submit(batches, bench, expired, 1_000)
        while not watcher.execute("select 1 from pg_locks where not granted").fetchone():
            assert not removing.done()
        other.commit()
        assert removing.result() == [20]
    assert bench.one("select count(*) from syncd.run where job = 'many'") == 0


def test_two_at_once_remove_everything_once(bench):
    add_runs(bench, 3_000, 100)
    add_changes(bench, 3_000, 500)
    with bench.store.transaction() as tx:
        kinds = [store_retention.old_runs(tx, ago(90), ()), store_retention.old_changes(ago(400))]

    def remove(expired):
        rows, start = 0, store_retention.START
        while True:
            with bench.store.transaction() as tx:
                gone = expired.remove(tx, start, 100)
            if gone is None:
                return rows
            rows, start = rows + gone.rows, gone.last

    for expired in kinds:
        with ThreadPoolExecutor(2) as both:
            assert sum(both.map(remove, [expired, expired])) == 3_000
        with bench.store.transaction() as tx:
            assert expired.count(tx) == 0


def test_a_resource_that_somebody_restores_just_now_is_left_to_them(bench, logs, migrated_dsn):
    for key in ("i-1", "i-2", "i-3"):
        add_resource(bench, key, 40)
    with psycopg.connect(migrated_dsn) as other:
        other.execute(
            "select from syncd.resource where resource_id = 'i-2' for no key update"
        ).fetchone()
        assert succeed(bench, retention(bench, logs))["deleted_resources"] == 2
        other.execute("update syncd.resource set deleted_at = null")
    assert ids(bench, "resource", "resource_id") == {"i-2"}
    assert succeed(bench, retention(bench, logs))["deleted_resources"] == 0


def test_a_table_that_somebody_locks_is_not_waited_for_long(bench, logs, migrated_dsn):
    add_changes(bench, 5, 500)
    with psycopg.connect(migrated_dsn) as other:
        other.execute("lock table syncd.resource_change in share mode")
        began = time.monotonic()
        with pytest.raises(StoreError, match="lock timeout"), bench.store.transaction() as tx:
            store_retention.old_changes(ago(400)).remove(tx, store_retention.START)
        assert time.monotonic() - began < 10
    assert succeed(bench, retention(bench, logs))["changes"] == 5


def test_one_that_is_cancelled_keeps_what_it_has_done_and_the_next_one_goes_on(
    bench, logs, monkeypatch
):
    add_changes(bench, 12_000, 500)
    source = CancelSource()
    monkeypatch.setattr(
        ItemReport, "progress", lambda self, done, of=None: source.cancel(Cancelled("enough"))
    )
    end = bench.run(retention(bench, logs), source=source)
    assert (end.outcome.status, end.outcome.error) == ("cancelled", "enough")
    assert bench.one("select count(*) from syncd.resource_change") == 7_000
    item = bench.one("select status, details from syncd.run_item where target = 'changes'")
    assert (item[0], item[1]["removed"]) == ("cancelled", 5_000)
    monkeypatch.undo()
    assert succeed(bench, retention(bench, logs))["changes"] == 7_000


def test_what_its_time_limit_ends_goes_on_in_the_next_attempt(bench, logs, monkeypatch):
    add_changes(bench, 6_000, 500)
    claim, deadline = bench.begun(), Deadline.after(SECONDS)
    over = []

    def progress(self, done, of=None):
        over.append(True)

    monkeypatch.setattr(ItemReport, "progress", progress)
    monkeypatch.setattr(
        Deadline, "remaining", lambda self: -1.0 if over and self is deadline else SECONDS
    )
    end = bench.run(retention(bench, logs), claim, deadline=deadline)
    monkeypatch.undo()
    assert (end.outcome.status, end.outcome.error_class) == ("pending", "timeout")
    assert bench.one("select count(*) from syncd.resource_change") == 1_000
    end = bench.run(retention(bench, logs), bench.start(claim.run_id))
    assert end.outcome.status == "success"
    assert bench.one("select count(*) from syncd.resource_change") == 0


def test_one_whose_attempt_is_over_removes_nothing_more(bench, logs, monkeypatch):
    """As that of a daemon that was frozen, and another one has taken its runs over."""
    add_changes(bench, 6_000, 500)
    claim = bench.begun()

    def progress(self, done, of=None):
        bench.execute(
            "update syncd.run set owner_epoch = 2, attempt = 2 where id = %s", claim.run_id
        )

    monkeypatch.setattr(ItemReport, "progress", progress)
    job = retention(bench, logs)
    assert bench.runner.run(bench.attempt(spec("j", job), claim)) is None
    assert bench.one("select count(*) from syncd.resource_change") == 1_000


def test_clocks_that_disagree_let_nothing_go(bench, logs):
    add_runs(bench, 5, 500)
    add_changes(bench, 5, 500)
    ahead = HandClock(ago(-365 * 10))
    end = bench.run(retention(bench, logs, clock=ahead))
    assert (end.outcome.status, end.outcome.error_class) == ("failed", "guard")
    assert "until they agree" in str(end.outcome.error)
    assert bench.one("select count(*) from syncd.run where job = 'many'") == 5
    assert bench.one("select count(*) from syncd.resource_change") == 5


def jump(bench, days):
    """Make all records older, as they look when every clock has jumped ahead."""
    bench.execute(
        """update syncd.run set created_at = created_at - make_interval(days => %s),
                                finished_at = finished_at - make_interval(days => %s)""",
        days, days,
    )  # fmt: skip
    bench.execute(
        "update syncd.resource_change set changed_at = changed_at - make_interval(days => %s)", days
    )
    bench.execute(
        "update syncd.resource set deleted_at = deleted_at - make_interval(days => %s)", days
    )


def test_a_clock_that_jumped_years_ahead_takes_no_more_than_two_weeks_along(bench, logs):
    """The records of the last two weeks, and what was younger than 76 days, are there a week on."""
    kept, taken = add_run(bench, 70, "gone"), add_run(bench, 80, "gone")
    add_changes(bench, 1, 380, "kept")
    add_changes(bench, 1, 390, "taken")
    add_resource(bench, "kept", 10)
    add_resource(bench, "taken", 20)
    jump(bench, 3650)
    for _ in range(3):
        succeed(bench, retention(bench, logs))
        details = bench.execute("select distinct details ->> 'counted_from' from syncd.run_item")
        assert {row[0][:10] for row in details if row[0]} == {f"{ago(3650 + 1 - 14):%Y-%m-%d}"}
    runs = ids(bench, "run")
    assert kept in runs
    assert taken not in runs
    assert bench.one("select count(*) from syncd.run where job = 'daily'") == 14
    assert ids(bench, "resource_change", "resource_id") == {"kept"}
    assert ids(bench, "resource", "resource_id") == {"kept"}


def test_what_a_clock_has_said_for_a_week_is_believed(bench, logs):
    jump(bench, 3650)
    week = add_run(bench, 8, "hosts")
    assert succeed(bench, retention(bench, logs))["runs"] == 14
    assert week in ids(bench, "run")

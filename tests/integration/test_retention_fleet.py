"""What retention removes of the database fleet: changes, accounts, databases, months of sizes."""

from uuid import UUID

import psycopg
import pytest
from dispatch_helpers import Bench, HandClock, spec
from retention_helpers import add_run, ago, guard, ids, insert, retention, steady

from syncd.context import Clock
from syncd.dispatch.planner import plan
from syncd.dispatch.progress import RunProgress
from syncd.dispatch.service import rehearsal
from syncd.model.run import Selection
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


def removed(bench, job):
    """Return how the last run ended and what it says it removed, by target."""
    bench.run(job)
    rows = bench.execute(
        """select target, status, coalesce(error_class, ''), deleted from syncd.run_item
           where run_id = (select id from syncd.run where job = 'j'
                           order by created_at desc limit 1)"""
    )
    return {target: (status, error, gone) for target, status, error, gone in rows}


def planned(bench, job):
    of = spec("j", job)
    done = plan(bench.store, of, rehearsal(of, Selection(), Clock(), bench.log), RunProgress())
    return {one.target: one.counts.deleted for one in done}


def add_account_changes(bench, count, days, account="a"):
    bench.execute(
        """insert into syncd.db_account_change
               (run_id, server, account, change, granted, revoked, attributes_changed, changed_at)
           select gen_random_uuid(), 's', %s, 'updated', '[]', '[]', '{}',
                  now() - make_interval(days => %s, secs => n) from generate_series(1, %s) n""",
        account, days, count,
    )  # fmt: skip


def add_account(bench, account, deleted=None):
    insert(
        bench, "db_account", server="s", engine="postgresql", account=account, kind="user",
        active=True, attributes="{}", capabilities=[], privileges="[]", first_seen_at=ago(999),
        changed_at=ago(999), deleted_at=None if deleted is None else ago(deleted),
        run_id=UUID(int=1), digest=b"",
    )  # fmt: skip


def add_database(bench, database, gone=None):
    insert(
        bench, "db_catalog", server="s", database=database, engine="postgresql", system=False,
        first_seen_at=ago(999), last_seen_at=ago(999),
        gone_at=None if gone is None else ago(gone),
    )  # fmt: skip


def add_sizes(bench, days, count=1):
    """Store a size of each of some databases, of their server, and of a table, so long ago."""
    day = ago(days).date()
    bench.execute("select syncd.make_size_partitions(%s, %s)", day, day)
    bench.execute(
        """insert into syncd.db_size (server, database, collected_on, collected_at, size_bytes)
           select 's', n::text, %s, %s, 1 from generate_series(1, %s) n""",
        day, ago(days), count,
    )  # fmt: skip
    insert(bench, "server_size", server="s", collected_on=day, collected_at=ago(days),
           size_bytes=1, database_count=1)  # fmt: skip
    insert(bench, "db_table_size", server="s", database="1", schema="", table_name="t",
           collected_on=day, total_bytes=1, heap_bytes=1, index_bytes=0)  # fmt: skip


def days(bench, table):
    return sorted(ids(bench, table, "collected_on"))


def test_which_changes_of_accounts_go_and_which_stay(bench, logs):
    add_account_changes(bench, 7_000, 401, "old")
    add_account_changes(bench, 2, 399, "young")
    job = retention(bench, logs)
    assert planned(bench, job)["changes"] == 7_000
    assert removed(bench, job)["changes"] == ("success", "", 7_000)
    assert ids(bench, "db_account_change", "account") == {"young"}


def test_which_accounts_and_databases_go_and_which_stay(bench, logs):
    for name, deleted in {"old": 31, "young": 29, "living": None, "guarded": 300}.items():
        add_account(bench, name, deleted)
    insert(
        bench, "guarded_deletion", job="accounts", account="s", region="", type="db_account",
        resource_id="guarded", run_id=UUID(int=9), guarded_at=ago(500),
    )  # fmt: skip
    guard(bench, "old")  # a host that is called so, in an account that is not the server
    for name, gone in {"gone long ago": 31, "gone lately": 29, "standing": None}.items():
        add_database(bench, name, gone)
    job = retention(bench, logs)
    assert planned(bench, job)["deleted_resources"] == 2
    assert removed(bench, job)["deleted_resources"] == ("success", "", 2)
    assert ids(bench, "db_account", "account") == {"young", "living", "guarded"}
    assert ids(bench, "db_catalog", "database") == {"gone lately", "standing"}


def test_what_somebody_restores_just_now_is_left_to_them(bench, logs, migrated_dsn):
    for name in ("a", "b"):
        add_account(bench, name, 40)
        add_database(bench, name, 40)
    with psycopg.connect(migrated_dsn) as other:
        other.execute("update syncd.db_account set deleted_at = null where account = 'a'")
        other.execute("update syncd.db_catalog set gone_at = null where database = 'a'")
        assert removed(bench, retention(bench, logs))["deleted_resources"][2] == 2
    assert ids(bench, "db_account", "account") == {"a"}
    assert ids(bench, "db_catalog", "database") == {"a"}


def test_whole_months_of_sizes_go_and_a_plan_counts_them(bench, logs):
    for age in (1000, 900, 700, 1):
        add_sizes(bench, age, count=3)
    kept = [ago(700).date(), ago(1).date()]
    job = retention(bench, logs)
    assert planned(bench, job)["sizes"] == 2 * 5
    assert len(days(bench, "db_size")) == 4
    assert bench.execute("select * from syncd.size_horizon") == []
    assert removed(bench, job)["sizes"] == ("success", "", 10)
    for table in ("db_size", "server_size", "db_table_size"):
        assert days(bench, table) == kept
    kept_from = bench.one("select kept_from from syncd.size_horizon")
    assert kept_from.day == 1
    assert ago(900).date() < kept_from <= ago(800).date()
    assert removed(bench, job)["sizes"] == ("success", "", 0)


def drop_partitions(bench):
    for (name,) in bench.execute("select name from syncd.size_partition"):
        bench.execute(f"drop table syncd.{name}")


def test_room_is_made_for_three_months_ahead(bench, logs):
    drop_partitions(bench)
    assert removed(bench, retention(bench, logs))["sizes"] == ("success", "", 0)
    found = bench.execute("select table_name, from_day, until_day from syncd.size_partition")
    for table in ("db_size", "server_size", "db_table_size"):
        for ahead in (0, 31, 61, 92):
            day = ago(-ahead).date()
            assert [row for row in found if row[0] == table and row[1] <= day < row[2]], day


def test_a_plan_makes_no_room(bench, logs):
    drop_partitions(bench)
    assert planned(bench, retention(bench, logs))["sizes"] == 0
    assert bench.execute("select * from syncd.size_partition") == []


def test_a_table_that_somebody_reads_fails_that_target_alone_and_it_goes_the_next_time(
    bench, logs, migrated_dsn
):
    add_sizes(bench, 900)
    add_account_changes(bench, 3, 500)
    with psycopg.connect(migrated_dsn) as reader:
        reader.execute("select count(*) from syncd.server_size")
        done = removed(bench, retention(bench, logs))
        assert done["sizes"] == ("failed", "store", 0)
        assert done["changes"] == ("success", "", 3)
    assert bench.execute("select * from syncd.size_horizon") == []
    assert removed(bench, retention(bench, logs))["sizes"] == ("success", "", 3)


def test_one_whose_attempt_is_over_drops_nothing(bench, logs):
    add_sizes(bench, 900)
    claim = bench.begun()
    bench.execute("update syncd.run set owner_epoch = 2, attempt = 2 where id = %s", claim.run_id)
    assert bench.runner.run(bench.attempt(spec("j", retention(bench, logs)), claim)) is None
    assert len(days(bench, "db_size")) == 1


def test_clocks_that_disagree_let_no_month_go(bench, logs):
    add_sizes(bench, 900)
    done = removed(bench, retention(bench, logs, clock=HandClock(ago(-3650))))
    assert done["sizes"] == ("failed", "guard", 0)
    assert len(days(bench, "db_size")) == 1


@pytest.mark.parametrize("left", ["runs", "account changes", "sizes"])
def test_a_clock_that_jumped_ahead_takes_no_more_than_two_weeks_along(bench, logs, left):
    """Whatever kind of record tells when somebody was at work for the last time."""
    last = 3650
    bench.execute("delete from syncd.run")
    if left == "runs":
        add_run(bench, last)
    elif left == "account changes":
        add_account_changes(bench, 1, last)
    else:
        add_sizes(bench, last)
    add_sizes(bench, last + 700)
    add_sizes(bench, last + 900)
    assert removed(bench, retention(bench, logs))["sizes"] == ("success", "", 3)
    assert ago(last + 700).date() in days(bench, "db_size")

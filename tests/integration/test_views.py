"""The questions that people ask, against the real store and the real schema."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from syncd.errors import Conflict, NotFound
from syncd.model.queries import (
    RESOURCE_KEY,
    RUN_COLUMNS,
    RUN_START,
    ChangeQuery,
    ResourceQuery,
    RunQuery,
)
from syncd.model.run import new_run_id
from syncd.store import views
from syncd.store.database import Store

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def tx(migrated_dsn):
    store = Store(migrated_dsn, pool_min=1)
    store.open()
    try:
        with store.transaction() as transaction:
            yield transaction
    finally:
        store.close()


def add_run(tx, job="hosts", status="success", at=NOW, run_id=None, **columns):
    run_id = run_id or new_run_id(at)
    ended = status in ("success", "failed", "cancelled")
    values = {
        "id": run_id, "job": job, "kind": "cloud", "trigger": "manual", "status": status,
        "max_attempts": 1, "scheduled_for": at, "created_at": at, "config_digest": "d",
        "finished_at": at if ended else None, **columns,
    }  # fmt: skip
    insert(tx, "run", values)
    return run_id


def add_host(tx, key, account="prod", region="cn-a", **columns):
    values = {
        "provider": "aliyun", "account": account, "region": region, "type": "host",
        "resource_id": key, "name": f"name of {key}", "status": "Running", "state": "running",
        "public_ips": [], "private_ips": ["10.0.0.1"], "security_groups": [], "tags": Jsonb({}),
        "attributes": Jsonb({"raw": key}), "first_seen_at": NOW, "changed_at": NOW, "digest": b"",
        **columns,
    }  # fmt: skip
    insert(tx, "resource", values)


def add_change(tx, key, change="updated", at=NOW, account="prod", run_id=None, **fields):
    values = {
        "run_id": run_id or UUID(int=1), "account": account, "region": "cn-a", "type": "host",
        "resource_id": key, "change": change, "changed_at": at, "fields": Jsonb(fields),
    }  # fmt: skip
    insert(tx, "resource_change", values)


def insert(tx, table, values):
    names, places = ", ".join(values), ", ".join(["%s"] * len(values))
    tx.execute(f"insert into syncd.{table} ({names}) values ({places})", list(values.values()))


@pytest.mark.parametrize(
    ("table", "columns", "left_out"),
    [
        ("run", RUN_COLUMNS, {"told_at"}),
        ("run_item", views.ITEM_COLUMNS, set()),
        ("run_error", views.ERROR_COLUMNS, set()),
        ("http_call", views.CALL_COLUMNS, {"run_id"}),
        ("rejected_row", views.REJECTED_COLUMNS, {"run_id"}),
        ("resource", views.RESOURCE_COLUMNS, {"digest", "attributes"}),
        ("resource_change", views.CHANGE_COLUMNS, set()),
    ],
)
def test_rows_have_the_columns_of_their_table(tx, table, columns, left_out):
    rows = tx.execute(
        "select column_name from information_schema.columns"
        " where table_schema = 'syncd' and table_name = %s",
        (table,),
    ).fetchall()
    assert {row[0] for row in rows} == set(columns) | left_out


def test_runs_come_newest_first_and_are_filtered(tx):
    old = add_run(tx, at=NOW - 2 * HOUR)
    failed = add_run(tx, status="failed", at=NOW - HOUR)
    other = add_run(tx, job="disks", at=NOW)

    def found(**query):
        return [row["id"] for row in views.runs(tx, RunQuery(**query))]

    assert found() == [other, failed, old]
    assert found(job="hosts") == [failed, old]
    assert found(status="failed") == [failed]
    assert found(since=NOW - HOUR) == [other, failed]
    assert found(limit=1) == [other]
    assert found(job="'; drop table syncd.run; --") == []


def test_the_columns_of_runs_are_in_the_order_of_their_table(tx):
    rows = tx.execute(
        "select column_name from information_schema.columns"
        " where table_schema = 'syncd' and table_name = 'run' order by ordinal_position"
    ).fetchall()
    assert [row[0] for row in rows if row[0] != "told_at"] == list(RUN_COLUMNS)


def test_pages_of_runs_follow_each_other_without_gap_the_oldest_first(tx):
    made = [(NOW + number // 3 * HOUR, UUID(int=7 * number % 11 + 1)) for number in range(10)]
    for at, run_id in made:
        add_run(tx, run_id=run_id, at=at)
    found, after = [], RUN_START
    while page := views.runs(tx, RunQuery(after=after, until=made[-1][0], limit=2)):
        after = page[-1]["created_at"], page[-1]["id"]
        found += [(row["created_at"], row["id"]) for row in page]
    assert found == sorted(made[:-1])


def test_a_run_is_found_by_the_beginning_of_its_id(tx):
    first = add_run(tx, run_id=UUID("01890000-aaaa-7000-8000-000000000001"))
    add_run(tx, run_id=UUID("01890000-aabb-7000-8000-000000000002"))
    assert views.find_run(tx, str(first)) == first
    assert views.find_run(tx, "01890000-AAAa") == first
    with pytest.raises(Conflict, match="begins several"):
        views.find_run(tx, "01890000")
    for wrong in ("", "ff", "zz", "%", "0" * 33, "-"):
        with pytest.raises(NotFound):
            views.find_run(tx, wrong)


def test_a_run_is_shown_with_its_items_errors_and_calls(tx):
    run_id = add_run(tx, errors=2)
    add_run(tx)
    insert(tx, "run_item", {"run_id": run_id, "target": "b", "attempt": 1})
    insert(tx, "run_item", {"run_id": run_id, "target": "a", "attempt": 1})
    insert(tx, "run_error", {
        "run_id": run_id, "attempt": 1, "resource_id": "i-1", "error_class": "bad_data",
        "error": "NUL", "occurred_at": NOW,
    })  # fmt: skip
    for position, attempt in ((2, 1), (1, 2), (1, 1)):
        insert(tx, "http_call", {
            "run_id": run_id, "position": position, "attempt": attempt, "name": "c",
            "method": "GET", "url": "http://h/", "safe": True, "request_sent_at": NOW,
        })  # fmt: skip
    shown = views.run(tx, run_id)
    assert [(call["position"], call["attempt"]) for call in shown["calls"]] == [
        (1, 1), (1, 2), (2, 1),
    ]  # fmt: skip
    assert [item["target"] for item in shown["items"]] == ["a", "b"]
    assert [error["resource_id"] for error in shown["errors"]] == ["i-1"]
    assert shown["error_count"] == 2
    with pytest.raises(NotFound):
        views.run(tx, UUID(int=0))


def test_a_run_is_shown_with_its_first_rejected_rows_cut(tx):
    run_id, other = add_run(tx), add_run(tx)
    for number in range(views.REJECTED_SHOWN + 1):
        insert(tx, "rejected_row", {
            "run_id": run_id, "item": "b" if number else "a", "key": f"[{number:03}]",
            "relation": "t", "error": "no", "row": "é" * 3_000, "rejected_at": NOW,
        })  # fmt: skip
    rows = views.run(tx, run_id)["rejected_rows"]
    assert [row["key"] for row in rows] == [f"[{n:03}]" for n in range(views.REJECTED_SHOWN)]
    assert {row["row"] for row in rows} == {"é" * 2_000}
    assert views.run(tx, other)["rejected_rows"] == []


def test_living_resources_are_listed_and_filtered(tx):
    add_host(tx, "i-1")
    add_host(tx, "i-2", state="stopped", region="cn-b")
    add_host(tx, "i-3", account="test")
    add_host(tx, "i-4", deleted_at=NOW)

    def found(**query):
        return [row["resource_id"] for row in views.resources(tx, ResourceQuery(**query))]

    assert found() == ["i-1", "i-2", "i-3"]
    assert found(account="prod", region="cn-b") == ["i-2"]
    assert found(state="stopped") == ["i-2"]
    assert found(type="disk") == []
    row = views.resources(tx, ResourceQuery(limit=1))[0]
    assert "attributes" not in row
    assert "digest" not in row
    with_raw = views.resources(tx, ResourceQuery(limit=1, attributes=True))[0]
    assert with_raw["attributes"] == {"raw": "i-1"}


@pytest.mark.parametrize("as_of", [None, NOW + HOUR])
def test_pages_of_resources_follow_each_other_without_gap(tx, as_of):
    for number in range(7):
        add_host(tx, f"i-{number}", account=f"a{number % 2}")
    after, seen = None, []
    while page := views.resources(tx, ResourceQuery(after=after, limit=2, as_of=as_of)):
        seen += [(row["account"], row["resource_id"]) for row in page]
        after = tuple(page[-1][name] for name in RESOURCE_KEY)
    assert seen == sorted((f"a{n % 2}", f"i-{n}") for n in range(7))


def test_the_inventory_as_it_was(tx):
    add_host(tx, "i-1", state="stopped", first_seen_at=NOW - 3 * HOUR)
    add_change(tx, "i-1", at=NOW, state=["running", "stopped"])
    add_host(tx, "i-2", deleted_at=NOW, first_seen_at=NOW - 3 * HOUR)
    add_change(tx, "i-2", "deleted", at=NOW, state="running")
    add_host(tx, "i-3", first_seen_at=NOW)
    add_change(tx, "i-3", "added", at=NOW, state="running")

    def states(moment):
        rows = views.resources(tx, ResourceQuery(as_of=moment))
        return {row["resource_id"]: row["state"] for row in rows}

    assert states(NOW - HOUR) == {"i-1": "running", "i-2": "running"}
    assert states(NOW + HOUR) == {"i-1": "stopped", "i-3": "running"}
    running = views.resources(tx, ResourceQuery(as_of=NOW - HOUR, state="running", limit=1))
    assert len(running) == 1


def test_changes_come_newest_first_and_are_filtered(tx):
    run_id = add_run(tx)
    add_change(tx, "i-1", at=NOW - 2 * HOUR, state=["running", "stopped"])
    add_change(tx, "i-2", at=NOW, run_id=run_id)
    add_change(tx, "i-3", at=NOW, account="test")

    def found(**query):
        return [row["resource_id"] for row in views.changes(tx, ChangeQuery(**query))]

    assert found() == ["i-3", "i-2", "i-1"]
    assert found(since=NOW - HOUR) == ["i-3", "i-2"]
    assert found(account="prod") == ["i-2", "i-1"]
    assert found(job="hosts") == ["i-2"]
    assert found(limit=1) == ["i-3"]


def test_the_last_outcome_of_each_job(tx):
    add_run(tx, at=NOW - 3 * HOUR)
    add_run(tx, at=NOW - 2 * HOUR, status="failed", error_class="network", total=5)
    add_run(tx, at=NOW - HOUR, status="running")
    add_run(tx, job="new", status="pending")
    outcomes = {row["job"]: row for row in views.last_outcomes(tx)}
    assert outcomes["hosts"]["status"] == "failed"
    assert outcomes["hosts"]["error_class"] == "network"
    assert outcomes["hosts"]["total"] == 5
    assert outcomes["hosts"]["last_completion_at"] == NOW - 2 * HOUR
    assert outcomes["hosts"]["last_success_at"] == NOW - 3 * HOUR
    assert outcomes["new"]["status"] is None
    assert len(outcomes) == 2


def test_no_outcomes_without_runs(tx):
    assert views.last_outcomes(tx) == []


def test_resources_and_guarded_deletions_are_counted(tx):
    add_host(tx, "i-1")
    add_host(tx, "i-2")
    add_host(tx, "i-3", state="stopped")
    add_host(tx, "i-4", deleted_at=NOW)
    for number in range(3):
        insert(tx, "guarded_deletion", {
            "job": "hosts", "account": "prod", "region": "cn-a", "type": "host",
            "resource_id": f"i-{number}", "run_id": UUID(int=1), "guarded_at": NOW,
            "approved_at": NOW if number else None,
        })  # fmt: skip
    counts = {(row["state"], row["count"]) for row in views.resource_counts(tx)}
    assert counts == {("running", 2), ("stopped", 1)}
    (held,) = views.guarded(tx)
    assert (held["job"], held["count"], held["approved"]) == ("hosts", 3, False)

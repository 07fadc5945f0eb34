"""Copies of tables between real servers, in all four directions, through the real dispatch."""

import uuid

import pytest
from table_runs import ALL, Postgres, TableRuns, counts


@pytest.fixture
def copies(table_copies: TableRuns) -> TableRuns:
    return table_copies


def test_full_copies(copies):
    copies.fill(1, 300)
    result = copies.copied()
    copies.assert_same()
    assert result.counts == counts(total=300, added=300)
    assert result.items["orders"]["details"]["created"] is True
    copies.source.execute(
        "update orders set name = null where id = 7", "delete from orders where id = 9",
        "insert into orders values (1000, null, 'new', 1)",
    )  # fmt: skip
    assert copies.copied().counts == counts(total=300, added=1, updated=1, unchanged=298)
    copies.configure(delete="hard")
    assert copies.copied().counts == counts(total=300, unchanged=300, deleted=1)
    copies.assert_same()


def test_incremental_copies(copies):
    copies.configure(mode="incremental", watermark="changed", watermark_zone="UTC", lookback="5m")
    copies.fill(1, 100)
    assert copies.copied().counts == counts(total=100, added=100)
    now = (
        "now() at time zone 'UTC' - interval '1 minute'"
        if isinstance(copies.source, Postgres)
        else "utc_timestamp(6) - interval 1 minute"
    )
    copies.source.execute(
        f"update orders set name = 'changed', changed = {now} where id = 7",
        f"insert into orders values (1000, {now}, 'new', 1)",
        "insert into orders values (1001, '2099-01-01', 'future', 1)",
    )
    result = copies.copied()
    assert result.items["orders"]["details"]["pass"] == "incremental"
    assert result.counts == counts(total=2, added=1, updated=1)
    assert result.items["orders"]["details"]["beyond_bound"] == 1
    copies.source.execute("delete from orders where id = 1001")
    copies.assert_same()


def test_soft_deletions(copies):
    copies.configure(delete="soft", max_delete_percent=50)
    copies.fill(1, 20)
    copies.copied()
    copies.source.execute("delete from orders where id <= 5")
    assert copies.copied().counts == counts(total=15, unchanged=15, deleted=5)
    assert copies.target.rows("select count(*) from orders where deleted_at is not null") == [(5,)]
    assert copies.copied().counts == counts(total=15, unchanged=15)
    copies.fill(1, 5)
    assert copies.copied().counts == counts(total=20, unchanged=15, updated=5)


def test_the_guard(copies):
    copies.configure(delete="hard", max_delete_percent=10, max_delete_count=2)
    copies.fill(1, 20)
    copies.copied()
    copies.source.execute("delete from orders where id <= 5")
    result = copies.run()
    assert result.of("orders") == ("failed", "guard")
    assert copies.target.rows("select count(*) from orders") == [(20,)]


def test_plans(copies):
    copies.fill(1, 20)
    planned = copies.planned()
    assert planned.counts.added == 20
    assert [(each.change, each.thing) for each in planned.changes] == [("added", "table")]
    copies.copied()
    copies.configure(delete="hard")
    copies.source.execute(
        "update orders set name = null where id = 7", "delete from orders where id = 9",
        "insert into orders values (1000, null, 'new', 1)",
    )  # fmt: skip
    before = copies.target.rows(ALL)
    planned = copies.planned()
    told = {(each.change, each.resource_id) for each in planned.changes}
    assert told == {("added", "1000"), ("updated", "7"), ("deleted", "9")}
    assert (planned.counts.added, planned.counts.updated, planned.counts.deleted) == (1, 1, 1)
    assert copies.target.rows(ALL) == before


def test_a_plan_into_an_empty_table_names_the_first_keys(copies):
    copies.fill(1, 20)
    copies.copied()
    copies.target.execute("delete from orders")
    told = {(each.change, each.resource_id) for each in copies.planned().changes}
    assert told >= {("added", str(number)) for number in range(1, 11)}


def test_of_rows_with_one_key_the_latest_counts_where_only_the_configuration_says_key(copies):
    """As in a table of what happened, of which the target keeps how each thing stands now."""
    copies.source.execute(
        "create table happened (id int, of bigint, at timestamp(6) null, what varchar(9))"
    )
    copies.configure(
        source={"query": "select of, at, what from happened", "key": ["of"]},
        target={"table": "now"}, mode="incremental", watermark="at", watermark_zone="UTC",
        lookback="400d",
    )  # fmt: skip
    copies.source.execute("insert into happened values (1, 1, '2026-01-01', 'new')")
    copies.copied()
    copies.source.execute(
        "insert into happened values (4, 1, '2026-01-04', 'gone'), (3, 1, '2026-01-03', 'sent'),"
        " (5, 2, '2026-01-05', 'new'), (2, 1, '2026-01-02', 'paid')"
    )
    result = copies.copied()
    assert [tuple(row) for row in copies.target.rows("select of, what from now order by of")] == [
        (1, "gone"), (2, "new"),
    ]  # fmt: skip
    assert result.items["now"]["details"]["duplicates"] == 3


def test_rejected_rows(copies):
    copies.fill(1, 20)
    copies.target.execute(
        "create table orders (id bigint primary key, changed timestamp(6) null,"
        " name varchar(100), price decimal(10, 2) not null check (price <> 7.25 and price < 19))"
        if isinstance(copies.target, Postgres)
        else "create table orders (id bigint primary key, changed datetime(6), name varchar(100),"
        " price decimal(10, 2) not null check (price <> 7.25 and price < 19))"
    )
    result = copies.run()
    assert result.of("orders") == ("failed", "bad_data")
    assert copies.target.rows("select count(*) from orders") == [(0,)]
    copies.configure(max_rejected=3)
    assert copies.copied().counts == counts(total=20, added=17, errors=3)
    rows = copies.rows("select key, error, row from syncd.rejected_row order by rejected_at, key")
    assert {row["key"] for row in rows} == {'["7"]', '["19"]', '["20"]'}
    assert all("price" in row["error"] or "CONSTRAINT" in row["error"] for row in rows)


def test_new_columns(copies):
    copies.fill(1, 5)
    copies.copied()
    copies.source.execute("alter table orders add more int", "update orders set more = 5")
    result = copies.copied()
    assert result.items["orders"]["details"]["ignored_columns"] == ["more"]
    copies.configure(new_columns="evolve")
    planned = copies.planned()
    assert (planned.counts.unchanged, planned.details["new_values"]) == (5, {"more": 5})
    result = copies.copied()
    assert result.counts == counts(total=5, updated=5)
    assert result.items["orders"]["details"]["new_columns"] == ["more"]
    assert copies.target.rows("select sum(more) from orders") == [(25,)]


def test_types_that_do_not_fit(copies):
    copies.fill(1, 5)
    copies.target.execute("create table orders (id bigint primary key, price decimal(10, 1))")
    result = copies.run()
    assert result.of("orders") == ("failed", "bad_data")
    assert "column price is" in result.run["error"]
    assert "does not fit" in result.run["error"]


def test_a_query_with_masks_and_other_names(copies):
    copies.fill(1, 30)
    copies.configure(
        source={"query": "select id, name, price + price as twice from orders where id > 5",
                "key": ["id"]},
        target={"table": "doubled"}, rename={"id": "number"}, mask={"name": "hash"},
    )  # fmt: skip
    assert copies.copied().counts == counts(total=25, added=25)
    rows = copies.target.rows("select number, name, twice from doubled order by number")
    assert [row[0] for row in rows] == list(range(6, 31))
    assert all(len(row[1]) == 64 and "😀" not in row[1] for row in rows)
    assert [float(row[2]) for row in rows] == [n * 2 + 0.5 for n in range(6, 31)]
    assert copies.copied().counts == counts(total=25, unchanged=25)


def test_many_tables_go_at_once_into_a_schema_that_is_not_there(table_copies: TableRuns) -> None:
    names, schema = [f"t{n}" for n in range(8)], f"new{uuid.uuid4().hex}"
    table_copies.source.execute(
        *(f"create table {name} (id int primary key)" for name in names),
        *(f"insert into {name} values (1)" for name in names),
    )
    places = {"schema": schema, "state_schema": f"{schema}_state"}
    table_copies.configure(names, target=places, max_concurrent_items=8)
    assert [(each.thing, each.resource_id) for each in table_copies.plan()[0].changes][:2] == [
        ("schema", schema), ("schema", f"{schema}_state"),
    ]  # fmt: skip
    try:
        assert table_copies.copied().run["added"] == 8
    finally:
        drop = "database if exists {}"
        if table_copies.target.place == {"schema": "public"}:
            drop = "schema if exists {} cascade"
        table_copies.target.execute(*(f"drop {drop.format(each)}" for each in places.values()))


def test_errors_name_the_server_and_the_table(copies):
    database = {} if "database" not in copies.source.server else {"database": "no where"}
    for place, tables in (({**database, "schema": "no where"}, "orders"), ({}, "missing")):
        copies.configure(source={**copies.source.place, **place, "tables": [tables]})
        run = copies.run()
        assert run.of(tables) == ("failed", "bad_data")
        schema = place.get("schema") or copies.source.place["schema"]
        error = run.items[tables]["error"]
        assert error.startswith(f"shop {schema}.{tables}: "), error
        assert error.count(f"{schema}.{tables}") == 1


DAMAGES = (
    "watermark = 'garbage'", "watermark = '2026'", "mode = 'weird'", "phase = 'nix'",
    "counts = '{\"x\": 1}'", "details = '[]'", "full_at = 'yesterday'",
)  # fmt: skip


def test_a_state_that_somebody_damaged_is_told(copies):
    copies.configure(mode="incremental", watermark="changed", watermark_zone="UTC")
    copies.fill(1, 3)
    copies.copied()
    for damage in DAMAGES:
        copies.target.execute(f"update syncd_watermark set {damage}")
        run = copies.run()
        assert run.of("orders") == ("failed", "bad_data"), damage
        assert "syncd_watermark holds something else" in run.items["orders"]["error"]
        copies.target.execute("delete from syncd_watermark")
        assert copies.copied().counts == counts(total=3, unchanged=3)

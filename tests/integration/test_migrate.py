"""Migrations: once, in order, wholly, and refused where they can't be trusted."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from syncd import __version__
from syncd.errors import ConfigurationError, StoreError
from syncd.store.database import Store
from syncd.store.migrate import Migration, is_current, migrate, shipped

PROMISED = {
    "run": """id job kind trigger status priority attempt max_attempts scheduled_for created_at
        started_at finished_at next_attempt_at duration_seconds items_total items_failed total added
        updated deleted unchanged errors error_class error requested_by owner owner_epoch
        config_digest""",
    "run_item": """id run_id target account provider region resource_type server status attempt
        started_at finished_at duration_seconds total added updated deleted unchanged errors
        error_class error details""",
    "run_error": "id run_id item_id attempt resource_id error_class error occurred_at",
    "resource_change": "id run_id change changed_at fields",
    "job_state": "job last_due",
    "leader": "holder epoch expires_at",
}


@pytest.fixture
def store(dsn: str) -> Iterator[Store]:
    made = Store(dsn)
    made.open()
    yield made
    made.close()


def table(number: int, text: str | None = None, requires: str = "0.1.0") -> Migration:
    return Migration(number, f"m{number}", requires, text or f"create table syncd.t{number} ()")


def tables(store: Store) -> set[str]:
    with store.transaction() as tx:
        rows = tx.execute("select tablename from pg_tables where schemaname = 'syncd'").fetchall()
    return {row[0] for row in rows}


def test_the_shipped_migrations_are_applied_once_and_make_what_is_promised(store: Store) -> None:
    with store.transaction() as tx:
        assert not is_current(tx)
    assert migrate(store) == shipped()
    assert migrate(store) == []
    with store.transaction() as tx:
        assert is_current(tx)
        rows = tx.execute(
            """select table_name, array_agg(column_name::text) from information_schema.columns
               where table_schema = 'syncd' group by 1"""
        ).fetchall()
    made = {name: set(columns) for name, columns in rows}
    lacking = {name: set(columns.split()) - made[name] for name, columns in PROMISED.items()}
    assert not any(lacking.values()), lacking


def test_only_what_is_new_is_applied(store: Store) -> None:
    migrate(store, [table(1)])
    assert migrate(store, [table(1), table(2)]) == [table(2)]
    assert {"t1", "t2"} <= tables(store)


def test_a_migration_that_was_changed_is_refused(store: Store) -> None:
    migrate(store, [table(1)])
    with pytest.raises(ConfigurationError, match=r"migration 0001 \(m1\).* not the one"):
        migrate(store, [table(1, "create table syncd.other ()")])
    assert "other" not in tables(store)


def test_a_store_of_a_newer_program_is_refused_with_both_versions_named(store: Store) -> None:
    migrate(store, [table(1), table(2, requires="99.10")])
    with pytest.raises(ConfigurationError, match=f"needs syncd 99.10 .* syncd {__version__}"):
        migrate(store, [table(1)])


def test_a_migration_that_fails_leaves_nothing_behind(store: Store) -> None:
    broken = table(2, "create table syncd.t2 (); insert into syncd.t2 select 1 / 0")
    with pytest.raises(StoreError):
        migrate(store, [table(1), broken, table(3)])
    assert tables(store) == {"migration", "t1"}
    assert migrate(store, [table(1), table(2)]) == [table(2)]


def test_two_at_a_time_apply_each_migration_once(store: Store) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = [
            migration
            for applied in pool.map(lambda _: migrate(store), range(4))
            for migration in applied
        ]
    assert sorted(done, key=lambda migration: migration.number) == shipped()


def test_a_database_that_can_not_hold_every_text_is_refused(dsn: str) -> None:
    name = conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(make_conninfo(dsn, dbname="postgres"), autocommit=True) as connection:
        for step in (
            "drop database {}",
            "create database {} encoding 'LATIN1' locale_provider libc locale 'C'"
            " template template0",
        ):
            connection.execute(sql.SQL(step).format(sql.Identifier(str(name))))
    store = Store(dsn)
    store.open()
    try:
        with pytest.raises(ConfigurationError, match="encoded in LATIN1"):
            migrate(store)
    finally:
        store.close()

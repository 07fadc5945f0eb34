"""From a configuration to sizes and statistics in the store, of a real PostgreSQL server."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest
from dispatch_helpers import Bench
from psycopg.conninfo import conninfo_to_dict
from token_helpers import no_tokens
from toml_text import toml

from syncd import assembly
from syncd.config.load import load
from syncd.context import Clock

ZONE = "Pacific/Kiritimati"
SIZES = "select datname, pg_database_size(oid) from pg_database where datallowconn"


@pytest.fixture
def bench(migrated_dsn, tmp_path):
    made = Bench(migrated_dsn, tmp_path, Clock())
    yield made
    made.close()


@pytest.fixture
def filled(databases):
    """Give the names of two databases with rows, of which one was empty when it was made."""
    made = [databases.create() for _ in range(2)]
    with psycopg.connect(made[0], autocommit=True) as connection:
        connection.execute(
            "create table t as select n, repeat('x', 500) from generate_series(1, 5000) n"
        )
        connection.execute("create index on t (n)")
        connection.execute("vacuum analyze t")
    yield [str(conninfo_to_dict(dsn)["dbname"]) for dsn in made]
    for dsn in made:
        databases.drop(dsn)


def specs(bench, dsn, tmp_path, **keys):
    server = conninfo_to_dict(dsn)
    tables = {
        "timezone": ZONE,
        "servers": {
            "own": {
                "engine": "postgresql", "host": str(server["host"]), "port": int(server["port"]),
                "user": str(server["user"]), "capacity": "1TB", "exclude_databases": ["postgres"],
            },
            "off": {"engine": "mysql", "host": "127.0.0.1", "user": "x", "enabled": False},
        },
        "jobs": {
            "sizes": {"kind": "db_sizes"} | keys,
            "statistics": {"kind": "size_rollups"},
        },
    }  # fmt: skip
    file = tmp_path / "syncd.toml"
    file.write_text(toml(tables))
    accounts = assembly.Accounts(bench.store, lambda *_: None, b"key")
    return assembly.job_specs(load(file, {}), bench.store, accounts, no_tokens())


def run(bench, spec):
    """Run a job; return the days on which it may have run, in the zone of the configuration."""
    began = datetime.now(UTC)
    end = bench.runner.run(bench.attempt(spec, bench.begun(spec.name)))
    assert (end.outcome.status, end.outcome.error) == ("success", None)
    return {moment.astimezone(ZoneInfo(ZONE)).date() for moment in (began, datetime.now(UTC))}


def asked(dsn):
    """Return the size of each database as the server tells it to somebody else."""
    with psycopg.connect(dsn) as connection:
        return dict(connection.execute(SIZES).fetchall())


def test_sizes_are_those_that_the_server_tells_somebody_else(bench, postgres, filled, tmp_path):
    spec = specs(bench, postgres.dsn, tmp_path)["sizes"]
    for _ in range(10):  # the server may tidy up a database in this very moment
        before = asked(postgres.dsn)
        days = run(bench, spec)
        after = asked(postgres.dsn)
        if all(before[name] == after[name] for name in filled):
            break
    stored = {
        name: (size, day)
        for name, size, day in bench.execute(
            "select database, size_bytes, collected_on from syncd.db_size where server = 'own'"
        )
    }
    assert set(stored) == set(after) - {"postgres"}
    assert {name: stored[name][0] for name in filled} == {name: after[name] for name in filled}
    assert after[filled[0]] > after[filled[1]] + 5000 * 500
    assert {day for _, day in stored.values()} <= days
    assert bench.execute("select server, size_bytes, database_count from syncd.server_size") == [
        ("own", sum(size for size, _ in stored.values()), len(stored))
    ]


def test_tables_are_those_that_the_server_tells_somebody_else(
    bench, postgres, filled, databases, tmp_path
):
    run(bench, specs(bench, postgres.dsn, tmp_path, largest_tables=3)["sizes"])
    rows = bench.execute(
        """select schema, table_name, total_bytes, heap_bytes, index_bytes, row_estimate
           from syncd.db_table_size where database = %s""",
        filled[0],
    )
    with psycopg.connect(postgres.dsn, dbname=filled[0]) as connection:
        (told,) = connection.execute(
            """select 'public', 't', pg_total_relation_size('t'), pg_table_size('t'),
                      pg_indexes_size('t'), 5000"""
        ).fetchall()
    assert rows == [told]


def test_statistics_know_the_zone_and_the_capacity(bench, postgres, tmp_path):
    """On the island the day before is over, wherever it is still going on."""
    today = datetime.now(UTC).astimezone(ZoneInfo(ZONE)).date()
    for ahead in range(-8, 2):
        day = today + timedelta(days=ahead)
        bench.execute("select syncd.make_size_partitions(%s, %s)", day, day)
        bench.execute(
            """insert into syncd.server_size
                   (server, collected_on, collected_at, size_bytes, database_count)
               values ('own', %s, now(), %s, 1), ('other', %s, now(), %s, 1)""",
            day, 10**12, day, 10**12,
        )  # fmt: skip
    days = run(bench, specs(bench, postgres.dsn, tmp_path)["statistics"])
    found = bench.execute(
        """select server, max(period_start), count(*),
                  count(*) filter (where forecast_on = period_start)
           from syncd.server_size_stat where period = 'day' group by server"""
    )
    last = max(row[1] for row in found)
    assert last in {day - timedelta(days=1) for day in days}
    count = (last - today).days + 9
    assert sorted(found) == [("other", last, count, 0), ("own", last, count, count)]

"""The metric of database sizes in a running daemon: off unless asked for, true to what stands."""

import psycopg
import pytest
from daemon_helpers import job, site, until
from toml_text import toml

from syncd.model.run import Selection

SERIES = "syncd_db_size_bytes{"
SERVER = {"engine": "mysql", "host": "127.0.0.1", "user": "syncd"}


@pytest.fixture
def place(dsn):
    with site(dsn) as made:
        yield made


def configure(place, *servers, **metrics):
    tables = place.tables({"hosts": job()})
    tables["servers"] = dict.fromkeys(servers, SERVER)
    place.write(toml(tables | {"metrics": metrics}))


def shown(process):
    """Return the series of database sizes."""
    return {line for line in process.get("/metrics")[1].splitlines() if line.startswith(SERIES)}


def execute(place, statement):
    with psycopg.connect(place.dsn) as connection:
        connection.execute(statement)


def shows(process, *databases):
    """Tell whether the metric comes to be of just these databases of orders-db."""
    expected = {f'{SERIES}database="{name}",server="orders-db"}} 4096.0' for name in databases}
    return until(lambda: shown(process) == expected, 20, f"the metric of {databases}")


def measured(place):
    """End a run, after each of which is measured."""
    run = place.client.trigger("hosts", Selection(), "")
    assert place.client.wait(run, 20)


def test_sizes_are_shown_when_asked_for_and_go_with_their_databases(place):
    configure(place, "orders-db")
    process = place.up()
    execute(
        place,
        b"""create table syncd.db_size_rest partition of syncd.db_size default;
           insert into syncd.db_catalog
               (server, database, engine, system, first_seen_at, last_seen_at)
           select server, database, 'mysql', false, now(), now()
           from (values ('orders-db', 'shop'), ('orders-db', 'stock'), ('other-db', 'x'))
               as v (server, database);
           insert into syncd.db_size (server, database, collected_on, collected_at, size_bytes)
           select server, database, '2026-03-01', now(), 4096 from syncd.db_catalog""",
    )
    measured(place)
    assert shown(process) == set()
    configure(place, "orders-db", database_sizes=True)
    assert place.client.reload("") == [], "no restart is needed"
    assert shows(process, "shop", "stock")
    execute(place, b"update syncd.db_catalog set gone_at = now() where database = 'stock'")
    measured(place)
    assert shows(process, "shop")
    configure(place, "new-db", database_sizes=True)
    place.client.reload("")
    assert shows(process), "the server is configured no more"
    configure(place, "orders-db", database_sizes=False)
    place.client.reload("")
    assert shows(process)
    assert process.stop() == 0

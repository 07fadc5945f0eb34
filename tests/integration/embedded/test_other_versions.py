"""Data of an older major version of PostgreSQL: refused, and brought over by a dump."""

import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from embedded_helpers import SECONDS, data_directory, query, stopped_after
from psycopg.conninfo import make_conninfo

from syncd.errors import ConfigurationError
from syncd.store.backups import Backups
from syncd.store.database import Store
from syncd.store.embedded import EmbeddedPostgres
from syncd.store.embedded.account import choose_account
from syncd.store.migrate import migrate
from syncd.store.restore import check_contents, restore

_OLDER = Path("/usr/lib/postgresql/15/bin")

pytestmark = pytest.mark.skipif(not _OLDER.exists(), reason="needs PostgreSQL 15 of the system")


@pytest.fixture
def older(state_dir: Path) -> Iterator[str]:
    """Give the DSN of a store that PostgreSQL 15 serves, its data where syncd looks for its own."""
    data, account = data_directory(state_dir), choose_account()
    data.mkdir(parents=True)
    data.parent.chmod(0o711)
    socket = account.own(state_dir / "socket")
    account.own(data)
    with (state_dir / "log").open("wb") as log:
        made = [_OLDER / "initdb", "-D", data, "-U", "syncd", "-E", "UTF8", "--locale=C", "-A"]
        assert account.run([*made, "trust"], log, SECONDS) == 0
        settings = f"-c listen_addresses= -c unix_socket_directories={socket}"
        control: list[str | Path] = [_OLDER / "pg_ctl", "-D", data, "-w"]
        assert account.run([*control, "-o", settings, "start"], log, SECONDS) == 0
        try:
            dsn = make_conninfo(host=str(socket), user="syncd", dbname="postgres")
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("create database syncd")
            yield make_conninfo(dsn, dbname="syncd")
        finally:
            account.run([*control, "-m", "fast", "stop"], log, SECONDS)


def test_a_dump_of_an_older_major_version_is_the_way_out_that_is_named(
    state_dir: Path, older: str
) -> None:
    with closing(Store(older, pool_min=1)) as store:
        store.open()
        migrate(store)
    with psycopg.connect(older) as connection:
        connection.execute("comment on schema syncd is 'from PostgreSQL 15'")
    backups, moment = Backups(state_dir), datetime.now(UTC)
    backups.path.mkdir()
    dump = backups.path / f"syncd-{moment:%Y%m%dT%H%M%S}.000Z.dump"
    options = ["--format=custom", "--no-toast-compression", f"--file={dump}", f"--dbname={older}"]
    subprocess.run([_OLDER / "pg_dump", *options], check=True)
    with (state_dir / "log").open("ab") as log:
        stop = [_OLDER / "pg_ctl", "-D", data_directory(state_dir), "-m", "fast", "stop"]
        choose_account(data_directory(state_dir)).run(stop, log, SECONDS)
    server = EmbeddedPostgres(state_dir)
    with pytest.raises(ConfigurationError, match=r"PostgreSQL 15, .*backup restore latest"):
        server.start(SECONDS)
    data_directory(state_dir).rename(state_dir / "old")
    for fresh in stopped_after(server, state_dir):
        fresh.start(SECONDS)
        with backups.opened("latest") as file:
            check_contents(file)
            done = restore(fresh, file, backups, local="cli:x", spare=0, tell=print)
        assert done.safety is None
        said = query(fresh.dsn, "select obj_description('syncd'::regnamespace)")
        assert said == "from PostgreSQL 15"
        with closing(Store(fresh.dsn, pool_min=1)) as store:
            store.open()
            assert migrate(store) == []

"""Sizes of a real MariaDB, against the files that lie on the disk."""

from collections.abc import Mapping

import pytest
from engine_run import context
from mariadb_server import MariaDbServer, private_mariadb
from mysql_helpers import WATCHER, access, bytes_on_disk, fresh_database, fresh_user, ident, unique

from syncd.engines.mysql.engine import MySQL
from syncd.errors import Permission
from syncd.model.db_size import DatabaseSize, SizeReading

NAMES = [
    "plain", "Mixed_Case", "a-b.c$d@0024", "é ☃ Ж", "We`ird'\"", "#sql", "x#P#y", "a/b", "@",
    "l" * 64,
]  # fmt: skip


def read(server: MariaDbServer, user: str = WATCHER, tables: int = 0) -> SizeReading:
    return MySQL(access(server, user)).sizes(context(), tables)


def by_name(reading: SizeReading) -> Mapping[str, DatabaseSize]:
    return {each.database: each for each in reading.databases}


def on_disk(server: MariaDbServer, name: str) -> int:
    """Return the bytes of a database's files; the server tells the name of their directory."""
    [(directory,)] = server.execute(
        f"select substring_index(NAME, '/', 1) from information_schema.innodb_sys_tablespaces"
        f" where NAME like '%/marker{name}'"
    )
    return bytes_on_disk(server)[directory]


@pytest.mark.parametrize("name", NAMES)
def test_databases_and_tables_of_every_name(mariadb: MariaDbServer, name: str) -> None:
    marker = unique("")
    with fresh_database(mariadb, name):
        mariadb.execute(
            f"use {ident(name)}",
            f"create table marker{marker} (id int)",
            f"create table {ident(name)} (id int primary key, t text) as"
            " select seq id, repeat(seq, 500) t from seq_1_to_500",
        )
        reading = read(mariadb, tables=1)
        size = by_name(reading)[name]
        assert size.size_bytes == on_disk(mariadb, marker) > 200_000
        assert (size.tables, size.system, reading.unread) == (2, False, ())
        [largest] = [table for table in reading.tables if table.database == name]
        files = mariadb.data.rglob("*.ibd")
        assert largest.table == name
        assert largest.total_bytes in {file.stat().st_size for file in files}


@pytest.mark.parametrize("engine", ["InnoDB", "Aria", "MyISAM"])
def test_tables_of_every_engine(mariadb: MariaDbServer, engine: str) -> None:
    with fresh_database(mariadb) as name:
        mariadb.execute(
            f"use {name}",
            f"create table t (id int primary key, t varchar(500), key (t)) engine={engine} as"
            " select seq id, repeat(seq, 40) t from seq_1_to_2000",
            "analyze table t",
            "flush tables",
        )
        reading = read(mariadb, tables=1)
        size = by_name(reading)[name]
        assert size.size_bytes == bytes_on_disk(mariadb)[name]
        [(data, index)] = mariadb.execute(
            "select DATA_LENGTH, INDEX_LENGTH from information_schema.TABLES"
            f" where TABLE_SCHEMA = '{name}'"
        )
    [table] = [each for each in reading.tables if each.database == name]
    assert (size.index_bytes, table.index_bytes) == (index, index)
    assert size.data_bytes == table.heap_bytes == size.size_bytes - index >= data > 0
    assert table.row_estimate == pytest.approx(2000, rel=0.2)


def test_all_that_a_database_is_made_of(mariadb: MariaDbServer) -> None:
    with fresh_database(mariadb) as name:
        mariadb.execute(
            f"use {name}",
            "create table parts (id int) partition by range (id)"
            " (partition p0 values less than (5), partition `P-1` values less than maxvalue)",
            "create table found (t text, fulltext (t))",
            "create sequence counted",
            "create view seen as select 1",
            "create table remembered (id int) engine=memory as select seq id from seq_1_to_1000",
            "create table old (id int) with system versioning",
        )
        reading = read(mariadb, tables=1)
        assert by_name(reading)[name].size_bytes == bytes_on_disk(mariadb)[name]
        assert by_name(reading)[name].tables == 4
        parts = mariadb.data.joinpath(name).glob("parts#P#*.ibd")
        [largest] = [table for table in reading.tables if table.database == name]
        assert (largest.table, largest.total_bytes) == (
            "parts",
            sum(file.stat().st_size for file in parts),
        )


def test_every_database_is_listed_and_the_servers_own_are_marked(mariadb: MariaDbServer) -> None:
    with fresh_database(mariadb) as empty:
        sizes = by_name(read(mariadb))
        assert set(sizes) == {name for (name,) in mariadb.execute("show databases")}
    system = {"information_schema", "mysql", "performance_schema", "sys"}
    assert {name for name, size in sizes.items() if size.system} == system
    assert sizes["mysql"].size_bytes == bytes_on_disk(mariadb)["mysql"] > 1_000_000
    assert sizes["information_schema"].size_bytes == 0
    assert (sizes[empty].size_bytes, sizes[empty].tables) == (0, 0)


def test_the_logs_of_the_server(mariadb: MariaDbServer) -> None:
    mariadb.execute("flush binary logs")
    logs = [*mariadb.data.glob("binlog.0*"), *mariadb.data.glob("ib_logfile*")]
    assert read(mariadb).log_bytes == sum(log.stat().st_size for log in logs)
    with fresh_user(mariadb, "SELECT", "PROCESS") as name:
        assert read(mariadb, name).log_bytes is None


def test_without_process_a_database_with_innodb_tables_is_unread(mariadb: MariaDbServer) -> None:
    with fresh_user(mariadb, "SELECT") as user, fresh_database(mariadb) as other:
        mariadb.execute(f"create table {other}.t (id int) engine=myisam")
        with fresh_database(mariadb) as name:
            mariadb.execute(f"create table {name}.t (id int)")
            reading = read(mariadb, user)
        assert by_name(reading)[other].size_bytes == bytes_on_disk(mariadb)[other]
    unread = dict(reading.unread)
    assert name in unread
    assert isinstance(unread[name], Permission)
    assert str(unread[name]).startswith("GRANT PROCESS ON *.* is missing")


@pytest.mark.parametrize("pattern", [r"{}", r"{}%", r"{}\_x", "__{}"])
def test_a_database_of_which_tables_are_hidden_is_unread(
    mariadb: MariaDbServer, pattern: str
) -> None:
    stem = unique("seen").replace("_", "-")
    seen = {"{}": stem, "{}%": f"{stem}-1", r"{}\_x": f"{stem}_x", "__{}": f"ab{stem}"}[pattern]
    with (
        fresh_database(mariadb, seen),
        fresh_database(mariadb, f"Other{stem}") as other,
        fresh_user(mariadb, "SHOW DATABASES", "PROCESS") as user,
    ):
        mariadb.execute(
            f"create table {ident(seen)}.t (id int)",
            f"create table {ident(other)}.t (id int) engine=aria",
            f"grant select on {ident(pattern.format(stem))}.* to {user}",
        )
        reading = read(mariadb, user)
    assert by_name(reading)[seen].size_bytes > 0
    unread = dict(reading.unread)
    assert seen not in unread
    assert str(unread[other]) == "its tables may not be seen: GRANT REFERENCES ON *.* is missing"


def test_a_role_that_is_on_gives_its_sight(mariadb: MariaDbServer) -> None:
    role = unique("seeing")
    with fresh_user(mariadb) as user:
        mariadb.execute(
            f"create role {role}",
            f"grant select, process on *.* to {role}",
            f"grant {role} to {user}",
            f"set default role {role} for {user}",
        )
        assert read(mariadb, user).unread == ()
        mariadb.execute(f"drop role {role}")


def test_a_list_that_may_not_be_whole_is_refused(mariadb: MariaDbServer) -> None:
    with fresh_database(mariadb) as name, fresh_user(mariadb, "PROCESS") as user:
        mariadb.execute(f"grant select on {name}.* to {user}")
        with pytest.raises(Permission, match="GRANT SHOW DATABASES ON"):
            read(mariadb, user)


def test_a_table_that_can_not_be_opened_is_told(mariadb: MariaDbServer) -> None:
    with fresh_database(mariadb) as name:
        mariadb.execute(f"create table {name}.broken (id int) engine=myisam", "flush tables")
        definition = mariadb.data / name / "broken.frm"
        kept = definition.read_bytes()
        definition.write_bytes(b"nothing that is known")
        reading = read(mariadb)
        definition.write_bytes(kept)
    assert name not in by_name(reading)
    assert str(dict(reading.unread)[name]) == "the server can't open its table broken"


def test_tables_in_the_shared_tablespace_and_no_binary_logs() -> None:
    with private_mariadb({"innodb-file-per-table": "0"}) as server:
        server.execute(
            "create database shared",
            "create table shared.t (id int primary key, t text) as"
            " select seq id, repeat(seq, 500) t from mysql.seq_1_to_500",
            "analyze table shared.t",
        )
        reading = read(server)
        [(used,)] = server.execute(
            "select DATA_LENGTH + INDEX_LENGTH from information_schema.TABLES"
            " where TABLE_SCHEMA = 'shared'"
        )
        redo = server.data / "ib_logfile0"
        assert reading.log_bytes == redo.stat().st_size
    assert by_name(reading)["shared"].size_bytes == used > 200_000


def test_thousands_of_databases(mariadb: MariaDbServer) -> None:
    stem = unique("many")
    for number in range(2_000):
        (mariadb.data / f"{stem}{number}").mkdir()
    try:
        sizes = by_name(read(mariadb, tables=3))
    finally:
        for number in range(2_000):
            (mariadb.data / f"{stem}{number}").rmdir()
    assert sum(name.startswith(stem) for name in sizes) == 2_000

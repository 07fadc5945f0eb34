"""Servers that crash, stand by, or have no room, while tables are copied from and to them."""

import os
import subprocess
import uuid
from contextlib import contextmanager
from pathlib import Path

import pytest
from copy_holds import await_waiting, row_held
from copy_sides import MariaSide, PostgresSide
from copy_site import copy_site
from copy_writers import make_table
from daemon_helpers import until
from debian_postgres import DEBIAN, private_server
from mariadb_server import private_mariadb

from syncd.model.run import Selection

TOUCH = "update orders set note = concat(note, ' again'), updated_at = now()"
REPLICATING = {"wal_level": "replica", "max_wal_senders": "4"}
VERSION = "15" if DEBIAN.is_dir() else "18"


def ended(copy, number, seconds=60):
    until(lambda: copy.place.client.wait(number, 5), seconds, "the end of the run")
    (row,) = copy.place.runs("id = %s", number)
    return row


@contextmanager
def mortal(engine):
    """Give a database of a server of its own, and what kills that and starts it again."""
    if engine == "postgresql":
        with private_server(VERSION) as postgres:
            yield PostgresSide(postgres.dsn()), postgres.crash
        return
    durable = {"innodb-flush-log-at-trx-commit": "2"}  # what was committed outlives the process
    with private_mariadb(durable) as mariadb:
        mariadb.execute("create database shop character set utf8mb4")

        def crash():
            mariadb.kill()
            mariadb.start()

        yield MariaSide(mariadb.socket, mariadb.port, "shop"), crash


@pytest.mark.parametrize("role", ["source", "target"])
@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_a_server_that_is_killed_and_started_again_costs_attempts_and_no_row(
    dsn, side, engine, role
):
    with mortal(engine) as (mine, crash):
        source, target = (mine, side("pg")) if role == "source" else (side("other-pg"), mine)
        with copy_site(dsn, source, target) as copy:
            make_table(source, "orders", 3000)
            copy.copies("orders", "orders", page_rows=50, retries=["1s"] * 20)
            copy.configure()
            process = copy.up()
            copy.succeed("orders")
            for _ in range(2):
                source.execute(TOUCH)
                with row_held(target, "orders", -1500):
                    number = copy.place.client.trigger("orders", Selection(), "me")
                    await_waiting(target)
                    crash()
                row = ended(copy, number)
                assert row["status"] == "success", copy.items(row)[0]["error"]
                assert row["attempt"] > 1, "it was in the middle"
                assert row["total"] == 3000, "counts go on over attempts"
                assert copy.equal("orders")
            assert "Traceback" not in process.text


@contextmanager
def small_disk(directory: Path, size: str, like: Path):
    """Mount a small disk that belongs to whom another directory belongs to."""
    owner = like.stat()
    options = f"size={size},mode=0700,uid={owner.st_uid},gid={owner.st_gid}"
    directory.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", directory]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("only root can mount a small disk")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def test_a_postgresql_without_room_fails_the_run_and_the_next_one_ends_the_work(
    dsn, side, second_server
):
    source = side("pg")
    home = second_server.directory
    name = f"small_{uuid.uuid4().hex[:8]}"
    with small_disk(home / name, "16m", home / "data") as place:
        second_server.execute(f"create tablespace {name} location '{place}'")
        with second_server.database(options=f"tablespace {name}") as database:
            target = PostgresSide(second_server.dsn(database))
            check_no_room(dsn, source, target, place)
        second_server.execute(f"drop tablespace {name}")


def test_a_mariadb_without_room_fails_the_run_and_the_next_one_ends_the_work(dsn, side):
    source = side("pg")
    with private_mariadb() as server:
        server.execute("create database shop character set utf8mb4")
        with small_disk(server.data / "shop", "16m", server.data) as place:
            check_no_room(dsn, source, MariaSide(server.socket, server.port, "shop"), place)
            server.stop()


def check_no_room(dsn, source, target, place):
    """Copy until the disk is full; then make room, and go on."""
    with copy_site(dsn, source, target) as copy:
        make_table(source, "orders")
        source.execute(
            "insert into orders select n, '', 0, (select decode(string_agg(md5(n || '-' || k), ''),"
            " 'hex') from generate_series(1, 600) k), now() from generate_series(1, 3000) n",
        )
        copy.copies("orders", "orders", page_rows=100)
        copy.configure()
        process = copy.up()
        row = copy.run("orders")
        (item,) = copy.items(row)
        assert item["status"] == "failed", item
        assert "Traceback" not in process.text
        copy.check_watermark("orders", "orders")
        subprocess.run(["mount", "-o", "remount,size=400m", place], check=True)
        copy.succeed("orders")
        assert copy.equal("orders")
        assert "full" in item["error"].lower() or "space" in item["error"].lower(), item


@pytest.mark.parametrize("mode", ["full", "incremental"])
def test_a_standby_that_ends_what_is_in_its_way_is_read_again(dsn, side, mode):
    with (
        private_server(VERSION, REPLICATING) as primary,
        private_server(
            VERSION,
            REPLICATING | {"max_standby_streaming_delay": "0", "hot_standby_feedback": "off"},
            standby_of=primary,
        ) as standby,
        copy_site(dsn, PostgresSide(standby.dsn()), side("pg")) as copy,
    ):
        writer = PostgresSide(primary.dsn())
        make_table(writer, "orders", 2000)
        caught_up(primary, standby)
        more = {} if mode == "full" else {"mode": mode, "watermark": "updated_at"}
        copy.copies("orders", "orders", page_rows=100, retries=["1s"] * 5, **more)
        copy.configure()
        process = copy.up()
        copy.succeed("orders")
        writer.execute(TOUCH)
        caught_up(primary, standby)
        with row_held(copy.target, "orders", -150):
            number = copy.place.client.trigger("orders", Selection(), "me")
            await_waiting(copy.target)
            writer.execute("delete from orders where id > -500", "vacuum orders")
            caught_up(primary, standby)
        row = ended(copy, number)
        assert row["status"] == "success", copy.items(row)[0]["error"]
        copy.change_to_full("orders", delete="hard", max_delete_percent=100)
        copy.succeed("orders")
        assert copy.equal("orders")
        assert "Traceback" not in process.text


def caught_up(primary, standby):
    """Wait until the standby has all that the primary has written."""
    ((position,),) = primary.rows("select pg_current_wal_lsn()::text")
    until(
        lambda: standby.rows(f"select pg_last_wal_replay_lsn() >= '{position}'") == [(True,)],
        20,
        "the standby",
    )


def test_rows_that_a_standby_gets_late_are_not_lost(dsn, side):
    """The standby knows nothing of open transactions of the primary: only lookback finds them."""
    with (
        private_server(VERSION, REPLICATING) as primary,
        private_server(VERSION, REPLICATING, standby_of=primary) as standby,
        copy_site(dsn, PostgresSide(standby.dsn()), side("pg")) as copy,
    ):
        writer = PostgresSide(primary.dsn())
        make_table(writer, "orders", 100)
        caught_up(primary, standby)
        copy.copies("orders", "orders", mode="incremental", watermark="updated_at", lookback="1m")
        copy.configure()
        copy.up()
        copy.succeed("orders")
        with writer.connect() as late:
            late.execute("insert into orders values (1, 'late', 1, null, now())")
            writer.execute("insert into orders values (2, 'soon', 1, null, now())")
            caught_up(primary, standby)
            copy.succeed("orders")
            copy.succeed("orders")
        caught_up(primary, standby)
        copy.succeed("orders")
        assert copy.equal("orders")

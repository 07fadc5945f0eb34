"""A replica of MariaDB that is copied from: what comes to it late is copied, however far behind."""

from contextlib import contextmanager

import pytest
from copy_sides import MariaSide
from copy_site import copy_site
from copy_writers import make_table
from engine_run import context
from mariadb_server import HOST, private_mariadb
from mysql_helpers import access, make_user

from syncd.engines.registry import rights
from syncd.model.table import Relation


@contextmanager
def replicated():
    """Give a server and a replica of it, which may be written to as itself."""
    with (
        private_mariadb({"server-id": "1", "log-bin": "primary"}) as primary,
        private_mariadb({"server-id": "2"}) as replica,
    ):
        primary.execute(
            "create user replica@'%'", "grant replication slave on *.* to replica@'%'",
            "create database shop character set utf8mb4",
        )  # fmt: skip
        replica.execute(
            f"change master to master_host = '{HOST}', master_port = {primary.port},"
            " master_user = 'replica', master_log_file = 'primary.000001', master_log_pos = 4",
            "start slave",
        )
        yield primary, replica


def caught_up(primary, replica):
    """Wait until the replica has all that the primary has written."""
    ((file, position, *_),) = primary.execute("show master status")
    ((waited,),) = replica.execute(f"select master_pos_wait('{file}', {position}, 20)")
    assert waited is not None
    assert waited >= 0


def there(server):
    return MariaSide(server.socket, server.port, "shop")


@pytest.mark.parametrize("behind", ["stop slave sql_thread", "stop slave"])
def test_rows_that_a_replica_gets_late_are_not_lost(dsn, side, behind):
    """Its own transactions say nothing of those of the primary, nor does that it has none."""
    with replicated() as (primary, replica), copy_site(dsn, there(replica), side("pg")) as copy:
        make_table(there(primary), "orders", 100)
        there(primary).execute("update orders set updated_at = '2026-01-01'")
        caught_up(primary, replica)
        copy.copies("orders", "orders", mode="incremental", watermark="updated_at", lookback="1s")
        copy.configure()
        copy.up()
        replica.execute("set global read_only = 1" if behind == "stop slave" else "do 1", behind)
        there(primary).execute(
            "insert into orders values (1, 'late', 1, null, utc_timestamp(6) - interval 1 minute)"
        )
        (item,) = copy.items(copy.succeed("orders"))
        assert not item["details"]["bounded"]
        replica.execute("start slave")
        caught_up(primary, replica)
        copy.succeed("orders")
        assert copy.equal("orders")


def test_the_doctor_says_that_a_replica_knows_no_open_transactions():
    with replicated() as (primary, replica):
        make_table(there(primary), "orders")
        caught_up(primary, replica)
        for server, sees in ((primary, True), (replica, False)):
            make_user(server, "doctor", "PROCESS", "SELECT")
            with rights(access(server, "doctor")).looking(context(), "shop") as looker:
                relation = Relation("db", "shop", "shop", "orders")
                found = looker.readable(relation, [], [], "updated_at")
            assert (found.unseen is None) == sees

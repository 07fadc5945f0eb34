"""What is revoked on a real server is in the records as exactly that, in the next run."""

from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest
from fleet_accounts import fleet_over
from psycopg.conninfo import conninfo_to_dict


class PostgreSql:
    """A database and a role of the test's own on the embedded server."""

    name = "shop-pg"
    kinds = ("column", "table")

    def __init__(self, dsn):
        self.dsn, self.database = dsn, conninfo_to_dict(dsn)["dbname"]
        self.login = self.account = f"app-{uuid4().hex[:8]}"
        self.schema = "public"
        self.path = [self.database, "public"]

    @property
    def server(self):
        where = conninfo_to_dict(self.dsn)
        return {
            "engine": "postgresql", "host": where["host"], "port": int(where["port"]),
            "user": where["user"], "database": self.database,
        }  # fmt: skip

    def execute(self, *statements):
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.replace("APP", f'"{self.login}"').encode())

    def prepare(self):
        self.execute("create role APP login")

    def clean(self):
        self.execute("drop owned by APP", "drop role APP")


class MariaDb:
    """A database and a user on a server of the tests' own."""

    name = "shop-maria"

    def __init__(self, server):
        self._server = server
        self.database = self.login = f"shop_{uuid4().hex[:8]}"
        self.account, self.schema = f"{self.login}@%", self.database
        self.path = [self.database]

    @property
    def server(self):
        return {"engine": "mysql", "host": "127.0.0.1", "port": self._server.port, "user": "syncd"}

    def execute(self, *statements):
        self._server.execute(*(each.replace("APP", f"'{self.login}'@'%'") for each in statements))

    def prepare(self):
        self.execute(
            "create user if not exists syncd@'%'",
            "grant all privileges on *.* to syncd@'%'",
            f"create database {self.database}",
            "create user APP",
        )

    def clean(self):
        self.execute("drop user APP", f"drop database {self.database}")


@contextmanager
def _shop(made):
    made.prepare()
    try:
        yield made
    finally:
        made.clean()


@pytest.fixture(params=["postgresql", "mariadb"])
def shop(request):
    """Give an account on a real server that may read and change a table `orders`."""
    if request.param == "mariadb":
        made = MariaDb(request.getfixturevalue("mariadb"))
    else:
        made = PostgreSql(request.getfixturevalue("dsn"))
    with _shop(made):
        made.execute(
            f"create table {made.schema}.orders (id int, price int, note varchar(9))",
            f"grant select (id, price), update (price) on {made.schema}.orders to APP",
            f"grant delete on {made.schema}.orders to APP",
        )
        yield made


@pytest.fixture
def fleet(shop, migrated_dsn, tmp_path):
    """Give the fleet of this server, once it is known."""
    with fleet_over(migrated_dsn, tmp_path) as made:
        made.configure({shop.name: shop.server}, None)
        run = made.run()
        assert (run["status"], run["errors"]) == ("success", 0)
        yield made


def changed(fleet):
    """Run, and return the changes by account."""
    run = fleet.run()
    assert run["status"] == "success"
    return fleet.changes(run)


def on_column(shop, column, privilege):
    return {
        "on": "column",
        "name": [*shop.path, "orders", column],
        "privilege": privilege,
        "grantable": False,
    }


def test_one_revoked_column_privilege_is_exactly_that_revocation(shop, fleet):
    shop.execute(f"revoke select (price) on {shop.schema}.orders from APP")
    changes = changed(fleet)
    assert set(changes) == {shop.account}
    change = changes[shop.account]
    assert (change["change"], change["server"]) == ("updated", shop.name)
    assert change["revoked"] == [on_column(shop, "price", "SELECT")]
    assert (change["granted"], change["attributes_changed"]) == ([], {})
    assert changed(fleet) == {}


def test_a_plan_tells_it_in_words(shop, fleet):
    shop.execute(f"revoke select (price) on {shop.schema}.orders from APP")
    (planned,) = fleet.plan()
    (change,) = planned.changes
    assert change.thing == "account"
    where = ".".join([*shop.path, "orders", "price"])
    assert change.fields == {"granted": [], "revoked": [f"SELECT on column {where}"]}


def test_new_tables_are_no_revocation_and_dropped_ones_neither(shop, fleet):
    shop.execute(
        f"grant select on {shop.schema}.orders to APP",
        f"create table {shop.schema}.items (id int)",
        f"grant select on {shop.schema}.items to APP",
    )
    told = changed(fleet)[shop.account]
    assert {p["privilege"] for p in told["granted"]} == {"SELECT"}
    assert told["revoked"] == []
    shop.execute(f"create table {shop.schema}.apart (id int)")
    assert shop.account not in changed(fleet)
    shop.execute(f"drop table {shop.schema}.apart")
    assert shop.account not in changed(fleet)


def test_a_dropped_account_loses_all_and_a_new_one_gains_all(shop, fleet):
    before = fleet.living(shop.name)[shop.account]["privileges"]
    assert on_column(shop, "price", "UPDATE") in before
    if isinstance(shop, PostgreSql):
        shop.execute("drop owned by APP")
    shop.execute("drop user APP")
    told = changed(fleet)[shop.account]
    assert (told["change"], told["revoked"], told["granted"]) == ("deleted", before, [])
    shop.execute(
        "create user APP",
        f"grant select (id, price), update (price) on {shop.schema}.orders to APP",
    )
    told = changed(fleet)[shop.account]
    assert told["change"] == "restored"
    assert on_column(shop, "price", "UPDATE") in told["granted"]
    assert told["revoked"] == []

"""The life of a table that is copied: a shop sells, and somebody changes a row of the copy."""

from itertools import count, cycle
from random import Random
from typing import Final

from syncd.control.client import Client
from syncd.demo import fleet_scenes as scenes
from syncd.demo.mariadb import MariaDb
from syncd.demo.part import Part
from syncd.demo.place import Place
from syncd.demo.sql import execute, postgresql
from syncd.model.run import Selection

_PAUSE: Final = (0.5, 1.5)  # seconds between two sales
_QUIET: Final = 12.0  # seconds between two changes by hand
_FIRST: Final = 10.0  # seconds that the first copy may take until there is something to compare
_OLD: Final = 200  # sales of before, which nobody touches but by hand
_MOST: Final = 20  # of the others

_COPY: Final = """
[jobs.sales-copy]  # what is new by its time of change, and what is gone
kind = "table_copy"
every = "4s"
source = {{ server = "{server}", database = "{database}", tables = ["sales"] }}
target = {{ server = "postgresql", database = "warehouse" }}
mode = "incremental"
watermark = "changed"
lookback = "5s"
delete = "hard"
"""
_CHECK: Final = """
[jobs.sales-check]  # what changed just now may still be on its way
kind = "consistency_check"
every = "6s"
copy = "sales-copy"
repair = "copy"
on_difference = "report"
age_column = "changed"
min_age = "10s"
recheck = "5s"  # the next copy has been, and taken what is gone
"""
_WAREHOUSE: Final = """
drop database if exists warehouse with (force);
create database warehouse;
"""
_TIMES: Final = {
    scenes.MARIADB: "timestamp(6) default current_timestamp(6)",
    scenes.POSTGRESQL: "timestamptz default current_timestamp",
}
_SALES: Final = """
drop table if exists sales;
create table sales (id bigint primary key, customer int, total decimal(9, 2), state varchar(8),
    changed {time});
insert into sales values {rows};
"""
_SOLD: Final = """
insert into sales (id, customer, total, state) values ({number}, {number} % 50, {total}, 'new');
update sales set state = 'paid', changed = current_timestamp(6) where id = {paid};
delete from sales where id = {gone};
"""
_BY_HAND: Final = "update sales set total = total * 2 where id = {sale};"


class Copies(Part):
    """Has a table copied from one server to another, and sells; from `open` on.

    The source is a MariaDB where the machine has one, else another database of the PostgreSQL.
    """

    def __init__(self, place: Place, client: Client, mariadb: MariaDb, seed: int) -> None:
        super().__init__("the copied table", sales=self._sell, hand=self._meddle)
        self._place, self._client, self._mariadb = place, client, mariadb
        self._rng = Random(seed)  # noqa: S311 - not for secrets
        self._source = scenes.POSTGRESQL

    def open(self, source: str) -> None:
        """Make the tables, have the jobs taken up, and begin; raises SyncdError."""
        self._source = source
        rows = ", ".join(
            f"({n}, {n % 50}, {n * 37 % 900}.50, 'sent', '2026-01-01 08:00:00')"
            for n in range(1, _OLD + 1)
        )
        self._shop(_SALES.format(time=_TIMES[source], rows=rows))
        self._postgresql(_WAREHOUSE, "postgres")
        database = "webshop" if source == scenes.MARIADB else "shop"
        copy = _COPY.format(server=source, database=database)
        self._configure(copy)
        self._tell(
            "demo",
            f"syncd copies the table sales from {source} into the warehouse in postgresql, again"
            " and again, and compares both",
        )
        self._client.wait(self._client.trigger("sales-copy", Selection(), "demo"), _FIRST)
        self._configure(copy + _CHECK)
        self.start()

    def _configure(self, jobs: str) -> None:
        self._place.configure_copies(jobs)
        self._client.reload("demo")

    def _sell(self) -> None:
        """Add, change and remove sales."""
        sales: list[int] = []
        for number in count(_OLD + 1):
            if self._stop.wait(self._rng.uniform(*_PAUSE)):
                return
            sales.append(number)
            gone = sales.pop(0) if len(sales) > _MOST else 0
            paid, total = self._rng.choice(sales), self._rng.randrange(10_000) / 100
            self._shop(_SOLD.format(number=number, total=total, paid=paid, gone=gone))

    def _meddle(self) -> None:
        """Change a row of the copy, of which nothing in the source tells."""
        for sale in cycle(range(17, _OLD, 17)):
            if self._stop.wait(_QUIET):
                return
            self._tell(
                "fault",
                f"somebody doubles the total of sale {sale} in the warehouse: the copy has no"
                " reason to look at it, the check has",
            )
            self._postgresql(_BY_HAND.format(sale=sale), "warehouse")

    def _shop(self, script: str) -> None:
        """Execute statements where the sales are."""
        if self._source == scenes.MARIADB:
            self._mariadb.execute(f"use webshop;\n{script}")
        else:
            self._postgresql(script, "shop")

    def _postgresql(self, script: str, database: str) -> None:
        execute(postgresql(self._place.server.conninfo(database)), script)

"""What stands on the database servers of the demonstration, and what people do there."""

from dataclasses import dataclass
from typing import Final

POSTGRESQL: Final = "postgresql"
MARIADB: Final = "mariadb"

DATABASES: Final = """
select format('create database %I', name) from unnest(array['shop', 'billing']) name
where not exists (select from pg_database where datname = name) \\gexec
select format('create role %I login', name)
from unnest(array['shop_owner', 'readers', 'app', 'reporting', 'Ms. Quotes']) name
where not exists (select from pg_roles where rolname = name) \\gexec
alter role shop_owner nologin;
alter role readers nologin;
grant readers to reporting;
grant connect on database billing to reporting;
"""
SHOP: Final = """
create table if not exists customers (id bigint primary key, name text);
create table if not exists orders (id bigint, customer bigint, price numeric, note text);
alter table customers owner to shop_owner;
alter table orders owner to shop_owner;
grant select on all tables in schema public to readers;
grant select, insert, update on all tables in schema public to app;
insert into customers select n, 'customer ' || n from generate_series(1, 5000) n
    on conflict do nothing;
insert into orders select n, n % 5000, n % 97, repeat('x', 200) from generate_series(1, 20000) n;
"""
ORDERS: Final = """
insert into orders select n, n % 5000, n % 97, repeat('x', 200) from generate_series(1, 4000) n;
"""
HISTORY: Final = """
select syncd.make_size_partitions(current_date - 95, current_date);
insert into syncd.db_size (server, database, collected_on, collected_at, size_bytes)
select 'postgresql', datname, d, d, (size * (1 - 0.004 * (current_date - d::date)))::bigint
from (select datname, pg_database_size(oid) as size from pg_database
      where datallowconn and datname <> 'syncd') known,
     generate_series(current_date - 95, current_date - 1, interval '1 day') d
where d::date not in (current_date - 40, current_date - 41)
on conflict do nothing;
insert into syncd.server_size (server, collected_on, collected_at, size_bytes, database_count)
select server, collected_on, min(collected_at), sum(size_bytes), count(*) from syncd.db_size
where server = 'postgresql' and collected_on < current_date
group by server, collected_on
on conflict do nothing;
"""
"""Three months of sizes that never were, two days missing, for the statistics to have a past."""

MARIADB_SHOP: Final = """
create database if not exists webshop;
create table if not exists webshop.carts (id int, customer int, total decimal(9, 2));
create table if not exists webshop.`odd name` (id int) engine=MyISAM;
create user if not exists app@'%' identified by 'demo', reporting@'10.0.0.%' identified by 'demo';
create role if not exists analysts;
grant select, insert, update, delete on webshop.* to app@'%';
grant select on webshop.* to analysts;
"""


@dataclass(frozen=True, slots=True)
class FleetScene:
    """Something that people do on a server: said, done, and undone after a while.

    Without statements the server hangs instead.
    """

    server: str
    announce: str
    begin: str = ""
    undo: str = ""
    after: str = "somebody takes it back"


SCENES: Final = (
    FleetScene(
        POSTGRESQL,
        "somebody lets reporting read one column: SELECT (price) on orders",
        "grant select (price) on orders to reporting;",
        "revoke select (price) on orders from reporting;",
    ),
    FleetScene(
        MARIADB,
        "somebody gives reporting the role analysts, with admin option",
        "grant analysts to reporting@'10.0.0.%' with admin option;",
        "revoke analysts from reporting@'10.0.0.%';",
    ),
    FleetScene(
        POSTGRESQL,
        "a contractor gets an account that may make databases",
        "drop role if exists contractor; create role contractor login createdb;",
        "drop role contractor;",
        "the contractor's account is dropped",
    ),
    FleetScene(
        MARIADB,
        "MariaDB hangs: its item fails, the other server goes on, and no account is lost",
        after="MariaDB goes on",
    ),
    FleetScene(
        POSTGRESQL,
        "a new table ledger, which readers may not read: that revokes nothing from them",
        "create table ledger (id bigint); alter table ledger owner to shop_owner;",
        "drop table ledger;",
        "the table ledger is dropped",
    ),
    FleetScene(
        MARIADB,
        "somebody locks the account app",
        "alter user app@'%' account lock;",
        "alter user app@'%' account unlock;",
        "somebody unlocks it",
    ),
    FleetScene(
        POSTGRESQL,
        "somebody makes app a superuser",
        "alter role app superuser;",
        "alter role app nosuperuser;",
        "somebody thinks better of it",
    ),
)

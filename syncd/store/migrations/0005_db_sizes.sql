-- requires: 0.1.0

create table syncd.db_catalog (
    server        text not null,
    database      text not null,
    engine        text not null,
    system        boolean not null,
    size_bytes    bigint,
    first_seen_at timestamptz not null,
    last_seen_at  timestamptz not null,
    gone_at       timestamptz,
    primary key (server, database)
);
comment on table syncd.db_catalog is
    'Every database that was ever seen on a server; those that still stand have no gone_at.';
comment on column syncd.db_catalog.size_bytes is
    'At the last reading that could tell; null where none ever could.';
create index db_catalog_gone on syncd.db_catalog (gone_at) where gone_at is not null;

create table syncd.db_size (
    server       text not null,
    database     text not null,
    collected_on date not null,
    collected_at timestamptz not null,
    size_bytes   bigint not null,
    data_bytes   bigint,
    index_bytes  bigint,
    log_bytes    bigint,
    tables       integer,
    run_id       uuid,
    primary key (server, database, collected_on)
) partition by range (collected_on);
comment on table syncd.db_size is
    'The size of each database, once a day: a later reading of the same day takes the place of the earlier.';
comment on column syncd.db_size.collected_on is 'The day in the time zone of the configuration.';

create table syncd.server_size (
    server         text not null,
    collected_on   date not null,
    collected_at   timestamptz not null,
    size_bytes     bigint not null,
    data_bytes     bigint,
    index_bytes    bigint,
    log_bytes      bigint,
    tables         integer,
    database_count integer not null,
    run_id         uuid,
    primary key (server, collected_on)
) partition by range (collected_on);
comment on table syncd.server_size is
    'The sum of the databases of each server, once a day; there is none of a day on which a database could not be read.';

create table syncd.db_table_size (
    server       text not null,
    database     text not null,
    schema       text not null,
    table_name   text not null,
    collected_on date not null,
    total_bytes  bigint not null,
    heap_bytes   bigint not null,
    index_bytes  bigint not null,
    row_estimate bigint,
    primary key (server, database, schema, table_name, collected_on)
) partition by range (collected_on);
comment on table syncd.db_table_size is
    'The largest tables of each database, once a day, where a job is told to keep them.';

create view syncd.size_partition as
select parent.relname::text as table_name,
       part.relname::text as name,
       substring(pg_get_expr(part.relpartbound, part.oid) from 'FROM \(''([^'']+)''\)')::date as from_day,
       substring(pg_get_expr(part.relpartbound, part.oid) from 'TO \(''([^'']+)''\)')::date as until_day
from pg_inherits
join pg_class parent on parent.oid = inhparent
join pg_class part on part.oid = inhrelid
where parent.relnamespace = 'syncd'::regnamespace
  and parent.relname in ('db_size', 'server_size', 'db_table_size');
comment on view syncd.size_partition is
    'The months for which samples can be stored: from a day, until before another one.';

create function syncd.has_size_partition(parent text, day date) returns boolean
language sql volatile
begin atomic
    select exists (select from syncd.size_partition
                   where table_name = parent and from_day <= day and day < until_day);
end;

-- Made beside the table and then attached, a partition waits for no reader of the table and makes
-- none wait; `create table ... partition of` would lock all of them out (ALTER TABLE, ATTACH PARTITION).
create function syncd.make_size_partitions(first_day date, last_day date) returns integer
language plpgsql
set lock_timeout = '5s'
set search_path = pg_catalog, pg_temp
as $$
declare
    made integer := 0;
    month date;
    parent text;
    part text;
begin
    for month, parent in
        select m::date, t.name
        from generate_series(date_trunc('month', first_day::timestamp), last_day::timestamp, '1 month') m,
             unnest(array['db_size', 'server_size', 'db_table_size']) with ordinality t (name, place)
        order by m, t.place
    loop
        continue when syncd.has_size_partition(parent, month);
        perform pg_advisory_xact_lock(hashtextextended('syncd: partitions of sizes', 0));
        continue when syncd.has_size_partition(parent, month); -- somebody else was at it
        part := parent || to_char(month, '_YYYY_MM');
        execute format('create table syncd.%I (like syncd.%I including all)', part, parent);
        execute format(
            'alter table syncd.%I attach partition syncd.%I for values from (%L) to (%L)',
            parent, part, month, month + interval '1 month');
        made := made + 1;
    end loop;
    return made;
end
$$;
comment on function syncd.make_size_partitions is
    'Make room for the samples of the months from one day to another; returns how many partitions were missing.';

create table syncd.size_horizon (
    only_row  boolean primary key default true check (only_row),
    kept_from date not null
);
comment on table syncd.size_horizon is
    'The first day whose sizes retention has left: statistics of periods that began before stay as they are.';

create table syncd.db_size_stat (
    server         text not null,
    database       text not null,
    period         text not null check (period in ('day', 'week', 'month', 'quarter')),
    period_start   date not null,
    samples        integer not null,
    gaps           integer not null,
    avg_bytes      numeric not null,
    min_bytes      bigint not null,
    max_bytes      bigint not null,
    first_bytes    bigint not null,
    last_bytes     bigint not null,
    change_bytes   bigint,
    change_percent double precision,
    growth_per_day double precision,
    trend          text check (trend in ('growing', 'stable', 'shrinking')),
    forecast_on    date,
    computed_at    timestamptz not null,
    primary key (server, database, period, period_start)
);
create index db_size_stat_by_period on syncd.db_size_stat (period, period_start);
comment on table syncd.db_size_stat is 'The statistics of each database for each completed period.';
comment on column syncd.db_size_stat.period_start is 'Of a week its Monday.';
comment on column syncd.db_size_stat.gaps is 'Days of the period without a sample.';
comment on column syncd.db_size_stat.change_bytes is
    'The last sample against the last one of the period just before; null where that has none.';
comment on column syncd.db_size_stat.growth_per_day is
    'Bytes a day, by least squares; null with one sample.';
comment on column syncd.db_size_stat.trend is
    'By change_percent: growing above 5, shrinking below -5, else stable.';
comment on column syncd.db_size_stat.forecast_on is
    'The day on which the database alone would take the capacity of its server; null where none is configured, nothing grows, or it is a century off.';

create table syncd.server_size_stat (
    server         text not null,
    period         text not null check (period in ('day', 'week', 'month', 'quarter')),
    period_start   date not null,
    samples        integer not null,
    gaps           integer not null,
    avg_bytes      numeric not null,
    min_bytes      bigint not null,
    max_bytes      bigint not null,
    first_bytes    bigint not null,
    last_bytes     bigint not null,
    change_bytes   bigint,
    change_percent double precision,
    growth_per_day double precision,
    trend          text check (trend in ('growing', 'stable', 'shrinking')),
    forecast_on    date,
    computed_at    timestamptz not null,
    primary key (server, period, period_start)
);
create index server_size_stat_by_period on syncd.server_size_stat (period, period_start);
comment on table syncd.server_size_stat is 'The statistics of each server, as those of its databases.';
comment on column syncd.server_size_stat.forecast_on is
    'The day on which the configured capacity is reached, that of the last sample where it is already.';

select syncd.make_size_partitions(current_date - 1, (current_date + interval '3 months')::date);

-- requires: 0.1.0

create table syncd.db_catalog (
    server        text not null,
    database      text not null,
    engine        text not null,
    system        boolean not null,
    first_seen_at timestamptz not null,
    last_seen_at  timestamptz not null,
    gone_at       timestamptz,
    primary key (server, database)
);
comment on table syncd.db_catalog is
    'Every database that was ever seen on a server; those that still stand have no gone_at.';

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

create table syncd.size_horizon (
    only_row  boolean primary key default true check (only_row),
    kept_from date not null
);
comment on table syncd.size_horizon is 'The first day whose sizes retention has left.';

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
comment on table syncd.db_size_stat is 'The statistics of each database for each completed period.';
comment on column syncd.db_size_stat.period_start is 'Of a week its Monday.';
comment on column syncd.db_size_stat.gaps is 'Days of the period without a sample.';
comment on column syncd.db_size_stat.change_bytes is
    'The last sample against that of the period before; null where there is none.';
comment on column syncd.db_size_stat.growth_per_day is
    'Bytes a day, by least squares; null with one sample.';
comment on column syncd.db_size_stat.trend is
    'By change_percent: growing above 5, shrinking below -5, else stable.';
comment on column syncd.db_size_stat.forecast_on is
    'The day on which the configured capacity is reached; null where none is, or nothing grows.';

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
comment on table syncd.server_size_stat is 'The statistics of each server, as those of its databases.';

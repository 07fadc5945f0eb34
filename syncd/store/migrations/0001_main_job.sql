-- requires: 0.1.0

create table syncd.leader (
    only_row    boolean primary key default true check (only_row),
    holder      text not null,
    epoch       bigint not null,
    acquired_at timestamptz not null,
    expires_at  timestamptz not null
);
comment on table syncd.leader is 'The lease under which one daemon runs the schedule.';

create table syncd.job_state (
    job      text primary key,
    last_due timestamptz,
    schedule text not null
);
comment on table syncd.job_state is 'Until when the due times of each job are accounted for.';

create table syncd.run (
    id               uuid primary key,
    job              text not null,
    kind             text not null,
    trigger          text not null check (trigger in ('schedule', 'manual', 'catch_up', 'event')),
    status           text not null default 'pending'
                     check (status in ('pending', 'running', 'success', 'failed', 'cancelled')),
    priority         text not null default 'normal'
                     check (priority in ('urgent', 'high', 'normal', 'low')),
    attempt          integer not null default 0,
    max_attempts     integer not null,
    scheduled_for    timestamptz not null,
    created_at       timestamptz not null,
    started_at       timestamptz,
    finished_at      timestamptz,
    next_attempt_at  timestamptz,
    duration_seconds double precision,
    items_total      integer not null default 0,
    items_failed     integer not null default 0,
    total            bigint not null default 0,
    added            bigint not null default 0,
    updated          bigint not null default 0,
    deleted          bigint not null default 0,
    unchanged        bigint not null default 0,
    errors           bigint not null default 0,
    error_class      text,
    error            text,
    requested_by     text,
    selection        jsonb not null default '{}',
    owner            text,
    owner_epoch      bigint,
    config_digest    text not null
);
comment on table syncd.run is 'Each execution of a job, from due to a final status.';
comment on column syncd.run.attempt is 'The attempt under way or done last; 0 before the first.';
comment on column syncd.run.duration_seconds is 'Of the last attempt.';

create unique index run_once_per_due_time on syncd.run (job, scheduled_for)
    where trigger in ('schedule', 'catch_up');
create unique index run_one_running on syncd.run (job) where status = 'running';
create index run_active on syncd.run (status) where status in ('pending', 'running');
create index run_by_job on syncd.run (job, created_at desc);
create index run_by_time on syncd.run (created_at desc);

create table syncd.run_item (
    id               bigint generated always as identity primary key,
    run_id           uuid not null references syncd.run on delete cascade,
    target           text not null,
    account          text,
    provider         text,
    region           text,
    resource_type    text,
    server           text,
    status           text not null default 'pending'
                     check (status in ('pending', 'running', 'success', 'failed', 'cancelled')),
    attempt          integer not null,
    started_at       timestamptz,
    finished_at      timestamptz,
    duration_seconds double precision,
    total            bigint not null default 0,
    added            bigint not null default 0,
    updated          bigint not null default 0,
    deleted          bigint not null default 0,
    unchanged        bigint not null default 0,
    errors           bigint not null default 0,
    error_class      text,
    error            text,
    details          jsonb not null default '{}',
    unique (run_id, target)
);
comment on table syncd.run_item is 'Each target of a run: a region, a server, a table.';

create table syncd.run_error (
    id          bigint generated always as identity primary key,
    run_id      uuid not null references syncd.run on delete cascade,
    item_id     bigint references syncd.run_item on delete cascade,
    attempt     integer not null,
    resource_id text,
    error_class text not null,
    error       text not null,
    occurred_at timestamptz not null
);
comment on table syncd.run_error is 'Errors of single resources, and records that came too late.';
create index run_error_by_run on syncd.run_error (run_id);
create index run_error_by_item on syncd.run_error (item_id);

create table syncd.account_state (
    account     text primary key,
    provider    text not null,
    owner_id    text,
    owner_at    timestamptz,
    key_hash    text,
    regions     text[],
    regions_at  timestamptz
);
comment on table syncd.account_state is 'What was learnt of each cloud account: who owns it, and its regions, with their age.';

create table syncd.scope (
    account          text not null,
    region           text not null,
    type             text not null,
    group_name       text,
    last_complete_at timestamptz,
    last_run_id      uuid,
    lossy            boolean not null default false,
    primary key (account, region, type)
);
comment on table syncd.scope is 'When each scope was last listed completely: the last sighting of its living resources.';

create table syncd.resource (
    provider       text not null,
    account        text not null,
    region         text not null,
    type           text not null,
    resource_id    text not null,
    name           text not null,
    status         text not null,
    state          text not null,
    instance_type  text,
    cpu            integer,
    memory_mib     integer,
    zone           text,
    vpc_id         text,
    image_id       text,
    public_ips     text[] not null,
    private_ips    text[] not null,
    security_groups text[] not null,
    data_disks     jsonb,
    tags           jsonb not null,
    charge_type    text,
    created_at     timestamptz,
    expires_at     timestamptz,
    group_name     text,
    attributes     jsonb not null,
    first_seen_at  timestamptz not null,
    changed_at     timestamptz not null,
    missing_since  timestamptz,
    missing_runs   integer not null default 0,
    deleted_at     timestamptz,
    digest         bytea not null,
    primary key (account, region, type, resource_id)
);
comment on table syncd.resource is 'Every resource that was ever seen; living ones have no deleted_at.';
create index resource_by_id on syncd.resource (resource_id);
create index resource_by_state on syncd.resource (account, type, state) where deleted_at is null;
create index resource_missing on syncd.resource (account, region, type) where missing_since is not null;

-- Compressing the raw objects dominates when they are written; lz4 costs half of pglz.
do $$
begin
    alter table syncd.resource alter column attributes set compression lz4;
exception when feature_not_supported then null;
end $$;

create unlogged table syncd.resource_stage (
    stage          uuid not null,
    resource_id    text not null,
    name           text,
    status         text,
    state          text,
    instance_type  text,
    cpu            integer,
    memory_mib     integer,
    zone           text,
    vpc_id         text,
    image_id       text,
    public_ips     text[],
    private_ips    text[],
    security_groups text[],
    data_disks     jsonb,
    tags           jsonb,
    charge_type    text,
    created_at     timestamptz,
    expires_at     timestamptz,
    attributes     jsonb,
    digest         bytea not null
);
create index resource_stage_by_stage on syncd.resource_stage (stage, resource_id);
do $$
begin
    alter table syncd.resource_stage alter column attributes set compression lz4;
exception when feature_not_supported then null;
end $$;

create table syncd.resource_change (
    id          bigint generated always as identity primary key,
    run_id      uuid not null,
    account     text not null,
    region      text not null,
    type        text not null,
    resource_id text not null,
    change      text not null check (change in ('added', 'updated', 'deleted', 'restored')),
    changed_at  timestamptz not null,
    fields      jsonb not null
);
comment on table syncd.resource_change is 'Every change: {"status": [before, after]}, or the whole row when added or deleted.';
create index resource_change_by_time on syncd.resource_change (changed_at);
create index resource_change_by_key on syncd.resource_change (account, region, type, resource_id, changed_at);
create index resource_change_by_run on syncd.resource_change (run_id);

create table syncd.guarded_deletion (
    job         text not null,
    account     text not null,
    region      text not null,
    type        text not null,
    resource_id text not null,
    run_id      uuid not null,
    guarded_at  timestamptz not null,
    approved_at timestamptz,
    approved_by text,
    primary key (account, region, type, resource_id)
);
comment on table syncd.guarded_deletion is 'Deletions that were held back until a person approves them.';
create index guarded_deletion_by_job on syncd.guarded_deletion (job);

create table syncd.managed (
    job      text not null,
    account  text not null,
    type     text not null,
    regions  text[],
    excluded text[] not null default '{}',
    primary key (job, account, type)
);
comment on table syncd.managed is 'What the configuration in force looks after; regions null means all.';

create view syncd.hosts as
select r.account, r.region, r.resource_id, r.name, r.status, r.state, r.instance_type, r.cpu,
       r.memory_mib, r.zone, r.vpc_id, r.image_id, r.public_ips, r.private_ips, r.security_groups,
       r.data_disks, r.tags, r.charge_type, r.created_at, r.expires_at, r.group_name, r.provider,
       r.first_seen_at, r.changed_at, s.last_complete_at as last_seen_at, r.missing_since,
       not exists (
           select from syncd.managed m
           where m.account = r.account and m.type = r.type
             and (m.regions is null or r.region = any (m.regions))
             and r.region <> all (m.excluded)
       ) as unmanaged,
       r.attributes
from syncd.resource r
left join syncd.scope s using (account, region, type)
where r.type = 'host' and r.deleted_at is null;
comment on view syncd.hosts is 'The living hosts; unmanaged ones are of no job''s accounts and regions any more.';

-- The inventory at a past moment, for the compared columns and as far back as changes are kept:
-- today's rows with all later changes undone, and those of purged resources from the changes alone
-- (their other columns are null). The first change after the moment tells whether a resource
-- existed then.
create function syncd.resources_as_of(moment timestamptz)
returns setof syncd.resource
language sql stable
set enable_nestloop = off  -- statistics that are older than a first listing would mislead
as $$
    with later as (
        select c.*, row_number() over (
                   partition by account, region, type, resource_id order by changed_at, id) as nth
        from syncd.resource_change c
        where changed_at > moment
    ),
    was as (
        select distinct on (account, region, type, resource_id, f.key)
               l.account, l.region, l.type, l.resource_id, f.key,
               case when l.change = 'deleted' then f.value else f.value -> 0 end as value
        from later l
        cross join lateral jsonb_each(l.fields) as f
        where l.change <> 'added'
        order by l.account, l.region, l.type, l.resource_id, f.key, l.nth
    ),
    undone as (
        select account, region, type, resource_id, jsonb_object_agg(key, value) as fields
        from was
        group by account, region, type, resource_id
    ),
    first_later as (
        select * from later where nth = 1
    )
    select was.*
    from syncd.resource r
    full join first_later f using (account, region, type, resource_id)
    left join undone u using (account, region, type, resource_id)
    cross join lateral jsonb_populate_record(
        r,
        coalesce(u.fields, '{}')
        || jsonb_build_object('account', account, 'region', region, 'type', type,
                              'resource_id', resource_id,
                              'deleted_at', null, 'missing_since', null)
    ) as was
    where case
              when f.change is null then r.deleted_at is null and r.first_seen_at <= moment
              else f.change in ('updated', 'deleted')
          end
$$;
comment on function syncd.resources_as_of is 'The living resources as they were at a past moment.';

-- requires: 0.1.0

create table syncd.db_account (
    server        text not null,
    engine        text not null,
    account       text not null,
    kind          text not null check (kind in ('user', 'role')),
    active        boolean not null,
    attributes    jsonb not null,
    capabilities  text[] not null,
    privileges    jsonb not null,
    read_errors   jsonb not null default '[]',
    first_seen_at timestamptz not null,
    changed_at    timestamptz not null,
    missing_since timestamptz,
    missing_runs  integer not null default 0,
    deleted_at    timestamptz,
    run_id        uuid not null,
    digest        bytea not null,
    primary key (server, account)
);
comment on table syncd.db_account is
    'Every account of a database server that was ever seen; living ones have no deleted_at.';
comment on column syncd.db_account.account is
    'user@host in MySQL; in PostgreSQL a role, and public for everybody.';
comment on column syncd.db_account.active is 'Whether somebody can log in as it.';
comment on column syncd.db_account.privileges is
    '[{"on": "column", "name": ["shop", "orders", "price"], "privilege": "SELECT", "grantable": false}, ...], sorted.';
comment on column syncd.db_account.read_errors is
    'What could not be read last time, and so stays as it was: [{"part", "error_class", "error"}, ...].';
comment on column syncd.db_account.run_id is 'The run that changed it last.';
create index db_account_by_account on syncd.db_account (account);
create index db_account_capable on syncd.db_account using gin (capabilities) where deleted_at is null;
create index db_account_deleted on syncd.db_account (deleted_at) where deleted_at is not null;

create unlogged table syncd.db_account_stage (
    stage              uuid not null,
    account            text not null,
    kind               text,
    active             boolean,
    attributes         jsonb,
    capabilities       text[],
    privileges         jsonb,
    read_errors        jsonb,
    granted            jsonb,
    revoked            jsonb,
    attributes_changed jsonb,
    digest             bytea not null
);
create index db_account_stage_by_stage on syncd.db_account_stage (stage, account);

create table syncd.db_account_change (
    id                 bigint generated always as identity primary key,
    run_id             uuid not null,
    server             text not null,
    account            text not null,
    change             text not null check (change in ('added', 'updated', 'deleted', 'restored')),
    granted            jsonb not null,
    revoked            jsonb not null,
    attributes_changed jsonb not null,
    changed_at         timestamptz not null
);
comment on table syncd.db_account_change is
    'Every change of an account: the privileges that it gained and lost, and {"locked": [before, after]}.';
comment on column syncd.db_account_change.attributes_changed is
    'Its fields too, under the names account.kind, account.active and account.capabilities.';
create index db_account_change_by_time on syncd.db_account_change (changed_at);
create index db_account_change_by_key on syncd.db_account_change (server, account, changed_at);
create index db_account_change_by_run on syncd.db_account_change (run_id);

create table syncd.db_object (
    server   text not null,
    database text not null,
    schema   text not null,
    kind     text not null,
    names    text[] not null,
    primary key (server, database, schema, kind)
);
comment on table syncd.db_object is
    'The tables, sequences and functions of each schema at the last reading: what the all_ kinds of privileges stand for.';

create view syncd.db_accounts as
select a.server, a.engine, a.account, a.kind, a.active, a.capabilities, a.privileges, a.attributes,
       a.read_errors, a.first_seen_at, a.changed_at, s.last_complete_at as last_seen_at,
       not exists (
           select from syncd.managed m where m.account = a.server and m.type = 'db_account'
       ) as unmanaged
from syncd.db_account a
left join syncd.scope s on (s.account, s.region, s.type) = (a.server, '', 'db_account')
where a.deleted_at is null;
comment on view syncd.db_accounts is
    'The living accounts of database servers; unmanaged ones are on no server of a job any more.';

-- requires: 0.1.0

alter table syncd.run add column interruptions integer not null default 0;
comment on column syncd.run.interruptions is 'How often the run made room for an urgent one.';

alter table syncd.job_state
    add column paused_at        timestamptz,
    add column paused_until     timestamptz,
    add column paused_by        text,
    add column interval_seconds double precision,
    add column skipped_due      timestamptz,
    add column skip_reason      text;
comment on table syncd.job_state is
    'Of each job: until when its due times are accounted for, whether it is paused, and the last due time without a run.';
comment on column syncd.job_state.paused_until is 'Null in a paused job: until it is resumed.';
comment on column syncd.job_state.interval_seconds is 'The present interval of an adaptive job.';

create table syncd.held_account (
    account     text primary key,
    held_at     timestamptz not null,
    reason      text not null,
    fingerprint text,
    probed_at   timestamptz not null
);
comment on table syncd.held_account is
    'Accounts whose credentials were refused: tried again hourly, by hand, or when the secret differs.';

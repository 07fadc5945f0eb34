-- requires: 0.1.0

create table syncd.http_call (
    run_id              uuid not null references syncd.run on delete cascade,
    position            integer not null,
    attempt             integer not null,
    tries               integer not null default 1,
    name                text not null,
    method              text not null,
    url                 text not null,
    safe                boolean not null,
    request_sent_at     timestamptz not null,
    answered_at         timestamptz,
    finished_at         timestamptz,
    outcome             text check (outcome in ('success', 'failed', 'accepted')),
    status              integer,
    connect_seconds     double precision,
    first_byte_seconds  double precision,
    total_seconds       double precision,
    request_id          text,
    answer              text,
    answer_cut          boolean not null default false,
    poll_url            text,
    polls               integer not null default 0,
    saved               jsonb not null default '{}',
    error_class         text,
    error               text,
    primary key (run_id, position, attempt)
);
comment on table syncd.http_call is
    'Each call of a run of kind http, one row for each attempt that sent it; secrets are masked.';
comment on column syncd.http_call.position is 'Of the call in the job, from 1.';
comment on column syncd.http_call.request_sent_at is
    'Committed before the first byte was sent: a row without answered_at and finished_at may have taken effect.';
comment on column syncd.http_call.safe is
    'Sending it twice has the effect of once: by its method, or by a key that the server honours.';
comment on column syncd.http_call.tries is 'How often the attempt sent it.';
comment on column syncd.http_call.outcome is
    'accepted: answered 202, and followed since; null while it is under way, or when nobody knows.';
comment on column syncd.http_call.request_id is 'What the server calls it, by its headers.';
comment on column syncd.http_call.answer is 'The first 64 KiB of the answer.';
comment on column syncd.http_call.saved is 'What later calls of the run take from the answer.';

alter table syncd.run add column told_at timestamptz default now();
alter table syncd.run alter column told_at drop default;
comment on column syncd.run.told_at is
    'When its end was taken up for notifications; those before this column existed count as told.';
create index run_untold on syncd.run (finished_at)
    where told_at is null and status in ('success', 'failed', 'cancelled');

create table syncd.alert (
    key             text primary key,
    event           text not null,
    job             text,
    since           timestamptz not null,
    detail          jsonb not null,
    times           integer not null default 1,
    told            jsonb not null default '{}',
    seen_at         timestamptz not null,
    ended_at        timestamptz
);
comment on table syncd.alert is
    'What lasts and was told: jobs that fail, overrun or are stale, resources that run short.';
comment on column syncd.alert.times is 'How often it was seen.';
comment on column syncd.alert.ended_at is 'When it was over; the row goes once that is told.';
comment on column syncd.alert.told is
    'By channel: how often it was told and when the next time is, {"oncall": {"times": 2, "next_at": "..."}}.';

create table syncd.notification (
    id              bigint generated always as identity primary key,
    channel         text not null,
    event           text not null,
    key             text not null,
    content         jsonb not null,
    created_at      timestamptz not null,
    attempts        integer not null default 0,
    next_attempt_at timestamptz,
    refused         boolean not null default false,
    sent_at         timestamptz,
    given_up_at     timestamptz,
    error           text
);
comment on table syncd.notification is
    'Messages to channels, sent and to be sent; a job''s pings have the channel "ping JOB".';
comment on column syncd.notification.refused is
    'The last try got an answer that says no: a later one is hardly answered otherwise.';
create index notification_to_send on syncd.notification (channel, id)
    where sent_at is null and given_up_at is null;
create index notification_sent on syncd.notification (channel, id desc)
    where sent_at is not null;
create index notification_given_up on syncd.notification (channel, given_up_at)
    where given_up_at is not null;
create index notification_by_channel on syncd.notification (channel, id desc);
create index notification_by_time on syncd.notification (created_at);

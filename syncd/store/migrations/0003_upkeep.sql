-- requires: 0.1.0

create table syncd.config_version (
    number         integer primary key,
    digest         text not null,
    content_digest text not null,
    accepted_at    timestamptz not null,
    accepted_by    text not null,
    instance       text not null,
    files          text[] not null
);
comment on table syncd.config_version is
    'The configurations that a daemon took up, by the number of their copy in state_dir/config.';
comment on column syncd.config_version.digest is 'SHA-256 of its meaning; its content is not here.';
comment on column syncd.config_version.content_digest is 'SHA-256 of its files and their names.';
comment on column syncd.config_version.instance is 'The daemon that has the copy: machine:directory.';

create index resource_deleted on syncd.resource (deleted_at) where deleted_at is not null;

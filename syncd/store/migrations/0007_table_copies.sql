-- requires: 0.1.0

create table syncd.rejected_row (
    run_id       uuid not null references syncd.run on delete cascade,
    item         text not null,
    key          text not null,
    relation     text not null,
    error        text not null,
    row          text not null,
    rejected_at  timestamptz not null,
    primary key (run_id, item, key)
);
comment on table syncd.rejected_row is
    'Rows that the target of a table copy refused, as texts; they stand in the source alone.';
comment on column syncd.rejected_row.key is 'The values of its key as JSON, cut at 1,000 characters.';
comment on column syncd.rejected_row.relation is 'The table of the target.';
comment on column syncd.rejected_row.row is
    'Column and value as JSON, masked as the copy masks them, cut at 64 KiB.';

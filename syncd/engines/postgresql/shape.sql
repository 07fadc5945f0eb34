with recursive relation as (
    select c.oid, c.relkind, c.reltoastrelid, c.relhasrules, c.reltuples, c.relname
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = %(schema)s and c.relname = %(table)s
      and c.relkind in ('r', 'p', 'v', 'm', 'f')
),
listed as (  -- of a table, or of a query's result, which is told by its oids and typmods
    select a.attnum::int as place, a.attname::text as name, a.atttypid as type, a.atttypmod as typmod,
           not a.attnotnull as nullable, a.attgenerated <> '' as generated,
           a.attidentity as identity,
           a.attidentity <> '' or relkind in ('r', 'p')
               and pg_get_serial_sequence(r.oid::regclass::text, a.attname) is not null as numbered,
           a.attcollation as collation
    from relation r join pg_attribute a on a.attrelid = r.oid
    where a.attnum > 0 and not a.attisdropped
    union all
    select place::int, name, type, typmod, true, false, '', false, t.typcollation
    from unnest(%(names)s::text[], %(types)s::oid[], %(typmods)s::int[]) with ordinality
         as q (name, type, typmod, place)
    join pg_type t on t.oid = type
),
based as (  -- domains, down to what they are made of
    select place, type, typmod from listed
    union all
    select place, typbasetype, typtypmod
    from based join pg_type t on t.oid = type where typtype = 'd'
)
select l.name, format_type(l.type, l.typmod),
       case when t.typnamespace = 'pg_catalog'::regnamespace or t.typname = 'citext'
            then t.typname::text else '' end,
       b.typmod, l.nullable, l.generated, l.identity::text, l.numbered,
       t.typname = 'citext' or coalesce(not c.collisdeterministic, false),
       (t.oid < 16384 or t.typtype = 'e') and t.typname !~ '^_?(reg.*|money)$' and t.typsend <> 0
           and t.typtype in ('b', 'e', 'r', 'm'),
       t.typlen = -1
from listed l
join based b using (place)
join pg_type t on t.oid = b.type and t.typtype <> 'd'
left join pg_collation c on c.oid = l.collation
order by l.place

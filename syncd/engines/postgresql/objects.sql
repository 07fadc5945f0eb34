-- Who may do what with the objects of a database, those of a schema as one row where all are alike.
--
-- One row a privilege: kind, path below the database, grantee, privilege, grantable. Rows without
-- a grantee hold the names of all tables, sequences and functions of a schema after the schema's.
--
-- What initdb or an extension made stands alone: it is told of only where it differs from how it
-- was made (pg_init_privs, else the default), and is not counted when a schema's objects are alike.
with schema as (
    select oid, nspname::text as name, nspowner, nspacl from pg_namespace
    where nspname !~ '^pg_(toast|temp_|toast_temp_)'
),
thing (kind, catalog, oid, schema, name, owner, acl, implied) as (
    select 'schema', 'pg_namespace'::regclass, oid, null, name, nspowner, nspacl,
           acldefault('n', nspowner)
    from schema
    union all
    select case relkind when 'S' then 'sequence' else 'table' end, 'pg_class'::regclass, c.oid,
           s.name, relname, relowner, relacl,
           acldefault(case relkind when 'S' then 's' else 'r' end::"char", relowner)
    from pg_class c join schema s on s.oid = relnamespace
    where relkind in ('r', 'v', 'm', 'f', 'p', 'S')
    union all
    select case prokind when 'p' then 'procedure' else 'function' end, 'pg_proc'::regclass, p.oid,
           s.name, proname || '(' || oidvectortypes(proargtypes) || ')', proowner, proacl,
           acldefault('f', proowner)
    from pg_proc p join schema s on s.oid = pronamespace
    union all
    -- not the types of rows, of arrays and of multiranges, which follow others
    select 'type', 'pg_type'::regclass, t.oid, s.name, typname, typowner, typacl,
           acldefault('T', typowner)
    from pg_type t join schema s on s.oid = typnamespace
    left join pg_class c on c.oid = typrelid
    where typtype <> 'm' and coalesce(c.relkind = 'c', true)
      and not exists (select from pg_type e where e.typarray = t.oid)
    union all
    select 'language', 'pg_language'::regclass, oid, null, lanname, lanowner, lanacl,
           acldefault('l', lanowner)
    from pg_language
    union all
    select 'foreign_data_wrapper', 'pg_foreign_data_wrapper'::regclass, oid, null, fdwname,
           fdwowner, fdwacl, acldefault('F', fdwowner)
    from pg_foreign_data_wrapper
    union all
    select 'foreign_server', 'pg_foreign_server'::regclass, oid, null, srvname, srvowner, srvacl,
           acldefault('S', srvowner)
    from pg_foreign_server
),
made as (
    select kind, schema, name, owner, coalesce(acl, implied) as acl,
           coalesce(initprivs, implied) as first, coalesce(extowner, 10) as maker,
           extowner is not null or (thing.oid < 16384 and thing.oid <> 2200) as given,
           -- initdb lets all read the information schema, and does not note it
           case when 'information_schema' in (schema, name) and thing.oid < 16384
               then implied || makeaclitem(
                   0, owner, case kind when 'schema' then 'USAGE' else 'SELECT' end, false)
           end as published
    from thing
    left join pg_init_privs i
        on i.objoid = thing.oid and i.classoid = thing.catalog and i.objsubid = 0
    left join (pg_depend d join pg_extension e
               on d.refclassid = 'pg_extension'::regclass and e.oid = d.refobjid)
        on d.objid = thing.oid and d.classid = thing.catalog and d.deptype = 'e'
),
-- acl and owner as far as they are to be told; the schema public (2200) is like one of the users'
told as materialized (
    select kind, schema, name, given,
           given or kind not in ('table', 'sequence', 'function') as alone,
           case when not given or not (acl @> first and acl <@ first
                                       or coalesce(acl @> published and acl <@ published, false))
               then acl
           end as acl,
           case when not given or owner not in (10, maker) then owner end as owner
    from made
),
alike as (
    select kind, schema, alone, acl, owner, array_agg(name) as names, count(*) as n,
           sum(count(*)) over (partition by kind, schema, alone) as of
    from told
    where not given or acl is not null or owner is not null
    group by kind, schema, alone, acl, owner
),
granted as (
    select kind, schema, alone, names, n, of, grantee, privilege_type as privilege,
           bool_or(is_grantable) as grantable
    from alike, aclexplode(acl)
    group by kind, schema, alone, names, n, of, grantee, privilege_type
    union all
    select kind, schema, alone, names, n, of, owner, 'OWNER', false from alike
    where owner is not null
),
counted as (
    select *, not alone and of > 1 and of = sum(n) over (
               partition by kind, schema, alone, grantee, privilege, grantable) as whole
    from granted
)
select distinct 'all_' || kind || 's', array[schema], grantee, privilege, grantable
from counted where whole
union all
select kind, array_remove(array[schema, name], null), grantee, privilege, grantable
from counted, unnest(names) name where not whole
union all
select kind, array[schema] || array_agg(name order by name collate "C"), null, null, null
from told where not alone group by kind, schema

-- Who may do what with the objects of a database, those of a schema as one row where all are alike.
--
-- One row a privilege: kind, path below the database, grantee, privilege, grantable, restricts.
-- Rows without a grantee hold the names of all tables, sequences and functions of a schema after
-- the schema's.
--
-- What initdb or an extension made stands alone, and is not counted when a schema's objects are
-- alike. Of it only the difference from how it was made (pg_init_privs, else the default) is told:
-- what was there at first and was taken away `restricts`. So it is with default privileges.
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
           coalesce(extowner, 10) as maker,
           extowner is not null or (thing.oid < 16384 and thing.oid <> 2200) as given,
           coalesce(
               initprivs,
               -- initdb lets all read the information schema but for these, and does not note it
               case when thing.oid < 16384 and acl is not null
                        and name !~ '^(_pg_.*|sql_parts|transforms)$' and (
                            (kind, name) = ('schema', 'information_schema')
                            or (kind, schema) = ('table', 'information_schema'))
                   then implied || makeaclitem(
                       0, owner, case kind when 'schema' then 'USAGE' else 'SELECT' end, false)
               end,
               implied
           ) as first
    from thing
    left join pg_init_privs i
        on i.objoid = thing.oid and i.classoid = thing.catalog and i.objsubid = 0
    left join (pg_depend d join pg_extension e
               on d.refclassid = 'pg_extension'::regclass and e.oid = d.refobjid)
        on d.objid = thing.oid and d.classid = thing.catalog and d.deptype = 'e'
),
-- what is told by its difference from what was there at first
differing (kind, path, owner, acl, first) as (
    select kind, array_remove(array[schema, name], null), owner, acl, first
    from made where given and not (acl @> first and acl <@ first)
    union all
    select 'column', array[s.name, relname, attname], relowner, attacl, initprivs
    from pg_attribute
    join pg_class c on c.oid = attrelid
    join schema s on s.oid = relnamespace
    left join pg_init_privs
        on objoid = attrelid and classoid = 'pg_class'::regclass and objsubid = attnum
    where not attisdropped and attacl is distinct from initprivs
    union all
    -- those of one schema add to others, those of all schemas stand instead of the built-in ones
    select 'default_' || made, array[defaclrole::text, coalesce(nspname, '')], defaclrole,
           defaclacl, case when defaclnamespace = 0 then acldefault(builtin::"char", defaclrole) end
    from pg_default_acl
    join (values ('r', 'tables', 'r'), ('S', 'sequences', 's'), ('f', 'functions', 'f'),
                 ('T', 'types', 'T'), ('n', 'schemas', 'n'), ('L', 'large_objects', 'L')
         ) kinds (type, made, builtin) on type = defaclobjtype::text
    left join pg_namespace n on n.oid = defaclnamespace
),
difference as (
    select kind, path, change.*
    from differing cross join lateral (
        with now as (select * from aclexplode(acl)),
        -- what the owner had is that of whoever the owner is now
        was as (
            select case grantee when grantor then owner else grantee end as grantee,
                   privilege_type, is_grantable
            from aclexplode(first)
        )
        (select grantee, privilege_type as privilege, is_grantable as grantable, false as restricts
         from now
         except select grantee, privilege_type, is_grantable, false from was)
        union all
        (select grantee, privilege_type, false, true from was
         except select grantee, privilege_type, false, true from now)
    ) change
),
-- acl and owner as far as they are to be told; the schema public (2200) is like one of the users'
told as materialized (
    select kind, schema, name, given,
           given or kind not in ('table', 'sequence', 'function') as alone,
           case when not given then acl end as acl,
           case when not given or owner not in (10, maker) then owner end as owner
    from made
),
alike as (
    select kind, schema, alone, acl, owner, array_agg(name) as names, count(*) as n,
           sum(count(*)) over (partition by kind, schema, alone) as of
    from told
    where not given or owner is not null
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
select distinct 'all_' || kind || 's', array[schema], grantee, privilege, grantable, false
from counted where whole
union all
select kind, array_remove(array[schema, name], null), grantee, privilege, grantable, false
from counted, unnest(names) name where not whole
union all
select kind, path, grantee, privilege, bool_or(grantable), restricts
from difference group by kind, path, grantee, privilege, restricts
union all
select kind, array[schema] || array_agg(name order by name collate "C"), null, null, null, null
from told where not alone group by kind, schema

-- The catalog lint for tenant isolation: one row per finding (code, object), none when the schema keeps tenants apart.
-- Run as the serving role. Exceptions and their reasons are listed in src/service/tenancy/guard.py.
WITH serving AS (
    SELECT oid, rolname, rolsuper, rolbypassrls, rolreplication FROM pg_catalog.pg_roles WHERE rolname = current_user
), extended AS (
    SELECT objid FROM pg_catalog.pg_depend WHERE deptype = 'e' AND classid = 'pg_class'::regclass
), own AS (
    -- Tables of the service: everything outside the system's schemas and yoyo's own bookkeeping.
    SELECT c.oid, n.nspname || '.' || c.relname AS name, c.relname, c.relowner, c.relkind, c.relispartition,
           c.relrowsecurity AS is_secured, c.relforcerowsecurity AS is_forced,
           a.attnum AS tenant_column, a.attnotnull AS is_not_null
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      -- A tenant is its own tenant.
      LEFT JOIN pg_catalog.pg_attribute AS a
             ON a.attrelid = c.oid AND NOT a.attisdropped
            AND a.attname = CASE WHEN (n.nspname, c.relname) = ('app', 'tenants') THEN 'id' ELSE 'tenant_id' END
     WHERE c.relkind IN ('r', 'p')
       AND n.nspname !~ '^pg_'
       AND n.nspname <> 'information_schema'
       AND c.relname NOT IN ('_yoyo_log', '_yoyo_migration', '_yoyo_version', 'yoyo_lock', '_migration_checksums')
       -- A schema that the serving role may not even name can't be read by it.
       AND has_schema_privilege(n.oid, 'USAGE')
       -- Tables of an extension are left out, like the system's own tables, unless the role can write them.
       AND (c.oid NOT IN (SELECT objid FROM extended)
            OR has_any_column_privilege(c.oid, 'INSERT, UPDATE') OR has_table_privilege(c.oid, 'DELETE'))
), reachable AS (
    SELECT oid FROM pg_catalog.pg_namespace
     WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND has_schema_privilege(oid, 'USAGE')
), tenant_tables AS (
    SELECT * FROM own WHERE tenant_column IS NOT NULL
), leaking AS MATERIALIZED (
    SELECT oc.oid
      FROM pg_catalog.pg_opclass AS oc
     WHERE NOT EXISTS (SELECT
                         FROM pg_catalog.pg_amop AS ao
                         JOIN pg_catalog.pg_operator AS o ON o.oid = ao.amopopr
                         JOIN pg_catalog.pg_proc AS p ON p.oid = o.oprcode
                        WHERE ao.amopfamily = oc.opcfamily AND ao.amoplefttype = oc.opcintype AND p.proleakproof)
), findings (code, object) AS (
    SELECT 'role_bypasses_policies', rolname::text FROM serving WHERE rolsuper OR rolbypassrls OR rolreplication
     UNION ALL
    SELECT 'role_may_become_owner', t.name FROM own AS t, serving AS s WHERE pg_has_role(s.oid, t.relowner, 'MEMBER')
     UNION ALL
    SELECT 'role_may_become_superuser', r.rolname
      FROM pg_catalog.pg_roles AS r, serving AS s
     WHERE (r.rolsuper OR r.rolbypassrls OR r.rolreplication OR r.rolcreaterole
            OR r.rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files'))
       AND NOT s.rolsuper
       AND pg_has_role(s.oid, r.oid, 'MEMBER')
     UNION ALL
    -- A policy for a role is a policy for its members.
    SELECT 'role_shares_policy', t.name || ' ' || p.polname
      FROM serving AS s
     CROSS JOIN own AS t
      JOIN pg_catalog.pg_policy AS p ON p.polrelid = t.oid
     WHERE NOT s.rolsuper
       AND EXISTS (SELECT FROM unnest(p.polroles) AS u (oid) WHERE u.oid NOT IN (0, s.oid) AND pg_has_role(s.oid, u.oid, 'MEMBER'))
     UNION ALL
    SELECT 'table_without_tenant', name FROM own WHERE tenant_column IS NULL
     UNION ALL
    SELECT 'policies_not_forced', name FROM tenant_tables WHERE NOT (is_secured AND is_forced)
     UNION ALL
    SELECT 'tenant_nullable', name FROM tenant_tables WHERE NOT is_not_null
     UNION ALL
    SELECT 'tenant_without_default', t.name
      FROM tenant_tables AS t
      LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = t.oid AND d.adnum = t.tenant_column
     WHERE d.oid IS NULL OR pg_get_expr(d.adbin, d.adrelid) <> 'app.current_tenant()'
     UNION ALL
    SELECT 'policy_missing', t.name
      FROM tenant_tables AS t
     WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_policy AS p WHERE p.polrelid = t.oid)
     UNION ALL
    -- With all that the policy says, so that an exception covers this policy and no other of its name.
    SELECT 'policy_not_canonical',
           format('%s %s: %s for %s to %s using %s check %s', t.name, p.polname,
                  CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END, p.polcmd,
                  (SELECT string_agg(coalesce(r.rolname, 'public'), ', ' ORDER BY r.rolname)
                     FROM unnest(p.polroles) AS u (oid)
                     LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = u.oid),
                  pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
      FROM tenant_tables AS t
      JOIN pg_catalog.pg_policy AS p ON p.polrelid = t.oid
     WHERE p.polroles <> ARRAY[0::oid]
        OR p.polcmd <> '*'
        OR NOT p.polpermissive
        OR pg_get_expr(p.polqual, p.polrelid) IS DISTINCT FROM '(tenant_id = app.current_tenant())'
        OR pg_get_expr(p.polwithcheck, p.polrelid) IS DISTINCT FROM '(tenant_id = app.current_tenant())'
     UNION ALL
    SELECT 'several_policies', t.name
      FROM tenant_tables AS t
      JOIN pg_catalog.pg_policy AS p ON p.polrelid = t.oid AND p.polpermissive
     GROUP BY t.name
    HAVING count(*) > 1
     UNION ALL
    SELECT 'unique_without_tenant', t.name || ' ' || i.indexrelid::regclass::text
      FROM tenant_tables AS t
      JOIN pg_catalog.pg_index AS i ON i.indrelid = t.oid AND (i.indisunique OR i.indisexclusion)
     -- The columns that INCLUDE adds are no part of the key.
     WHERE NOT t.tenant_column = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
     UNION ALL
    SELECT 'key_without_tenant_first', t.name
      FROM tenant_tables AS t
      LEFT JOIN pg_catalog.pg_index AS i ON i.indrelid = t.oid AND i.indisprimary
     WHERE i.indkey[0] IS DISTINCT FROM t.tenant_column
     UNION ALL
    SELECT 'reference_without_tenant', t.name || ' ' || k.conname
      FROM pg_catalog.pg_constraint AS k
      JOIN tenant_tables AS t ON t.oid = k.conrelid
      JOIN tenant_tables AS r ON r.oid = k.confrelid
     WHERE k.contype = 'f'
       AND NOT EXISTS (SELECT FROM generate_subscripts(k.conkey, 1) AS i
                        WHERE k.conkey[i] = t.tenant_column AND k.confkey[i] = r.tenant_column)
     UNION ALL
    SELECT 'dangerous_privilege', t.name || ' ' || privilege
      FROM own AS t, unnest(ARRAY['TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege
     WHERE has_table_privilege(t.oid, privilege)
        OR (privilege = 'REFERENCES' AND has_any_column_privilege(t.oid, privilege))
     UNION ALL
    SELECT 'tenant_may_be_moved', t.name
      FROM tenant_tables AS t
     WHERE has_column_privilege(t.oid, t.tenant_column, 'UPDATE')
     UNION ALL
    -- The log is written by the owner's functions, what all tenants share by the platform.
    SELECT 'platform_table_writable', t.name
      FROM own AS t
     WHERE t.name ~ '^app\.' AND t.name <> 'app.tenants'
       AND (has_any_column_privilege(t.oid, 'INSERT, UPDATE') OR has_table_privilege(t.oid, 'DELETE'))
     UNION ALL
    SELECT 'view_with_owner_rights', c.oid::regclass::text
      FROM pg_catalog.pg_class AS c
     WHERE c.relkind = 'v'
       AND c.relnamespace IN (SELECT oid FROM reachable)
       -- An extension's view, such as pg_stat_statements, knows no table of ours.
       AND c.oid NOT IN (SELECT objid FROM extended)
       AND NOT coalesce(c.reloptions::text ~ 'security_invoker=(true|on|1)', false)
       AND (has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE') OR has_table_privilege(c.oid, 'DELETE'))
     UNION ALL
    SELECT 'materialized_view_readable', c.oid::regclass::text
      FROM pg_catalog.pg_class AS c
     WHERE c.relkind = 'm' AND c.relnamespace IN (SELECT oid FROM reachable) AND has_any_column_privilege(c.oid, 'SELECT')
     UNION ALL
    SELECT 'foreign_table_readable', c.oid::regclass::text
      FROM pg_catalog.pg_class AS c
     WHERE c.relkind = 'f' AND c.relnamespace IN (SELECT oid FROM reachable) AND has_any_column_privilege(c.oid, 'SELECT')
     UNION ALL
    SELECT 'definer_function_of_bypassing_owner', f.oid::regprocedure::text
      FROM pg_catalog.pg_proc AS f
      JOIN pg_catalog.pg_roles AS o ON o.oid = f.proowner
     WHERE f.prosecdef
       AND (o.rolsuper OR o.rolbypassrls)
       AND f.pronamespace::regnamespace::text !~ '^(pg_|information_schema$)'
       -- A trigger's function runs for whoever writes the row, even if they may not execute it or name its schema.
       AND ((has_function_privilege(f.oid, 'EXECUTE') AND f.pronamespace IN (SELECT oid FROM reachable))
            OR EXISTS (SELECT FROM pg_catalog.pg_trigger AS g JOIN own AS t ON t.oid = g.tgrelid WHERE g.tgfoid = f.oid))
     UNION ALL
    SELECT 'definer_function_without_search_path', f.oid::regprocedure::text
      FROM pg_catalog.pg_proc AS f
     WHERE f.prosecdef
       AND f.pronamespace IN (SELECT oid FROM reachable)
       AND NOT coalesce(f.proconfig::text ~ 'search_path=', false)
     UNION ALL
    SELECT 'index_on_leaking_operator', i.indexrelid::regclass::text || ' ' || a.attname
      FROM tenant_tables AS t
      JOIN pg_catalog.pg_index AS i ON i.indrelid = t.oid
     CROSS JOIN LATERAL unnest(i.indkey::int2[], i.indclass::oid[]) AS u (att, opclass)
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = u.att
     -- Few indexes have such an operator, so they are found before the columns of any are looked at.
     WHERE i.indclass::oid[] && ARRAY(SELECT oid FROM leaking)
       AND u.opclass IN (SELECT oid FROM leaking)
     UNION ALL
    SELECT 'partition_unguarded', name FROM tenant_tables
     WHERE relispartition AND NOT (is_secured AND is_forced) AND has_table_privilege(oid, 'SELECT')
     UNION ALL
    SELECT 'published_table', t.name || ' ' || p.pubname
      FROM pg_catalog.pg_publication_tables AS p
      JOIN tenant_tables AS t ON t.name = p.schemaname || '.' || p.tablename
     UNION ALL
    SELECT 'temporary_tables_allowed', current_database()::text WHERE has_database_privilege(current_database(), 'TEMP')
     UNION ALL
    -- A role may always change its own defaults; an attacker who runs SQL as this role could leave these settings behind.
    SELECT 'role_setting_dangerous', split_part(setting, '=', 1)
      FROM pg_catalog.pg_db_role_setting AS d
      JOIN serving AS s ON s.oid = d.setrole
     CROSS JOIN unnest(d.setconfig) AS setting
     WHERE d.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
       AND (setting ~* '^(app\.|role=|session_authorization=|local_preload_libraries=|default_transaction_)'
            OR setting ~* '^row_security=(off|false|no|0)$'
            OR (setting ~* '^search_path=' AND setting !~* '^search_path="?[a-z_][a-z0-9_]*"?, pg_temp$'))
     UNION ALL
    -- Another encoding can't hold all that the service takes, and sorts and cuts what it holds otherwise.
    SELECT 'encoding_not_unicode', pg_encoding_to_char(encoding)::text
      FROM pg_catalog.pg_database
     WHERE datname = current_database() AND pg_encoding_to_char(encoding) <> 'UTF8'
     UNION ALL
    -- Nothing here makes large objects, and no policy guards them.
    SELECT 'large_object_written', m.oid::text
      FROM pg_catalog.pg_largeobject_metadata AS m
      JOIN serving AS s ON s.oid = m.lomowner
     UNION ALL
    SELECT 'schema_writable', n.nspname::text
      FROM pg_catalog.pg_namespace AS n
     WHERE has_schema_privilege(n.oid, 'CREATE') AND n.nspname !~ '^pg_'
)
SELECT code, object FROM findings ORDER BY code, object;

-- What the roles of requests may do with the service's tables, sequences and functions, to be compared with what statements need.
SELECT r.rolname::text AS role, p.privilege, c.oid::int8 AS object, a.attnum::int AS number
  FROM pg_catalog.pg_roles AS r
 CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE')) AS p (privilege)
  JOIN pg_catalog.pg_class AS c ON c.relkind IN ('r', 'p', 'v')
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace AND has_schema_privilege(r.oid, n.oid, 'USAGE')
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND NOT a.attisdropped
 WHERE r.rolname = ANY ($1::text[])
   AND n.nspname !~ '^pg_'
   AND n.nspname <> 'information_schema'
   AND c.relname !~ '^(_yoyo|yoyo_|_migration_checksums)'
   AND (a.attnum > 0 OR p.privilege = 'SELECT')
   AND has_column_privilege(r.oid, c.oid, a.attnum, p.privilege)
 UNION ALL
SELECT r.rolname::text, 'DELETE', c.oid::int8, 0
  FROM pg_catalog.pg_roles AS r
 CROSS JOIN pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace AND has_schema_privilege(r.oid, n.oid, 'USAGE')
 WHERE r.rolname = ANY ($1::text[])
   AND c.relkind IN ('r', 'p', 'v')
   AND n.nspname !~ '^pg_'
   AND n.nspname <> 'information_schema'
   AND c.relname !~ '^(_yoyo|yoyo_|_migration_checksums)'
   AND has_table_privilege(r.oid, c.oid, 'DELETE')
 UNION ALL
SELECT r.rolname::text, 'USAGE', c.oid::int8, 0
  FROM pg_catalog.pg_roles AS r
 CROSS JOIN pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace AND has_schema_privilege(r.oid, n.oid, 'USAGE')
 WHERE r.rolname = ANY ($1::text[])
   AND c.relkind = 'S'
   AND n.nspname !~ '^pg_'
   AND has_sequence_privilege(r.oid, c.oid, 'USAGE')
 UNION ALL
-- A trigger's function runs without a privilege of whoever writes the row.
SELECT r.rolname::text, 'EXECUTE', f.oid::int8, 0
  FROM pg_catalog.pg_roles AS r
 CROSS JOIN pg_catalog.pg_proc AS f
  JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace AND has_schema_privilege(r.oid, n.oid, 'USAGE')
 WHERE r.rolname = ANY ($1::text[])
   AND n.nspname !~ '^pg_'
   AND n.nspname <> 'information_schema'
   AND f.prorettype <> 'trigger'::regtype
   AND has_function_privilege(r.oid, f.oid, 'EXECUTE');

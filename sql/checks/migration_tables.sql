-- The tables that a migration finds: number and name, without the system's and yoyo's own.
SELECT c.oid::int8 AS oid, n.nspname || '.' || c.relname AS name
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'm')
   AND n.nspname !~ '^pg_'
   AND n.nspname <> 'information_schema'
   AND c.relname !~ '^(_yoyo_|yoyo_lock$|_migration_checksums$)';

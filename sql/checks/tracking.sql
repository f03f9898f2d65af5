-- What the log's triggers record, against what the catalog has: tenant tables with their columns and the source of their
-- record function (null when a trigger is missing, disabled, conditional, of another event, or another table's). Tables of one name
-- that agree in all of it, as those in tenants' own schemas do, share a row.
WITH reachable AS MATERIALIZED (
    SELECT c.oid, c.relname, c.relnamespace, n.nspname
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p')
       AND has_schema_privilege(n.oid, 'USAGE')
       AND n.nspname !~ '^pg_'
       AND n.nspname <> 'information_schema'
), tables AS MATERIALIZED (
    SELECT c.*,
           ARRAY(SELECT a.attname::text
                   FROM pg_catalog.pg_attribute AS a
                  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
                  ORDER BY a.attnum) AS columns
      FROM reachable AS c
     WHERE EXISTS (SELECT FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)
        OR (c.nspname, c.relname) = ('app', 'tenants')
), recording AS (
    -- tgtype: AFTER and FOR EACH STATEMENT are 0, INSERT is 4, DELETE 8, UPDATE 16; BEFORE is 2, FOR EACH ROW 1.
    SELECT t.oid, f.oid AS function, md5(f.prosrc) AS digest
      FROM tables AS t
      JOIN (SELECT g.tgrelid, g.tgfoid
              FROM pg_catalog.pg_trigger AS g
             WHERE (g.tgname, g.tgtype) IN (('record_insert', 4), ('record_update', 16), ('record_delete', 8))
               AND g.tgenabled IN ('O', 'A')
               AND g.tgqual IS NULL
             GROUP BY g.tgrelid, g.tgfoid
            HAVING count(*) = 3) AS g ON g.tgrelid = t.oid
      JOIN pg_catalog.pg_proc AS f ON f.oid = g.tgfoid AND f.proname = 'record_' || t.relname AND f.pronamespace = t.relnamespace
), touched AS (
    SELECT g.tgrelid AS oid
      FROM pg_catalog.pg_trigger AS g
      JOIN pg_catalog.pg_proc AS f ON f.oid = g.tgfoid
     WHERE g.tgname = 'touch'
       AND g.tgtype = 19
       AND g.tgenabled IN ('O', 'A')
       AND f.pronamespace::regnamespace::text = 'app'
       AND f.proname IN ('touch', 'touch_shared')
), kept AS (
    -- BEFORE is 2, TRUNCATE 32.
    SELECT g.tgrelid AS oid
      FROM pg_catalog.pg_trigger AS g
     WHERE g.tgtype = 34
       AND g.tgenabled IN ('O', 'A')
       AND g.tgqual IS NULL
       AND g.tgfoid = to_regproc('app.refuse_truncate')
), alike AS (
    SELECT array_agg(t.nspname || '.' || t.relname ORDER BY t.nspname) AS names,
           t.nspname = 'app' AS is_of_app,
           t.relname, t.columns,
           min(r.function) AS function,
           t.oid IN (SELECT oid FROM touched) AS is_touched,
           t.oid IN (SELECT oid FROM kept) AS is_truncate_refused
      FROM tables AS t
      LEFT JOIN recording AS r ON r.oid = t.oid
     GROUP BY 2, t.relname, t.columns, r.digest, 6, 7
)
-- Exceptions name tables of app with their schema, and others without.
SELECT a.names, a.is_of_app, a.relname AS table_name, a.columns, f.prosrc AS source, a.is_touched, a.is_truncate_refused
  FROM alike AS a
  LEFT JOIN pg_catalog.pg_proc AS f ON f.oid = a.function
 ORDER BY a.names;

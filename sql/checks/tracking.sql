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
    -- What is asked of a table is asked by its oid: joins of what the planner can't estimate here took minutes for thousands of tables.
    SELECT c.nspname || '.' || c.relname AS name,
           -- Exceptions name tables of app with their schema, and others without.
           c.nspname = 'app' AS is_of_app,
           c.relname,
           ARRAY(SELECT a.attname::text
                   FROM pg_catalog.pg_attribute AS a
                  WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
                  ORDER BY a.attnum) AS columns,
           (SELECT min(f.prosrc)
              FROM pg_catalog.pg_trigger AS g
              JOIN pg_catalog.pg_proc AS f ON f.oid = g.tgfoid
             WHERE g.tgrelid = c.oid
               -- tgtype: AFTER and FOR EACH STATEMENT are 0, INSERT is 4, DELETE 8, UPDATE 16; BEFORE is 2, FOR EACH ROW 1.
               AND (g.tgname, g.tgtype) IN (('record_insert', 4), ('record_update', 16), ('record_delete', 8))
               AND g.tgenabled IN ('O', 'A')
               AND g.tgqual IS NULL
               AND f.proname = 'record_' || c.relname
               AND f.pronamespace = c.relnamespace
            HAVING count(*) = 3) AS source,
           EXISTS (SELECT
                     FROM pg_catalog.pg_trigger AS g
                     JOIN pg_catalog.pg_proc AS f ON f.oid = g.tgfoid
                    WHERE g.tgrelid = c.oid
                      AND g.tgname = 'touch'
                      AND g.tgtype = 19
                      AND g.tgenabled IN ('O', 'A')
                      AND f.pronamespace::regnamespace::text = 'app'
                      AND f.proname IN ('touch', 'touch_shared')) AS is_touched,
           EXISTS (SELECT
                     FROM pg_catalog.pg_trigger AS g
                    WHERE g.tgrelid = c.oid
                      -- BEFORE is 2, TRUNCATE 32.
                      AND g.tgtype = 34
                      AND g.tgenabled IN ('O', 'A')
                      AND g.tgqual IS NULL
                      AND g.tgfoid = to_regproc('app.refuse_truncate')) AS is_truncate_refused
      FROM reachable AS c
     WHERE EXISTS (SELECT FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)
        OR (c.nspname, c.relname) = ('app', 'tenants')
)
SELECT array_agg(name ORDER BY name) AS names, is_of_app, relname AS table_name, columns,
       min(source) AS source, is_touched, is_truncate_refused
  FROM tables
 GROUP BY is_of_app, relname, columns, md5(source), is_touched, is_truncate_refused
 ORDER BY names;

-- The triggers that number commits and shared data, and open streams: one row per finding (code, object) where one is missing, disabled,
-- or not what the migrations made it. Shared data is every table of app that all tenants read and whose rows belong to none.
SELECT w.code, w.object
  FROM (VALUES ('commits_not_numbered', 'app.changes', 'CREATE CONSTRAINT TRIGGER number_commit AFTER INSERT ON app.changes '
                'DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.ordinal = 1)) EXECUTE FUNCTION app.number_commit()'),
               ('stream_not_opened', 'app.tenants', 'CREATE TRIGGER open_stream AFTER INSERT ON app.tenants '
                'FOR EACH ROW EXECUTE FUNCTION app.open_stream()')
        UNION ALL
        SELECT 'shared_not_numbered', format('app.%I', c.relname), format('CREATE TRIGGER number_shared AFTER INSERT OR DELETE OR '
               'UPDATE OR TRUNCATE ON app.%I FOR EACH STATEMENT EXECUTE FUNCTION app.number_shared()', c.relname)
          FROM pg_catalog.pg_class AS c
          JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = 'app'
         WHERE c.relkind = 'r'
           AND c.relname <> ALL (ARRAY['tenants', 'installation'])
           AND has_any_column_privilege('quarry_app', c.oid, 'SELECT')
           AND NOT EXISTS (SELECT
                             FROM pg_catalog.pg_attribute AS a
                            WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped))
    AS w (code, object, definition)
 WHERE to_regclass(w.object) IS NOT NULL
   AND NOT EXISTS (SELECT
                     FROM pg_catalog.pg_trigger AS g
                    WHERE g.tgrelid = to_regclass(w.object) AND g.tgenabled IN ('O', 'A') AND pg_get_triggerdef(g.oid) = w.definition)
 ORDER BY w.code, w.object;

-- The triggers that number commits and shared data, and open streams: one row per finding (code, object) where one is missing, disabled,
-- or not what the migrations made it.
SELECT w.code, n.nspname || '.' || c.relname AS object
  FROM (VALUES ('commits_not_numbered', 'changes', 'CREATE CONSTRAINT TRIGGER number_commit AFTER INSERT ON app.changes '
                'DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.ordinal = 1)) EXECUTE FUNCTION app.number_commit()'),
               ('stream_not_opened', 'tenants', 'CREATE TRIGGER open_stream AFTER INSERT ON app.tenants '
                'FOR EACH ROW EXECUTE FUNCTION app.open_stream()'),
               ('shared_not_numbered', 'niches', 'CREATE TRIGGER number_shared AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON app.niches '
                'FOR EACH STATEMENT EXECUTE FUNCTION app.number_shared()')) AS w (code, relname, definition)
  JOIN pg_catalog.pg_class AS c ON c.relname = w.relname
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = 'app'
 WHERE NOT EXISTS (SELECT
                     FROM pg_catalog.pg_trigger AS g
                    WHERE g.tgrelid = c.oid AND g.tgenabled IN ('O', 'A') AND pg_get_triggerdef(g.oid) = w.definition)
 ORDER BY w.code;

SET LOCAL lock_timeout = '4s';
GRANT EXECUTE ON FUNCTION app.tenants_after(uuid, integer) TO quarry_app;
DROP FUNCTION app.note_purge(integer);
REVOKE SELECT (purged_at) ON app.installation FROM quarry_app;
ALTER TABLE app.installation DROP COLUMN purge_failures;

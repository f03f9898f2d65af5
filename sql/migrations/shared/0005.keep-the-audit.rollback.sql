SET LOCAL lock_timeout = '4s';
DROP FUNCTION app.prune_log(uuid, integer);
ALTER TABLE app.tenants DROP CONSTRAINT tenants_features_check, DROP CONSTRAINT tenants_configuration_check;
ALTER TABLE app.tenants
    ADD CONSTRAINT tenants_features_check CHECK (jsonb_typeof(features) = 'object'),
    ADD CONSTRAINT tenants_configuration_check CHECK (jsonb_typeof(configuration) = 'object');
COMMENT ON CONSTRAINT tenants_features_check ON app.tenants IS 'Features are a JSON object.';
COMMENT ON CONSTRAINT tenants_configuration_check ON app.tenants IS 'The configuration is a JSON object.';
REVOKE UPDATE (log_retention, deleted_retention) ON app.installation FROM quarry_platform;
ALTER TABLE app.installation DROP COLUMN deleted_retention;
ALTER TABLE app.installation DROP COLUMN log_retention;
DROP INDEX app.commits_actor_id_idx;
DROP INDEX app.changes_row_id_idx;

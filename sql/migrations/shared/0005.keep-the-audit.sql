-- The log as an audit: found by row and by actor, and kept for a year. What else grows without end gets an end.
-- depends: 0004.seal-personal-data

SET LOCAL lock_timeout = '4s';

CREATE INDEX changes_row_id_idx ON app.changes (tenant_id, row_id);
COMMENT ON INDEX app.changes_row_id_idx IS 'log.audit of one row.';
CREATE INDEX commits_actor_id_idx ON app.commits (tenant_id, actor_id, number DESC) WHERE actor_id IS NOT NULL;
COMMENT ON INDEX app.commits_actor_id_idx IS 'log.audit of one actor.';

ALTER TABLE app.installation ADD COLUMN log_retention interval NOT NULL DEFAULT '1 year';
ALTER TABLE app.installation ADD CONSTRAINT installation_log_retention_check CHECK (log_retention >= '1 day');
COMMENT ON CONSTRAINT installation_log_retention_check ON app.installation IS 'The audit is kept for a while, whoever asks.';
ALTER TABLE app.installation ADD COLUMN deleted_retention interval NOT NULL DEFAULT '90 days';
ALTER TABLE app.installation ADD CONSTRAINT installation_deleted_retention_check CHECK (deleted_retention >= '1 day');
COMMENT ON CONSTRAINT installation_deleted_retention_check ON app.installation IS 'What was deleted can be restored for a while.';
GRANT UPDATE (log_retention, deleted_retention) ON app.installation TO quarry_platform;

-- Every merge patch may add to these documents, and every reader pays for all of it.
ALTER TABLE app.tenants DROP CONSTRAINT tenants_features_check, DROP CONSTRAINT tenants_configuration_check;
ALTER TABLE app.tenants
    ADD CONSTRAINT tenants_features_check CHECK (jsonb_typeof(features) = 'object' AND octet_length(features::text) <= 65536),
    ADD CONSTRAINT tenants_configuration_check CHECK (jsonb_typeof(configuration) = 'object' AND octet_length(configuration::text) <= 65536);
COMMENT ON CONSTRAINT tenants_features_check ON app.tenants IS 'Features are a JSON object of at most 64 KiB.';
COMMENT ON CONSTRAINT tenants_configuration_check ON app.tenants IS 'The configuration is a JSON object of at most 64 KiB.';

-- Forgets what is older than the retention, oldest first, at most so many commits at once; answers how many. The rule is
-- in here: the serving role may call it at any time and can neither shorten the retention nor leave a gap.
CREATE FUNCTION app.prune_log(tenant uuid, at_most integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
AS $$
DECLARE
    old  bigint;
    done integer;
BEGIN
    IF tenant <> app.current_tenant() THEN
        RETURN 0;
    END IF;
    -- The oldest commits have the lowest numbers; the first one that is to be kept ends the run, whatever the clock said.
    SELECT coalesce(min(c.number) FILTER (WHERE c.is_kept) - 1, max(c.number)) INTO old
      FROM (SELECT number, at >= now() - (SELECT log_retention FROM app.installation) AS is_kept
              FROM app.commits
             WHERE tenant_id = tenant
             ORDER BY number
             LIMIT least(at_most, 10000)) AS c;
    IF old IS NULL THEN
        RETURN 0;
    END IF;
    DELETE FROM app.changes
     WHERE tenant_id = tenant
       AND xid IN (SELECT xid FROM app.commits WHERE tenant_id = tenant AND number <= old);
    DELETE FROM app.commits WHERE tenant_id = tenant AND number <= old;
    GET DIAGNOSTICS done = ROW_COUNT;
    UPDATE app.heads SET floor = greatest(floor, old) WHERE tenant_id = tenant;
    RETURN done;
END
$$;
COMMENT ON FUNCTION app.prune_log(uuid, integer) IS 'Deletes the bound tenant''s log beyond its retention, and says so by its floor.';
GRANT EXECUTE ON FUNCTION app.prune_log(uuid, integer) TO quarry_app;

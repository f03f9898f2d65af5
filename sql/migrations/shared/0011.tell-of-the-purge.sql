-- How the last purge went, for health on every instance.
-- depends: 0010.own-schemas

SET LOCAL lock_timeout = '4s';

ALTER TABLE app.installation ADD COLUMN purge_failures integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN app.installation.purge_failures IS 'Tenants of which the last purge could not forget everything; app.note_purge().';
GRANT SELECT (purge_failures, purged_at) ON app.installation TO quarry_app;

CREATE FUNCTION app.note_purge(failures integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
AS $$
BEGIN
    UPDATE app.installation SET purge_failures = failures;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION app.note_purge(integer) IS 'Writes down how many tenants the purge that just ended has failed for.';
GRANT EXECUTE ON FUNCTION app.note_purge(integer) TO quarry_app;

-- tenants_to_purge() tells more in one call.
REVOKE EXECUTE ON FUNCTION app.tenants_after(uuid, integer) FROM quarry_app;
